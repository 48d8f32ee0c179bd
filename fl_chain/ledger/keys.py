"""Signing keys in encrypted keystore files (Web3 Secret Storage, version 3)."""

from __future__ import annotations

import json
import math
import os
import secrets
from pathlib import Path
from typing import Any

from eth_keys.datatypes import PrivateKey

from fl_chain.commitment.canonical import verify_nesting
from fl_chain.errors import KeyUnavailable, OutputExists
from fl_chain.records import Address, address

MOST_NESTING = 8
# scrypt (RFC 7914) takes 128 bytes of memory for each n * r: 1 GiB at most, four times what is usual. PBKDF2
# takes c rounds, usually 262,144.
_MOST_WORK = ((("n", "r", "p"), 2**23), (("c",), 10**7), (("dklen",), 64))


def new_keystore(path: Path, password: str) -> Address:
    """Make a signing key and write it encrypted, readable by its owner only.

    Args:
        path: a file that does not exist yet.
        password: what opens it.

    Returns:
        The key's address.

    Raises:
        OutputExists: the file is there already.
        KeyUnavailable: the file cannot be written.
    """
    from eth_account import Account as EthAccount  # with eth_keyfile half of what a command takes to start

    key = secrets.token_bytes(32)
    content = json.dumps(EthAccount.encrypt(key, password), indent=1)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise OutputExists(f"{path} exists and may hold a key: name another file") from error
    except OSError as error:
        raise KeyUnavailable(f"cannot write the keystore {path}: {error.strerror}") from error
    return address_of(key)


def read_keystore(path: Path, password: str) -> bytes:
    """Return the signing key in a keystore, 32 bytes.

    Raises:
        KeyUnavailable: the file cannot be read, is no keystore, or the password is wrong.
    """
    from eth_account import Account as EthAccount

    try:
        text = path.read_text(encoding="utf-8")
        verify_nesting(text.encode(), MOST_NESTING)
        content = json.loads(text)
    except OSError as error:
        raise KeyUnavailable(f"cannot read the keystore {path}: {error.strerror}") from error
    except ValueError as error:
        raise KeyUnavailable(f"{path} is not a keystore: it is not JSON") from error
    try:
        _verify_cost(content)
        return bytes(EthAccount.decrypt(content, password))
    except Exception as error:  # the library's errors for a wrong password and for a wrong form overlap
        raise KeyUnavailable(f"the keystore {path} does not open: {error}") from error


def _verify_cost(content: Any) -> None:
    """Check, before any of it is spent, how much memory and time a keystore asks for."""
    from eth_keyfile.keyfile import normalize_keys

    keystore = normalize_keys(content)
    if keystore["version"] != 3:
        raise ValueError(f"it is of version {keystore['version']}, not 3")
    parameters = keystore["crypto"]["kdfparams"]
    for names, most in _MOST_WORK:
        factors = [parameters.get(name, 1) for name in names]
        if any(type(factor) is not int for factor in factors) or math.prod(factors) > most:
            raise ValueError(f"its {' * '.join(names)} is above {most}, more work than a keystore takes")


def address_of(key: bytes) -> Address:
    """Return the address of a private key.

    Raises:
        KeyUnavailable: it is no private key.
    """
    try:
        return address(PrivateKey(key).public_key.to_canonical_address())
    except Exception as error:  # each backend of eth-keys has errors of its own
        raise KeyUnavailable("not a private key: 32 bytes, from 1 to the order of secp256k1") from error
