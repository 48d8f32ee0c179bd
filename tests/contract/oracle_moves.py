"""What people may try on a pair of ledgers: right calls, and calls with one thing wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from oracle_pair import Outcome, Pair
from oracle_people import AGGREGATOR, OPERATOR, PAYOUTS, RIVAL, STRANGER, WORKERS, some_digest
from oracle_proofs import FLAWS, Prover
from oracle_vectors import Aggregated

from fl_chain.commitment.partial_sums import partial_sum_count
from fl_chain.commitment.proofs import Proof
from fl_chain.ledger.memory import Claim, OpenedExclusion
from fl_chain.records import (
    ZERO_ADDRESS,
    ZERO_DIGEST,
    Address,
    AggregationKind,
    Round,
    RoundStatus,
    Submission,
)

SUBMISSION_FLAWS = ("round", "older round", "base", "no weight", "weight over cap")
POSTING_FLAWS = (
    *("round", "older round", "digest", "too few sums", "too many sums", "result root", "state root"),
    *(
        "index",
        "order",
        "twice",
        "reason",
        "no reason",
        "leaf weight",
        "leaf participant",
        "leaf root",
        "everybody",
    ),
)
OBJECTION_FLAWS = ("round", "model", "index", "weight", "root")
CLAIM_FLAWS = ("round", "index", "weight", "root", "twice", "empty", "participant")


class Moves:
    """Makes calls whose arguments follow from where a pair stands."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    @property
    def latest(self) -> Round:
        """The newest round."""
        return self.pair.memory.round(self.pair.memory.state().latest)

    @property
    def current(self) -> Round:
        """The round that is under way, which may be older than the newest; the newest where none is."""
        state = self.pair.memory.state()
        return self.pair.memory.round(state.active or state.latest)

    def is_native(self) -> bool:
        """Return whether money travels with a call."""
        return self.pair.memory.token == ZERO_ADDRESS

    def value_wei(self, amount_wei: int) -> int:
        """Return what goes along with a payment."""
        return amount_wei if self.is_native() else 0

    def signer(self, worker: Address) -> Address:
        """Return the key that signs for a worker now."""
        signer = self.pair.memory.participant(worker).signer
        return worker if signer == ZERO_ADDRESS else signer

    # ------------------------------------------------------------------ money and people

    def fund(self, amount_wei: int, *, excess_wei: int = 0) -> Outcome:
        """Fund the pool."""
        value_wei = self.value_wei(amount_wei) + excess_wei
        return self.pair.call(STRANGER, "fund", amount_wei=amount_wei, value_wei=value_wei)

    def join(self, worker: Address, weight_cap: int = 5) -> None:
        """Admit and register a worker."""
        weight_cap = min(weight_cap, self.pair.policy.highest_weight_cap)
        self.pair.call(OPERATOR, "admit", participant=worker, weight_cap=weight_cap)
        self.register(worker, PAYOUTS[0])

    def register(self, worker: Address, payout: Address, *, excess_wei: int = 0) -> Outcome:
        """Register a worker."""
        value_wei = self.value_wei(self.pair.policy.deposit_wei) + excess_wei
        return self.pair.call(self.signer(worker), "register", payout=payout, value_wei=value_wei)

    def deposit_bond(self, account: Address, amount_wei: int, *, excess_wei: int = 0) -> Outcome:
        """Deposit bond."""
        value_wei = self.value_wei(amount_wei) + excess_wei
        return self.pair.call(account, "deposit_bond", amount_wei=amount_wei, value_wei=value_wei)

    # ------------------------------------------------------------------ rounds

    def submit(
        self, worker: Address, weight: int = 2, flaw: str | None = None, excess: str | None = None
    ) -> Outcome:
        """Submit a worker's update to the round that is under way, with a lane out of its bounds or not."""
        memory, current = self.pair.memory, self.current
        shift = {"round": 1, "older round": -1}.get(flaw or "", 0)
        base = memory.model_root(current.base_round)
        cap = memory.participant(worker).weight_cap
        weight = {"no weight": 0, "weight over cap": cap + 1}.get(flaw or "", weight)
        sealed_root = self.pair.vectors.sealed(current.id, worker, weight, self.pair.calls, excess)
        return self.pair.call(
            self.signer(worker),
            "submit",
            round=max(0, current.id + shift),
            base_model_root=some_digest("another base") if flaw == "base" else base,
            sealed_root=sealed_root,
            weight=weight,
        )

    def submit_all(self, weight: int = 2) -> None:
        """Submit for everybody who has not, until the round closes."""
        for worker in WORKERS:
            member, current = self.pair.memory.participant(worker), self.current
            if current.status is RoundStatus.OPEN and member.registered and member.last_seen != current.id:
                self.submit(worker, min(weight, member.weight_cap))

    def post(
        self,
        poster: Address,
        excluded: Sequence[tuple[int, int]] = (),
        flaw: str | None = None,
        lie: str | None = None,
    ) -> Outcome:
        """Post the round that is under way, without the submissions at some (index, reason)."""
        current = self.current
        submissions = self.submissions(current.id)
        exclusions = [
            self.opened(submissions[index], reason) for index, reason in excluded if index < len(submissions)
        ]
        if submissions:
            exclusions = self._flawed_exclusions(exclusions, submissions, flaw)
        aggregated = self._aggregated(current, submissions, {one.index for one in exclusions}, lie)
        kind = self.pair.policy.aggregation
        sums = [] if kind is AggregationKind.RESULT else list(aggregated.partial_sum_roots)
        one_more = [*sums, some_digest("one sum more")]
        sums = {"too few sums": sums[:-1], "too many sums": one_more}.get(flaw or "", sums)
        has_result = (kind is AggregationKind.RESULT) != (flaw == "result root")
        has_state = (kind is AggregationKind.SUMS_WITH_STATE) != (flaw == "state root")
        shift = {"round": 1, "older round": -1}.get(flaw or "", 0)
        return self.pair.call(
            poster,
            "post",
            round=max(0, current.id + shift),
            digest=some_digest("another digest") if flaw == "digest" else current.digest,
            exclusions=exclusions,
            partial_sum_roots=sums,
            result_root=some_digest("result") if has_result else ZERO_DIGEST,
            state_root=some_digest("state") if has_state else ZERO_DIGEST,
            model_root=aggregated.model_root,
        )

    def _aggregated(
        self, current: Round, submissions: Sequence[Submission], excluded: set[int], lie: str | None
    ) -> Aggregated:
        if not submissions:
            roots = [some_digest("sum", number) for number in range(partial_sum_count(1))]
            return Aggregated(tuple(roots), some_digest("model"))
        base = self.pair.memory.model_root(current.base_round)
        return self.pair.vectors.aggregate(base, submissions, excluded, lie)

    def _flawed_exclusions(
        self, exclusions: list[OpenedExclusion], submissions: Sequence[Submission], flaw: str | None
    ) -> list[OpenedExclusion]:
        one = exclusions[0] if exclusions else self.opened(submissions[0], 1)
        last = self.opened(submissions[-1], 3)
        changed: dict[str, list[OpenedExclusion]] = {
            "index": [replace(one, index=len(submissions))],
            "order": [last, one],
            "twice": [one, one],
            "reason": [replace(one, reason=4)],
            "no reason": [replace(one, reason=0)],
            "leaf weight": [replace(one, weight=one.weight + 1)],
            "leaf participant": [replace(one, participant=STRANGER)],
            "leaf root": [replace(one, sealed_root=some_digest("another root"))],
            "everybody": [self.opened(submission, 3) for submission in submissions],
        }
        return changed.get(flaw or "", exclusions)

    def submissions(self, round_id: int) -> list[Submission]:
        """Return a round's submissions, as the events tell them."""
        return self.pair.history.submissions.get(round_id, [])

    @staticmethod
    def opened(submission: Submission, reason: int) -> OpenedExclusion:
        """Return a submission as an exclusion."""
        return OpenedExclusion(
            submission.index, reason, submission.weight, submission.participant, submission.sealed_root
        )

    # ------------------------------------------------------------------ challenges

    def posted(self, *, oldest: bool = False) -> Round | None:
        """Return a round whose posting may still fall; None where there is none."""
        memory = self.pair.memory
        rounds = [memory.round(number) for number in range(1, self.latest.id + 1)]
        found = [one for one in rounds if one.status is RoundStatus.POSTED]
        return found[0 if oldest else -1] if found else None

    def prover(self, current: Round) -> Prover:
        """Return what builds proofs about a round's standing posting."""
        posting = self.pair.history.postings[current.id]
        base = self.pair.memory.model_root(current.base_round)
        return Prover(self.pair.vectors, posting, self.submissions(current.id), base)

    def challenge(
        self, kind: str, flaw: str | None = None, *, oldest: bool = False, challenger: Address = STRANGER
    ) -> Outcome | None:
        """Challenge a posting by its lie, or by whatever is true of it; None where nothing can be said."""
        current = self.posted(oldest=oldest)
        proof = None if current is None else self.prover(current).proofs().get(kind)
        if current is None or proof is None:
            return None
        if flaw is not None:
            proof = FLAWS[kind][flaw][0](proof)
        return self.prove(kind, proof, current.id, challenger)

    def refute(self, *, oldest: bool = False) -> None:
        """Prove a posting wrong by the first proof that shows it, where there is one."""
        current = self.posted(oldest=oldest)
        refutations = {} if current is None else self.prover(current).refutations()
        for kind, proof in list(refutations.items())[:1]:
            assert current is not None
            self.prove(kind, proof, current.id)

    def prove(self, kind: str, proof: Proof, round_id: int, challenger: Address = STRANGER) -> Outcome:
        """Send a proof."""
        return self.pair.call(challenger, kind, round_id=round_id, proof=proof)

    def object(self, worker: Address, flaw: str | None = None, *, oldest: bool = False) -> Outcome:
        """Object to a posting, as a worker that may have submitted to its round or not."""
        current = self.posted(oldest=oldest) or self.current
        own = [one for one in self.submissions(current.id) if one.participant == worker]
        one = (
            own[0] if own else Submission(current.id, 0, worker, 1, some_digest("none"), some_digest("leaf"))
        )
        model = self.pair.memory.model_root(current.id)
        return self.pair.call(
            self.signer(worker),
            "object",
            round=current.id + (flaw == "round"),
            model_root=some_digest("another model") if flaw == "model" else model,
            index=one.index + (flaw == "index"),
            weight=one.weight + (flaw == "weight"),
            sealed_root=some_digest("another root") if flaw == "root" else one.sealed_root,
        )

    # ------------------------------------------------------------------ a run that goes well

    def carry_on(self, poster: Address) -> None:
        """Take the next step of a run that goes well."""
        current, policy = self.current, self.pair.policy
        if current.status is RoundStatus.OPEN and self.pair.now < current.since + policy.submission_s:
            self.submit_all()
            if self.current.status is RoundStatus.OPEN:
                self.pass_until(self.current.since + policy.submission_s)
        elif current.status is RoundStatus.OPEN:
            self.pair.call(STRANGER, "close_round", round_id=current.id)
        elif current.status is RoundStatus.CLOSED:
            self._carry_on_closed(current, poster)
        else:
            self._make_room()
            self.pair.call(STRANGER, "open_round")

    def _carry_on_closed(self, current: Round, poster: Address) -> None:
        """Post as whoever may, or void the round where nobody may."""
        memory, policy = self.pair.memory, self.pair.policy
        who = [one for one in (poster, AGGREGATOR, RIVAL) if not memory.is_barred(current.id, one)]
        if not who:
            self.pass_until(current.since + policy.posting_s + policy.takeover_s)
            self.pair.call(STRANGER, "void_round", round_id=current.id)
            return
        named = memory.state().aggregator
        if who[0] != named and not memory.is_barred(current.id, named):
            self.pass_until(current.since + policy.posting_s)
        if memory.account(who[0]).free_bond_wei < policy.bond_wei:
            self.deposit_bond(who[0], policy.bond_wei)
        self.post(who[0])

    def _make_room(self) -> None:
        """Remove what keeps the next round from opening, where it can be removed."""
        memory, policy = self.pair.memory, self.pair.policy
        if memory.state().latest - memory.state().settled >= policy.max_unfinal_rounds:
            self.pass_until(memory.posting_summary(memory.state().settled + 1)[1])
            self.pair.call(STRANGER, "finalize")
        reserved_wei = policy.reward_wei + policy.aggregator_reward_wei
        if memory.state().pool_wei < reserved_wei:
            self.fund(2 * reserved_wei)
        absent = [worker for worker in WORKERS if not memory.participant(worker).registered]
        if memory.state().registered < policy.quorum and absent:
            self.join(absent[0])
        if memory.account(AGGREGATOR).free_bond_wei < policy.bond_wei:
            self.deposit_bond(AGGREGATOR, policy.bond_wei)

    # ------------------------------------------------------------------ rewards

    def claims(self, participant: Address) -> list[Claim]:
        """Return what opens every submission of a participant."""
        return [
            Claim(one.round, one.index, one.weight, one.sealed_root)
            for submissions in self.pair.history.submissions.values()
            for one in submissions
            if one.participant == participant
        ]

    def claim(self, participant: Address, claims: list[Claim], flaw: str | None = None) -> Outcome:
        """Claim rewards."""
        one = claims[0] if claims else Claim(1, 0, 1, some_digest("no submission"))
        changed: dict[str, list[Claim]] = {
            "round": [replace(one, round=self.latest.id + 1)],
            "index": [replace(one, index=one.index + 1)],
            "weight": [replace(one, weight=one.weight + 1)],
            "root": [replace(one, sealed_root=some_digest("another root"))],
            "twice": [*claims, one],
            "empty": [],
        }
        who = RIVAL if flaw == "participant" else participant
        return self.pair.call(STRANGER, "claim", participant=who, claims=changed.get(flaw or "", claims))

    # ------------------------------------------------------------------ time

    def pass_until(self, moment: int) -> None:
        """Let chain time pass; it never goes back."""
        self.pair.now = max(self.pair.now, moment)

    def moments(self) -> list[int]:
        """Return the next chain times at which something becomes possible or impossible, nearest first."""
        policy, memory, current = self.pair.policy, self.pair.memory, self.current
        periods: dict[RoundStatus, tuple[int, ...]] = {
            RoundStatus.OPEN: (policy.submission_s,),
            RoundStatus.CLOSED: (
                policy.publication_s,
                policy.posting_s,
                policy.posting_s + policy.takeover_s,
            ),
        }
        found = {current.since + period_s for period_s in periods.get(current.status, ())}
        found |= {memory.posting_summary(number)[1] for number in range(1, self.latest.id + 1)}
        found |= {memory.account(one).releasable_at for one in (*WORKERS, AGGREGATOR, RIVAL)}
        found |= {rotation.effective_at for rotation in self.pair.history.rotations.values()}
        found.add(memory.state().ends_at if memory.state().ends_at < 2**39 else 0)
        return sorted(moment for moment in found if moment > self.pair.now)
