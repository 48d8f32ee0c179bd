"""Two nodes compared: what one of them says about a run, the other has to say as well."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit

from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import AuditReport, Kind
from fl_chain.errors import MalformedResponse
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import Event
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Head, Node


def common_block(ledger: Ledger, others: Sequence[Node]) -> Head:
    """Return the newest block of a ledger's node that is deep enough and that the other nodes have reached.

    Raises:
        MalformedResponse: the node does not show it.
    """
    own = ledger.pinned().head()
    number = min([own.number, *(other.head().number for other in others)])
    found = own if number == own.number else ledger.node.block(number)
    if found is None:
        raise MalformedResponse(f"{_place(ledger.node)} shows block {own.number}, but not block {number}")
    return found


def audit_other_node(ledger: Ledger, other: Node, history: History, report: AuditReport) -> None:
    """Compare block, code, events and state of two nodes at the block that a ledger is pinned to.

    Args:
        ledger: pinned.
        other: the node that its answers are compared with.
        history: the ledger's.
        report: takes the findings; the ledger's node gives what is expected.

    Raises:
        LedgerUnavailable: the other node does not answer.
    """
    own = ledger.head()
    block = other.block(own.number)
    report.count(CheckId.NODES)
    if block != own:
        report.add(
            Kind.NODE_BLOCK_DIFFERS,
            f"{_place(other)} has another block {own.number} than {_place(ledger.node)}",
            expected="0x" + own.hash.hex(),
            actual="none" if block is None else "0x" + block.hash.hex(),
        )
    if block is None:
        return
    _audit_code(ledger, other, block, report)
    peer = ledger.on(other).pinned(block)
    _audit_events(ledger, peer, report)
    _audit_views(ledger, peer, history, report)


def _audit_code(ledger: Ledger, other: Node, block: Head, report: AuditReport) -> None:
    for emitter in ledger.emitters:
        report.count(CheckId.NODES)
        actual = hashlib.sha256(other.code(emitter, block.reference)).digest()
        expected = hashlib.sha256(ledger.node.code(emitter, ledger.head().reference)).digest()
        if expected != actual:
            whose = "ledger's" if emitter == ledger.run.ledger else "masks'"
            report.add(
                Kind.NODE_CODE_DIFFERS,
                f"{_place(other)} has other code at the {whose} address than {_place(ledger.node)}",
                expected="0x" + expected.hex(),
                actual="0x" + actual.hex(),
            )


def _audit_events(ledger: Ledger, peer: Ledger, report: AuditReport) -> None:
    """Report the first event in which the nodes differ; all that follow may differ by it."""
    report.count(CheckId.NODES)
    expected = ledger.all_events()
    actual: list[Event] | str
    try:
        actual = peer.events(peer.deployed_block, peer.head().number)
    except MalformedResponse as error:
        actual = str(error)
    if expected == actual:
        return
    first = _first_difference(expected, actual)
    report.add(
        Kind.NODE_EVENTS_DIFFER,
        f"{_place(peer.node)} shows other events of the ledger than {_place(ledger.node)}; "
        "this is the first that differs",
        round=getattr(first[0] or first[1], "round", None),
        expected=_shown(first[0]),
        actual=actual if isinstance(actual, str) else _shown(first[1]),
    )


def _first_difference(expected: list[Event], actual: list[Event] | str) -> tuple[Event | None, Event | None]:
    if isinstance(actual, str):
        return None, None
    return next(pair for pair in zip_longest(expected, actual) if pair[0] != pair[1])


def _audit_views(ledger: Ledger, peer: Ledger, history: History, report: AuditReport) -> None:
    for what, round_id, expected, actual in _views(ledger, peer, history):
        report.count(CheckId.NODES)
        if expected != actual:
            report.add(
                Kind.NODE_STATE_DIFFERS,
                f"by {_place(peer.node)} the contract's {what} is another than by {_place(ledger.node)}",
                round=round_id,
                expected=_shown(expected),
                actual=_shown(actual),
            )


def _views(ledger: Ledger, peer: Ledger, history: History) -> Iterator[tuple[str, int | None, Any, Any]]:
    """Yield what each view is, its round, and what the two nodes return."""
    for what in ("definition", "policy", "operator", "token", "state", "balance"):
        yield what, None, *(_asked(one, what) for one in (ledger, peer))
    for round_id in range(1, history.state.latest + 1):
        for what in ("round", "model_root", "sums_hash", "posting_summary"):
            name = what.replace("_", " ")
            yield name, round_id, *(_asked(one, what, round_id) for one in (ledger, peer))
    for who in sorted(history.participants):
        yield f"participant {who}", None, *(_asked(one, "participant", who) for one in (ledger, peer))
    for who in sorted(history.accounts):
        yield f"account {who}", None, *(_asked(one, "account", who) for one in (ledger, peer))


def _asked(ledger: Ledger, view: str, *arguments: Any) -> Any:
    try:
        return getattr(ledger, view)(*arguments)
    except MalformedResponse as error:
        return str(error)


def _place(node: Node) -> str:
    """Return where a node is without what a report should not show: paths and queries may hold secrets."""
    names = []
    for url in node.name.split(", "):
        parts = urlsplit(url)
        host = parts.hostname
        names.append(url if host is None else f"{parts.scheme}://{host}:{parts.port or ''}".rstrip(":"))
    return ", ".join(names)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
