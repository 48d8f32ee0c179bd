"""An auditor's signature: of these very bytes, by that very key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from typer.testing import CliRunner

from fl_chain.audit.attestation import (
    MOST_ATTESTATION_BYTES,
    attest,
    parse_attestation,
    statement,
    verify_attestation,
)
from fl_chain.cli.main import app
from fl_chain.config import PRIVATE_KEY_VARIABLE
from fl_chain.errors import ConfigError, InputDataError, KeyUnavailable, OutputExists, VerificationError
from fl_chain.ledger.keys import address_of
from fl_chain.ledger.messages import sign_message, signer_of

KEY, OTHER_KEY = hashlib.sha256(b"auditor").digest(), hashlib.sha256(b"another").digest()
CONTENT = {
    "verdict": "pass",
    "chain": {"chain_id": 7, "ledger": "0x" + "ab" * 20, "block_number": 12, "block_hash": "0x" + "cd" * 32},
}
REPORT = json.dumps(CONTENT).encode()


def test_the_signed_text_says_what_is_vouched_for() -> None:
    assert statement(REPORT).splitlines() == [
        "fl_chain audit report",
        "verdict: pass",
        "chain: 7",
        "ledger: 0x" + "ab" * 20,
        "block: 12 0x" + "cd" * 32,
        "sha-256: 0x" + hashlib.sha256(REPORT).hexdigest(),
    ]


def test_an_attestation_is_read_back_and_holds() -> None:
    attestation = attest(REPORT, KEY)
    read = parse_attestation(attestation.to_json().encode())
    assert read == attestation
    verify_attestation(REPORT, read)
    verify_attestation(REPORT, read, by=address_of(KEY))


def test_the_signature_is_the_one_that_wallets_make() -> None:
    text = statement(REPORT)
    assert attest(REPORT, KEY).signature == bytes(
        Account.sign_message(encode_defunct(text=text), KEY).signature
    )
    assert signer_of(text, sign_message(KEY, text)) == address_of(KEY)


@pytest.mark.parametrize("position", range(0, len(REPORT), 7))
def test_another_report_is_refused(position: int) -> None:
    altered = bytearray(REPORT)
    altered[position] ^= 1
    with pytest.raises((VerificationError, InputDataError)):
        verify_attestation(bytes(altered), attest(REPORT, KEY))


def test_white_space_counts() -> None:
    with pytest.raises(VerificationError, match="is not one of"):
        verify_attestation(REPORT + b"\n", attest(REPORT, KEY))


def test_somebody_else_is_refused() -> None:
    attestation = attest(REPORT, KEY)
    with pytest.raises(VerificationError, match="is not one of"):
        verify_attestation(REPORT, replace(attestation, signer=address_of(OTHER_KEY)))
    with pytest.raises(VerificationError, match="not 0x"):
        verify_attestation(REPORT, attestation, by=address_of(OTHER_KEY))


@pytest.mark.parametrize("signature", [b"", b"\1" * 64, b"\1" * 66, b"\xff" * 65, bytes(65)])
def test_what_no_key_can_have_signed_is_refused(signature: bytes) -> None:
    with pytest.raises(VerificationError):
        verify_attestation(REPORT, replace(attest(REPORT, KEY), signature=signature))


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        json.dumps(CONTENT | {"verdict": "fine"}).encode(),
        json.dumps(CONTENT | {"chain": []}).encode(),
        json.dumps(CONTENT | {"chain": CONTENT["chain"] | {"ledger": "0x12"}}).encode(),  # type: ignore[operator]
        json.dumps(CONTENT | {"chain": CONTENT["chain"] | {"block_hash": "0xzz"}}).encode(),  # type: ignore[operator]
    ],
)
def test_what_is_no_report_is_not_signed(report: bytes) -> None:
    with pytest.raises(InputDataError):
        attest(report, KEY)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"version": 2, "signer": "0x' + b"ab" * 20 + b'", "signature": "0x00"}',
        b'{"version": 1, "signer": "0x12", "signature": "0x00"}',
        b'{"version": 1, "signer": "0x' + b"ab" * 20 + b'", "signature": "00"}',
        b'{"version": 1, "signer": "0x' + b"ab" * 20 + b'", "signature": 5}',
        b" " * (MOST_ATTESTATION_BYTES + 1),
    ],
)
def test_what_is_no_attestation_is_refused(content: bytes) -> None:
    with pytest.raises(InputDataError):
        parse_attestation(content)


def test_what_is_no_key_signs_nothing() -> None:
    with pytest.raises(KeyUnavailable):
        attest(REPORT, bytes(32))


def test_the_commands_sign_and_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PRIVATE_KEY_VARIABLE, KEY.hex())
    Path("audit.json").write_bytes(REPORT)
    run = CliRunner().invoke

    signed = run(app, ["sign-report", "audit.json"])
    assert signed.exit_code == 0
    assert "verdict: pass" in signed.output
    assert KEY.hex() not in signed.output + Path("audit.json.sig").read_text()
    assert isinstance(run(app, ["sign-report", "audit.json"]).exception, OutputExists)
    assert run(app, ["verify-report", "audit.json", "--by", address_of(KEY)]).exit_code == 0
    assert isinstance(
        run(app, ["verify-report", "audit.json", "--by", address_of(OTHER_KEY)]).exception, VerificationError
    )
    assert isinstance(run(app, ["verify-report", "missing.json"]).exception, ConfigError)
    assert isinstance(run(app, ["sign-report", "audit.json", "--out", "no/sig"]).exception, ConfigError)
