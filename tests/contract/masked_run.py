"""One masked run on an in-process chain: real keys, masks and sums, one transaction a call."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from contract_run import DEFINITION, POLICY, Run
from eth_account.messages import encode_intended_validator
from eth_account.signers.local import LocalAccount
from web3.utils import get_create_address

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.bounds import Quantisation
from fl_chain.aggregation.sums import PartialSums
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import chunk_path, vector_root, vector_tree
from fl_chain.ledger.artifact import masked_ledger, secure_aggregation
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.keys import public_key
from fl_chain.masking.setup import KeySetUp, RoundSecrets, key_set_up, round_secrets, shares_hash
from fl_chain.masking.unmasking import UnmaskingTerm, masked, ring_terms, seed_to_release, term_lanes
from fl_chain.records import Address, Digest, RunId, address

DIMENSION = 1500  # two chunks, the second one incomplete
MASKED_POLICY = POLICY | {
    "aggregation": 3,
    "quorum": 3,
    "fractionBits": 8,
    "scaleBits": 8,
    "maxUnfinalRounds": 4,
}
ZERO = bytes(32)


def secret(number: int, what: str) -> bytes:
    """Return a participant's secret of some kind."""
    return hashlib.sha256(f"{what} {number}".encode()).digest()


@dataclass
class MaskedRun(Run):
    """A deployed masked ledger."""

    policy: dict[str, int] = field(default_factory=lambda: dict(MASKED_POLICY))
    genesis: Lanes = field(default_factory=lambda: np.arange(DIMENSION, dtype=np.uint32).astype(LANE))

    def deploy(self) -> None:
        """Deploy the masks for the address that the ledger will have, then the ledger."""
        nonce = self.w3.eth.get_transaction_count(self.operator.address)
        place = get_create_address(self.operator.address, nonce + 1)
        artifact = secure_aggregation()
        contract = self.w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        receipt = self.receipt(self.operator, contract.constructor(place, 0), 0)
        self.masks: Any = self.w3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi)
        self.deployment_gas = int(receipt["gasUsed"])
        definition = (*DEFINITION[:2], vector_root(self.genesis), DIMENSION)
        artifact = masked_ledger()
        contract = self.w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        deployment = contract.constructor(
            definition,
            tuple(self.policy.values()),
            self.aggregator.address,
            "0x" + "00" * 20,
            self.masks.address,
        )
        receipt = self.receipt(self.operator, deployment, 0)
        self.deployment_gas += int(receipt["gasUsed"])
        assert receipt["contractAddress"] == place
        self.ledger = self.w3.eth.contract(address=place, abi=artifact.abi)
        self.run_id = RunId(self.w3.eth.chain_id, address(place.lower()))

    def mask(self, sender: LocalAccount, name: str, *arguments: Any) -> int:
        """Call the masks in a transaction and return the gas it used."""
        return int(self.receipt(sender, getattr(self.masks.functions, name)(*arguments), 0)["gasUsed"])

    def participants(self, count: int) -> None:
        """Admit and register participants with identity keys, fund the pool, open the first round."""
        self.send(self.operator, "fund", 10**18, value=10**18)
        for index in range(count):
            worker = self.worker(index)
            self.send(self.operator, "admit", worker.address, 1000)
            self.send(worker, "register", worker.address, value=self.policy["depositWei"])
            self.mask(worker, "setIdentityKey", public_key(secret(index, "identity")))
        self.send(self.aggregator, "depositBond", 10**18, value=10**18)
        self.send(self.aggregator, "openRound")


@dataclass
class MaskedRound:
    """A round of a masked run, played honestly unless a test does otherwise."""

    run: MaskedRun
    count: int
    id: int = 1
    submitted: list[int] = field(default_factory=list)
    set_ups: dict[Address, KeySetUp] = field(default_factory=dict)
    secrets: dict[Address, RoundSecrets] = field(default_factory=dict)
    masked: dict[int, Lanes] = field(default_factory=dict)
    plain: dict[int, Lanes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.context = MaskingContext(self.run.run_id, self.id, vector_root(self.run.genesis))
        self.people = [self.who(index) for index in range(self.count)]

    def who(self, index: int) -> Address:
        return address(self.run.worker(index).address.lower())

    def set_up(self, index: int) -> int:
        own = self.prepared(index)
        return self.run.mask(self.run.worker(index), "setUpKeys", self.id, *published(own)[1:])

    def set_up_together(self, indices: range) -> int:
        signed = [self.signed(index) for index in indices]
        return self.run.mask(self.run.operator, "setUpKeysOf", self.id, signed)

    def signed(self, index: int) -> tuple[Any, ...]:
        """Return a set-up with its participant's signature, for somebody else to bring."""
        own = self.prepared(index)
        content = self.run.run_id.chain_id.to_bytes(8, "big") + self.id.to_bytes(8, "big") + own.digest()
        message = encode_intended_validator(self.run.masks.address, content)
        signature = self.run.worker(index).sign_message(message)
        vs = signature.s | signature.v - 27 << 255
        return self.published_of(own.participant), signature.r.to_bytes(32, "big"), vs.to_bytes(32, "big")

    def prepared(self, index: int) -> KeySetUp:
        who = self.who(index)
        self.secrets[who] = round_secrets(secret(index, "worker"), self.context, who)
        peers = {
            peer: public_key(secret(number, "identity"))
            for number, peer in enumerate(self.people)
            if peer != who
        }
        own = key_set_up(self.secrets[who], secret(index, "identity"), self.context, who, peers)
        self.set_ups[who] = own
        return own

    def submit(self, index: int) -> int:
        who = self.who(index)
        rng = np.random.default_rng(index)
        self.plain[index] = rng.integers(-1000, 1000, DIMENSION).astype(np.int32).view(np.uint32).astype(LANE)
        peers = {peer: one for peer, one in self.set_ups.items() if peer != who}
        self.masked[index] = masked(self.plain[index], self.secrets[who], self.context, who, peers)
        sealed = self.sealed(index)
        self.submitted.append(index)
        base = vector_root(self.run.genesis)
        return self.run.send(self.run.worker(index), "submit", self.id, base, sealed, 1)

    def sealed(self, index: int) -> Digest:
        root = vector_root(self.masked[index])
        return sealed_root(root, Digest(secret(index, "salt")), self.run.run_id, self.id, self.who(index))

    # what follows once it is closed

    def fix(self, excluded: tuple[int, ...] = (), sender: LocalAccount | None = None) -> int:
        """Fix the survivors; those excluded are named by their place in the order of submissions."""
        self.excluded = excluded
        self.exclusions = [
            (at, 1, 1, self.run.worker(self.submitted[at]).address, self.sealed(self.submitted[at]))
            for at in excluded
        ]
        absent = sorted(who for who in self.set_ups if who not in {self.who(i) for i in self.submitted})
        self.absentees = [self.run.w3.to_checksum_address(who) for who in absent]
        self.survivors = [self.who(i) for at, i in enumerate(self.submitted) if at not in excluded]
        self.departed = [self.who(self.submitted[at]) for at in excluded] + absent
        digest = self.run.ledger.functions.digestOf(self.id).call()
        return self.run.mask(
            sender or self.run.aggregator, "fixSurvivors", self.id, digest, self.exclusions, self.absentees
        )

    def seeds(self) -> list[bytes]:
        stayed = frozenset(self.survivors)
        return [
            self.secrets[who].shared[seed_to_release(who, stayed)]
            for who in [*self.survivors, *self.departed]
        ]

    def terms(self) -> list[UnmaskingTerm]:
        return ring_terms(self.survivors, self.departed)

    def term_lanes(self, term: UnmaskingTerm) -> Lanes:
        seeds = dict(zip([*self.survivors, *self.departed], self.seeds(), strict=True))
        return term_lanes(term, seeds[term.owner], self.context, self.set_ups, DIMENSION)

    def posting(self) -> tuple[list[Digest], Lanes, list[Lanes]]:
        """Return what is listed, the total, and the terms."""
        terms = [self.term_lanes(term) for term in self.terms()]
        listed = [vector_root(lanes) for lanes in terms]
        found: dict[tuple[int, int], Lanes] = {}
        sums = PartialSums(DIMENSION, lambda one: found.update({(one.level, one.position): one.lanes.copy()}))
        for at, index in enumerate(self.submitted):
            sums.add(None if at in self.excluded else self.masked[index])
        for lanes in terms:
            sums.add(lanes)
        sums.finish()
        self.sums = [lanes for _, lanes in sorted(found.items())]
        return listed + [vector_root(lanes) for lanes in self.sums], sums.total, terms

    def model(self, total: Lanes) -> Lanes:
        weight = len(self.survivors)
        policy = self.run.policy
        numbers = (policy[name] for name in ("fractionBits", "scaleBits", "clipLanes", "maxTotalWeight"))
        return apply_sum(self.run.genesis, total, weight, Quantisation(*numbers))[0]

    def post(self, listed: list[Digest], model: Digest, sender: LocalAccount | None = None) -> int:
        digest = self.run.ledger.functions.digestOf(self.id).call()
        return self.run.send(
            sender or self.run.aggregator, "post", self.id, digest, self.exclusions, listed, ZERO, ZERO, model
        )

    def leaf(self, who: Address) -> tuple[bytes, int, str]:
        """Open a survivor's leaf."""
        index = self.people.index(who)
        return self.sealed(index), 1, self.run.worker(index).address

    def ring(self) -> list[bytes]:
        return [one.digest() for one in self.set_ups.values()]

    def published_of(self, who: Address) -> tuple[Any, ...]:
        return (self.run.w3.to_checksum_address(who), *published(self.set_ups[who])[1:])

    def mask_proof(self, number: int, chunk: int, listed: list[Digest], lanes: Lanes) -> tuple[Any, ...]:
        """Return a proof about a term, whose posted lanes are given."""
        term = self.terms()[number]
        peer = term.peer or term.owner
        tree = vector_tree(lanes)
        return (
            number,
            chunk,
            tree.chunk_hashes[32 * chunk : 32 * chunk + 32],
            list(chunk_path(tree.chunk_hashes, chunk, DIMENSION)),
            listed,
            self.seeds(),
            (self.exclusions, self.absentees),
            self.ring(),
            self.published_of(term.owner),
            self.published_of(peer),
            self.leaf(peer),
        )

    def seed_proof(self, number: int, seeds: list[bytes]) -> tuple[Any, ...]:
        """Return a proof about a published seed."""
        owner = [*self.survivors, *self.departed][number]
        leaf = self.leaf(owner) if number < len(self.survivors) else (ZERO, 0, "0x" + "00" * 20)
        return (number, seeds, (self.exclusions, self.absentees), self.ring(), self.published_of(owner), leaf)


def published(one: KeySetUp) -> tuple[Any, ...]:
    """Return a set-up as the contract has it."""
    return one.participant, one.round_key, one.key_commitment, one.mask_commitment, shares_hash(one.sealed)
