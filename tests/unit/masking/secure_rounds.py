"""A secure round played by pure functions: who is in it, who drops out when, what an observer holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.graph import COMPLETE_UP_TO, Graph, reach
from fl_chain.masking.keys import public_key
from fl_chain.masking.setup import (
    KeySetUp,
    RoundSecrets,
    holders,
    key_set_up,
    own_shares,
    received_shares,
    round_secrets,
)
from fl_chain.masking.unmasking import (
    UnmaskingTerm,
    masked,
    reconstructed_seed,
    seed_to_release,
    term_lanes,
    unmasking_terms,
)
from fl_chain.records import Address, Digest, RunId, address

CONTEXT = MaskingContext(RunId(31337, address("0x" + "ab" * 20)), 3, Digest(b"\x05" * 32))


def participant(number: int) -> Address:
    return address("0x" + hashlib.sha256(number.to_bytes(4, "big")).hexdigest()[:40])


def secret(number: int, what: str) -> bytes:
    return hashlib.sha256(f"{what} {number}".encode()).digest()


@dataclass
class SecureRound:
    count: int
    dimension: int
    context: MaskingContext = CONTEXT
    updates: dict[Address, Lanes] = field(default_factory=dict)
    secrets: dict[Address, RoundSecrets] = field(default_factory=dict)
    identity: dict[Address, bytes] = field(default_factory=dict)
    set_ups: dict[Address, KeySetUp] = field(default_factory=dict)
    neighbours: dict[Address, list[Address]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.count)
        people = [participant(number) for number in range(self.count)]
        self.neighbours = {who: [peer for peer in people if peer != who] for who in people}
        if self.count > COMPLETE_UP_TO:
            self.graph = Graph(self.count, reach(self.count, self.count), b"\x01" * 16)
            self.neighbours = {
                who: [people[peer] for peer in self.graph.neighbours(number)]
                for number, who in enumerate(people)
            }
        for number, who in enumerate(people):
            self.identity[who] = secret(number, "identity")
            self.secrets[who] = round_secrets(secret(number, "worker"), self.context, who)
            values = rng.integers(-(2**20), 2**20, self.dimension).astype(np.int32)
            self.updates[who] = values.view(np.uint32).astype(LANE)
        for who in people:
            keys = {peer: public_key(self.identity[peer]) for peer in self.neighbours[who]}
            self.set_ups[who] = key_set_up(self.secrets[who], self.identity[who], self.context, who, keys)

    def neighbour_set_ups(self, who: Address) -> dict[Address, KeySetUp]:
        return {peer: self.set_ups[peer] for peer in self.set_ups[who].sealed}

    def masked(self, who: Address) -> Lanes:
        return masked(self.updates[who], self.secrets[who], self.context, who, self.neighbour_set_ups(who))

    def plain_sum(self, survivors: frozenset[Address]) -> list[int]:
        total = np.zeros(self.dimension, dtype=np.uint32)
        for who in survivors:
            total += self.updates[who].astype(np.uint32)
        return [int(lane) for lane in total]

    def share(self, owner: Address, holder: Address, kind: int) -> bytes:
        if holder == owner:
            return own_shares(self.secrets[owner], self.context, owner, self.set_ups[owner].sealed)[kind]
        return received_shares(
            self.set_ups[owner],
            self.identity[holder],
            public_key(self.identity[owner]),
            self.context,
            holder,
        )[kind]

    def seeds(self, survivors: frozenset[Address]) -> dict[Address, bytes]:
        """Return the seeds that the survivors open together."""
        found = {}
        for owner, set_up in self.set_ups.items():
            kind = seed_to_release(owner, survivors)
            holding = [holder for holder in holders(owner, set_up.sealed) if holder in survivors]
            shares = {holder: self.share(owner, holder, kind) for holder in holding}
            found[owner] = reconstructed_seed(set_up, kind, shares)
        return found

    def terms(self, survivors: frozenset[Address]) -> list[UnmaskingTerm]:
        gone = sorted(self.set_ups.keys() - survivors)
        return unmasking_terms(self.neighbours, sorted(survivors), gone)

    def secure_sum(self, survivors: frozenset[Address]) -> list[int]:
        seeds = self.seeds(survivors)
        total = np.zeros(self.dimension, dtype=np.uint32)
        for who in survivors:
            total += self.masked(who).astype(np.uint32)
        for term in self.terms(survivors):
            lanes = term_lanes(term, seeds[term.owner], self.context, self.set_ups, self.dimension)
            total += lanes.astype(np.uint32)
        return [int(lane) for lane in total]
