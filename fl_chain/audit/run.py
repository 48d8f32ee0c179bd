"""The whole audit, check by check. It reads chain and store only, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fl_chain.audit.documents import audit_documents
from fl_chain.audit.findings import AuditReport, Kind
from fl_chain.audit.money import audit_rewards
from fl_chain.audit.pinning import synced
from fl_chain.audit.rounds import RoundAudit
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.spending import GasUse, gas_table, gas_uses
from fl_chain.records import RoundStatus
from fl_chain.run.keeper import has_ended
from fl_chain.store import Store

Progress = Callable[[int, int], None]


def audit_run(ledger: Ledger, store: Store, *, progress: Progress = lambda done, total: None) -> AuditReport:
    """Audit a run up to the newest block that has its confirmations; later ones play no part.

    Args:
        ledger: opened, so chain id and code are checked already.
        store: where the blobs are; every copy is checked.
        progress: called with the rounds that are done and their number.

    Returns:
        The report; the verdict is ``pass`` where nothing was found.

    Raises:
        LedgerError: if the chain cannot be read; nothing can be said then.
    """
    history, head = synced(ledger)
    ledger = ledger.at(head)
    report = AuditReport(
        chain={
            "chain_id": history.run.chain_id,
            "ledger": history.run.ledger,
            "block_number": head.number,
            "block_hash": "0x" + head.hash.hex(),
            "block_timestamp": head.timestamp,
            "code_hash": "0x" + ledger.code_hash.hex(),
        },
        run={
            "policy_hash": "0x" + history.definition.policy_hash.hex(),
            "manifest_hash": "0x" + history.definition.manifest_hash.hex(),
            "genesis_model_root": "0x" + history.definition.genesis_model_root.hex(),
            "dimension": history.definition.dimension,
            "operator": history.operator,
            "aggregator": history.state.aggregator,
            "token": history.token,
            "stores": len(store.urls),
            "ended": has_ended(history, head.timestamp),
        },
    )
    report.count("deployed code against the artifact")
    audit_documents(history, store, report)
    rounds = RoundAudit(history, store, report)
    for round_id in range(1, history.state.latest + 1):
        rounds.audit(round_id)
        progress(round_id, history.state.latest)
    audit_rewards(history, report)
    _audit_state(ledger, history, report)
    _summarise_participants(history, report)
    report.gas = _gas(ledger)
    return report


def _gas(ledger: Ledger) -> dict[str, Any] | None:
    uses = gas_uses(ledger.node, ledger.all_events())
    if uses is None:
        return None
    by_round: dict[str, list[GasUse]] = {}
    for use in uses:
        if use.round is not None:
            by_round.setdefault(str(use.round), []).append(use)
    return {"run": gas_table(uses), "rounds": {key: gas_table(own) for key, own in by_round.items()}}


def _audit_state(ledger: Ledger, history: History, report: AuditReport) -> None:
    """Compare what follows from the events with what the contract says of itself."""
    for round_id in range(1, history.state.latest + 1):
        views = {
            "round": (history.rounds[round_id], ledger.round(round_id)),
            "model root": (_model_root(history, round_id), ledger.model_root(round_id)),
        }
        for what, (expected, actual) in views.items():
            report.count("contract state against its events")
            if expected != actual:
                report.add(
                    Kind.STATE_DIFFERS,
                    f"the contract's {what} is not what its events give, so the node lies about one of "
                    "them: audit against another node",
                    round=round_id,
                    expected=_shown(expected),
                    actual=_shown(actual),
                )
    state = ledger.state()
    report.count("contract state against its events")
    if history.state != state:
        report.add(
            Kind.STATE_DIFFERS,
            "the run's state is not what its events give: audit against another node",
            expected=str(history.state),
            actual=str(state),
        )
    report.count("money held against money owed")
    held = ledger.balance()
    if held < history.owed_wei:
        report.add(
            Kind.BALANCE_SHORT,
            "the contract holds less than it owes: submit nothing more, and ask every participant to compare",
            expected=f"at least {history.owed_wei}",
            actual=str(held),
        )


def _model_root(history: History, round_id: int) -> bytes:
    posting = history.postings.get(round_id)
    return bytes(32) if posting is None else posting.model_root


def _shown(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _summarise_participants(history: History, report: AuditReport) -> None:
    for address, participant in sorted(history.participants.items()):
        rounds = [
            submission
            for submissions in history.submissions.values()
            for submission in submissions
            if submission.participant == address
        ]
        final = [s for s in rounds if history.rounds[s.round].status is RoundStatus.FINAL]
        report.participants.append(
            {
                "participant": address,
                "weight_cap": participant.weight_cap,
                "submissions": len(rounds),
                "final_rounds": len(final),
                "claimed_wei": history.claimed_wei(address),
                "unclaimed_wei": sum(history.reward_wei(s) for s in history.unclaimed_rewards(address)),
            }
        )
