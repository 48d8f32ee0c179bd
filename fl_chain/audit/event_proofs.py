"""The ledger's events proven against the hash of the audited block, and compared with what the node told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import Collection, Kind
from fl_chain.errors import MalformedResponse
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import Event
from fl_chain.ledger.history import History
from fl_chain.ledger.proven_events import proven_events
from fl_chain.ledger.trie_proofs import ProofsNotOffered

MOST_REASON = 300  # characters of what a node says


def audit_event_proofs(
    ledger: Ledger, history: History, report: Collection, blocks: Mapping[int, Any]
) -> dict[str, Any]:
    """Prove every event up to the block that a ledger is pinned to, and compare with its history.

    Args:
        ledger: pinned.
        history: what the audit rests on.
        report: takes the findings.
        blocks: what the node answered for some blocks, by their number.

    Returns:
        What was proven, in the form of the report.

    Raises:
        LedgerUnavailable: no node answers.
        MalformedResponse: the node tells of no events any more.
    """
    told = ledger.all_events()
    if not told:
        raise MalformedResponse("the node tells of no event of the ledger any more: ask another node")
    # A ledger has no event before its deployment; were that one's place a lie, it would differ below.
    first_block = told[0].place.block_number
    try:
        own, *beside = ledger.emitters
        proven = proven_events(ledger.node, ledger.head(), own, first_block, known=blocks, beside=beside)
        report.count(CheckId.PROVEN_EVENTS, len(proven.events))
        is_same = _compare(told, history, proven.events, report)
    except ProofsNotOffered as error:
        return {"outcome": "not_offered", "reason": str(error)[:MOST_REASON]}
    except MalformedResponse as error:
        report.add(
            Kind.EVENT_PROOF_FAILS,
            f"what the node shows of its blocks does not lead to the audited one: {str(error)[:MOST_REASON]}",
        )
        return {"outcome": "failed", "reason": str(error)[:MOST_REASON]}
    return {
        "outcome": "proven",
        "events": len(proven.events),
        "linked_blocks": proven.linked_blocks,
        "opened_blocks": proven.opened_blocks,
        "same": is_same,
    }


def _compare(told: Sequence[Event], history: History, proven: Sequence[Event], report: Collection) -> bool:
    """Compare events one by one, and what was made of them when they were first read."""
    if list(proven) != list(told):
        expected, actual = next(pair for pair in zip_longest(proven, told) if pair[0] != pair[1])
        report.add(
            Kind.PROVEN_EVENTS_DIFFER,
            "the node tells of other events than its blocks hold; this is the first that differs. Audit "
            "against another node",
            round=getattr(expected or actual, "round", None),
            expected=_shown(expected),
            actual=_shown(actual),
        )
        return False
    replayed = History(history.run)
    replayed.extend(proven)
    if vars(replayed) != vars(history):
        report.add(
            Kind.PROVEN_EVENTS_DIFFER,
            "the node told of other events when they were read first: audit against another node",
        )
        return False
    return True


def _shown(event: Event | None) -> str:
    return "none" if event is None else str(event)
