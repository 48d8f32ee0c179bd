"""Policy and manifest: documents that hash to what the ledger says, whatever they hold."""

from __future__ import annotations

import json
from functools import cache

from choices import Choices, answer_of

from fl_chain.aggregation.bounds import verify_quantisation
from fl_chain.commitment.canonical import canonical_json, document_hash, parse_canonical_json
from fl_chain.config import RunSettings
from fl_chain.errors import FlChainError
from fl_chain.learning.manifest import Manifest, TensorEntry, parse_manifest
from fl_chain.policy import parse_policy_document, policy_document, run_policy
from fl_chain.records import LedgerPolicy
from fl_chain.run.documents import differing_constants

COVERS = ("fl_chain.policy", "fl_chain.learning.manifest", "fl_chain.run.documents")


@cache
def truths() -> tuple[bytes, LedgerPolicy, bytes]:
    settings = RunSettings.model_validate(
        {
            "task": {
                "kind": "table",
                "label": "bought",
                "positive": "yes",
                "numeric": [{"name": "price", "mean": 1.5, "std": 0.5}],
                "categorical": [{"name": "shop", "categories": ["a", "b"]}],
            }
        }
    )
    policy = run_policy(settings)
    manifest = Manifest((TensorEntry("bias", (1,)), TensorEntry("weight", (3, 4)), TensorEntry("zero", ())))
    return policy_document(policy), policy.ledger, manifest.to_json()


def fuzz(data: bytes) -> None:
    policy, _, manifest = truths()
    kind, rest = data[:1], data[1:]
    # Lower case: as it is. Upper case: in its canonical spelling, to get past it.
    if kind in (b"p", b"m"):
        document = rest
    else:
        try:
            document = canonical_json(answer_of(rest, policy if kind == b"P" else manifest))
        except (FlChainError, ValueError):
            return
    try:
        if kind in (b"p", b"P"):
            _policy(document)
        else:
            _manifest(document)
    except FlChainError:
        pass


def _policy(document: bytes) -> None:
    parsed = parse_policy_document(document, document_hash(document))
    verify_quantisation(parsed.ledger.quantisation)
    differing_constants(parsed.ledger, truths()[1])
    # What was read can be written, and reads the same.
    written = policy_document(parsed)
    again = parse_policy_document(written, document_hash(written))
    assert repr(again) == repr(parsed)


def _manifest(document: bytes) -> None:
    parsed = parse_manifest(parse_canonical_json(document))
    assert parsed.to_json() == document
    assert parsed.dimension >= len(parsed.tensors)
    assert sum(1 for _ in parsed.slices()) == len(parsed.tensors)
    parsed.element(parsed.dimension - 1)


def seeds() -> list[bytes]:
    policy, _, manifest = truths()
    return [
        b"p" + policy,
        b"m" + manifest,
        b"P\0",
        b"M\0",
        b"P" + policy,
        b"M" + json.dumps(json.loads(manifest)).encode(),
    ]


__all__ = ["COVERS", "Choices", "fuzz", "seeds"]
