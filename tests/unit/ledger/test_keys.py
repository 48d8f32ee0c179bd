"""Keystore files: a true round trip, and what does not open."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from fl_chain.errors import KeyUnavailable, OutputExists
from fl_chain.ledger.keys import address_of, new_keystore, read_keystore


def test_a_keystore_opens_with_its_password_only(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    made = new_keystore(path, "correct horse")
    key = read_keystore(path, "correct horse")
    assert address_of(key) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.hex() not in path.read_text()
    with pytest.raises(KeyUnavailable, match="does not open"):
        read_keystore(path, "another")
    with pytest.raises(OutputExists):
        new_keystore(path, "correct horse")
    assert read_keystore(path, "correct horse") == key


@pytest.mark.parametrize("content", ["", "text", "{}", "[]", json.dumps({"version": 3}), '"0x12"'])
def test_files_that_are_no_keystore_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(KeyUnavailable):
        read_keystore(path, "password")


def test_a_missing_keystore_and_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match="cannot read"):
        read_keystore(tmp_path / "missing.json", "password")
    with pytest.raises(KeyUnavailable, match="cannot write"):
        new_keystore(tmp_path / "missing" / "key.json", "password")


def test_addresses_of_keys() -> None:
    # The address of the key 1, known from every Ethereum tool.
    assert address_of((1).to_bytes(32, "big")) == "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    for key in (b"", bytes(32), b"\xff" * 32, b"\x01" * 31, b"\x01" * 33):
        with pytest.raises(KeyUnavailable):
            address_of(key)
