"""The whole storage of a ledger's contract, as it follows from the run's events.

Every slot is here, so that the root of these values is the root that the chain's state has to show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from fl_chain.commitment.partial_sums import sums_hash
from fl_chain.errors import MalformedResponse
from fl_chain.ledger.artifact import training_ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.storage_layout import Key, StorageLayout, Value
from fl_chain.ledger.views import Participant
from fl_chain.records import ZERO_ADDRESS, Address, Posting, Round

_BITS = 256  # of a word of flags


@dataclass(frozen=True, slots=True)
class Subject:
    """What a word of storage is about."""

    what: str  # in words
    round: int | None = None
    participant: Address | None = None


@dataclass(frozen=True, slots=True)
class ExpectedWord:
    """A word of storage."""

    value: int
    subject: Subject


@dataclass(frozen=True, slots=True)
class Part:
    """What one state variable holds under some keys."""

    subject: Subject
    variable: str
    keys: tuple[Key, ...]
    value: Value


@cache
def ledger_layout() -> StorageLayout:
    """Return where the ledger's state lies."""
    return StorageLayout(training_ledger().storage_layout)


def expected_storage(history: History) -> dict[int, ExpectedWord]:
    """Return every word of the ledger's storage that its events tell of, by slot; some are zero.

    Raises:
        MalformedResponse: the events give what no ledger can hold.
    """
    return packed_words(ledger_layout(), _parts(history))


def packed_words(layout: StorageLayout, parts: Iterable[Part]) -> dict[int, ExpectedWord]:
    """Return the words that parts of a contract's state make up, by slot.

    Raises:
        MalformedResponse: one of them is what the contract cannot hold.
    """
    words: dict[int, ExpectedWord] = {}
    try:
        for part in parts:
            for slot, word in layout.words(part.variable, *part.keys, value=part.value).items():
                beside = words[slot].value if slot in words else 0
                words[slot] = ExpectedWord(beside | word, part.subject)
    except (KeyError, ValueError) as error:
        raise MalformedResponse(
            f"the ledger's events give what its contract cannot hold ({error}): ask another node"
        ) from error
    return words


def _parts(history: History) -> Iterator[Part]:
    yield from _run_parts(history)
    for who, participant in history.participants.items():
        yield from _participant_parts(history, who, participant)
    for who, account in history.accounts.items():
        held: Value = {
            "freeBondWei": account.free_bond_wei,
            "lockedBondWei": account.locked_bond_wei,
            "creditWei": account.credit_wei,
            "unbondingWei": account.unbonding_wei,
            "releasableAt": account.releasable_at,
        }
        yield Part(Subject(f"money of the account {who}"), "_accounts", (who,), held)
    for current in (history.genesis, *history.rounds.values()):
        yield from _round_parts(history, current)
    for posting in history.all_postings:
        yield from _exclusion_parts(posting)
    yield from _claim_parts(history)


def _run_parts(history: History) -> Iterator[Part]:
    state = history.state
    yield Part(
        Subject("state of the run"),
        "_state",
        (),
        {
            "latest": state.latest,
            "settled": state.settled,
            "tip": state.tip,
            "lastClosed": state.last_closed,
            "active": state.active,
            "endsAfter": state.ends_after,
            "endsAt": state.ends_at,
            "registered": state.registered,
            "aggregator": state.aggregator,
            "poolWei": state.pool_wei,
        },
    )
    yield Part(Subject("number of identities"), "_identities", (), len(history.participants))


def _participant_parts(history: History, who: Address, participant: Participant) -> Iterator[Part]:
    rotation = history.rotations.get(who)
    seat: Value = {
        "participant": who,
        "weightCap": participant.weight_cap,
        "lastSeen": participant.last_seen,
        "barredFrom": participant.barred_from,
    }
    record: Value = {
        "signer": participant.signer,
        "admitted": participant.admitted,
        "left": who in history.departed,
        "payout": participant.payout,
        "depositWei": participant.deposit_wei,
        "requestedSigner": ZERO_ADDRESS if rotation is None else rotation.signer,
        "rotationDueAt": 0 if rotation is None else rotation.effective_at,
    }
    yield Part(Subject("standing of a participant", participant=who), "_seats", (participant.signer,), seat)
    yield Part(Subject("record of a participant", participant=who), "_records", (who,), record)


def _round_parts(history: History, current: Round) -> Iterator[Part]:
    round_id = current.id
    where = None if round_id == 0 else round_id

    def part(what: str, variable: str, value: Value, *keys: Key) -> Part:
        return Part(Subject(what, round=where), variable, (round_id, *keys), value)

    yield part(
        "round",
        "_rounds",
        {
            "status": current.status,
            "postingNumber": current.posting_number,
            "since": current.since,
            "submissions": current.submissions,
            "remaining": current.remaining,
            "returning": current.returning,
            "totalWeight": current.total_weight,
            "lastClosed": current.last_closed,
            "baseRound": current.base_round,
            "step": current.step,
        },
    )
    yield part("model root", "_modelRoots", history.model_root(round_id))
    if round_id == 0:
        return
    yield part("digest", "_digests", current.digest)
    yield part("bonus", "_bonuses", history.bonus_wei(round_id))
    for submission in history.submissions[round_id]:
        yield part(f"leaf of submission {submission.index}", "_leaves", submission.leaf, submission.index)
    for poster in history.barred.get(round_id, ()):
        yield part(f"bar on {poster}", "_barred", 1, poster)
    yield from _objection_parts(history, round_id)
    yield from _posting_parts(history, round_id)


def _posting_parts(history: History, round_id: int) -> Iterator[Part]:
    posting = history.postings.get(round_id)
    where = Subject("posting", round=round_id)
    held: Value = {
        "poster": posting.poster if posting else ZERO_ADDRESS,
        "finalizableAt": posting.finalizable_at if posting else 0,
        "includedWeight": posting.included_weight if posting else 0,
        "included": posting.included if posting else 0,
    }
    yield Part(where, "_postings", (round_id,), held)
    posted = sums_hash(posting.partial_sum_roots) if posting else 0
    yield Part(Subject("hash of the partial sums", round=round_id), "_sumsHashes", (round_id,), posted)


def _objection_parts(history: History, round_id: int) -> Iterator[Part]:
    indices = {one.participant: one.index for one in history.submissions[round_id]}
    for (of_round, number), objectors in history.objections.items():
        if of_round == round_id:
            where = Subject(f"objections to posting {number}", round=round_id)
            yield Part(where, "_objections", (round_id, number), len(objectors))
            yield from _flags(where, "_objected", (round_id, number), [indices[who] for who in objectors])


def _exclusion_parts(posting: Posting) -> Iterator[Part]:
    where = Subject(f"exclusions of posting {posting.posting_number}", round=posting.round)
    indices = [exclusion.index for exclusion in posting.exclusions]
    yield from _flags(where, "_excluded", (posting.round, posting.posting_number), indices)


def _claim_parts(history: History) -> Iterator[Part]:
    claimed: dict[int, list[int]] = {}
    for claim in history.claims:
        index_of = {one.participant: one.index for one in history.submissions[claim.round]}
        claimed.setdefault(claim.round, []).append(index_of[claim.participant])
    for round_id, indices in claimed.items():
        yield from _flags(Subject("claimed rewards", round=round_id), "_claimed", (round_id,), indices)


def _flags(subject: Subject, variable: str, keys: tuple[Key, ...], indices: list[int]) -> Iterator[Part]:
    """Yield the words of a bitmap, a flag for each index."""
    words: dict[int, int] = {}
    for index in indices:
        words[index // _BITS] = words.get(index // _BITS, 0) | 1 << index % _BITS
    for word, flags in words.items():
        yield Part(subject, variable, (*keys, word), flags)
