"""A state machine that lets everybody act on both ledgers in any order, rightly and wrongly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from oracle_moves import CLAIM_FLAWS, OBJECTION_FLAWS, POSTING_FLAWS, SUBMISSION_FLAWS, Moves
from oracle_pair import Pair
from oracle_people import AGGREGATOR, KEYS, OPERATOR, PAYOUTS, POLICY, RIVAL, STRANGER, WORKERS
from oracle_proofs import FLAWS
from oracle_vectors import EXCESSES, LIES

from fl_chain.ledger.memory import Claim
from fl_chain.records import ZERO_ADDRESS, Address, AggregationKind, LedgerPolicy, RewardSplit, RoundStatus

Exclusions = tuple[tuple[int, int], ...]

POLICIES: tuple[LedgerPolicy, ...] = (
    POLICY,
    replace(POLICY, quorum=1, close_at=2, max_unfinal_rounds=1, reward_split=RewardSplit.DECLARED_WEIGHT),
    replace(POLICY, quorum=3, max_rounds=3, max_unfinal_rounds=2, reward_wei=997, deposit_wei=0),
    replace(
        POLICY,
        quorum=1,
        max_total_weight=8,
        reward_wei=0,
        bond_wei=0,
        challenge_reward_wei=0,
        challenge_s=300,
        unbonding_s=120,
    ),
    replace(POLICY, aggregation=AggregationKind.SUMS_WITH_STATE),
    replace(POLICY, aggregation=AggregationKind.RESULT, rho_micro_per_round=7, rho_micro_budget=27),
)

workers = st.sampled_from(WORKERS)
callers = st.sampled_from((OPERATOR, OPERATOR, OPERATOR, STRANGER))
posters = st.sampled_from((AGGREGATOR, AGGREGATOR, RIVAL))
accounts = st.sampled_from((AGGREGATOR, RIVAL, *WORKERS))
payouts = st.sampled_from((*PAYOUTS, *PAYOUTS, None, ZERO_ADDRESS))  # None: the ledger itself
signers = st.sampled_from((*KEYS, *KEYS, None, *WORKERS[:2], ZERO_ADDRESS))  # None: the key in use
excess = st.sampled_from((0, 0, 0, 1))


def sometimes(flaws: tuple[str, ...]) -> st.SearchStrategy[str | None]:
    """Return nothing wrong in half of all cases."""
    return st.booleans().flatmap(lambda is_wrong: st.sampled_from(flaws) if is_wrong else st.none())


class LedgerMachine(RuleBasedStateMachine):
    """Every rule makes at least one call; `Pair` compares everything after each.

    Attributes:
        met: events and custom errors that all runs of the machine have seen.
        calls: how many they made.
    """

    met: ClassVar[Counter[str]] = Counter()
    calls: ClassVar[int] = 0

    @initialize(
        policy=st.sampled_from(POLICIES),
        is_token=st.booleans(),
        joined=st.sampled_from((4, 3, 5, 2, 0)),
        funded_rounds=st.sampled_from((6, 2, 9, 0)),
        bonds=st.sampled_from((3, 4, 1, 0)),
        progress=st.sampled_from((6, 12, 3, 0)),
        dimension=st.sampled_from((2049, 1024, 3)),
        lies=st.lists(st.sampled_from((*LIES, *LIES[:3])), max_size=2),
        built_on=st.integers(0, 4),
    )
    def deploy(  # noqa: PLR0917
        self,
        policy: LedgerPolicy,
        is_token: bool,
        joined: int,
        funded_rounds: int,
        bonds: int,
        progress: int,
        dimension: int,
        lies: list[str],
        built_on: int,
    ) -> None:
        self.pair = Pair(policy, is_token=is_token, dimension=dimension)
        self.moves = Moves(self.pair)
        self.moves.fund(funded_rounds * (policy.reward_wei + policy.aggregator_reward_wei))
        for worker in WORKERS[:joined]:
            self.moves.join(worker)
        self.moves.deposit_bond(AGGREGATOR, bonds * policy.bond_wei)
        for _ in range(progress):
            self.moves.carry_on(AGGREGATOR)
        for lie in lies:
            self._lie(lie, built_on)
            self._take_down(lie)

    def _lie(self, lie: str, progress: int) -> None:
        """Let the named aggregator post a lie, and the run go on from it."""
        if self.moves.current.status not in (RoundStatus.OPEN, RoundStatus.CLOSED):
            self.moves.carry_on(AGGREGATOR)
        if self.moves.current.status is RoundStatus.OPEN:
            self.moves.submit_all()
        named, bond_wei = self.pair.memory.state().aggregator, self.pair.policy.bond_wei
        if self.pair.memory.account(named).free_bond_wei < bond_wei:
            self.moves.deposit_bond(named, bond_wei)
        self.moves.post(named, (), None, lie)
        for _ in range(progress):
            self.moves.carry_on(self.pair.memory.state().aggregator)

    def _take_down(self, lie: str) -> None:
        """Challenge the oldest posting, or object to it where no proof shows the lie."""
        if not lie.startswith("random"):
            self.moves.refute(oldest=True)
            return
        for worker in WORKERS:
            if self.moves.posted() is not None:
                self.moves.object(worker, oldest=True)

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            LedgerMachine.met.update(self.pair.met)
            LedgerMachine.calls += self.pair.calls

    # ------------------------------------------------------------------ a run that goes well

    @rule(poster=posters, times=st.integers(1, 4))
    def carry_on(self, poster: Address, times: int) -> None:
        for _ in range(times):
            self.moves.carry_on(poster)

    @rule(times=st.integers(1, 4))
    def carry_on_as_named(self, times: int) -> None:
        for _ in range(times):
            self.moves.carry_on(self.pair.memory.state().aggregator)

    @rule(worker=workers)
    def settle_and_pay(self, worker: Address) -> None:
        memory = self.pair.memory
        self.moves.pass_until(max(memory.posting_summary(n)[1] for n in range(self.moves.latest.id + 1)))
        self.pair.call(STRANGER, "finalize")
        final = [one for one in self.moves.claims(worker) if self._is_payable(one)]
        self.moves.claim(worker, [one for one in final if not memory.is_claimed(one.round, one.index)])

    # ------------------------------------------------------------------ who takes part

    @rule(
        caller=callers,
        name=st.sampled_from(("admit", "suspend")),
        who=st.sampled_from((*WORKERS, *WORKERS, *KEYS, ZERO_ADDRESS)),
        weight_cap=st.sampled_from((5, 5, 8, 0, 21)),
    )
    def admit_or_suspend(self, caller: Address, name: str, who: Address, weight_cap: int) -> None:
        cap = {"weight_cap": weight_cap} if name == "admit" else {}
        self.pair.call(caller, name, participant=who, **cap)

    @rule(worker=workers, payout=payouts, is_change=st.booleans(), excess_wei=excess)
    def register(self, worker: Address, payout: Address | None, is_change: bool, excess_wei: int) -> None:
        to = self.pair.ledger if payout is None else payout
        if is_change:
            self.pair.call(self.moves.signer(worker), "change_payout", payout=to)
        else:
            self.moves.register(worker, to, excess_wei=excess_wei)

    @rule(worker=workers)
    def join(self, worker: Address) -> None:
        self.moves.join(worker)

    @rule(worker=workers, stays=st.sampled_from((False, True, True)))
    def leave(self, worker: Address, stays: bool) -> None:
        self.pair.call(self.moves.signer(worker), "leave")
        if stays:
            self.moves.register(worker, PAYOUTS[0])

    @rule(worker=workers, signer=signers)
    def request_signer_rotation(self, worker: Address, signer: Address | None) -> None:
        caller = self.moves.signer(worker)
        self.pair.call(caller, "request_signer_rotation", signer=caller if signer is None else signer)

    @rule(worker=workers, waits=st.booleans(), is_requested=st.sampled_from((True, True, True, False)))
    def rotate_signer(self, worker: Address, waits: bool, is_requested: bool) -> None:
        rotation = self.pair.history.rotations.get(worker)
        caller = rotation.signer if rotation and is_requested else STRANGER
        if rotation and waits:
            self.moves.pass_until(rotation.effective_at)
        self.pair.call(caller, "rotate_signer", participant=worker)

    # ------------------------------------------------------------------ rounds

    @rule(
        worker=workers,
        weight=st.integers(1, 8),
        flaw=sometimes(SUBMISSION_FLAWS),
        excess=sometimes(EXCESSES),
    )
    def submit(self, worker: Address, weight: int, flaw: str | None, excess: str | None) -> None:
        self.moves.submit(worker, weight, flaw, excess)

    @rule(
        poster=posters,
        excluded=st.sampled_from(((), ((0, 1),), ((1, 2),), ((0, 3), (2, 3)), ((1, 3), (2, 1)))),
        flaw=sometimes(POSTING_FLAWS),
        lie=sometimes(LIES),
        waits=st.booleans(),
    )
    def post(
        self, poster: Address, excluded: Exclusions, flaw: str | None, lie: str | None, waits: bool
    ) -> None:
        if self.moves.current.status is RoundStatus.OPEN:
            self.moves.submit_all()
        if waits and self.moves.moments():
            self.moves.pass_until(self.moves.moments()[0])
        self.moves.post(poster, excluded, flaw, lie)

    @rule(
        lie=st.sampled_from((*LIES, *LIES[:3])),
        progress=st.integers(0, 4),
        is_caught=st.sampled_from((True, True, False)),
    )
    def lie_and_build_on_it(self, lie: str, progress: int, is_caught: bool) -> None:
        self._lie(lie, progress)
        if is_caught:
            self._take_down(lie)

    @rule(
        kind=st.sampled_from(tuple(FLAWS)),
        flaw=st.integers(0, 19),
        oldest=st.booleans(),
        challenger=st.sampled_from((STRANGER, STRANGER, RIVAL, AGGREGATOR, WORKERS[0])),
    )
    def challenge(self, kind: str, flaw: int, oldest: bool, challenger: Address) -> None:
        flaws = dict(enumerate(FLAWS[kind]))
        self.moves.challenge(kind, flaws.get(flaw), oldest=oldest, challenger=challenger)

    @rule(oldest=st.booleans())
    def refute(self, oldest: bool) -> None:
        self.moves.refute(oldest=oldest)

    @rule(worker=workers, flaw=sometimes(OBJECTION_FLAWS), oldest=st.booleans())
    def object(self, worker: Address, flaw: str | None, oldest: bool) -> None:
        self.moves.object(worker, flaw, oldest=oldest)

    @rule(count=st.integers(1, 5), oldest=st.booleans())
    def object_together(self, count: int, oldest: bool) -> None:
        for worker in WORKERS[:count]:
            if self.moves.posted() is not None:
                self.moves.object(worker, oldest=oldest)

    @rule(name=st.sampled_from(("close_round", "void_round")), offset=st.sampled_from((0, 0, 0, -1, 1)))
    def close_or_void(self, name: str, offset: int) -> None:
        self.pair.call(STRANGER, name, round_id=max(0, self.moves.current.id + offset))

    @rule(name=st.sampled_from(("open_round", "finalize")), value_wei=st.sampled_from((0, 0, 0, 1)))
    def open_or_finalize(self, name: str, value_wei: int) -> None:
        self.pair.call(STRANGER, name, value_wei=value_wei)

    # ------------------------------------------------------------------ money

    @rule(rounds=st.integers(0, 3), odd_wei=st.sampled_from((0, 0, 17)), excess_wei=excess)
    def fund(self, rounds: int, odd_wei: int, excess_wei: int) -> None:
        policy = self.pair.policy
        amount_wei = rounds * (policy.reward_wei + policy.aggregator_reward_wei) + odd_wei
        self.moves.fund(amount_wei, excess_wei=excess_wei)

    @rule(caller=callers, to=payouts, chance=st.integers(0, 5))
    def end(self, caller: Address, to: Address | None, chance: int) -> None:
        if chance == 0:
            self.pair.call(caller, "announce_end")
        else:
            self.pair.call(caller, "withdraw_pool", to=self.pair.ledger if to is None else to)

    @rule(account=accounts, bonds=st.integers(0, 2), odd_wei=st.sampled_from((0, 3)), excess_wei=excess)
    def deposit_bond(self, account: Address, bonds: int, odd_wei: int, excess_wei: int) -> None:
        self.moves.deposit_bond(account, bonds * self.pair.policy.bond_wei + odd_wei, excess_wei=excess_wei)

    @rule(account=accounts, fraction=st.sampled_from((0, 1, 2)), over_wei=st.sampled_from((0, 0, 1)))
    def request_bond(self, account: Address, fraction: int, over_wei: int) -> None:
        free_wei = self.pair.memory.account(account).free_bond_wei
        self.pair.call(account, "request_bond", amount_wei=free_wei * fraction // 2 + over_wei)

    @rule(account=accounts, waits=st.booleans())
    def withdraw(self, account: Address, waits: bool) -> None:
        if waits:
            self.moves.pass_until(self.pair.memory.account(account).releasable_at)
        self.pair.call(STRANGER, "withdraw", holder=account)

    @rule(worker=workers, flaw=sometimes(CLAIM_FLAWS), is_careful=st.booleans())
    def claim(self, worker: Address, flaw: str | None, is_careful: bool) -> None:
        claims = [one for one in self.moves.claims(worker) if not is_careful or self._is_payable(one)]
        self.moves.claim(worker, claims, flaw)

    def _is_payable(self, one: Claim) -> bool:
        status, bonus_wei = self.pair.memory.round(one.round).status, self.pair.memory.bonus_wei(one.round)
        return status is RoundStatus.FINAL or (status is RoundStatus.VOID and bonus_wei > 0)

    # ------------------------------------------------------------------ time

    @rule(seconds=st.integers(1, 12))
    def wait(self, seconds: int) -> None:
        self.moves.pass_until(self.pair.now + seconds)

    @rule(nth=st.integers(0, 2), early_s=st.sampled_from((0, 0, 1)))
    def wait_for_a_deadline(self, nth: int, early_s: int) -> None:
        moments = self.moves.moments()
        if moments:
            self.moves.pass_until(moments[min(nth, len(moments) - 1)] - early_s)
