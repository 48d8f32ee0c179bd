"""What goes into the in-memory ledger, and what it keeps of participants and postings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fl_chain.errors import LedgerReverted, TransactionFailed
from fl_chain.ledger.reverts import ADVICE
from fl_chain.ledger.views import SignerRotation
from fl_chain.records import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest

UINT128_LIMIT = 2**128


@dataclass(frozen=True, slots=True)
class Message:
    """Who calls, when, and with how much money; Solidity's ``msg`` and ``block``."""

    caller: Address
    now: int  # chain time, seconds
    value_wei: int = 0  # native coin sent along
    prevrandao: bytes = ZERO_DIGEST  # 32 random bytes of the block


@dataclass(frozen=True, slots=True)
class OpenedExclusion:
    """A submission that a posting leaves out, with what opens its leaf."""

    index: int
    reason: int  # 1 unreadable, 2 out of range, 3 by rule
    weight: int
    participant: Address
    sealed_root: Digest


@dataclass(frozen=True, slots=True)
class Claim:
    """A reward to claim, with what opens the submission's leaf."""

    round: int
    index: int
    weight: int
    sealed_root: Digest


@dataclass(frozen=True, slots=True)
class Member:
    """An identity that was admitted once."""

    signer: Address  # the key that signs for it now
    payout: Address = ZERO_ADDRESS  # zero: never registered
    weight_cap: int = 0
    last_seen: int = 0  # newest round that it submitted to, or was expected as if it had
    barred_from: int = 0  # first round that it may not submit to; 0: not registered, NEVER: good standing
    is_admitted: bool = False
    deposit_wei: int = 0
    rotation: SignerRotation | None = None


@dataclass(frozen=True, slots=True)
class StandingPosting:
    """What a round's posting fixed."""

    poster: Address
    finalizable_at: int  # chain time, seconds
    included: int
    included_weight: int
    model_root: Digest
    sums_hash: Digest


def refused(name: str, **arguments: Any) -> LedgerReverted:
    """Return the refusal that a custom error of ITrainingLedger.sol stands for.

    Args:
        name: the custom error's.
        arguments: its own, by the names that they have there.
    """
    shown = {
        key: "0x" + value.hex() if isinstance(value, bytes) else value for key, value in arguments.items()
    }
    return LedgerReverted(name, shown, ADVICE.get(name, ""))


def sum_uint128(held_wei: int, amount_wei: int) -> int:
    """Return what an amount in storage becomes when another one, cut to 128 bits, is added.

    Raises:
        TransactionFailed: the sum does not fit; Solidity's checked arithmetic panics.
    """
    total_wei = held_wei + amount_wei % UINT128_LIMIT
    if total_wei >= UINT128_LIMIT:
        raise TransactionFailed("the amounts add up to more than 128 bits hold: send less")
    return total_wei


def verify_uint(name: str, value: int, bits: int) -> None:
    """Check that an argument fits its Solidity type.

    Raises:
        ValueError: it does not; no transaction can carry it.
    """
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError(f"{name} is {value!r}; it must be an integer of {bits} bits")
