"""Events and state proven against the hash of the audited block, where the node shows what that takes.

The block's hash is all that is left to believe, and it stands in the report for anyone to compare. What the
events give has to be the whole of the contract's storage: its root is derived here and compared with the one
that the state's trie holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from eth_hash.auto import keccak

from fl_chain.audit.checks import CheckId
from fl_chain.audit.event_proofs import audit_event_proofs
from fl_chain.audit.findings import Collection, Kind
from fl_chain.errors import MalformedResponse, WrongCode
from fl_chain.ledger.artifact import Artifact
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.expected_masks import expected_mask_storage
from fl_chain.ledger.expected_storage import ExpectedWord, expected_storage
from fl_chain.ledger.history import History
from fl_chain.ledger.trie_proofs import ProofsNotOffered, ProvenAccount, proven_account
from fl_chain.ledger.trie_roots import storage_root
from fl_chain.records import ZERO_ADDRESS, Address

MOST_FINDINGS = 20  # of words that differ; one lie can be behind them all
MOST_REASON = 300  # characters of what a node says

_IN_MEMORY = "the ledger is one in memory: it has no headers, and no state that a proof could lead to"


def audit_proofs(
    ledger: Ledger, history: History, report: Collection, *, blocks: Mapping[int, Any] | None = None
) -> tuple[dict[str, Any], bool]:
    """Prove events and state at the block that a ledger is pinned to, and compare both with its history.

    Args:
        ledger: pinned.
        history: what the audit rests on.
        report: takes the findings.
        blocks: what the node answered for some blocks, by their number: it is not asked again.

    Returns:
        What was proven, in the form of the report, and whether the contract's whole storage was proven to be
        what the history gives.

    Raises:
        LedgerUnavailable: no node answers.
    """
    if not ledger.is_on_chain:
        not_offered = {"outcome": "not_offered", "reason": _IN_MEMORY}
        return {"events": not_offered, "state": not_offered}, False
    events = audit_event_proofs(ledger, history, report, blocks or {})
    is_complete = events.get("same", False)
    state = _audit_state(ledger, history, report, is_complete)
    return {"events": events, "state": state}, bool(state.get("whole_storage", False))


def _audit_state(ledger: Ledger, history: History, report: Collection, is_complete: bool) -> dict[str, Any]:
    node, block = ledger.node, ledger.head()
    try:
        proven = proven_account(node, block, ledger.run.ledger, ())
        parts = [proven_account(node, block, place, ()) for _, place in ledger.contracts.parts]
        judge = parts[0]
        _audit_code(ledger, history, proven, parts, report)
        _audit_balance(ledger, history, proven, report)
        slots, is_whole = _audit_storage(
            ledger, ledger.run.ledger, lambda: expected_storage(history), proven, report, is_complete
        )
        if ledger.contracts.is_masked:
            more, is_judge_whole = _audit_storage(
                ledger, ledger.verifier, lambda: expected_mask_storage(history), judge, report, is_complete
            )
            slots, is_whole = slots + more, is_whole and is_judge_whole
    except ProofsNotOffered as error:
        return {"outcome": "not_offered", "reason": str(error)[:MOST_REASON]}
    except MalformedResponse as error:
        report.add(
            Kind.STATE_PROOF_FAILS,
            f"what the node gives as a proof of the state proves nothing: {str(error)[:MOST_REASON]}",
        )
        return {"outcome": "failed", "reason": str(error)[:MOST_REASON]}
    return {
        "outcome": "proven",
        "state_root": "0x" + proven.state_root.hex(),
        "storage_root": "0x" + proven.account.storage_root.hex(),
        "code_keccak": "0x" + proven.account.code_hash.hex(),
        "verifier_code_keccak": "0x" + judge.account.code_hash.hex(),
        "balance_wei": proven.account.balance_wei if history.token == ZERO_ADDRESS else None,
        "slots": slots,
        "whole_storage": is_whole,
    }


# ---------------------------------------------------------------------- code


def _audit_code(
    ledger: Ledger,
    history: History,
    proven: ProvenAccount,
    others: Sequence[ProvenAccount],
    report: Collection,
) -> None:
    """Check the contracts' code, and that what the constructor wrote into it is what its event says."""
    contracts = ledger.contracts
    parts = (
        (
            "the ledger's",
            ledger.run.ledger,
            proven,
            contracts.ledger,
            _expected_immutables(ledger, history),
        ),
        *(
            ("the verifier's", place, account, artifact, contracts.judge_immutables(ledger.run))
            for (artifact, place), account in zip(contracts.parts, others, strict=True)
        ),
    )
    for whose, where, account, artifact, expected in parts:
        report.count(CheckId.PROVEN_STATE)
        code = _proven_code(ledger, whose, where, account, report)
        if code is not None:
            _audit_immutables(whose, code, artifact, expected, report)


def _proven_code(
    ledger: Ledger, whose: str, where: Address, account: ProvenAccount, report: Collection
) -> bytes | None:
    code = ledger.node.code(where, ledger.head().reference)
    if keccak(code) == account.account.code_hash:
        return code
    report.add(
        Kind.PROVEN_STATE_DIFFERS,
        f"{whose} code is not the one that the block's state holds: audit against another node",
        expected="0x" + account.account.code_hash.hex(),
        actual="0x" + keccak(code).hex(),
    )
    return None


def _audit_immutables(
    whose: str, code: bytes, artifact: Artifact, expected: Mapping[str, int], report: Collection
) -> None:
    try:
        artifact.verify_code(code)
        written = artifact.named_immutables(code)
    except WrongCode as error:
        report.add(Kind.PROVEN_STATE_DIFFERS, f"{whose} code in the block's state is another: {error}")
        return
    for name, value in written.items():
        if expected.get(name) != value:
            report.add(
                Kind.PROVEN_STATE_DIFFERS,
                f"{name} in {whose} code is not what the event of the deployment says: the node lies about "
                "that event, so audit against another one",
                expected=hex(value),
                actual=hex(expected[name]) if name in expected else "none",
            )


def _expected_immutables(ledger: Ledger, history: History) -> dict[str, int]:
    """Return what the constructor writes into the code, by the names of TrainingLedger.sol."""
    definition, policy = history.definition, history.policy
    return {
        "operator": int(history.operator, 16),
        "token": int(history.token, 16),
        "verifier": int(ledger.verifier, 16),
        "CHAIN_ID": ledger.run.chain_id,
        "POLICY_HASH": int.from_bytes(definition.policy_hash, "big"),
        "MANIFEST_HASH": int.from_bytes(definition.manifest_hash, "big"),
        "GENESIS_MODEL_ROOT": int.from_bytes(definition.genesis_model_root, "big"),
        "DIMENSION": definition.dimension,
        "FRACTION_BITS": policy.fraction_bits,
        "SCALE_BITS": policy.scale_bits,
        "CLIP_LANES": policy.clip_lanes,
        "MAX_TOTAL_WEIGHT": policy.max_total_weight,
        "HIGHEST_CAP": policy.highest_weight_cap,
        "AGGREGATION": policy.aggregation,
        "QUORUM": policy.quorum,
        "CLOSE_AT": policy.close_at,
        "MAX_ROUNDS": policy.max_rounds,
        "MAX_UNFINAL_ROUNDS": policy.max_unfinal_rounds,
        "SUBMISSION_SECONDS": policy.submission_s,
        "PUBLICATION_SECONDS": policy.publication_s,
        "POSTING_SECONDS": policy.posting_s,
        "TAKEOVER_SECONDS": policy.takeover_s,
        "CHALLENGE_SECONDS": policy.challenge_s,
        "UNBONDING_SECONDS": policy.unbonding_s,
        "REWARD_WEI": policy.reward_wei,
        "AGGREGATOR_REWARD_WEI": policy.aggregator_reward_wei,
        "BOND_WEI": policy.bond_wei,
        "CHALLENGE_REWARD_WEI": policy.challenge_reward_wei,
        "DEPOSIT_WEI": policy.deposit_wei,
        "REWARD_SPLIT": policy.reward_split,
        "RHO_MICRO_PER_ROUND": policy.rho_micro_per_round,
        "RHO_MICRO_BUDGET": policy.rho_micro_budget,
    }


# ---------------------------------------------------------------------- money and storage


def _audit_balance(ledger: Ledger, history: History, proven: ProvenAccount, report: Collection) -> None:
    """Compare the proven balance with the node's word; that it covers what is owed is checked of the latter.

    Tokens are kept in the token's own storage, of which nothing is known.
    """
    if history.token != ZERO_ADDRESS:
        return
    report.count(CheckId.PROVEN_STATE)
    stated = ledger.balance()
    if stated != proven.account.balance_wei:
        report.add(
            Kind.PROVEN_STATE_DIFFERS,
            "the node states another balance of the contract than the block's state holds: audit against "
            "another node",
            expected=str(proven.account.balance_wei),
            actual=str(stated),
        )


def _audit_storage(  # noqa: PLR0917 - whose storage, what it should be, and what it is
    ledger: Ledger,
    contract: Address,
    expect: Callable[[], dict[int, ExpectedWord]],
    proven: ProvenAccount,
    report: Collection,
    is_complete: bool,
) -> tuple[int, bool]:
    """Return how many words of a contract's storage were compared, and whether their root is the state's.

    Where every word is as expected and the root is not, an event is missing; unless it is proven that none
    is: then the node keeps words with a zero in them in its trie, as anvil does.
    """
    try:
        expected = expect()
    except MalformedResponse as error:
        report.add(Kind.PROVEN_STATE_DIFFERS, str(error)[:MOST_REASON])
        return 0, False
    report.count(CheckId.PROVEN_STATE, len(expected))
    if storage_root({slot: word.value for slot, word in expected.items()}) == proven.account.storage_root:
        return len(expected), True
    stored = proven_account(ledger.node, ledger.head(), contract, tuple(expected)).storage
    differing = list(_differing(expected, stored))
    for number, (word, actual) in enumerate(differing):
        if number == MOST_FINDINGS:
            break
        report.add(
            Kind.PROVEN_STATE_DIFFERS,
            f"{word.subject.what}: the contract's state, proven against the block's hash, is not what the "
            "events give, so the node alters its events: audit against another node",
            round=word.subject.round,
            participant=word.subject.participant,
            expected=hex(word.value),
            actual=hex(actual),
        )
    if len(differing) > MOST_FINDINGS:
        report.add(
            Kind.PROVEN_STATE_DIFFERS,
            f"{len(differing) - MOST_FINDINGS} more words of the contract's state are not what events give",
        )
    if not differing and not is_complete:
        report.add(
            Kind.PROVEN_STATE_DIFFERS,
            "the contract's storage holds more than the events tell of, so the node leaves events out: audit "
            "against another node",
            actual="0x" + proven.account.storage_root.hex(),
        )
    return len(expected), False


def _differing(
    expected: Mapping[int, ExpectedWord], stored: Mapping[int, int]
) -> Iterator[tuple[ExpectedWord, int]]:
    for slot, word in expected.items():
        if stored[slot] != word.value:
            yield word, stored[slot]
