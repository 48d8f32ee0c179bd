"""A round of 66 by its events alone: what the replay refuses of its graph, and what the audit finds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from deployed_runs import DEFINITION, POLICY, digest_of

from fl_chain.audit.findings import AuditReport
from fl_chain.audit.kinds import Kind
from fl_chain.audit.steps import audit_events
from fl_chain.commitment.seals import fold, leaf
from fl_chain.errors import GapInGraph, MalformedResponse
from fl_chain.ledger import events as e
from fl_chain.ledger.expected_masks import expected_mask_storage, stored_ring, stored_vertices
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import neighbours, round_terms
from fl_chain.masking.graph import Graph, reach
from fl_chain.records import ZERO_ADDRESS, Address, AggregationKind, RoundStatus, RunId, address
from fl_chain.run.graphs import draws_at, is_graph_due, may_draw, possible_owners, receivers_among
from fl_chain.run.masked_rounds import masking_peers, verify_no_gap, verify_whole

COUNT, SUBMITTING = 66, 63
SEED = bytes(range(16))
RUN = RunId(7, address("0x" + "ab" * 20))
MASKED = replace(POLICY, aggregation=AggregationKind.MASKED_SUMS, quorum=3, scale_bits=14)
OPENED_S, KEYS_S = 1000, MASKED.submission_s // 4


def who(number: int) -> Address:
    return address("0x" + hashlib.sha256(number.to_bytes(4, "big")).hexdigest()[:40])


PEOPLE = [who(number) for number in range(COUNT)]


class Told:
    """Events in the chain's order, one a block."""

    def __init__(self) -> None:
        self.events: list[e.Event] = []

    def tell(self, kind: type[e.Event], *fields: Any, at: int = OPENED_S) -> None:
        number = len(self.events) + 1
        place = e.Place(number, bytes(32), at, bytes(32), 0)
        self.events.append(kind(place, *fields))  # type: ignore[call-arg]

    def place(self, kind: type[e.Event]) -> int:
        return next(at for at, event in enumerate(self.events) if isinstance(event, kind))

    def before(self, kind: type[e.Event]) -> History:
        return told(self.events[: self.place(kind)])


def told(events: Sequence[e.Event]) -> History:
    history = History(RUN)
    history.extend(events)
    return history


def round_of(graph: Graph) -> Told:
    """Return the events of a round in which the last three leave after their keys."""
    run = Told()
    run.tell(e.RunDeployed, who(1000), who(1001), ZERO_ADDRESS, DEFINITION, MASKED)
    run.tell(e.PoolFunded, who(1000), 100_000)
    run.tell(e.BondDeposited, who(1001), 50_000)
    for one in PEOPLE:
        run.tell(e.ParticipantAdmitted, one, 10)
        run.tell(e.ParticipantRegistered, one, one, MASKED.deposit_wei)
    run.tell(e.RoundOpened, 1, 0, DEFINITION.genesis_model_root, 1, OPENED_S + MASKED.submission_s, COUNT)
    for one in PEOPLE:
        run.tell(e.IdentityKeySet, one, hashlib.sha256(one.encode()).digest())
    run.tell(e.GraphDrawn, 1, graph.vertices, graph.reach, graph.seed, at=OPENED_S + 2)
    for index, one in enumerate(PEOPLE):
        hashes = [digest_of(what, one) for what in ("round key", "key", "mask", "shares")]
        run.tell(e.KeysSetUp, 1, one, index, *hashes, at=OPENED_S + 3)
    digest = told(run.events).rounds[1].digest
    for index, one in enumerate(PEOPLE[:SUBMITTING]):
        run.tell(e.UpdateSubmitted, 1, one, index, 1, digest_of("update", one), at=OPENED_S + 20)
        digest = fold(digest, leaf(digest_of("update", one), 1, one))
    closed_at = OPENED_S + MASKED.submission_s
    closing = (digest, digest_of("seed"), SUBMITTING, SUBMITTING, SUBMITTING)
    run.tell(e.RoundClosed, 1, *closing, at=closed_at)
    gone = sorted(PEOPLE[SUBMITTING:])
    around = sum(number < SUBMITTING for one in range(SUBMITTING, COUNT) for number in graph.neighbours(one))
    run.tell(
        e.SurvivorsFixed, 1, who(1001), SUBMITTING, SUBMITTING + around, (), tuple(gone), at=closed_at + 1
    )
    return run


@pytest.fixture(scope="module")
def run() -> Told:
    return round_of(Graph(COUNT, reach(COUNT, COUNT), SEED))


def findings(events: Sequence[e.Event]) -> list[str]:
    """Return what the audit finds, also of what no history can be made of."""
    report = AuditReport(chain={}, run={})
    with suppress(MalformedResponse):
        audit_events(RUN, list(events), report)
    assert {finding.kind for finding in report.findings} <= {Kind.OUT_OF_ORDER, Kind.EVENT_DIFFERS}
    return [finding.detail.partition(": ")[2] for finding in report.findings]


def with_drawn(run: Told, **changes: Any) -> list[e.Event]:
    at = run.place(e.GraphDrawn)
    return [*run.events[:at], replace(run.events[at], **changes), *run.events[at + 1 :]]


def test_an_honest_round_is_followed(run: Told) -> None:
    history = told(run.events)
    masks = history.round_masks(1)
    assert findings(run.events) == []
    assert masks.graph == Graph(COUNT, 29, SEED)
    assert stored_ring(masks) == (COUNT, COUNT, True, OPENED_S + KEYS_S, COUNT, 29, SEED)
    assert stored_vertices(history, 1) == {0: (1 << SUBMITTING) - 1}
    assert expected_mask_storage(history)
    pairs = [term for term in round_terms(masks, history.vertices, history.submissions[1]) if term.peer]
    assert len(pairs) == masks.terms - SUBMITTING
    # Neighbours who left too have no term.
    assert 3 * 2 * 29 - 6 <= len(pairs) <= 3 * 2 * 29
    verify_whole(history, 1)


def test_neighbours_alone_share_masks_and_seeds(run: Told) -> None:
    history = told(run.events)
    graph, vertices = history.round_masks(1).graph, history.vertices
    assert graph is not None
    around = [PEOPLE[number] for number in graph.neighbours(0)]
    assert list(neighbours(history.round_masks(1), vertices, PEOPLE[0])) == around
    assert set(masking_peers(history, 1, PEOPLE[0])) == set(around)
    known = dict.fromkeys(PEOPLE[1:], b"key")
    receivers, needed = receivers_among(history, history.rounds[1], PEOPLE[0], known)
    assert set(receivers) == set(around)
    assert needed <= len(around)
    owners = possible_owners(history, 1, PEOPLE[0])
    assert {keys.participant for keys in owners} == {PEOPLE[0], *around}


def test_the_graph_is_waited_for_and_drawn_by_anybody(run: Told) -> None:
    history = run.before(e.GraphDrawn)
    current = history.rounds[1]
    assert is_graph_due(history, current)
    assert not is_graph_due(history, replace(current, status=RoundStatus.CLOSED))
    assert may_draw(history, current, OPENED_S)
    assert may_draw(history, current, OPENED_S + KEYS_S - 1)
    assert not may_draw(history, current, OPENED_S + KEYS_S)
    more = replace(current, remaining=COUNT + 1)
    assert not may_draw(history, more, OPENED_S + KEYS_S - KEYS_S // 2 - 1)
    assert may_draw(history, more, OPENED_S + KEYS_S - KEYS_S // 2)
    turns = [draws_at(history, current, one) for one in PEOPLE]
    assert turns == sorted(turns)
    assert OPENED_S + KEYS_S // 2 <= turns[0] <= turns[-1] < OPENED_S + KEYS_S
    assert not is_graph_due(told(run.events), told(run.events).rounds[1])


@pytest.mark.parametrize("changes", [{"vertices": COUNT - 1}, {"reach": 28}, {"seed": bytes(15)}])
def test_another_graph_does_not_follow(run: Told, changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponse, match="does not follow"):
        told(with_drawn(run, **changes))
    # What a seed is only the block that it was drawn in says.
    assert (
        "seed" in changes
        or "is not what the events before it give" in findings(with_drawn(run, **changes))[0]
    )


def test_a_graph_is_drawn_once_and_before_anybody_joins(run: Told) -> None:
    at = run.place(e.GraphDrawn)
    with pytest.raises(MalformedResponse, match="before its graph is drawn"):
        told([*run.events[:at], *run.events[at + 1 :]])
    again = replace(run.events[at], place=replace(run.events[at].place, log_index=1))
    with pytest.raises(MalformedResponse, match="a graph is drawn once"):
        told([*run.events[: at + 1], again])


def test_so_few_have_no_graph() -> None:
    few = round_of(Graph(COUNT, reach(COUNT, COUNT), SEED)).events
    drawn = next(event for event in few if isinstance(event, e.GraphDrawn))
    keys = [event for event in few if isinstance(event, e.IdentityKeySet)][:64]
    start = few[: few.index(keys[0])]
    late = [*start, *keys, replace(drawn, vertices=64, reach=reach(64, COUNT))]
    with pytest.raises(MalformedResponse, match="where these are many"):
        told(late)
    assert "so few share masks with everybody" in findings(late)


def test_whoever_comes_later_is_not_in_the_graph(run: Told) -> None:
    at, first = run.place(e.GraphDrawn), run.place(e.IdentityKeySet)
    # The first one's key comes after the draw, so that all others have other numbers.
    drawn = replace(run.events[at], vertices=COUNT - 1, reach=reach(COUNT - 1, COUNT))
    late = replace(run.events[first], place=replace(run.events[at].place, log_index=1))
    before = [*run.events[:first], *run.events[first + 1 : at], drawn, late]
    with pytest.raises(MalformedResponse, match="in the round's graph"):
        told([*before, run.events[at + 1]])
    assert "the participant is not in the round's graph" in findings([*before, run.events[at + 1]])


@pytest.mark.parametrize(
    ("moved_s", "detail"),
    [
        (KEYS_S, "the time to set up keys was over"),
        (KEYS_S - 3, None),
    ],
)
def test_a_draw_out_of_its_time_is_found(run: Told, moved_s: int, detail: str | None) -> None:
    at = run.place(e.GraphDrawn)
    place = run.events[at].place
    late = replace(run.events[at], place=replace(place, timestamp=OPENED_S + moved_s))
    found = findings([*run.events[:at], late])
    assert found == [] if detail is None else detail in found[0]


def test_a_draw_in_the_block_of_an_identity_key_is_found(run: Told) -> None:
    at = run.place(e.GraphDrawn)
    same = replace(run.events[at].place, block_number=run.events[at - 1].place.block_number, log_index=1)
    found = findings([*run.events[:at], replace(run.events[at], place=same)])
    assert "an identity key was set in the same block" in found


def test_another_number_of_terms_is_refused(run: Told) -> None:
    fixed = run.events[-1]
    assert isinstance(fixed, e.SurvivorsFixed)
    for terms in (fixed.terms - 1, SUBMITTING * 4):
        with pytest.raises(MalformedResponse, match="follows from who stays"):
            told([*run.events[:-1], replace(fixed, terms=terms)])


def test_survivors_with_a_gap_are_not_unmasked(run: Told) -> None:
    history = run.before(e.SurvivorsFixed)
    masks, graph = history.round_masks(1), history.round_masks(1).graph
    assert graph is not None
    row = {0, *graph.neighbours(0)[: graph.reach]}
    verify_no_gap(masks, history.vertices, PEOPLE[:SUBMITTING])
    with pytest.raises(GapInGraph, match=r"of the 29 participants from place \d+ of the graph on"):
        verify_no_gap(masks, history.vertices, [who for n, who in enumerate(PEOPLE) if n not in row])
    verify_no_gap(replace(masks, graph=None), history.vertices, PEOPLE[:3])
