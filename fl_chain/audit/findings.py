"""What an audit says: findings, and the report that holds them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from fl_chain.records import Address

REPORT_VERSION = 2


class Kind(StrEnum):
    """The stable names of what can be wrong."""

    POLICY_MISSING = "policy_missing"
    POLICY_ALTERED = "policy_altered"
    POLICY_DIFFERS = "policy_differs"
    MANIFEST_MISSING = "manifest_missing"
    MANIFEST_ALTERED = "manifest_altered"
    DIMENSION_DIFFERS = "dimension_differs"
    GENESIS_MISSING = "genesis_missing"
    GENESIS_ALTERED = "genesis_altered"
    STATE_DIFFERS = "state_differs"
    DIGEST_DIFFERS = "digest_differs"
    WEIGHT_OVER_CAP = "weight_over_cap"
    LATE_SUBMISSION = "late_submission"
    UPDATE_MISSING = "update_missing"
    UPDATE_ALTERED = "update_altered"
    UPDATE_OUT_OF_RANGE = "update_out_of_range"
    WRONGFUL_EXCLUSION = "wrongful_exclusion"
    OUTSIDER_INCLUDED = "outsider_included"
    TOTAL_WEIGHT_DIFFERS = "total_weight_differs"
    PARTIAL_SUM_DIFFERS = "partial_sum_differs"
    SUM_BLOB_MISSING = "sum_blob_missing"
    SUM_BLOB_ALTERED = "sum_blob_altered"
    MODEL_DIFFERS = "model_differs"
    MODEL_BLOB_MISSING = "model_blob_missing"
    MODEL_BLOB_ALTERED = "model_blob_altered"
    MODEL_UNDERIVABLE = "model_underivable"
    FALL_UNFOUNDED = "fall_unfounded"
    REWARD_DIFFERS = "reward_differs"
    REWARD_UNFOUNDED = "reward_unfounded"
    BALANCE_SHORT = "balance_short"
    NODE_BLOCK_DIFFERS = "node_block_differs"
    NODE_CODE_DIFFERS = "node_code_differs"
    NODE_EVENTS_DIFFER = "node_events_differ"
    NODE_STATE_DIFFERS = "node_state_differs"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the ledger's rules say."""

    kind: Kind
    detail: str  # what it means and what to do
    round: int | None = None
    participant: Address | None = None
    expected: str | None = None
    actual: str | None = None


@dataclass(slots=True)
class BlobCounts:
    """How much was read and hashed."""

    updates: int = 0
    sums: int = 0
    models: int = 0
    documents: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class FallenSummary:
    """A posting that was taken down, as the audit found it."""

    posting_number: int
    poster: Address
    model_root: str
    reason: str
    challenger: Address | None  # None: the submitters rejected it
    objections: int  # under this posting number
    bond_lost_wei: int  # of the poster's
    challenge_reward_wei: int  # out of it, to the challenger
    bonus_wei: int  # out of it, to the round's submitters
    block_number: int
    transaction_hash: str
    founded: bool | None  # derived again, or counted again; None: the blobs do not tell


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """One round as the audit found it."""

    round: int
    status: str
    void_reason: str | None
    step: int
    base_round: int
    submissions: int
    included: int | None
    total_weight: int
    included_weight: int | None
    posting_number: int
    poster: Address | None
    model_root: str | None
    fallen: list[FallenSummary]
    objections: int  # to the posting that stands
    bonus_wei: int  # what fallen bonds have added to the reward
    clamped_lanes: int | None
    verified: bool  # every partial sum and the model were derived again and are the same
    participants: list[dict[str, Any]]
    base_model_root: str | None = None
    partial_sum_roots: list[str] = field(default_factory=list)


@dataclass(slots=True)
class AuditReport:
    """The verdict and what it rests on."""

    chain: dict[str, Any]
    run: dict[str, Any]
    participants: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[RoundSummary] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checks: dict[str, int] = field(default_factory=dict)
    blobs: BlobCounts = field(default_factory=BlobCounts)
    gas: dict[str, Any] | None = None  # as the node's receipts say; None where it does not keep them

    @property
    def verdict(self) -> str:
        """``pass`` where there is no finding, else ``fail``."""
        return "fail" if self.findings else "pass"

    def count(self, check: str, times: int = 1) -> None:
        """Note that a check was made."""
        self.checks[check] = self.checks.get(check, 0) + times

    def add(self, kind: Kind, detail: str, **where: Any) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, detail, **where))

    def to_json(self) -> str:
        """Return the report as JSON; two audits of the same chain and blobs give the same bytes."""
        content = {
            "version": REPORT_VERSION,
            "verdict": self.verdict,
            "chain": self.chain,
            "run": self.run,
            "participants": self.participants,
            "rounds": [asdict(item) for item in self.rounds],
            "findings": [asdict(item) for item in self.findings],
            "warnings": self.warnings,
            "checks": dict(sorted(self.checks.items())),
            "blobs": asdict(self.blobs),
            "gas": self.gas,
        }
        return json.dumps(content, indent=2) + "\n"
