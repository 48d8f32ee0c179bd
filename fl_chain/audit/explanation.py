"""What a participant earned and why: every round's term, every other payment, and their sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_chain.audit.pool import PoolStatement, pool_statement
from fl_chain.audit.run import begun
from fl_chain.audit.statement import Statement, account_statements
from fl_chain.audit.terms import RoundTerm, TermReader, payments_to
from fl_chain.errors import ConfigError, StoreError, VerificationError
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import Event
from fl_chain.ledger.history import History
from fl_chain.records import Address, LedgerPolicy, RewardSplit
from fl_chain.run.documents import read_policy
from fl_chain.run.rounds import RoundReader
from fl_chain.store import Store


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that a participant's money follows from."""

    participant: Address
    token: Address  # what amounts are in; zero: the native coin
    split: RewardSplit
    policy: str  # where the constants were read, and whether they agree
    terms: tuple[RoundTerm, ...]
    statements: tuple[Statement, ...]  # deposits, bonds and credits, by account
    problems: tuple[str, ...]  # of the policy; each term has its own
    pool: PoolStatement | None = None  # for the operator

    @property
    def earned_wei(self) -> int:
        """The sum of every term."""
        return sum(term.earned_wei for term in self.terms)

    @property
    def paid_wei(self) -> int:
        """What was paid out of it."""
        return sum(term.paid_wei for term in self.terms)

    @property
    def claimable_wei(self) -> int:
        """What can still be claimed."""
        return sum(term.claimable_wei for term in self.terms)

    @property
    def missing_blobs(self) -> tuple[int, ...]:
        """Rounds whose term rests on the ledger alone, since no store has the update."""
        return tuple(term.round for term in self.terms if term.is_blob_missing)

    @property
    def is_right(self) -> bool:
        """Whether every sum comes out and nothing contradicts the ledger."""
        return (
            self.earned_wei == self.paid_wei + self.claimable_wei
            and not self.problems
            and not any(term.problems for term in self.terms)
            and all(statement.is_right for statement in self.statements)
            and (self.pool is None or self.pool.is_right)
        )


def explain_rewards(
    ledger: Ledger, store: Store, asked: Address, *, round_id: int | None = None
) -> Explanation:
    """Derive a participant's money again, round by round.

    Args:
        ledger: opened, so chain id and code are checked already.
        store: where the blobs are.
        asked: an identity, a key that signs for one, any account with a bond, or the operator.
        round_id: explain this round alone; None explains all of them.

    Raises:
        ConfigError: if the run knows neither the address nor the round.
        LedgerError: if the chain cannot be read.
    """
    ledger = ledger.pinned()
    history = begun(ledger.sync())
    events = ledger.all_events()
    identity = history.identity_of(asked)
    takes_part = identity in history.participants
    if not takes_part and asked not in history.accounts and asked != history.operator:
        raise ConfigError(f"{asked} takes no part in {history.run.ledger}: check the address")
    if round_id is not None and round_id not in history.rounds:
        raise ConfigError(f"there is no round {round_id}: the newest is {history.state.latest}")
    policy, origin, problems = _policy(history, store)
    reader = TermReader(
        history, RoundReader(history, store), ledger, identity, policy, payments_to(identity, events)
    )
    rounds = list(history.rounds.values()) if round_id is None else [history.rounds[round_id]]
    return Explanation(
        participant=identity,
        token=history.token,
        split=policy.reward_split,
        policy=origin,
        terms=tuple(reader.term(current) for current in rounds if takes_part),
        statements=account_statements(ledger, history, events, (identity, asked), round_id=round_id),
        problems=problems,
        pool=_pool(ledger, history, events) if asked == history.operator and round_id is None else None,
    )


def _pool(ledger: Ledger, history: History, events: Sequence[Event]) -> PoolStatement:
    return pool_statement(history, events, left_wei=ledger.state().pool_wei)


def _policy(history: History, store: Store) -> tuple[LedgerPolicy, str, tuple[str, ...]]:
    try:
        policy = read_policy(history.definition, history.policy, store).ledger
    except StoreError:
        return history.policy, "the contract's constants; no store has the policy document", ()
    except (VerificationError, ConfigError) as error:
        return history.policy, "the contract's constants", (str(error),)
    return policy, "the policy document, equal to the contract's constants", ()
