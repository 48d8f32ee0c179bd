"""Signed messages that are no transactions: EIP-191, version 0x45, a wallet's personal signature."""

from __future__ import annotations

from fl_chain.errors import VerificationError
from fl_chain.records import Address, address

SIGNATURE_BYTES = 65  # r, s, v


def sign_message(key: bytes, text: str) -> bytes:
    """Return the signature of a text; the same key and text give the same bytes (RFC 6979).

    Args:
        key: a private key, 32 bytes.
        text: what is signed, as a wallet shows it.

    Returns:
        65 bytes: r, s, v.
    """
    from eth_account import Account as EthAccount  # slow to import, and few commands need it
    from eth_account.messages import encode_defunct

    return bytes(EthAccount.sign_message(encode_defunct(text=text), key).signature)


def signer_of(text: str, signature: bytes) -> Address:
    """Return the account whose key signed a text.

    Raises:
        VerificationError: no key can have made this signature.
    """
    from eth_account import Account as EthAccount
    from eth_account.messages import encode_defunct

    if len(signature) != SIGNATURE_BYTES:
        raise VerificationError(f"a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    try:
        return address(EthAccount.recover_message(encode_defunct(text=text), signature=signature))
    except Exception as error:  # each backend of eth-keys has errors of its own
        raise VerificationError(f"not a signature of any key: {error}") from error
