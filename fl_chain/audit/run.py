"""The whole audit, check by check. It reads chain and store only, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fl_chain.audit.documents import audit_documents
from fl_chain.audit.findings import AuditReport, Kind
from fl_chain.audit.money import audit_rewards
from fl_chain.audit.nodes import audit_other_node, common_block
from fl_chain.audit.rounds import RoundAudit
from fl_chain.audit.state_proofs import audit_proofs
from fl_chain.errors import LedgerUnavailable
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node
from fl_chain.ledger.spending import GasUse, gas_table, gas_uses
from fl_chain.records import RoundStatus
from fl_chain.run.keeper import has_ended
from fl_chain.store import Store

Progress = Callable[[int, int], None]


def audit_run(
    ledger: Ledger,
    store: Store,
    *,
    others: Sequence[Node] = (),
    progress: Progress = lambda done, total: None,
) -> AuditReport:
    """Audit a run up to the newest block that is deep enough; everything is read as of that one block.

    Args:
        ledger: opened, so chain id and code are checked already.
        store: where the blobs are; every copy is checked.
        others: nodes of the same chain whose answers are compared with those of the ledger's own.
        progress: called with the rounds that are done and their number.

    Returns:
        The report; the verdict is ``pass`` where nothing was found.

    Raises:
        LedgerError: if the chain cannot be read; nothing can be said then.
    """
    ledger = ledger.pinned(common_block(ledger, others))  # the chain goes on while this takes its time
    history = begun(ledger.sync())
    head = ledger.head()
    report = AuditReport(
        chain={
            "chain_id": history.run.chain_id,
            "ledger": history.run.ledger,
            "block_number": head.number,
            "block_hash": "0x" + head.hash.hex(),
            "block_timestamp": head.timestamp,
            "code_hash": "0x" + ledger.code_hash.hex(),
            "verifier": ledger.verifier,
            "verifier_code_hash": "0x" + ledger.verifier_code_hash.hex(),
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
    report.count("deployed code against the artifact", 2)
    for other in others:
        audit_other_node(ledger, other, history, report)
    audit_documents(history, store, report)
    rounds = RoundAudit(history, store, report)
    for round_id in range(1, history.state.latest + 1):
        rounds.audit(round_id)
        progress(round_id, history.state.latest)
    audit_rewards(history, report)
    _audit_state(ledger, history, report)
    audit_proofs(ledger, history, report)
    _summarise_participants(history, report)
    report.gas = _gas(ledger)
    return report


def begun(history: History) -> History:
    """Return a history that has its deployment.

    Raises:
        LedgerUnavailable: the deployment has not got its confirmations yet.
    """
    if not history.has_begun:
        raise LedgerUnavailable(
            "the deployment has not got its confirmations yet: wait, or ask for fewer in [chain]"
        )
    return history


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
            "model root": (history.model_root(round_id), ledger.model_root(round_id)),
            "bonus": (history.bonus_wei(round_id), ledger.bonus_wei(round_id)),
            "number of objections": (len(history.objections_to(round_id)), ledger.objections_to(round_id)),
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
