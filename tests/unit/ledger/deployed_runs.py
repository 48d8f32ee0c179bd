"""A small run on a real contract: accounts, submissions and postings without models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from chains import Clock

from fl_chain.commitment.merkle import chunk_hash
from fl_chain.commitment.partial_sums import partial_sum_count
from fl_chain.commitment.proofs import RangeProof, SubmissionOpening
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.sizes import CHUNK_BYTES
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.devnet import Chain, dev_keys, open_chain
from fl_chain.ledger.node import Node, embedded
from fl_chain.records import (
    Digest,
    Exclusion,
    ExclusionReason,
    LedgerPolicy,
    RewardSplit,
    RunDefinition,
)

POLICY = LedgerPolicy(
    fraction_bits=22,
    scale_bits=16,
    clip_lanes=30_000,
    max_total_weight=1000,
    quorum=2,
    close_at=0,
    max_rounds=50,
    max_unfinal_rounds=4,
    submission_s=60,
    publication_s=20,
    posting_s=30,
    takeover_s=40,
    challenge_s=50,
    unbonding_s=100,
    reward_wei=1000,
    aggregator_reward_wei=77,
    bond_wei=5000,
    challenge_reward_wei=500,
    deposit_wei=300,
    reward_split=RewardSplit.EQUAL,
)


def digest_of(*parts: object) -> Digest:
    """Return a digest that stands for a root."""
    return Digest(hashlib.sha256(repr(parts).encode()).digest())


DEFINITION = RunDefinition(digest_of("policy"), digest_of("manifest"), digest_of("genesis"), 100)


@dataclass
class Run:
    """A deployed run and everybody in it."""

    chain: Chain
    clock: Clock
    node: Node
    ledger: Ledger
    operator: Account
    aggregator: Account
    stranger: Account
    participants: list[Account]
    policy: LedgerPolicy

    def start(self, participants: int = 3) -> None:
        """Fund, admit, register and open the first round."""
        self.ledger.fund(self.operator, 100_000)
        self.ledger.deposit_bond(self.aggregator, 50_000)
        for number, account in enumerate(self.participants[:participants]):
            self.ledger.admit(self.operator, account.address, 10 + number)
            self.ledger.register(account, account.address)
        self.ledger.open_round(self.stranger)

    def submit(self, number: int, *, weight: int = 2) -> Receipt:
        """Submit for a participant to the newest round."""
        history = self.ledger.sync()
        latest = history.state.latest
        return self.ledger.submit(
            self.participants[number],
            round=latest,
            base_model_root=history.model_root(history.rounds[latest].base_round),
            sealed_root=digest_of("update", latest, number),
            weight=weight,
        )

    def post(
        self,
        round_id: int,
        *,
        excluded: Sequence[tuple[int, ExclusionReason]] = (),
        account: Account | None = None,
    ) -> Receipt:
        """Post a round's aggregate."""
        history = self.ledger.sync()
        current = history.rounds[round_id]
        return self.ledger.post(
            account or self.aggregator,
            round=round_id,
            digest=current.digest,
            exclusions=[
                (Exclusion(index, reason), history.submissions[round_id][index]) for index, reason in excluded
            ],
            partial_sum_roots=[
                digest_of("sum", round_id, position)
                for position in range(partial_sum_count(current.submissions))
            ],
            model_root=digest_of("model", round_id),
        )

    def submit_beyond_bounds(self, number: int, *, weight: int = 2) -> RangeProof:
        """Submit an update whose first lane is out of range, and return what shows it."""
        history = self.ledger.sync()
        latest, account = history.state.latest, self.participants[number].address
        content = (POLICY.clip_lanes * weight + 1).to_bytes(4, "big").ljust(CHUNK_BYTES, b"\x00")
        salt, root = digest_of("salt"), Digest(chunk_hash(content))
        self.ledger.submit(
            self.participants[number],
            round=latest,
            base_model_root=history.model_root(history.rounds[latest].base_round),
            sealed_root=sealed_root(root, salt, history.run, latest, account),
            weight=weight,
        )
        index = self.ledger.sync().rounds[latest].submissions - 1
        opening = SubmissionOpening(root, salt, weight, account)
        return RangeProof(index=index, opening=opening, chunk=0, lane=0, content=content, path=())

    def object(self, round_id: int, number: int) -> Receipt:
        """Object to a round's posting for a participant."""
        history = self.ledger.sync()
        account = self.participants[number]
        (own,) = [one for one in history.submissions[round_id] if one.participant == account.address]
        return self.ledger.object(account, model_root=history.model_root(round_id), submission=own)

    def play_round(self, numbers: Sequence[int] = (0, 1, 2)) -> int:
        """Let participants submit, close after the deadline if need be, post; return the round."""
        round_id = self.ledger.sync().state.latest
        for number in numbers:
            self.submit(number)
        if self.ledger.sync().rounds[round_id].status.name == "OPEN":
            self.wait(self.policy.submission_s)
            self.ledger.close_round(self.stranger, round_id)
        self.post(round_id)
        return round_id

    def wait(self, seconds: float) -> None:
        """Let chain time pass."""
        self.clock.now += seconds


@contextmanager
def deployed_run(folder: Path | None = None, participants: int = 6, **changes: object) -> Iterator[Run]:
    """Deploy a run on a chain of this process; the changes are to the policy."""
    clock = Clock()
    policy = replace(POLICY, **changes)  # type: ignore[arg-type]
    with open_chain(folder, clock=clock, accounts=participants + 3) as chain:
        node = embedded(chain)
        operator, aggregator, stranger, *rest = (Account(node, key) for key in dev_keys(participants + 3))
        deployment = deploy(node, operator, DEFINITION, policy, aggregator=aggregator.address)
        ledger = Ledger.open(node, deployment.address, deployed_block=deployment.block_number)
        yield Run(chain, clock, node, ledger, operator, aggregator, stranger, rest, policy)
