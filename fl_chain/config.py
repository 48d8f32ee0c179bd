"""Settings: one TOML file, checked at the boundary and frozen. The only reader of the environment.

A participant's file needs ``[chain]``, ``[store]``, ``[worker]`` and ``[keys]``. What is trained and how
(``[run]`` and the tables below it) is the operator's to write: ``fl-chain deploy`` turns it into the policy
document that the ledger fixes by its hash, and every worker takes it from there.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fl_chain.errors import ConfigError

PRIVATE_KEY_VARIABLE = "FL_CHAIN_PRIVATE_KEY"
PASSWORD_VARIABLE = "FL_CHAIN_PASSWORD"  # noqa: S105 - the name of a variable, not a password
WORKER_SECRET_VARIABLE = "FL_CHAIN_WORKER_SECRET"  # noqa: S105
DATA_VARIABLE = "FL_CHAIN_DATA"
CACHE_VARIABLE = "XDG_CACHE_HOME"  # XDG Base Directory Specification


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _without_nul(cls, value: object) -> object:
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str | Path) and "\0" in str(text) for text in texts):
            raise ValueError("it holds a NUL character, which no name has")
        return value


class ChainSettings(_Settings):
    """Where the ledger is."""

    rpc: tuple[str, ...] = ("http://127.0.0.1:8545",)
    chain_id: int | None = Field(default=None, ge=1, lt=2**64)  # None: whatever the node serves
    ledger: str | None = None
    deployed_block: int = Field(default=0, ge=0)  # no event of the ledger is older
    confirmations: int = Field(default=0, ge=0, le=1000)  # blocks on top before an event is acted on
    poll_s: float = Field(default=0.25, gt=0, le=60)
    receipt_timeout_s: float = Field(default=120.0, gt=0)
    replace_after_s: float = Field(default=30.0, gt=0)  # a transaction may wait before it offers more
    max_fee_gwei: float = Field(default=1000.0, gt=0)  # the most that is offered per gas


class StoreSettings(_Settings):
    """Where the blobs are: fsspec URLs or local folders; written to all, read from the first that is good."""

    urls: tuple[str, ...] = Field(default=("store",), min_length=1)


class KeySettings(_Settings):
    """The signing key: an encrypted keystore file, else the variable FL_CHAIN_PRIVATE_KEY."""

    keystore: Path | None = None
    password_file: Path | None = None  # else the variable FL_CHAIN_PASSWORD


class WorkerSettings(_Settings):
    """One participant's own side; none of it is published."""

    owner: str = ""  # the value of the task's owner column whose rows are this participant's
    data: str | None = None  # a CSV or Parquet file; None: the task's own source
    state: Path = Path("worker-state")  # secret and outbox; keep it for the whole run
    payout: str | None = None  # where rewards go; None: the participant's own address


class AggregatorSettings(_Settings):
    """The aggregator's own side."""

    state: Path = Path("aggregator-state")


class WatchSettings(_Settings):
    """What a worker or ``fl-chain watch`` does about a posting that is wrong."""

    automatic: bool = True  # challenge and object by itself; False: say it only
    state: Path = Path("watch-state")  # of ``fl-chain watch``


class PolicySettings(_Settings):
    """The operator's choices; ``fl_chain.policy`` derives the ledger's integers from them."""

    rounds: int = Field(default=10, ge=1, lt=2**32)
    quorum: int = Field(default=3, ge=1, le=65535)
    close_at: int = Field(default=0, ge=0, le=65535)
    max_unfinal_rounds: int = Field(default=16, ge=1, le=64)
    clip: float = Field(default=1.0, gt=0)  # largest change of a parameter in one round
    fraction_bits: int = Field(default=22, ge=8, le=24)
    scale_bits: int | None = Field(default=None, ge=0, le=40)  # None: the finest that fits
    max_total_weight: int = Field(default=65536, ge=1, lt=2**31)
    examples_per_weight: int = Field(default=1, ge=1)
    submission_s: int = Field(default=3600, ge=1, le=365 * 86400)
    publication_s: int = Field(default=600, ge=1, le=365 * 86400)
    posting_s: int = Field(default=1800, ge=1, le=365 * 86400)
    takeover_s: int = Field(default=86400, ge=1, le=365 * 86400)
    challenge_s: int = Field(default=86400, ge=1, le=365 * 86400)
    unbonding_s: int = Field(default=172800, ge=1, le=365 * 86400)
    reward_wei: int = Field(default=10**16, ge=0, lt=2**127)
    aggregator_reward_wei: int = Field(default=10**15, ge=0, lt=2**127)
    bond_wei: int = Field(default=10**18, ge=0, lt=2**127)
    challenge_reward_wei: int = Field(default=5 * 10**16, ge=0, lt=2**127)
    deposit_wei: int = Field(default=10**16, ge=0, lt=2**127)
    reward_split: Literal["equal", "declared-weight"] = "equal"


class FedAvgSettings(_Settings):
    """Weighted averaging."""

    rule: Literal["fedavg"] = "fedavg"


class FedAvgMSettings(_Settings):
    """Server momentum; both factors are rounded to 16 fraction bits."""

    rule: Literal["fedavgm"]
    momentum: float = Field(default=0.9, ge=0, le=0.9999)
    learning_rate: float = Field(default=1.0, ge=2**-16, le=1)


class _AdaptiveSettings(_Settings):
    learning_rate: float = Field(default=0.1, ge=1e-9, le=1e9)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    tau: float = Field(
        default=1e-3, ge=1e-9, le=1e9
    )  # the larger, the less adaptive; v starts from its square


class FedAdagradSettings(_AdaptiveSettings):
    """FedAdagrad."""

    rule: Literal["fedadagrad"]
    beta1: float = Field(default=0.0, ge=0, lt=1)


class FedAdamSettings(_AdaptiveSettings):
    """FedAdam."""

    rule: Literal["fedadam"]
    beta2: float = Field(default=0.99, ge=0, lt=1)


class FedYogiSettings(_AdaptiveSettings):
    """FedYogi."""

    rule: Literal["fedyogi"]
    beta2: float = Field(default=0.99, ge=0, lt=1)


class MedianSettings(_Settings):
    """Coordinate-wise median; every weight is 1."""

    rule: Literal["median"]


class TrimmedMeanSettings(_Settings):
    """Coordinate-wise trimmed mean; every weight is 1."""

    rule: Literal["trimmed_mean"]
    trim: float = Field(default=0.2, ge=0, lt=0.5)  # of the updates, at each end


class MultiKrumSettings(_Settings):
    """Multi-Krum."""

    rule: Literal["multi_krum"]
    byzantine: int = Field(ge=0, le=65535)  # updates that may be anything
    keep: int = Field(default=0, ge=0, le=65535)  # updates that are kept; 0: all but `byzantine`


class NormBoundSettings(_Settings):
    """Exclusion of updates that went too far."""

    rule: Literal["norm_bound"]
    max_norm: float = Field(gt=0, le=2**40)


class CentredClippingSettings(_Settings):
    """Centred clipping; every weight is 1."""

    rule: Literal["centred_clipping"]
    radius: float = Field(gt=0, le=2**40)
    iterations: int = Field(default=1, ge=1, le=100)


AggregationSettings = Annotated[
    FedAvgSettings
    | FedAvgMSettings
    | FedAdagradSettings
    | FedAdamSettings
    | FedYogiSettings
    | MedianSettings
    | TrimmedMeanSettings
    | MultiKrumSettings
    | NormBoundSettings
    | CentredClippingSettings,
    Field(discriminator="rule"),
]


class ModelSettings(_Settings):
    """A model that fl_chain brings itself."""

    kind: Literal["logistic", "mlp"] = "logistic"
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (16,)  # widths of the MLP's hidden layers


class TrainingSettings(_Settings):
    """Local training, the same for every participant; docs/algorithms.md says what each algorithm is."""

    learning_rate: float = Field(default=0.1, gt=0)
    local_epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=32, ge=1)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    algorithm: Literal["fedavg", "fedprox", "scaffold"] = "fedavg"
    proximal_mu: float = Field(default=0.0, ge=0)  # FedProx's pull towards the round's base
    local: tuple[str, ...] = ()  # names or patterns of the tensors that stay with each participant
    deadline_share: float | None = Field(default=None, gt=0, lt=1)  # of submission_s; None: all epochs
    staleness_factor: float | None = Field(
        default=None, gt=0, le=1
    )  # a round of age; None: drop what is late
    max_staleness: int = Field(default=1, ge=1, le=64)  # rounds after which a late update is dropped

    @model_validator(mode="after")
    def _without_contradiction(self) -> TrainingSettings:
        if (self.algorithm == "fedprox") != (self.proximal_mu > 0):
            raise ValueError(
                'algorithm = "fedprox" takes a proximal_mu above 0, and no other algorithm takes one'
            )
        if self.algorithm == "scaffold" and self.momentum > 0:
            raise ValueError("SCAFFOLD is defined for plain SGD: set momentum = 0")
        if self.algorithm == "scaffold" and self.staleness_factor is not None:
            raise ValueError(
                "a late control variate belongs to a round that is over: leave out staleness_factor, or take "
                "another algorithm than scaffold"
            )
        if any(not pattern for pattern in self.local):
            raise ValueError("an empty pattern under `local` names no tensor: remove it")
        return self


class MaskingSettings(_Settings):
    """Secure aggregation: nobody sees a single update; docs/secure-aggregation.md says what stays open."""

    kind: Literal["secagg"]
    groups: int | None = Field(
        default=None, ge=3, le=1000
    )  # random groups of a round, whose sums a robust rule compares; None: one sum of all


class EncryptionSettings(_Settings):
    """Homomorphic encryption: only those who are named read updates; docs/homomorphic-encryption.md."""

    kind: Literal["he"]
    members: tuple[
        str, ...
    ] = ()  # addresses of who gets the cohort's key; (): whoever is admitted at deployment
    key_maker: str | None = None  # which of them makes it; None: the first


class RowPrivacySettings(_Settings):
    """DP-SGD inside every participant; docs/privacy.md says what it hides.

    Steps and share of the rows are set here, the same for everyone, so that the loss is too: `local_epochs`
    and `batch_size` play no part.
    """

    unit: Literal["row", "group"] = "row"  # what is hidden: one row, or all rows of one of the task's groups
    noise_multiplier: float = Field(default=1.0, ge=0.3, le=1000)  # the noise's deviation in max_grad_norm
    max_grad_norm: float = Field(default=1.0, ge=1e-6, le=1e6)  # a unit's gradient is clipped to this length
    sampling_rate: float = Field(default=0.1, ge=1e-6, le=1)  # of the units, drawn anew for each step
    steps: int = Field(default=20, ge=1, le=100_000)  # of one round
    delta: float = Field(default=1e-5, ge=1e-12, le=0.1)  # of the epsilon in reports
    rho_budget: float = Field(
        default=0.0, ge=0, le=1e9
    )  # zCDP that the ledger lets rounds spend; 0: no limit


class ClientPrivacySettings(_Settings):
    """Noise on every participant's whole update; docs/privacy.md says what it hides and what it needs."""

    unit: Literal["client"] = "client"  # what is hidden: all that a participant's rows do to its updates
    noise_multiplier: float = Field(default=1.0, ge=0.3, le=1000)  # the noise's deviation in max_update_norm
    max_update_norm: float = Field(default=1.0, ge=1e-6, le=1e6)  # an update is clipped to this length
    delta: float = Field(default=1e-5, ge=1e-12, le=0.1)  # of the epsilon in reports
    rho_budget: float = Field(
        default=0.0, ge=0, le=1e9
    )  # zCDP that the ledger lets rounds spend; 0: no limit


PrivacySettings = Annotated[RowPrivacySettings | ClientPrivacySettings, Field(discriminator="unit")]


Protection = PrivacySettings | MaskingSettings | EncryptionSettings


class CohortSettings(_Settings):
    """Who trains in a round: so many of those who are registered, drawn anew for each round."""

    size: int | None = Field(default=None, ge=1, le=65535)
    fraction: float | None = Field(default=None, gt=0, le=1)  # of who is admitted at deployment
    randomness: Literal["chain", "seed"] = "chain"  # the last close's seed, or the run's own seed

    @model_validator(mode="after")
    def _with_one_measure(self) -> CohortSettings:
        if (self.size is None) == (self.fraction is None):
            raise ValueError("a cohort has either a size or a fraction: set one of them")
        return self


class NumericColumn(_Settings):
    """A number column. Without mean and std each participant uses those of its own training rows."""

    name: str
    mean: float | None = None
    std: float | None = Field(default=None, gt=0)


class CategoricalColumn(_Settings):
    """A column of categories, one-hot in this order; declared, so that all participants build one model."""

    name: str
    categories: tuple[str, ...] = Field(min_length=1)
    other: bool = False  # True: one more input for values that are not listed; False: they are an error


class TableTaskSettings(_Settings):
    """A two-class task on a table, from configuration alone."""

    kind: Literal["table"] = "table"
    source: str | None = None  # "builtin:NAME"; a participant's own file is named in [worker] instead
    label: str
    positive: str  # the label's value that counts as 1
    owner_column: str | None = None  # None: every row of the file is this participant's
    group_column: str | None = None  # whose a row is, a customer's say: for privacy of `unit = "group"`
    numeric: tuple[NumericColumn, ...] = ()
    categorical: tuple[CategoricalColumn, ...] = ()
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    split_seed: int = Field(default=0, ge=0, lt=2**63)


class FileTaskSettings(_Settings):
    """A task in a Python file of the user's own; the file's hash is part of the policy."""

    kind: Literal["file"] = "file"
    path: str
    factory: str = "task"
    sha256: str | None = None  # of the file; filled in at deployment


TaskSettings = Annotated[TableTaskSettings | FileTaskSettings, Field(discriminator="kind")]


class RunSettings(_Settings):
    """What the policy document holds besides the ledger's own constants."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    policy: PolicySettings = PolicySettings()
    aggregation: AggregationSettings = FedAvgSettings()
    task: TaskSettings | None = None
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    cohort: CohortSettings | None = None  # None: everyone trains in every round
    privacy: Protection | None = None  # None: updates are what training gives


class Settings(_Settings):
    """The whole file."""

    chain: ChainSettings = ChainSettings()
    store: StoreSettings = StoreSettings()
    keys: KeySettings = KeySettings()
    worker: WorkerSettings = WorkerSettings()
    aggregator: AggregatorSettings = AggregatorSettings()
    watch: WatchSettings = WatchSettings()
    run: RunSettings = RunSettings()


def parse_settings(text: str, *, origin: str) -> Settings:
    """Return the settings that a TOML text holds.

    Args:
        text: the file's content.
        origin: what to call it in messages.

    Raises:
        ConfigError: naming the line or the key that is wrong.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a value nested too deep, an integer of 4,300 digits
        raise ConfigError(f"{origin} is not valid TOML: {error}") from error
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        lines = [f"  {'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise ConfigError(
            f"{origin} has settings that fl_chain does not take:\n" + "\n".join(lines)
        ) from error


def load_settings(path: Path) -> Settings:
    """Return the settings of a TOML file; relative paths in it start from the file's folder.

    Raises:
        ConfigError: if the file cannot be read, or its content is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read the settings file {path}: {error.strerror}. `fl-chain init` writes a commented one."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the settings file {path} is not UTF-8 text") from error
    return _anchored(parse_settings(text, origin=str(path)), path.resolve().parent)


def _anchored(settings: Settings, folder: Path) -> Settings:
    def inside(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    def url(value: str) -> str:
        return value if "://" in value or "::" in value else str(folder / value)

    worker = settings.worker
    return settings.model_copy(
        update={
            "store": StoreSettings(urls=tuple(url(value) for value in settings.store.urls)),
            "keys": KeySettings(
                keystore=inside(settings.keys.keystore), password_file=inside(settings.keys.password_file)
            ),
            "worker": worker.model_copy(
                update={
                    "state": folder / worker.state,
                    "data": None if worker.data is None else str(folder / worker.data),
                }
            ),
            "aggregator": AggregatorSettings(state=folder / settings.aggregator.state),
            "watch": settings.watch.model_copy(update={"state": folder / settings.watch.state}),
        }
    )


def environment(variable: str) -> str | None:
    """Return an environment variable, None where it is unset or empty."""
    return os.environ.get(variable) or None


@dataclass(frozen=True, slots=True)
class DataPlaces:
    """Where catalogued data sets are looked for.

    Attributes:
        folders: read only, in this order.
        cache: looked into last; downloads go there.
    """

    folders: tuple[Path, ...]
    cache: Path


def data_places() -> DataPlaces:
    """Return where data sets are looked for.

    The folders that FL_CHAIN_DATA names (apart by the system's path separator), a checkout's
    ``../shared/data`` where there is one, and ``fl_chain/data`` in the user's cache folder.
    """
    named = [Path(part) for part in (environment(DATA_VARIABLE) or "").split(os.pathsep) if part]
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return DataPlaces((*named, *([beside] if beside.is_dir() else [])), cache_folder() / "data")


def cache_folder() -> Path:
    """Return ``fl_chain`` in the user's cache folder.

    Raises:
        RuntimeError: if the user has no home and XDG_CACHE_HOME is not set.
    """
    return Path(environment(CACHE_VARIABLE) or Path.home() / ".cache") / "fl_chain"
