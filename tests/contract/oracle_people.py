"""The people and the run that both ledgers are tried with."""

from __future__ import annotations

import hashlib

from fl_chain.records import ZERO_ADDRESS, Address, Digest, LedgerPolicy, RewardSplit, address

START = 1_000_000  # chain time of the deployment, seconds
DIMENSION = 2049  # lanes: three chunks, the last with one lane, and one of padding
POLICY = LedgerPolicy(
    fraction_bits=22,
    scale_bits=20,
    clip_lanes=1 << 15,
    max_total_weight=20,
    quorum=2,
    close_at=0,
    max_rounds=100,
    max_unfinal_rounds=3,
    submission_s=100,
    publication_s=20,
    posting_s=50,
    takeover_s=60,
    challenge_s=70,
    unbonding_s=40,
    reward_wei=1000,
    aggregator_reward_wei=100,
    bond_wei=500,
    challenge_reward_wei=50,
    deposit_wei=30,
    reward_split=RewardSplit.EQUAL,
)


def person(name: str) -> Address:
    """Return an address, the same for the same name."""
    return address(hashlib.sha256(name.encode()).digest()[:20])


def some_digest(*parts: object) -> Digest:
    """Return some digest, another one for other parts."""
    return Digest(hashlib.sha256(repr(parts).encode()).digest())


OPERATOR, AGGREGATOR, RIVAL, STRANGER = map(person, ("operator", "aggregator", "rival", "stranger"))
WORKERS = tuple(person(f"worker {number}") for number in range(5))
KEYS = tuple(person(f"key {number}") for number in range(2))
PAYOUTS = tuple(person(f"payout {number}") for number in range(2))
PEOPLE = (OPERATOR, AGGREGATOR, RIVAL, STRANGER, *WORKERS, *KEYS)
EVERYBODY = (ZERO_ADDRESS, *PEOPLE, *PAYOUTS)
