"""A small run whose processes are struck, started again, and held to what an undisturbed run does."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from disturbances import AGGREGATOR, DEVNET, OWNERS, SUCCESSOR, WORKERS, Disturbances
from lines import Line
from parts import Part
from tally import Count, Sent, tally, transactions

from fl_chain.audit import AuditReport, audit_run
from fl_chain.config import PolicySettings
from fl_chain.errors import LedgerUnavailable, RequestRefused
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.keys import address_of
from fl_chain.ledger.node import Node, connect
from fl_chain.records import Address, Submission
from fl_chain.run.deployment import DeployedRun
from fl_chain.store import Store

ROLES = (*WORKERS, AGGREGATOR)
ROUNDS = 2
REWARD_WEI, AGGREGATOR_REWARD_WEI = 3 * 10**15, 10**15
DEPOSIT_WEI, BOND_WEI = 10**16, 10**17
LIMIT_S = 400.0
POLL_S = 0.05
LEAPS = "leaps"  # the file by which the devnet's clock is told to leap


def key_of(role: str) -> bytes:
    """Return a role's key; it is worth nothing outside these tests."""
    return hashlib.sha256(f"faults {role}".encode()).digest()


def payout_of(role: str) -> Address:
    """Return where a worker has its money sent: an account that signs nothing, so its balance is exact."""
    return address_of(key_of(f"payout of {role}"))


def addresses() -> dict[str, Address]:
    """Return the account of each role."""
    return {role: address_of(key_of(role)) for role in (*ROLES, SUCCESSOR)}


@dataclass
class Trial:
    """A run in its folder."""

    folder: Path
    node: Node
    deployed: DeployedRun
    policy: PolicySettings
    disturbances: Disturbances
    parts: dict[str, Part]
    lines: dict[str, Line]

    def start(self, roles: Sequence[str], *, until: Callable[[History], bool]) -> None:
        """Start some actors, and wait until they have brought the run somewhere."""
        for role in roles:
            self.parts[role].restart()
        self.wait(until)

    def wait(self, until: Callable[[History], bool]) -> None:
        """Start actors again whenever they fall, until they have brought the run somewhere."""
        self._look_after(lambda: self._is_reached(until))

    def leap(self, seconds: float) -> None:
        """Let chain time pass."""
        path = self.folder / LEAPS
        before_s = float(path.read_text()) if path.exists() else 0.0
        unfinished = path.with_suffix(".part")
        unfinished.write_text(str(before_s + seconds))
        unfinished.replace(path)

    def run_to_the_end(self) -> None:
        """Start every actor again whenever it falls, until all have ended by themselves."""
        for part in self.parts.values():
            if not part.is_started:
                part.restart()
        self.wait(self._is_posted)
        self.leap(self.policy.challenge_s + 1)
        self.wait(self._is_asked_back)
        self.leap(self.policy.unbonding_s + 1)
        actors = [part for part in self.parts.values() if part.name != DEVNET]
        self._look_after(lambda: all(part.has_ended for part in actors))
        connected(self.node.name)
        for part in self.parts.values():
            assert part.waiting == [], f"{part.name} never came there:\n{part.tail()}"
        for role, line in self.lines.items():
            assert line.waiting == [], f"the line of {role} was never asked for {line.waiting}"
        devnet = self.parts[DEVNET]
        jumped = devnet.struck.read_text().splitlines() if devnet.struck.exists() else []
        assert set(map(str, self.disturbances.jumps)) <= set(jumped)

    def _is_posted(self, history: History) -> bool:
        """Return whether the last model of the run is there."""
        tip = history.state.tip
        return tip > 0 and history.rounds[tip].step == self.policy.rounds

    def _is_asked_back(self, history: History) -> bool:
        """Return whether everything is final, and everyone who lives has asked for deposit and bond."""
        alive = [
            addresses()[name] for name, part in self.parts.items() if name != DEVNET and not part.is_gone
        ]
        registered = [who for who, one in history.participants.items() if one.registered and who in alive]
        bonded = [who for who in alive if history.account(who).free_bond_wei]
        return history.state.settled == history.state.latest and not registered and not bonded

    def _is_reached(self, until: Callable[[History], bool]) -> bool:
        try:
            return until(self.history)
        except (LedgerUnavailable, RequestRefused):  # the devnet has just been struck, or its disk is full
            return False

    def _look_after(self, is_reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        started = [part for part in self.parts.values() if part.is_started]
        while True:
            for part in started:
                part.look()
            if is_reached():
                return
            if time.monotonic() > deadline:
                raise AssertionError("\n".join(part.tail() for part in started))
            time.sleep(POLL_S)

    # ------------------------------------------------------------------ what must hold

    @property
    def history(self) -> History:
        """The ledger's history up to now."""
        return self.deployed.ledger.sync()

    def model_root(self) -> bytes:
        """Return the root of the final model."""
        return self.history.postings[self.history.state.tip].model_root

    def audit(self) -> AuditReport:
        """Audit the run as somebody else would."""
        return audit_run(Ledger.open(self.node, self.deployed.ledger.run.ledger), self.store)

    @property
    def store(self) -> Store:
        """The run's blobs."""
        return Store([str(self.folder / "store")])

    def is_published(self, submission: Submission) -> bool:
        """Return whether a submission's update is in the store."""
        return self.store.has_update(submission.participant, submission.sealed_root)

    def transactions(self) -> list[Sent]:
        """Return what the actors sent to the ledger, also what it refused."""
        return transactions(self.node, set(addresses().values()))

    def tally(self, *, besides: Collection[str] = ()) -> dict[str, Count]:
        """Count what was lost and what came twice; what those named did not get done is not lost."""
        roles = {role: who for role, who in addresses().items() if role in self.parts}
        due = {role: who for role, who in roles.items() if role not in besides}
        return tally(
            self.history,
            transactions(self.node, set(roles.values())),
            workers=[who for role, who in due.items() if role in WORKERS],
            paid_out=list(due.values()),
        )

    def verify(self, *, model_root: bytes | None) -> None:
        """Check that nothing was lost, nothing came twice, and the model is the same.

        Args:
            model_root: the undisturbed run's; None where this is that run.
        """
        history = self.history
        final = [posting.round for posting in history.postings.values()]
        assert len(final) == ROUNDS
        participants = {addresses()[role] for role in WORKERS}
        for round_id in final:
            submitted = Counter(s.participant for s in history.submissions[round_id])
            assert submitted == dict.fromkeys(participants, 1)
            assert history.postings[round_id].exclusions == ()
        if not self.disturbances.costs_deadlines:
            assert history.voids == {}
        claims = Counter((claim.round, claim.participant) for claim in history.claims)
        assert claims == {(round_id, who): 1 for round_id in final for who in participants}
        self._verify_money(history)
        self._verify_transactions(history)
        report = self.audit()
        assert report.findings == []
        assert report.verdict == "pass"
        assert model_root is None or self.model_root() == model_root
        assert all((count.lost, count.doubled) == (0, 0) for count in self.tally().values())

    def _verify_money(self, history: History) -> None:
        earned_wei = ROUNDS * REWARD_WEI // len(OWNERS)
        for role in WORKERS:
            assert self.node.balance_wei(payout_of(role)) == earned_wei + DEPOSIT_WEI
        assert history.owed_wei == history.state.pool_wei == self.deployed.ledger.balance()
        # A bond is deposited only while none is free: one that was deposited twice would show.
        free_wei = 0
        for event in self.deployed.ledger.events(0, self.node.head().number):
            match type(event).__name__:
                case "BondDeposited":
                    free_wei += event.amount_wei
                    assert free_wei == BOND_WEI
                case "RoundPosted":
                    free_wei -= BOND_WEI
                case "RoundFinalized":
                    free_wei += BOND_WEI
                case "BondRequested":
                    free_wei -= event.amount_wei
        assert free_wei == 0

    def _verify_transactions(self, history: History) -> None:
        names = {who: role for role, who in addresses().items()}
        sent = Counter((names[one.sender], one.name, one.succeeded) for one in self.transactions())
        once = {(role, name, True): 1 for role in WORKERS for name in ("register", "claim", "leave")}
        once |= {(role, "withdraw", True): 1 for role in (*WORKERS, AGGREGATOR)}
        once |= {(AGGREGATOR, "post", True): ROUNDS, (AGGREGATOR, "requestBond", True): 1}
        for role in WORKERS:
            own = [s for r in history.submissions.values() for s in r if s.participant == addresses()[role]]
            assert len({submission.round for submission in own}) == len(own)
            once[role, "submit", True] = len(own)
        free_for_all = ("openRound", "closeRound", "voidRound", "finalize", "depositBond")
        may_be_refused = self.disturbances.costs_deadlines
        assert once == {
            key: number
            for key, number in sent.items()
            if key[1] not in free_for_all and (key[2] or not may_be_refused)
        }


def connected(url: str) -> Node:
    """Return a node as soon as it answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return connect([url])
        except LedgerUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
