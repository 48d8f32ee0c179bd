"""The form of an audit's report, as its JSON has it, and of the scores that a run declares.

A report comes from whoever sends one, so everything is bounded and checked here, and what passes is frozen.
Text that people wrote or that others made up (details, warnings, names of checks) stays text to the last.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from fl_chain.commitment.canonical import verify_nesting
from fl_chain.commitment.partial_sums import partial_sum_count
from fl_chain.errors import InputDataError
from fl_chain.records import ZERO_ADDRESS, Address

MOST_BYTES = 1 << 28
MOST_NESTING = 16
MOST_TEXT = 20_000  # characters of one string
MOST_SCORES = 12  # metrics that a run declares

Form = TypeVar("Form", bound=BaseModel)

Text = Annotated[str, Field(max_length=MOST_TEXT)]
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]
Call = Annotated[str, Field(pattern="^[a-z][A-Za-z0-9]{0,63}$")]
Hash = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]
Account = Annotated[Address, Field(pattern="^0x[0-9a-f]{40}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[int, Field(ge=0, lt=2**256)]
RoundKey = Annotated[str, Field(pattern="^[1-9][0-9]{0,17}$")]
Millionths = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Chain(_Part):
    """What the verdict rests on."""

    chain_id: Count
    ledger: Account
    block_number: Count
    block_hash: Hash
    block_timestamp: Count  # seconds of chain time
    code_hash: Hash
    verifier: Account
    verifier_code_hash: Hash


class Run(_Part):
    """What was trained, and by whose rules."""

    policy_hash: Hash
    manifest_hash: Hash
    genesis_model_root: Hash
    dimension: Count  # lanes of the model
    operator: Account
    aggregator: Account
    token: Account = ZERO_ADDRESS  # what amounts are in; zero: the native coin
    stores: Count
    rule: str | None = None  # of aggregation; None where the policy document does not say
    proof_level: str | None = None  # of that rule
    ended: bool


class Participant(_Part):
    """What a participant did and earned in the whole run."""

    participant: Account
    weight_cap: Count
    submissions: Count
    final_rounds: Count
    claimed_wei: Amount
    unclaimed_wei: Amount


class Statistics(_Part):
    """An update in numbers; see `fl_chain.audit.statistics`."""

    vector_root: Hash
    norm_billionths: Amount
    largest_lane_billionths: Amount
    zero_lanes: Count
    cosine_aggregate_millionths: Millionths | None
    cosine_others_millionths: Millionths | None


class Submitted(_Part):
    """One submission of a round."""

    participant: Account
    weight: Count
    sealed_root: Hash
    excluded: Literal["unreadable", "out_of_range", "by_rule"] | None
    statistics: Statistics | None = None


class Fallen(_Part):
    """A posting that a challenge or the submitters took down."""

    posting_number: Count
    poster: Account
    model_root: Hash
    reason: Name
    challenger: Account | None
    objections: Count
    bond_lost_wei: Amount
    challenge_reward_wei: Amount
    bonus_wei: Amount
    block_number: Count
    transaction_hash: Hash
    founded: bool | None


class Round(_Part):
    """One round as the audit found it."""

    round: Annotated[int, Field(ge=1, lt=2**63)]
    status: Literal["open", "closed", "unmasking", "posted", "final", "void"]
    step: Count
    base_round: Count
    submissions: Count
    included: Count | None
    total_weight: Count
    included_weight: Count | None
    posting_number: Count
    poster: Account | None
    model_root: Hash | None
    clamped_lanes: Count | None
    verified: bool
    participants: tuple[Submitted, ...]
    base_model_root: Hash | None = None
    void_reason: Literal["below_quorum", "not_posted", "base_fell"] | None
    partial_sum_roots: tuple[Hash, ...] = ()
    fallen: tuple[Fallen, ...]
    objections: Count
    bonus_wei: Amount


class Finding(_Part):
    """One thing that is not as the ledger's rules say."""

    kind: Name
    detail: Text
    round: Count | None = None
    participant: Account | None = None
    expected: Text | None = None
    actual: Text | None = None


class Blobs(_Part):
    """How much was read and hashed."""

    updates: Count
    sums: Count
    models: Count
    documents: Count
    bytes: Count


class CallGas(_Part):
    """One kind of call."""

    calls: Count
    gas: Count


class Gas(_Part):
    """What the transactions used, by call: of the whole run, and of each round."""

    run: dict[Call, CallGas]
    rounds: dict[RoundKey, dict[Call, CallGas]]


class Report(_Part):
    """An audit's report."""

    version: Literal[2]
    verdict: Literal["pass", "fail"]
    chain: Chain
    run: Run
    participants: tuple[Participant, ...]
    rounds: tuple[Round, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Text, ...]
    checks: dict[Text, Count]
    blobs: Blobs
    gas: Gas | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        """Refuse what no audit writes: it would be drawn as something that it is not."""
        if (self.verdict == "fail") != bool(self.findings):
            raise ValueError(f"the verdict is {self.verdict} with {len(self.findings)} findings")
        for expected, item in enumerate(self.rounds, 1):
            if item.round != expected:
                raise ValueError(f"round {item.round} stands where round {expected} should be")
            if item.base_round >= item.round:
                raise ValueError(f"round {item.round} is built on round {item.base_round}")
            if item.submissions != len(item.participants):
                raise ValueError(
                    f"round {item.round} counts {item.submissions} submissions and lists "
                    f"{len(item.participants)}"
                )
            has_model = item.status in ("posted", "final")
            if {item.model_root is not None, item.poster is not None} != {has_model}:
                raise ValueError(
                    f"round {item.round} is {item.status} with {'no' if has_model else 'a'} model"
                )
            sums = len(item.partial_sum_roots)
            if sums and sums != partial_sum_count(item.submissions):
                raise ValueError(
                    f"round {item.round} lists {sums} partial sums of {item.submissions} submissions"
                )
        known = [one.participant for one in self.participants]
        if len(set(known)) != len(known):
            raise ValueError("a participant is listed twice")
        strangers = {one.participant for item in self.rounds for one in item.participants} - set(known)
        if strangers:
            raise ValueError(f"{min(strangers)} submitted and is no participant")
        return self


Score = Annotated[FiniteFloat, Field(ge=-1e12, le=1e12)]
Scores = Annotated[dict[Name, Score], Field(max_length=MOST_SCORES)]


class Summary(_Part):
    """Scores that a run declares of itself; no audit has seen the data that they come from."""

    federated: Scores
    local: dict[Text, Scores]
    pooled: Scores
    rounds: dict[RoundKey, Scores]
    seed: Count
    model_root: Hash


def parse_report(content: bytes) -> Report:
    """Return the report that JSON holds.

    Args:
        content: what ``fl-chain audit --json`` wrote.

    Raises:
        InputDataError: naming what is not as an audit writes it.
    """
    return _parsed(content, Report, "audit report; `fl-chain audit --json FILE` writes one")


def parse_summary(content: bytes) -> Summary:
    """Return the scores that a run's ``summary.json`` declares.

    Raises:
        InputDataError: naming what is not as a run writes it.
    """
    return _parsed(content, Summary, "summary of a run; `fl-chain demo` writes one")


def report_sha256(content: bytes) -> str:
    """Return the SHA-256 of a report's file, by which a page names what it was made of."""
    return "0x" + hashlib.sha256(content).hexdigest()


def _parsed(content: bytes, form: type[Form], what: str) -> Form:
    if len(content) > MOST_BYTES:
        raise InputDataError(f"this is no {what}: it has {len(content)} bytes, at most {MOST_BYTES} are read")
    try:
        verify_nesting(content, MOST_NESTING)
        return form.model_validate_json(content)
    except ValidationError as error:
        raise InputDataError(f"this is no {what}: {_first_problem(error)}") from error
    except ValueError as error:
        raise InputDataError(f"this is no {what}: {error}") from error


def _first_problem(error: ValidationError) -> str:
    first, others = error.errors(include_input=False, include_url=False)[0], error.error_count() - 1
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {others} more)" if others else ""
    return f"{place + ': ' if place else ''}{first['msg']}{more}"
