"""What people may try on a pair of ledgers: right calls, and calls with one thing wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from oracle_pair import Outcome, Pair
from oracle_people import AGGREGATOR, OPERATOR, PAYOUTS, RIVAL, STRANGER, WORKERS, some_digest

from fl_chain.commitment.partial_sums import partial_sum_count
from fl_chain.ledger.memory import Claim, OpenedExclusion
from fl_chain.records import ZERO_ADDRESS, ZERO_DIGEST, Address, Round, RoundStatus, Submission

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
CLAIM_FLAWS = ("round", "index", "weight", "root", "twice", "empty", "participant")


class Moves:
    """Makes calls whose arguments follow from where a pair stands."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    @property
    def latest(self) -> Round:
        """The newest round."""
        return self.pair.memory.round(self.pair.memory.state().latest)

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

    def submit(self, worker: Address, weight: int = 2, flaw: str | None = None) -> Outcome:
        """Submit a worker's update to the newest round."""
        memory, current = self.pair.memory, self.latest
        shift = {"round": 1, "older round": -1}.get(flaw or "", 0)
        base = memory.model_root(current.base_round)
        cap = memory.participant(worker).weight_cap
        return self.pair.call(
            self.signer(worker),
            "submit",
            round=max(0, current.id + shift),
            base_model_root=some_digest("another base") if flaw == "base" else base,
            sealed_root=some_digest("sealed", self.pair.calls),
            weight={"no weight": 0, "weight over cap": cap + 1}.get(flaw or "", weight),
        )

    def submit_all(self, weight: int = 2) -> None:
        """Submit for everybody who has not, until the round closes."""
        for worker in WORKERS:
            member, current = self.pair.memory.participant(worker), self.latest
            if current.status is RoundStatus.OPEN and member.registered and member.last_seen != current.id:
                self.submit(worker, min(weight, member.weight_cap))

    def post(
        self, poster: Address, excluded: Sequence[tuple[int, int]] = (), flaw: str | None = None
    ) -> Outcome:
        """Post the newest round, without the submissions at some (index, reason)."""
        current = self.latest
        submissions = self.submissions(current.id)
        exclusions = [
            self.opened(submissions[index], reason) for index, reason in excluded if index < len(submissions)
        ]
        if submissions:
            exclusions = self._flawed_exclusions(exclusions, submissions, flaw)
        sums = partial_sum_count(max(1, len(submissions)))
        sums += {"too few sums": -1, "too many sums": 1}.get(flaw or "", 0)
        shift = {"round": 1, "older round": -1}.get(flaw or "", 0)
        return self.pair.call(
            poster,
            "post",
            round=max(0, current.id + shift),
            digest=some_digest("another digest") if flaw == "digest" else current.digest,
            exclusions=exclusions,
            partial_sum_roots=[some_digest("sum", current.id, number) for number in range(sums)],
            result_root=some_digest("result") if flaw == "result root" else ZERO_DIGEST,
            state_root=some_digest("state") if flaw == "state root" else ZERO_DIGEST,
            model_root=some_digest("model", current.id, self.pair.calls),
        )

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

    def carry_on(self, poster: Address) -> None:
        """Take the next step of a run that goes well."""
        current, policy = self.latest, self.pair.policy
        if current.status is RoundStatus.OPEN and self.pair.now < current.since + policy.submission_s:
            self.submit_all()
            if self.latest.status is RoundStatus.OPEN:
                self.pass_until(self.latest.since + policy.submission_s)
        elif current.status is RoundStatus.OPEN:
            self.pair.call(STRANGER, "close_round", round_id=current.id)
        elif current.status is RoundStatus.CLOSED:
            if poster != self.pair.memory.state().aggregator:
                self.pass_until(current.since + policy.posting_s)
            self.post(poster)
        else:
            self._make_room()
            self.pair.call(STRANGER, "open_round")

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
        policy, memory, current = self.pair.policy, self.pair.memory, self.latest
        periods: dict[RoundStatus, tuple[int, ...]] = {
            RoundStatus.OPEN: (policy.submission_s,),
            RoundStatus.CLOSED: (
                policy.publication_s,
                policy.posting_s,
                policy.posting_s + policy.takeover_s,
            ),
        }
        found = {current.since + period_s for period_s in periods.get(current.status, ())}
        found |= {memory.posting_summary(number)[1] for number in range(1, current.id + 1)}
        found |= {memory.account(one).releasable_at for one in (*WORKERS, AGGREGATOR, RIVAL)}
        found |= {rotation.effective_at for rotation in self.pair.history.rotations.values()}
        found.add(memory.state().ends_at if memory.state().ends_at < 2**39 else 0)
        return sorted(moment for moment in found if moment > self.pair.now)
