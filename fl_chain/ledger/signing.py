"""Transactions with the fees of EIP-1559, signed: what leaves for the chain, byte for byte.

The generic signers of the Ethereum libraries take a millisecond for a transaction, most of it for forms that
are not used here. The bytes are the same, because signatures are deterministic (RFC 6979).
"""

from __future__ import annotations

from dataclasses import dataclass

from coincurve import PrivateKey
from eth_hash.auto import keccak
from rlp.codec import encode_raw  # type: ignore[import-untyped]

from fl_chain.ledger.keys import address_of
from fl_chain.records import Address

_TYPE = b"\x02"  # EIP-2718: a transaction of EIP-1559
_NO_ACCESS_LIST: list[bytes] = []


@dataclass(frozen=True, slots=True)
class Call:
    """What a transaction does."""

    to: Address | None  # None deploys the data
    data: bytes
    gas: int  # its limit
    value_wei: int = 0


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction pays for each unit of gas at most."""

    max_fee_wei: int  # all in all
    max_priority_fee_wei: int  # to the block's producer


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction ready to be sent, by anyone and any number of times: it is mined at most once."""

    raw: bytes
    hash: bytes  # 32 bytes
    sender: Address
    nonce: int
    call: Call
    fees: Fees


class Signer:
    """Signs with one key, which it does not show."""

    def __init__(self, key: bytes) -> None:
        """Make the signer of a private key of 32 bytes.

        Raises:
            KeyUnavailable: it is none.
        """
        self.address: Address = address_of(key)
        self._key = PrivateKey(key)

    def sign(self, call: Call, *, chain_id: int, nonce: int, fees: Fees) -> SignedTransaction:
        """Return a transaction signed for a chain and a place in the account's order."""
        fields = [
            _integer(chain_id),
            _integer(nonce),
            _integer(fees.max_priority_fee_wei),
            _integer(fees.max_fee_wei),
            _integer(call.gas),
            b"" if call.to is None else bytes.fromhex(call.to[2:]),
            _integer(call.value_wei),
            call.data,
            _NO_ACCESS_LIST,
        ]
        digest = keccak(_TYPE + encode_raw(fields))
        signature = self._key.sign_recoverable(digest, hasher=None)
        r, s, parity = signature[:32], signature[32:64], signature[64]
        fields += [_integer(parity), r.lstrip(b"\0"), s.lstrip(b"\0")]
        raw = _TYPE + encode_raw(fields)
        return SignedTransaction(raw, keccak(raw), self.address, nonce, call, fees)

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the signature of 32 bytes: r, s, parity, 65 bytes; what they stand for, the caller knows."""
        return self._key.sign_recoverable(digest, hasher=None)


def _integer(value: int) -> bytes:
    """Return an integer as RLP has it: big-endian without leading zeros."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
