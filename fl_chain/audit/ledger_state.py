"""Everything that the contract stores, against what its events give."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.audit.step_rules import shown
from fl_chain.commitment.partial_sums import sums_hash
from fl_chain.ledger import events as e
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.expected_masks import stored_ring, stored_seeds, stored_survivors
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node, data_bytes, parse_head
from fl_chain.ledger.views import NOBODY
from fl_chain.masking.keys import SEED_BYTES
from fl_chain.records import ZERO_ADDRESS, ZERO_DIGEST, Address, Round, RoundStatus
from fl_chain.run.keeper import has_ended

BLOCKS_PER_BATCH = 100

# What is compared: in words, the round, the participant or account, what events give, what the contract says.
Comparison = tuple[str, int | None, Address | None, Any, Any]


def audit_contract_state(ledger: Ledger, history: History, report: Collection, *, is_proven: bool) -> None:
    """Compare every view of the contract with its events.

    Args:
        ledger: whose views.
        history: of its events.
        report: takes the findings.
        is_proven: whether the contract's storage was proven to be what the history gives. Then only the views
            of the whole run are asked: of the others the storage says more than a node's answers could.
    """
    for what, round_id, who, expected, actual in comparisons(ledger, history, is_proven=is_proven):
        report.count(CheckId.CONTRACT_STATE)
        if expected != actual:
            report.add(
                Kind.STATE_DIFFERS,
                f"the contract's {what} is not what its events give, so the node lies about one of them",
                round=round_id,
                participant=who,
                expected=shown(expected),
                actual=shown(actual),
            )


def audit_blocks(
    node: Node, events: Sequence[e.Event], report: Collection, *, masks: Address = ZERO_ADDRESS
) -> dict[int, Any]:
    """Compare hash and time of every event's block, and the seeds of rounds and graphs, with the chain's.

    Where a node does not show a block's randomness, seeds are not compared: what is left out is no finding.

    Returns:
        What the node answered for each block, by its number.
    """
    numbers = sorted({event.place.block_number for event in events})
    blocks = dict(zip(numbers, _blocks(node, numbers), strict=True))
    for event in events:
        block = blocks[event.place.block_number]
        report.count(CheckId.BLOCKS)
        if block is None:
            actual: tuple[bytes, int] | None = None
        else:
            head = parse_head(block)
            actual = head.hash, head.timestamp
        stated = event.place.block_hash, event.place.timestamp
        if stated != actual:
            report.add(
                Kind.EVENT_DIFFERS,
                f"{type(event).__name__} in block {event.place.block_number}: the chain has another "
                "block there",
                round=getattr(event, "round", None),
                expected="none" if actual is None else f"{shown(actual[0])} at {actual[1]}",
                actual=f"{shown(stated[0])} at {stated[1]}",
            )
        elif isinstance(event, e.RoundClosed | e.GraphDrawn) and "mixHash" in block:
            _audit_seed(event, data_bytes(block["mixHash"]), masks, report)
    return blocks


def _audit_seed(
    event: e.RoundClosed | e.GraphDrawn, randomness: bytes, masks: Address, report: Collection
) -> None:
    report.count(CheckId.SEEDS)
    if isinstance(event, e.RoundClosed):
        what, seed = (
            "closing block's randomness and its digest",
            hashlib.sha256(randomness + event.digest).digest(),
        )
    else:
        drawn_for = bytes.fromhex(masks[2:]) + event.round.to_bytes(4, "big")
        what, seed = (
            "graph's block's randomness",
            hashlib.sha256(randomness + drawn_for).digest()[:SEED_BYTES],
        )
    if seed != event.seed:
        report.add(
            Kind.SEED_DIFFERS,
            f"the seed is not what its {what} give",
            round=event.round,
            expected=shown(seed),
            actual=shown(event.seed),
        )


def _blocks(node: Node, numbers: Sequence[int]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(numbers), BLOCKS_PER_BATCH):
        part = numbers[start : start + BLOCKS_PER_BATCH]
        found += node.batch([("eth_getBlockByNumber", [hex(number), False]) for number in part])
    return found


def comparisons(ledger: Ledger, history: History, *, is_proven: bool) -> Iterator[Comparison]:
    """Yield everything that the contract stores with what its events give; see `audit_contract_state`."""
    head = ledger.head()
    yield "definition", None, None, history.definition, ledger.definition()
    yield "policy", None, None, history.policy, ledger.policy()
    yield "operator", None, None, history.operator, ledger.operator()
    yield "token", None, None, history.token, ledger.token()
    yield "run state", None, None, history.state, ledger.state()
    yield "word on whether it has ended", None, None, has_ended(history, head.timestamp), ledger.has_ended()
    yield "genesis", None, None, *_genesis(ledger, history)
    if is_proven:
        return
    posters = sorted({posting.poster for posting in history.all_postings})
    for round_id in history.rounds:
        yield from _of_round(ledger, history, round_id)
        yield from _of_submissions(ledger, history, round_id)
        if history.rounds[round_id].posting_number:
            for who in posters:
                expected = history.is_barred(round_id, who)
                yield "bar", round_id, who, expected, ledger.is_barred(round_id, who)
    if history.is_masked:
        yield from _of_masks(ledger, history)
    for who, participant in sorted(history.participants.items()):
        yield "participant", None, who, participant, ledger.participant(who)
        signer = participant.signer
        yield "signing key", None, who, history.identity_of(signer), ledger.identity_of(signer)
    for who, account in sorted(history.accounts.items()):
        yield "account", None, who, account, ledger.account(who)
        if who not in history.participants:
            yield "participant", None, who, NOBODY, ledger.participant(who)


def _genesis(ledger: Ledger, history: History) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return genesis and what lies beyond the newest round, from the events and from the contract."""
    beyond = history.state.latest + 1
    nothing = replace(history.genesis, id=beyond, returning=0)
    expected = (history.genesis, history.definition.genesis_model_root, nothing)
    return expected, (ledger.round(0), ledger.model_root(0), ledger.round(beyond))


def _of_round(ledger: Ledger, history: History, round_id: int) -> Iterator[Comparison]:
    posting = history.postings.get(round_id)
    views: Iterable[tuple[str, Any, Any]] = (
        ("round", history.rounds[round_id], ledger.round(round_id)),
        ("model root", history.model_root(round_id), ledger.model_root(round_id)),
        (
            "hash of partial sums",
            ZERO_DIGEST if posting is None else sums_hash(posting.partial_sum_roots),
            ledger.sums_hash(round_id),
        ),
        (
            "posting",
            (ZERO_ADDRESS, 0, 0, 0)
            if posting is None
            else (posting.poster, posting.finalizable_at, posting.included_weight, posting.included),
            ledger.posting_summary(round_id),
        ),
        ("bonus", history.bonus_wei(round_id), ledger.bonus_wei(round_id)),
        ("number of objections", len(history.objections_to(round_id)), ledger.objections_to(round_id)),
    )
    for what, expected, actual in views:
        yield what, round_id, None, expected, actual


def _of_masks(ledger: Ledger, history: History) -> Iterator[Comparison]:
    for who in sorted(history.participants):
        expected = history.identity_keys.get(who, bytes(32))
        yield "identity key", None, who, expected, ledger.identity_key(who)
    for round_id in history.rounds:
        masks = history.round_masks(round_id)
        yield "ring of keys", round_id, None, stored_ring(masks), ledger.key_ring(round_id)
        yield "digest of the ring", round_id, None, masks.ring_digest(), ledger.ring_digest(round_id)
        survivors = stored_survivors(masks, history.submissions[round_id])
        yield "survivors", round_id, None, survivors, ledger.survivors(round_id)
        for poster in masks.seeds:
            seeds = stored_seeds(masks, poster)
            yield "hash of published seeds", round_id, poster, seeds, ledger.seeds_hash(round_id, poster)


def _of_submissions(ledger: Ledger, history: History, round_id: int) -> Iterator[Comparison]:
    current, posting = history.rounds[round_id], history.postings.get(round_id)
    excluded = {one.index for one in posting.exclusions} if posting is not None else set()
    objectors = history.objections_to(round_id)
    paid = {claim.participant for claim in history.claims if claim.round == round_id}
    for one in history.submissions[round_id]:
        who = one.participant
        yield "leaf", round_id, who, one.leaf, ledger.leaf(round_id, one.index)
        if posting is not None:
            yield "exclusion", round_id, who, one.index in excluded, ledger.is_excluded(round_id, one.index)
        if objectors:
            yield "objection", round_id, who, who in objectors, ledger.has_objected(round_id, one.index)
        if _can_be_claimed(current, history):
            yield "claim", round_id, who, who in paid, ledger.is_claimed(round_id, one.index)


def _can_be_claimed(current: Round, history: History) -> bool:
    is_shared = current.status is RoundStatus.VOID and history.bonus_wei(current.id) > 0
    return current.status is RoundStatus.FINAL or is_shared
