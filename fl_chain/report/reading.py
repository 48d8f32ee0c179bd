"""What a page says beyond the report's own words: short names, the line of models, places of sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fl_chain.commitment.partial_sums import FAN_IN, level_sizes
from fl_chain.records import Address
from fl_chain.report.schema import Finding, Report, Round, Submitted

_WITH_MODEL = ("posted", "final")


class Part(StrEnum):
    """What a participant did in a round."""

    INCLUDED = "included"
    EXCLUDED = "excluded"
    SUBMITTED = "submitted"  # the round was not posted, so it is neither yet
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class PartialSum:
    """One partial sum of a posting, in the place that its position gives it."""

    level: int  # 1: of submissions; each further one of eight below
    first: int  # the submissions that it covers, counted from 1
    last: int
    root: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A report, read."""

    report: Report
    names: Mapping[Address, str]  # short ones, in the order of the addresses
    line: tuple[Round, ...]  # from genesis to the last model: each is built on the one before
    aside: tuple[Round, ...]  # rounds that no later model is built on
    findings: Mapping[int | None, tuple[Finding, ...]]  # by round
    warnings: Mapping[int | None, tuple[Finding, ...]]  # by round
    submitted: tuple[Mapping[Address, Submitted], ...]  # by round, from the first

    @classmethod
    def of(cls, report: Report) -> Reading:
        """Read a report."""
        addresses = sorted(one.participant for one in report.participants)
        line = _line(report.rounds)
        on_line = {item.round for item in line}
        return cls(
            report=report,
            names={address: f"P{number}" for number, address in enumerate(addresses, 1)},
            line=line,
            aside=tuple(item for item in report.rounds if item.round not in on_line),
            findings=_by_round(report.findings),
            warnings=_by_round(report.warnings),
            submitted=tuple({one.participant: one for one in item.participants} for item in report.rounds),
        )

    @property
    def last_model_root(self) -> str:
        """The model that the line ends in."""
        last = self.line[-1].model_root if self.line else None
        return last or self.report.run.genesis_model_root

    @property
    def derived(self) -> int:
        """Rounds whose sums and model were derived again and are the same."""
        return sum(item.verified for item in self.report.rounds)

    @property
    def published(self) -> int:
        """Audited rounds that published a model."""
        return sum(item.model_root is not None and item.audited for item in self.report.rounds)

    @property
    def times(self) -> int:
        """How many checks were made."""
        return sum(check.times for check in self.report.checks)

    @property
    def made(self) -> int:
        """How many kinds of check were made at least once."""
        return sum(check.times > 0 for check in self.report.checks)

    def parts(self, participant: Address) -> tuple[Part, ...]:
        """Return what a participant did, round by round."""
        pairs = zip(self.report.rounds, self.submitted, strict=True)
        return tuple(_part(item, own.get(participant)) for item, own in pairs)

    def weights(self, participant: Address) -> tuple[int, ...]:
        """Return the weights that a participant declared, in order."""
        return tuple(own[participant].weight for own in self.submitted if participant in own)


def partial_sums(item: Round) -> tuple[PartialSum, ...]:
    """Return a posting's partial sums with their places: groups of eight, level by level, the total last.

    In a masked round the terms that take the masks off are summands after the submissions.
    """
    if not item.partial_sum_roots:
        return ()
    roots = iter(item.partial_sum_roots[item.terms :])
    summands = item.submissions + item.terms
    return tuple(
        PartialSum(
            level=level,
            first=position * FAN_IN**level + 1,
            last=min(summands, (position + 1) * FAN_IN**level),
            root=next(roots),
        )
        for level, size in enumerate(level_sizes(summands), 1)
        for position in range(size)
    )


def _by_round(found: Sequence[Finding]) -> Mapping[int | None, tuple[Finding, ...]]:
    by_round: dict[int | None, list[Finding]] = {}
    for finding in found:
        by_round.setdefault(finding.round, []).append(finding)
    return {key: tuple(own) for key, own in by_round.items()}


def _line(rounds: Sequence[Round]) -> tuple[Round, ...]:
    by_id = {item.round: item for item in rounds}
    current = next((item for item in reversed(rounds) if item.status in _WITH_MODEL), None)
    line: list[Round] = []
    while current is not None:
        line.append(current)
        current = by_id.get(current.base_round)
    return tuple(reversed(line))


def _part(item: Round, own: Submitted | None) -> Part:
    if own is None:
        return Part.ABSENT
    if own.excluded is not None:
        return Part.EXCLUDED
    return Part.INCLUDED if item.model_root is not None else Part.SUBMITTED
