"""A round of a random world on a real contract, posted again and again, each time with another lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from consortium import Clock
from rounds import PostedRoundCase, World

from fl_chain.commitment.proofs import Proof
from fl_chain.config import FedAvgSettings, ModelSettings, TableTaskSettings, TrainingSettings
from fl_chain.errors import LedgerReverted
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.devnet import Chain, dev_keys, open_chain
from fl_chain.ledger.node import embedded
from fl_chain.policy import RunPolicy, policy_document
from fl_chain.records import Digest, LedgerPolicy, RewardSplit, RunDefinition
from fl_chain.run.claims import StoredBlobs, posting_claim
from fl_chain.run.prover import examine
from fl_chain.run.verdicts import Outcome
from fl_chain.store import Store

BOND_WEI, CHALLENGE_REWARD_WEI = 5000, 500
PUBLICATION_S = 20


def policy(world: World) -> LedgerPolicy:
    q = world.quantisation
    return LedgerPolicy(
        fraction_bits=q.fraction_bits,
        scale_bits=q.scale_bits,
        clip_lanes=q.clip_lanes,
        max_total_weight=q.max_total_weight,
        quorum=1,
        close_at=0,
        max_rounds=5,
        max_unfinal_rounds=4,
        submission_s=1000,
        publication_s=PUBLICATION_S,
        posting_s=1000,
        takeover_s=1000,
        challenge_s=1000,
        unbonding_s=100,
        reward_wei=1000,
        aggregator_reward_wei=77,
        bond_wei=BOND_WEI,
        challenge_reward_wei=CHALLENGE_REWARD_WEI,
        deposit_wei=300,
        reward_split=RewardSplit.EQUAL,
    )


@dataclass
class ChainRound:
    """Round 1 of a run, closed; everything that it takes to post it is in the store."""

    chain: Chain
    clock: Clock
    ledger: Ledger
    store: Store
    world: World
    stranger: Account
    posters: Iterator[Account] = field(repr=False)

    def post(self, case: PostedRoundCase) -> Account:
        """Post for somebody who has not posted yet; return who."""
        history, poster = self.ledger.sync(), next(self.posters)
        current = history.rounds[1]
        if case.claim.exclusions:
            self.clock.now = max(self.clock.now, float(current.since + PUBLICATION_S))
        self.ledger.deposit_bond(poster, BOND_WEI)
        self.ledger.post(
            poster,
            round=1,
            digest=current.digest,
            exclusions=[(one, history.submissions[1][one.index]) for one in case.claim.exclusions],
            partial_sum_roots=case.claim.partial_sum_roots,
            model_root=case.claim.stored.model_root,
        )
        for root, hashes in [*case.blobs.sums.items(), *case.blobs.models.items()]:
            self.store.write_sum(root, hashes)
        return poster

    def examined(self) -> Outcome:
        """Return what somebody who has chain and store only finds."""
        history = self.ledger.sync()
        base_root, dimension = history.definition.genesis_model_root, history.definition.dimension
        blobs = StoredBlobs(history, self.store, lambda: self.store.read_model(base_root, dimension))
        return examine(posting_claim(history, 1), blobs)

    def refusal(self, proof: Proof) -> LedgerReverted | None:
        """Return how the contract refuses a proof; None where it takes it."""
        try:
            self.ledger.try_challenge(self.stranger.address, 1, proof)
        except LedgerReverted as error:
            return error
        return None


@contextmanager
def chain_round(world: World, folder: Path, posters: int) -> Iterator[ChainRound]:
    """Deploy a ledger for a world's arithmetic, and submit its updates."""
    clock = Clock()
    keys = dev_keys(world.count + posters + 2)
    with open_chain(None, clock=clock, accounts=len(keys)) as chain:
        node = embedded(chain)
        operator, stranger, *rest = (Account(node, key) for key in keys)
        rules = policy(world)
        store = Store([str(folder / "store")])
        task = TableTaskSettings(label="bought", positive="yes")
        document = RunPolicy(rules, FedAvgSettings(), 1, 0, task, ModelSettings(), TrainingSettings())
        policy_hash = store.write_document(policy_document(document))
        definition = RunDefinition(policy_hash, Digest(b"\x02" * 32), world.base_tree.root, world.dimension)
        deployment = deploy(node, operator, definition, rules, aggregator=rest[-1].address)
        ledger = Ledger.open(node, deployment.address, deployed_block=deployment.block_number)
        ledger.fund(operator, 100_000)
        participants = rest[: world.count]
        for account, weight in zip(participants, world.weights, strict=True):
            ledger.admit(operator, account.address, weight)
            ledger.register(account, account.address)
        ledger.open_round(stranger)
        own = replace(
            world, run=ledger.run, round=1, participants=[account.address for account in participants]
        )
        store.write_model(own.base_tree.root, own.posted().blobs.base_model())
        for account, (update, submission) in zip(participants, own.opened, strict=True):
            store.write_update(
                account.address, submission.sealed_root, update.opening, update.lanes, run=own.run, round=1
            )
            ledger.submit(
                account,
                round=1,
                base_model_root=own.base_tree.root,
                sealed_root=submission.sealed_root,
                weight=submission.weight,
            )
        yield ChainRound(chain, clock, ledger, store, own, stranger, iter(rest[: world.count - 1 : -1]))
