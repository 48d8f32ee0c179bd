"""The whole audit, check by check. It reads chain and store only, and writes what it is to remember."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fl_chain.audit.checks import CheckId
from fl_chain.audit.conservation import audit_conservation
from fl_chain.audit.documents import audit_documents
from fl_chain.audit.encryption import EncryptionAudit
from fl_chain.audit.findings import AuditReport, Collection
from fl_chain.audit.fingerprints import round_fingerprints
from fl_chain.audit.ledger_state import audit_blocks, audit_contract_state
from fl_chain.audit.masks import audit_seeds, audit_spoilers
from fl_chain.audit.money import audit_lost_bonds, audit_rewards
from fl_chain.audit.nodes import audit_other_node, common_block
from fl_chain.audit.results import RoundResult, round_summary, standing_posting
from fl_chain.audit.resumption import AuditMemory
from fl_chain.audit.rounds import RoundAudit
from fl_chain.audit.state_proofs import audit_proofs
from fl_chain.audit.steps import audit_events
from fl_chain.audit.submissions import audit_submissions, cap_history
from fl_chain.audit.unchallenged import audit_standing
from fl_chain.encryption.keys import SecretKey
from fl_chain.errors import ConfigError, LedgerUnavailable
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import Event
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node
from fl_chain.ledger.spending import GasUse, gas_table, gas_uses
from fl_chain.records import Digest, RoundStatus
from fl_chain.run.keeper import has_ended
from fl_chain.run.protection import protection
from fl_chain.store import Store

log = logging.getLogger(__name__)

LANE_BYTES, OPENING_BYTES = 4, 64


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an audit is."""

    round: int  # that it is at
    rounds: int  # of the run
    done_bytes: int  # of updates
    total_bytes: int  # that it has to read, those of remembered rounds left out


def audit_run(
    ledger: Ledger,
    store: Store,
    *,
    others: Sequence[Node] = (),
    from_round: int = 1,
    memory: AuditMemory | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    key: SecretKey | None = None,
) -> AuditReport:
    """Audit a run up to the newest block that is deep enough; everything is read as of that one block.

    Args:
        ledger: opened, so chain id and code are checked already.
        store: where the blobs are; every copy is checked.
        others: nodes of the same chain whose answers are compared with those of the ledger's own.
        from_round: updates, sums and models of earlier rounds are taken from the ledger's word; everything
            that the ledger itself says is checked all the same.
        memory: results of rounds that were audited before, as far as the ledger still says the same of them;
            takes those of this audit. The report is the same with and without it.
        progress: told how far the audit is, after every update.
        key: of the cohort of an encrypted run, for who holds it: then sums are opened again.

    Returns:
        The report; the verdict is ``pass`` where nothing was found.

    Raises:
        LedgerError: if the chain cannot be read; nothing can be said then.
        ConfigError: there is no such round.
        InputDataError: the memory belongs to another audit.
    """
    ledger = ledger.pinned(common_block(ledger, others))  # the chain goes on while this takes its time
    history = begun(ledger.sync())
    events = ledger.all_events()
    if from_round > 1 and from_round > history.state.latest:
        raise ConfigError(f"there is no round {from_round} yet: the newest is {history.state.latest}")
    report = _opened_report(ledger, history, store, from_round)
    for other in others:
        audit_other_node(ledger, other, history, report)
    audit_documents(history, store, report)
    audit_events(history.run, events, report)
    with ThreadPoolExecutor(1, thread_name_prefix="chain") as beside:
        # Blobs are hashed in threads that leave the interpreter free: the chain is checked meanwhile.
        chain = beside.submit(_audited_chain, ledger, history, events)
        audit_submissions(history, report)
        audit_seeds(history, events, report)
        rounds = _Rounds(history, store, report, memory or AuditMemory(), progress, key=key)
        rounds.audit(round_fingerprints(history, events))
        audit_spoilers(history, store, report)
        EncryptionAudit(history, store).audit_keys(report)
        audit_standing(history, ledger.head().timestamp, report, from_round=from_round)
        audit_rewards(history, report)
        audit_lost_bonds(history, report)
        checked = chain.result()
    report.absorb(checked.notes)
    report.proofs, report.gas = checked.proofs, checked.gas
    audit_contract_state(ledger, history, report, is_proven=checked.is_proven)
    audit_conservation(ledger, history, events, report, is_proven=checked.is_proven)
    _summarise_participants(history, events, report)
    return report


@dataclass(frozen=True, slots=True)
class _CheckedChain:
    """What an audit found of the chain alone."""

    notes: Collection
    proofs: dict[str, Any]
    is_proven: bool  # the contract's whole storage is what the history gives
    gas: dict[str, Any] | None


def _audited_chain(ledger: Ledger, history: History, events: Sequence[Event]) -> _CheckedChain:
    notes = Collection()
    blocks = audit_blocks(ledger.node, events, notes, masks=ledger.verifier)
    proofs, is_proven = audit_proofs(ledger, history, notes, blocks=blocks)
    return _CheckedChain(notes, proofs, is_proven, _gas(ledger, events))


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


def _opened_report(ledger: Ledger, history: History, store: Store, from_round: int) -> AuditReport:
    head, definition = ledger.head(), history.definition
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
            "policy_hash": "0x" + definition.policy_hash.hex(),
            "manifest_hash": "0x" + definition.manifest_hash.hex(),
            "genesis_model_root": "0x" + definition.genesis_model_root.hex(),
            "dimension": definition.dimension,
            "operator": history.operator,
            "aggregator": history.state.aggregator,
            "token": history.token,
            "rule": None,
            "proof_level": None,
            "privacy": None,
            "protection": protection(history),
            "stores": len(store.urls),
            "ended": has_ended(history, head.timestamp),
        },
        from_round=from_round,
    )
    if ledger.is_on_chain:
        report.count(CheckId.CODE, 2)
    return report


class _Rounds:
    """All rounds of an audit, those that are remembered first."""

    def __init__(
        self,
        history: History,
        store: Store,
        report: AuditReport,
        memory: AuditMemory,
        progress: Callable[[Progress], None],
        *,
        key: SecretKey | None,
    ) -> None:
        self._history = history
        self._key = key
        self._store = store
        self._report = report
        self._memory = memory
        self._progress = progress
        self._at, self._done_bytes, self._total_bytes = 0, 0, 0

    def audit(self, fingerprints: Sequence[Digest]) -> None:
        """Audit every round, and put what was found into the report."""
        history, report, first = self._history, self._report, self._report.from_round
        self._memory.bind(
            {
                "chain_id": history.run.chain_id,
                "ledger": history.run.ledger,
                "from_round": first,
                "stores": list(self._store.urls),
                "cohort_key": None if self._key is None else self._key.public.digest().hex(),
            }
        )
        audit = self._begun(fingerprints)
        if audit.rules.rule is not None:
            report.run |= {
                "rule": audit.rules.rule.name,
                "proof_level": audit.rules.rule.proof_level.value,
            }
        results = [one.result for one in self._memory.rounds]
        waiting = range(first + len(results), history.state.latest + 1)
        self._total_bytes = sum(_update_bytes(history, number) for number in waiting)
        try:
            for number in waiting:
                self._at = number
                result = audit.audit(number)
                self._memory.add(fingerprints[number - 1], result)
                results.append(result)
                self._tell()
        finally:
            audit.rest()
        self._memory.live = audit
        report.rounds += [round_summary(history, number, None) for number in range(1, first)]
        for result in results:
            report.absorb(result)
            report.rounds.append(round_summary(history, result.round, result))

    def _begun(self, fingerprints: Sequence[Digest]) -> RoundAudit:
        """Return an audit that is right after the rounds that are remembered and still hold."""
        memory, first = self._memory, self._report.from_round
        wanted = list(fingerprints[first - 1 :])
        kept = 0
        while kept < min(len(memory.rounds), len(wanted)) and memory.rounds[kept].fingerprint == wanted[kept]:
            kept += 1
        lost = memory.rounds[kept:]
        if any(one.result.statistics or one.result.has_model for one in lost):
            log.warning("the ledger says something else since round %d: auditing it anew", first + kept)
            memory.live = None
        memory.keep_first(kept)
        results = [one.result for one in memory.rounds]
        audit = memory.live or self._new_audit()
        audit.has_read = self._has_read
        self._read_bases(audit)
        take_up = audit.resume if memory.live is None else audit.go_on
        if not take_up(self._history, results):
            log.warning("a blob that the next rounds need is not there any more: auditing all rounds anew")
            memory.keep_first(0)
            audit = self._new_audit()
            self._read_bases(audit, again=True)
        return audit

    def _new_audit(self) -> RoundAudit:
        return RoundAudit(self._history, self._store, has_read=self._has_read, key=self._key)

    def _read_bases(self, audit: RoundAudit, *, again: bool = False) -> None:
        """Read genesis, and the models of earlier rounds that the first ones start from, into the report."""
        notes = RoundResult(round=0)  # not counted twice where all has to be begun anew
        into = notes if again else self._report
        audit.models.read_genesis(into)
        first = self._report.from_round
        bases = {current.base_round for current in self._history.rounds.values() if current.id >= first}
        for number in sorted(base for base in bases if 0 < base < first):
            posting = standing_posting(self._history, number)
            model = None if posting is None else audit.models.read_posted(into, posting)
            if model is not None:
                audit.models.put(number, model)

    def _has_read(self, size: int) -> None:
        self._done_bytes += size
        self._tell()

    def _tell(self) -> None:
        total = max(self._total_bytes, self._done_bytes)
        self._progress(Progress(self._at, self._history.state.latest, self._done_bytes, total))


def _update_bytes(history: History, round_id: int) -> int:
    """Return the bytes of the updates that a round's audit has to read, about."""
    posting = standing_posting(history, round_id)
    included = 0 if posting is None else posting.included
    return included * (OPENING_BYTES + LANE_BYTES * history.definition.dimension)


def _gas(ledger: Ledger, events: Sequence[Event]) -> dict[str, Any] | None:
    uses = gas_uses(ledger.node, events)
    if uses is None:
        return None
    by_round: dict[str, list[GasUse]] = {}
    for use in uses:
        if use.round is not None:
            by_round.setdefault(str(use.round), []).append(use)
    return {"run": gas_table(uses), "rounds": {key: gas_table(own) for key, own in by_round.items()}}


def _summarise_participants(history: History, events: Sequence[Event], report: AuditReport) -> None:
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
                "caps": cap_history(events, address),
                "submissions": len(rounds),
                "final_rounds": len(final),
                "claimed_wei": history.claimed_wei(address),
                "unclaimed_wei": sum(history.reward_wei(s) for s in history.unclaimed_rewards(address)),
            }
        )
