"""An audit of a run that goes on: each round as it is posted, until the run has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from fl_chain.audit.findings import AuditReport, RoundSummary
from fl_chain.audit.resumption import AuditMemory
from fl_chain.audit.run import Progress, audit_run
from fl_chain.encryption.keys import SecretKey
from fl_chain.errors import LedgerUnavailable
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node
from fl_chain.run.keeper import has_ended
from fl_chain.store import Store

log = logging.getLogger(__name__)

_TOLD = ("posted", "final", "void")


def follow_run(
    ledger: Ledger,
    store: Store,
    *,
    tell: Callable[[RoundSummary, AuditReport], None],
    wait: Callable[[], None],
    others: Sequence[Node] = (),
    from_round: int = 1,
    memory: AuditMemory | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    key: SecretKey | None = None,
) -> AuditReport | None:
    """Audit a run again and again while it goes on; a round's blobs are read once.

    Args:
        ledger: opened.
        store: where the blobs are.
        tell: called for each round that was posted, became final, or came to nothing, once it is audited.
        wait: called between two looks at the ledger.
        others: see `audit_run`, like the rest.
        from_round: the first round whose blobs are looked at.
        memory: of an earlier audit.
        progress: told how far each audit is.
        key: see `audit_run`.

    Returns:
        The report as of the block at which the run had ended, or the newest one where a KeyboardInterrupt
        came first; None where none was made by then.

    Raises:
        LedgerError: the ledger cannot be read, and waiting does not help.
    """
    memory = memory or AuditMemory()
    told: dict[int, tuple[object, ...]] = {}
    report: AuditReport | None = None
    seen: object = None
    try:
        while True:
            try:
                history = ledger.sync()
                standing = _standing(history, ledger.head().timestamp)
                if standing is not None and standing != seen:
                    report = audit_run(
                        ledger,
                        store,
                        others=others,
                        from_round=from_round,
                        memory=memory,
                        progress=progress,
                        key=key,
                    )
                    seen = standing
                    _tell_news(report, told, tell)
                    if report.run["ended"]:
                        return report
            except LedgerUnavailable as error:
                log.warning("%s; trying again", error)
            wait()
    except KeyboardInterrupt:
        return report


def _standing(history: History, now: int) -> object:
    """Return what has to change for another audit to find anything; None before there is a run."""
    if not history.has_begun:
        return None
    rounds = [(one.id, one.status, one.posting_number) for one in history.rounds.values()]
    return rounds, len(history.objections), has_ended(history, now)


def _tell_news(
    report: AuditReport,
    told: dict[int, tuple[object, ...]],
    tell: Callable[[RoundSummary, AuditReport], None],
) -> None:
    for item in report.rounds:
        news = (item.status, item.posting_number, item.model_root)
        if item.audited and item.status in _TOLD and told.get(item.round) != news:
            told[item.round] = news
            tell(item, report)
