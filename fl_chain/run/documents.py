"""The documents that a ledger fixes by hash: policy and manifest."""

from __future__ import annotations

from dataclasses import fields

from fl_chain.commitment.canonical import parse_canonical_json
from fl_chain.errors import VerificationError
from fl_chain.learning.manifest import Manifest, parse_manifest
from fl_chain.policy import RunPolicy, parse_policy_document
from fl_chain.records import LedgerPolicy, RunDefinition
from fl_chain.store import Store


def read_policy(definition: RunDefinition, ledger_policy: LedgerPolicy, store: Store) -> RunPolicy:
    """Return the run's policy, checked against the ledger's hash and against every constant of the contract.

    Raises:
        StoreError: if no copy of the document can be read.
        VerificationError: if it is another document, or its constants are not the contract's.
    """
    policy = parse_policy_document(store.read_document(definition.policy_hash), definition.policy_hash)
    for name in differing_constants(policy.ledger, ledger_policy):
        raise VerificationError(
            f"the policy document says {name} = {getattr(policy.ledger, name)}, the contract "
            f"{getattr(ledger_policy, name)}: do not take part, and ask the operator"
        )
    return policy


def differing_constants(document: LedgerPolicy, contract: LedgerPolicy) -> list[str]:
    """Return the names of the constants in which two policies differ."""
    return [
        item.name
        for item in fields(LedgerPolicy)
        if getattr(document, item.name) != getattr(contract, item.name)
    ]


def read_manifest(definition: RunDefinition, store: Store) -> Manifest:
    """Return the run's manifest, checked against the ledger's hash and dimension.

    Raises:
        StoreError: if no copy of the document can be read.
        VerificationError: if it is another document, or has another dimension than the contract.
    """
    document = store.read_document(definition.manifest_hash)
    manifest = parse_manifest(parse_canonical_json(document))
    if manifest.dimension != definition.dimension:
        raise VerificationError(
            f"the manifest has {manifest.dimension} lanes, the contract {definition.dimension}: "
            "do not take part, and ask the operator"
        )
    return manifest
