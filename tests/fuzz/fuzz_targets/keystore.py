"""A keystore file: the key, or `KeyUnavailable`, in bounded time and memory."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from choices import answer_of
from eth_account import Account
from scratch import scratch

from fl_chain.errors import KeyUnavailable
from fl_chain.ledger.keys import address_of, read_keystore

COVERS = ("fl_chain.ledger.keys",)

KEY, PASSWORD = b"\x01" * 32, "p"


@cache
def truths() -> tuple[Path, str, str]:
    scrypt = Account.encrypt(KEY, PASSWORD, kdf="scrypt", iterations=2)
    pbkdf2 = Account.encrypt(KEY, PASSWORD, kdf="pbkdf2", iterations=2)
    return scratch() / "key.json", json.dumps(scrypt), json.dumps(pbkdf2)


def fuzz(data: bytes) -> None:
    path, scrypt, pbkdf2 = truths()
    kind, rest = data[:1], data[1:]
    if kind == b"r":
        raw = rest
    else:
        try:
            raw = json.dumps(answer_of(rest, pbkdf2 if kind == b"p" else scrypt)).encode()
        except ValueError:
            return
    path.write_bytes(raw)
    try:
        key = read_keystore(path, PASSWORD)
    except KeyUnavailable:
        return
    assert len(key) == 32
    address_of(key)


def seeds() -> list[bytes]:
    _, scrypt, pbkdf2 = truths()
    return [
        b"s\0",
        b"p\0",
        b"s" + scrypt.encode(),
        b"p" + pbkdf2.encode(),
        b"r" + scrypt.encode()[:50],
        b"r\xff",
        b"r" + b"[" * 50,
    ]
