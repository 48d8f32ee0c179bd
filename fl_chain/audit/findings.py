"""What an audit says: findings, warnings, and the report that holds them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fl_chain.audit.checks import CHECKS, CheckId
from fl_chain.audit.kinds import RULES, Kind, Severity
from fl_chain.audit.missing import MissingBlob, by_holder
from fl_chain.records import Address

REPORT_VERSION = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as a rule says, or that a person should look at."""

    kind: Kind
    detail: str  # what is so, in words
    round: int | None = None
    participant: Address | None = None
    expected: str | None = None
    actual: str | None = None
    advice: str | None = None  # what to do here; None: what the kind's rule advises

    @property
    def severity(self) -> Severity:
        """Whether it fails the verdict."""
        return RULES[self.kind].severity

    def to_json(self) -> dict[str, Any]:
        """Return the finding as the report has it."""
        rule = RULES[self.kind]
        return {
            "kind": self.kind.value,
            "severity": rule.severity.value,
            "rule": rule.text,
            "page": rule.page,
            "round": self.round,
            "participant": self.participant,
            "expected": self.expected,
            "actual": self.actual,
            "detail": self.detail,
            "advice": self.advice or rule.advice,
        }


@dataclass(slots=True)
class BlobCounts:
    """How much was read and hashed."""

    updates: int = 0
    sums: int = 0
    models: int = 0
    states: int = 0  # what rules carry on
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
    audited: bool = True  # False: its updates, sums and model were taken from the ledger's word


@dataclass(slots=True)
class Collection:
    """What checks have found, how often they were made, and what was read for them."""

    findings: list[Finding] = field(default_factory=list)  # errors: they fail the verdict
    warnings: list[Finding] = field(default_factory=list)  # what a person should look at; never proof
    checks: dict[str, int] = field(default_factory=dict)  # times by check; one that is not here was not made
    blobs: BlobCounts = field(default_factory=BlobCounts)
    missing: list[MissingBlob] = field(default_factory=list)

    def count(self, check: CheckId, times: int = 1) -> None:
        """Note that a check was made."""
        self.checks[check] = self.checks.get(check, 0) + times

    def add(self, kind: Kind, detail: str, **where: Any) -> None:
        """Add a finding, among the warnings where its kind is one."""
        self.take(Finding(kind, detail, **where))

    def take(self, finding: Finding) -> None:
        """Add a finding that was made elsewhere."""
        (self.findings if finding.severity is Severity.ERROR else self.warnings).append(finding)

    def absorb(self, other: Collection) -> None:
        """Add everything that another collection holds."""
        self.findings += other.findings
        self.warnings += other.warnings
        self.missing += other.missing
        for check, times in other.checks.items():
            self.checks[check] = self.checks.get(check, 0) + times
        for unit in fields(BlobCounts):
            total = getattr(self.blobs, unit.name) + getattr(other.blobs, unit.name)
            setattr(self.blobs, unit.name, total)


@dataclass(slots=True, kw_only=True)
class AuditReport(Collection):
    """The verdict and what it rests on."""

    chain: dict[str, Any]
    run: dict[str, Any]
    participants: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[RoundSummary] = field(default_factory=list)
    gas: dict[str, Any] | None = None  # as the node's receipts say; None where it does not keep them
    proofs: dict[str, Any] | None = None  # of events and state, against the block's hash
    from_round: int = 1  # updates, sums and models of earlier rounds were taken from the ledger's word

    @property
    def verdict(self) -> str:
        """``pass`` where there is no finding, with the round from which that holds; else ``fail``."""
        if self.findings:
            return "fail"
        return "pass" if self.from_round == 1 else f"pass from round {self.from_round}"

    def to_json(self) -> str:
        """Return the report as JSON; two audits of the same chain and blobs give the same bytes."""
        content = {
            "version": REPORT_VERSION,
            "verdict": self.verdict,
            "from_round": self.from_round,
            "chain": self.chain,
            "run": self.run,
            "participants": self.participants,
            "rounds": [asdict(item) for item in self.rounds],
            "findings": [finding.to_json() for finding in self.findings],
            "warnings": [finding.to_json() for finding in self.warnings],
            "missing": by_holder(self.missing),
            "checks": self._checks_made(),
            "blobs": asdict(self.blobs),
            "gas": self.gas,
            "proofs": self.proofs,
        }
        return json.dumps(content, indent=2) + "\n"

    def _checks_made(self) -> list[dict[str, Any]]:
        return [
            {
                "id": check.id.value,
                "title": check.title,
                "proves": check.proves,
                "times": self.checks.get(check.id, 0),
                "not_made_because": None if self.checks.get(check.id, 0) else check.otherwise,
            }
            for check in CHECKS
        ]


__all__ = [
    "REPORT_VERSION",
    "AuditReport",
    "BlobCounts",
    "Collection",
    "FallenSummary",
    "Finding",
    "Kind",
    "RoundSummary",
    "Severity",
]
