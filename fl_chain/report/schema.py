"""The form of an audit's report, as its JSON has it, and of the scores that a run declares.

A report comes from whoever sends one, so everything is bounded and checked here, and what passes is frozen.
Text that people wrote or that others made up (details, rules, advice, titles) stays text to the last.
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
MOST_PHASES = 6  # of a round
VERSION = 4
OLD_VERSIONS = (1, 2, 3)

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


class _Versioned(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    version: int


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


class Privacy(_Part):
    """Which protection the policy asks for; see `fl_chain.privacy.statement`."""

    protection: Text
    unit: Literal["row", "group", "client"]
    assurance: Literal["declared, not proven"]
    delta: Annotated[str, Field(pattern="^[0-9]{1,20}(\\.[0-9]{1,20})?(e-[0-9]{1,3})?$")]
    epsilon_millionths: Amount
    rounds: Count
    rho_micro_per_round: Count
    rho_micro_spent: Amount
    rho_micro_budget: Amount
    ledger_epsilon_millionths: Amount | None

    @model_validator(mode="after")
    def _is_conservative(self) -> Self:
        """Refuse what no audit writes: a ledger that lets more pass than it counts."""
        kept = self.ledger_epsilon_millionths
        if (kept is None) != (self.rho_micro_per_round == 0):
            raise ValueError("a privacy budget is kept, and nothing says what it stands for, or the reverse")
        if self.rho_micro_spent != self.rounds * self.rho_micro_per_round:
            raise ValueError(f"{self.rounds} rounds have not spent {self.rho_micro_spent} millionths of rho")
        if kept is not None and kept < self.epsilon_millionths:
            raise ValueError("the ledger's epsilon is below the accountant's")
        return self


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
    protection: Text | None = None  # of single updates
    privacy: Privacy | None = None  # None: updates are what training gives, or the document does not say
    ended: bool


class Cap(_Part):
    """A weight cap that the operator gave a participant."""

    block_number: Count
    weight_cap: Count


class Participant(_Part):
    """What a participant did and earned in the whole run."""

    participant: Account
    weight_cap: Count  # by now
    caps: tuple[Cap, ...]  # all that it had, in their order
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
    audited: bool  # False: its updates, sums and model were taken from the ledger's word
    terms: Count = 0  # roots at the beginning of the list, of what takes masks off
    participants: tuple[Submitted, ...]
    base_model_root: Hash | None = None
    void_reason: Literal["below_quorum", "not_posted", "base_fell"] | None
    partial_sum_roots: tuple[Hash, ...] = ()
    fallen: tuple[Fallen, ...]
    objections: Count
    bonus_wei: Amount


class Finding(_Part):
    """One thing that is not as a rule says, or that a person should look at."""

    kind: Name
    severity: Literal["error", "warning"]
    rule: Text  # what has to be so
    page: Text  # where that is laid down, under docs/
    round: Count | None
    participant: Account | None
    expected: Text | None
    actual: Text | None
    detail: Text
    advice: Text  # what to do


class MissingBlob(_Part):
    """A blob that no store has."""

    what: Text
    path: Text
    round: Count | None


class Holder(_Part):
    """Whom to ask for which missing blobs."""

    holder: Account
    role: Literal["participant", "aggregator", "operator"]
    blobs: tuple[MissingBlob, ...]


class Check(_Part):
    """One kind of check, and how often it was made."""

    id: Name
    title: Text
    proves: Text
    times: Count
    not_made_because: Text | None


class Blobs(_Part):
    """How much was read and hashed."""

    updates: Count
    sums: Count
    models: Count
    states: Count  # what rules carry on
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


class EventProof(_Part):
    """Whether the ledger's events lead to the audited block's hash."""

    outcome: Literal["proven", "not_offered", "failed"]
    reason: Text | None = None
    events: Count = 0
    linked_blocks: Count = 0
    opened_blocks: Count = 0
    same: bool = False


class StateProof(_Part):
    """Whether the contract's state does."""

    outcome: Literal["proven", "not_offered", "failed"]
    reason: Text | None = None
    state_root: Hash | None = None
    storage_root: Hash | None = None
    code_keccak: Hash | None = None
    verifier_code_keccak: Hash | None = None
    balance_wei: Amount | None = None  # None where amounts are in a token
    slots: Count = 0
    whole_storage: bool = False


class Proofs(_Part):
    """What was proven against the hash of the audited block."""

    events: EventProof
    state: StateProof


class Report(_Part):
    """An audit's report."""

    version: Literal[4]
    verdict: Annotated[str, Field(pattern="^(fail|pass( from round [1-9][0-9]{0,17})?)$")]
    from_round: Annotated[int, Field(ge=1, lt=2**63)]  # what is earlier was taken from the ledger's word
    chain: Chain
    run: Run
    participants: tuple[Participant, ...]
    rounds: tuple[Round, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    missing: tuple[Holder, ...]
    checks: tuple[Check, ...]
    blobs: Blobs
    gas: Gas | None = None
    proofs: Proofs | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        """Refuse what no audit writes: it would be drawn as something that it is not."""
        self._verify_verdict()
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
            if item.audited != (item.round >= self.from_round):
                raise ValueError(f"round {item.round} is {'' if item.audited else 'not '}audited")
            has_model = item.status in ("posted", "final")
            if {item.model_root is not None, item.poster is not None} != {has_model}:
                raise ValueError(
                    f"round {item.round} is {item.status} with {'no' if has_model else 'a'} model"
                )
            sums = len(item.partial_sum_roots)
            if sums and sums != item.terms + partial_sum_count(item.submissions + item.terms):
                raise ValueError(
                    f"round {item.round} lists {sums} partial sums of {item.submissions} submissions"
                    + (f" and {item.terms} terms" if item.terms else "")
                )
        known = [one.participant for one in self.participants]
        if len(set(known)) != len(known):
            raise ValueError("a participant is listed twice")
        strangers = {one.participant for item in self.rounds for one in item.participants} - set(known)
        if strangers:
            raise ValueError(f"{min(strangers)} submitted and is no participant")
        return self

    def _verify_verdict(self) -> None:
        passed = "pass" if self.from_round == 1 else f"pass from round {self.from_round}"
        if self.verdict != ("fail" if self.findings else passed):
            raise ValueError(
                f"the verdict is {self.verdict} with {len(self.findings)} findings from round "
                f"{self.from_round}"
            )
        if self.from_round > max(1, len(self.rounds)):
            raise ValueError(f"there is no round {self.from_round}")
        for severity, found in (("error", self.findings), ("warning", self.warnings)):
            if any(finding.severity != severity for finding in found):
                raise ValueError(f"a finding among the {severity}s is none")
        for check in self.checks:
            if (check.times == 0) != (check.not_made_because is not None):
                raise ValueError(f"check {check.id} was made {check.times} times")


Score = Annotated[FiniteFloat, Field(ge=-1e12, le=1e12)]
Seconds = Annotated[FiniteFloat, Field(ge=0, le=1e9)]
Scores = Annotated[dict[Name, Score], Field(max_length=MOST_SCORES)]


class ParticipantScores(_Part):
    """What one participant scored with each round's model, on rows of its own."""

    account: Account
    rounds: dict[RoundKey, Scores]


class Summary(_Part):
    """Scores that a run declares of itself; no audit has seen the data that they come from."""

    federated: Scores
    local: dict[Text, Scores]
    pooled: Scores
    rounds: dict[RoundKey, Scores]
    seed: Count
    model_root: Hash
    participants: dict[Text, ParticipantScores] = Field(default_factory=dict)
    seconds: dict[RoundKey, Annotated[dict[Name, Seconds], Field(max_length=MOST_PHASES)]] = Field(
        default_factory=dict
    )  # of each round's phases, in their order
    clock: Literal["wall", "chain"] = "wall"  # what those seconds are counted by

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        accounts = [one.account for one in self.participants.values()]
        if len(set(accounts)) != len(accounts):
            raise ValueError("two participants have one account")
        return self


def parse_report(content: bytes) -> Report:
    """Return the report that JSON holds.

    Args:
        content: what ``fl-chain audit --json`` wrote.

    Raises:
        InputDataError: naming what is not as an audit writes it.
    """
    what = "audit report; `fl-chain audit --json FILE` writes one"
    version = _parsed(content, _Versioned, what).version
    if version in OLD_VERSIONS:
        raise InputDataError(
            f"this audit report has version {version}, and this release reads version {VERSION} only: audit "
            "the run again with this release, or draw the report with the release that wrote it"
        )
    return _parsed(content, Report, what)


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
