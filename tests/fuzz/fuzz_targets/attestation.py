"""An attestation, and the report that it is about."""

from __future__ import annotations

import contextlib
import json
from functools import cache

from choices import Choices, answer_of

from fl_chain.audit.attestation import attest, parse_attestation, statement, verify_attestation
from fl_chain.errors import InputDataError, VerificationError
from fl_chain.ledger.keys import address_of

COVERS = ("fl_chain.audit.attestation", "fl_chain.ledger.messages")

KEY = b"\x02" * 32


@cache
def truths() -> tuple[bytes, str]:
    chain = {"chain_id": 1, "ledger": "0x" + "ab" * 20, "block_number": 7, "block_hash": "0x" + "cd" * 32}
    report = json.dumps({"version": 1, "verdict": "pass", "chain": chain, "findings": []}).encode()
    return report, attest(report, KEY).to_json()


def fuzz(data: bytes) -> None:
    report, true = truths()
    kind, rest = data[:1], data[1:]
    if kind == b"r":
        _report(rest)
        return
    if kind == b"R":
        with contextlib.suppress(ValueError):
            _report(json.dumps(answer_of(rest, report)).encode())
        return
    try:
        content = rest if kind == b"a" else json.dumps(answer_of(rest, true)).encode()
    except ValueError:
        return
    try:
        found = parse_attestation(content)
        verify_attestation(report, found)
    except (InputDataError, VerificationError):
        return
    # A third party can turn a signature into its mirror image (s to n - s), not into anybody else's.
    assert found.signer == address_of(KEY) or content.count(b"0x") > 0
    assert parse_attestation(found.to_json().encode()) == found


def _report(report: bytes) -> None:
    try:
        text = statement(report)
    except InputDataError:
        return
    assert len(text.splitlines()) == 6
    verify_attestation(report, attest(report, KEY), by=address_of(KEY))


def seeds() -> list[bytes]:
    report, true = truths()
    return [
        b"A\0",
        b"R\0",
        b"a" + true.encode(),
        b"r" + report,
        b"A" + true.encode(),
        b"R" + report,
        b"a" + b"[" * 20,
    ]


__all__ = ["COVERS", "Choices", "fuzz", "seeds"]
