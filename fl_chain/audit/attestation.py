"""An auditor's signature over a report: who vouches for which bytes.

The signed text names the verdict, the ledger and the block beside the report's SHA-256, so that whoever signs
in a wallet sees what is signed. A contract's account cannot sign this way.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel, Field

from fl_chain.commitment.canonical import verify_nesting
from fl_chain.errors import InputDataError, VerificationError
from fl_chain.ledger.keys import address_of
from fl_chain.ledger.messages import sign_message, signer_of
from fl_chain.records import Address, address

FORMAT_VERSION = 1
MOST_NESTING = 16
MOST_ATTESTATION_BYTES = 1 << 16

Form = TypeVar("Form", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Attestation:
    """A signature and whose it is."""

    signer: Address
    signature: bytes  # 65 bytes

    def to_json(self) -> str:
        """Return the attestation as it is stored."""
        content = {
            "version": FORMAT_VERSION,
            "signer": self.signer,
            "signature": "0x" + self.signature.hex(),
        }
        return json.dumps(content, indent=2) + "\n"


class _Chain(BaseModel):
    chain_id: int
    ledger: str = Field(pattern="^0x[0-9a-f]{40}$")
    block_number: int
    block_hash: str = Field(pattern="^0x[0-9a-f]{64}$")


class _Report(BaseModel):
    verdict: str = Field(pattern="^(fail|pass( from round [1-9][0-9]{0,17})?)$")
    chain: _Chain


class _Attestation(BaseModel):
    version: Literal[1]
    signer: str = Field(pattern="^0x[0-9a-f]{40}$")
    signature: str = Field(pattern="^0x([0-9a-f]{2})*$")


def statement(report: bytes) -> str:
    """Return the text that is signed for a report.

    Args:
        report: the bytes of the JSON file.

    Raises:
        InputDataError: it is no audit report.
    """
    parsed = _parsed(report, _Report, "no audit report; `fl-chain audit --json FILE` writes one")
    chain = parsed.chain
    return "\n".join(
        (
            "fl_chain audit report",
            f"verdict: {parsed.verdict}",
            f"chain: {chain.chain_id}",
            f"ledger: {chain.ledger}",
            f"block: {chain.block_number} {chain.block_hash}",
            f"sha-256: 0x{hashlib.sha256(report).hexdigest()}",
        )
    )


def attest(report: bytes, key: bytes) -> Attestation:
    """Sign a report.

    Args:
        report: the bytes of the JSON file; the signature is good for these bytes alone.
        key: the auditor's private key, 32 bytes.

    Raises:
        InputDataError: it is no audit report.
        KeyUnavailable: the key is none.
    """
    signer = address_of(key)
    return Attestation(signer, sign_message(key, statement(report)))


def parse_attestation(content: bytes) -> Attestation:
    """Return what an attestation's file holds.

    Raises:
        InputDataError: it holds none.
    """
    if len(content) > MOST_ATTESTATION_BYTES:
        raise InputDataError(f"an attestation has at most {MOST_ATTESTATION_BYTES} bytes")
    parsed = _parsed(content, _Attestation, "no attestation; `fl-chain sign-report` writes one")
    return Attestation(address(parsed.signer), bytes.fromhex(parsed.signature[2:]))


def verify_attestation(report: bytes, attestation: Attestation, *, by: Address | None = None) -> None:
    """Check that an attestation is one of these very bytes.

    Args:
        report: the bytes of the JSON file.
        attestation: what came with it.
        by: who has to have signed; None accepts whoever is named.

    Raises:
        InputDataError: the report is none.
        VerificationError: another report was signed, or somebody else signed.
    """
    actual = signer_of(statement(report), attestation.signature)
    if actual != attestation.signer:
        raise VerificationError(
            f"the signature is not one of {attestation.signer} over this report: "
            "ask for the report and its attestation again"
        )
    if by is not None and actual != by:
        raise VerificationError(f"{actual} signed this report, not {by}")


def _parsed(content: bytes, form: type[Form], what_else: str) -> Form:
    try:
        verify_nesting(content, MOST_NESTING)
        return form.model_validate_json(content, strict=True)
    except ValueError as error:  # pydantic's too
        raise InputDataError(f"this is {what_else}: {error}") from error
