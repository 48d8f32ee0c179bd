"""What an audit remembers of the rounds that it has looked at, so that it need not look again.

The file has one line a round, after a line that says what it belongs to; each line carries the digest of
everything up to it. A line that was cut off in writing counts for nothing; anything else that does not fit
is refused. The digests find damage, not forgery: whoever can write the file can make up results, so it is
worth as much as the folder that it lies in.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fl_chain.audit.findings import REPORT_VERSION, BlobCounts, Finding
from fl_chain.audit.kinds import Kind
from fl_chain.audit.missing import MissingBlob, Role
from fl_chain.audit.results import RoundResult
from fl_chain.audit.rounds import RoundAudit
from fl_chain.commitment.canonical import verify_nesting
from fl_chain.errors import InputDataError, StateUnwritable
from fl_chain.records import Address, Digest
from fl_chain.run.durable import write_durably

FORMAT_VERSION = 1
MOST_NESTING = 8
_DIGEST_DIGITS = 64


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Header(_Strict):
    version: Literal[1]
    report_version: int
    chain_id: int
    ledger: str
    from_round: int
    stores: list[str]
    cohort_key: str | None = None  # digest of the public part; None: audited without it


class _Finding(_Strict):
    kind: str
    detail: str
    round: int | None
    participant: str | None
    expected: str | None
    actual: str | None
    advice: str | None


class _Missing(_Strict):
    what: str
    path: str
    round: int | None
    holders: list[tuple[str, str]]


class _Blobs(_Strict):
    updates: int
    sums: int
    models: int
    states: int
    documents: int
    bytes: int


class _Entry(_Strict):
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")
    round: int
    findings: list[_Finding]
    warnings: list[_Finding]
    checks: dict[str, int]
    blobs: _Blobs
    missing: list[_Missing]
    clamped_lanes: int | None
    is_verified: bool
    has_model: bool
    founded: list[bool | None]
    statistics: dict[int, dict[str, str | int | None]]


@dataclass(frozen=True, slots=True)
class Remembered:
    """One round's result, and what it rests on."""

    fingerprint: Digest
    result: RoundResult


@dataclass(slots=True)
class AuditMemory:
    """Results of the first rounds of an audit, in a file where one is named.

    Attributes:
        rounds: from the first that was audited, without a gap.
        live: what the newest of them left in memory; None after a start from the file.
    """

    header: dict[str, Any] | None = None  # what the results belong to
    path: Path | None = None
    rounds: list[Remembered] = field(default_factory=list)
    live: RoundAudit | None = None
    _tip: bytes = b""  # digest of the file up to its last line
    _is_cut_off: bool = False  # the file ends in a line without an end

    @classmethod
    def opened(cls, path: Path) -> AuditMemory:
        """Return what a file holds; nothing where there is none.

        Raises:
            InputDataError: it is damaged, or no such file.
        """
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise InputDataError(f"cannot read {path}: {error.strerror}") from error
        return cls.parsed(content, path)

    @classmethod
    def parsed(cls, content: bytes, path: Path | None = None) -> AuditMemory:
        """Return what a file's content holds.

        Raises:
            InputDataError: it is damaged, or from no audit.
        """
        memory = cls(path=path)
        *lines, rest = content.split(b"\n")
        memory._is_cut_off = bool(rest)
        for number, line in enumerate(lines):
            parsed = memory._parsed(line, _Entry if number else _Header)
            if isinstance(parsed, _Header):
                memory.header = parsed.model_dump()
            elif isinstance(parsed, _Entry):
                memory.rounds.append(memory._remembered(parsed))
        return memory

    def content(self) -> bytes:
        """Return what the file holds; nothing before it is said what the results belong to."""
        if self.header is None:
            return b""
        self._tip = b""
        return b"".join([self._line(self.header), *(self._line(_entry(one)) for one in self.rounds)])

    def bind(self, header: dict[str, Any]) -> None:
        """Say what the results belong to: chain, ledger, first round and stores.

        Raises:
            InputDataError: what is remembered belongs to something else.
        """
        content = {"version": FORMAT_VERSION, "report_version": REPORT_VERSION, **header}
        if self.header is None:
            self.header = content
            self._rewrite()
            return
        if self._is_cut_off:
            self._rewrite()
        for name, mine in content.items():
            if self.header[name] != mine:
                raise InputDataError(
                    f"{self.path} belongs to an audit with another {name.replace('_', ' ')} "
                    f"({self.header[name]}, not {mine}): name another file with --resume, or remove this one"
                )

    def keep_first(self, count: int) -> None:
        """Forget all but the first rounds."""
        if count < len(self.rounds):
            del self.rounds[count:]
            self._rewrite()

    def add(self, fingerprint: Digest, result: RoundResult) -> None:
        """Remember the next round.

        Raises:
            StateUnwritable: the file cannot be written.
        """
        remembered = Remembered(fingerprint, result)
        self.rounds.append(remembered)
        if self.path is None:
            return
        line = self._line(_entry(remembered))
        try:
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StateUnwritable(
                f"cannot write {self.path}: {error.strerror}. Name another file."
            ) from error

    def _rewrite(self) -> None:
        self._is_cut_off = False
        if self.path is not None:
            write_durably(self.path, self.content())

    def _line(self, content: dict[str, Any]) -> bytes:
        body = json.dumps(content, separators=(",", ":")).encode()
        self._tip = hashlib.sha256(self._tip + body).digest()
        return self._tip.hex().encode() + b" " + body + b"\n"

    def _parsed(self, line: bytes, form: type[_Header] | type[_Entry]) -> _Header | _Entry:
        digest, body = line[:_DIGEST_DIGITS], line[_DIGEST_DIGITS + 1 :]
        self._tip = hashlib.sha256(self._tip + body).digest()
        if digest != self._tip.hex().encode():
            raise self._damaged("a digest does not match")
        try:
            verify_nesting(body, MOST_NESTING)
            return form.model_validate_json(body, strict=True)
        except ValidationError as error:
            raise self._damaged(
                str(error.errors(include_input=False, include_url=False)[0]["msg"])
            ) from error
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _remembered(self, entry: _Entry) -> Remembered:
        try:
            return _remembered(entry)
        except ValueError as error:  # a name that this release does not know
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> InputDataError:
        return InputDataError(
            f"{self.path} does not hold an audit that can go on: {why}. Remove it to begin anew"
        )


def _entry(remembered: Remembered) -> dict[str, Any]:
    result = remembered.result
    return {"fingerprint": remembered.fingerprint.hex(), **asdict(result)}


def _remembered(entry: _Entry) -> Remembered:
    result = RoundResult(
        round=entry.round,
        findings=[_finding(one) for one in entry.findings],
        warnings=[_finding(one) for one in entry.warnings],
        checks=dict(entry.checks),
        blobs=BlobCounts(**entry.blobs.model_dump()),
        missing=[
            MissingBlob(
                one.what,
                one.path,
                one.round,
                tuple((Role(role), Address(who)) for role, who in one.holders),
            )
            for one in entry.missing
        ],
        clamped_lanes=entry.clamped_lanes,
        is_verified=entry.is_verified,
        has_model=entry.has_model,
        founded=list(entry.founded),
        statistics={index: dict(figures) for index, figures in entry.statistics.items()},
    )
    return Remembered(Digest(bytes.fromhex(entry.fingerprint)), result)


def _finding(one: _Finding) -> Finding:
    participant = None if one.participant is None else Address(one.participant)
    return Finding(Kind(one.kind), one.detail, one.round, participant, one.expected, one.actual, one.advice)
