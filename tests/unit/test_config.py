import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from fl_chain.config import (
    RowPrivacySettings,
    RunSettings,
    Settings,
    TableTaskSettings,
    environment,
    load_settings,
    parse_settings,
)
from fl_chain.errors import ConfigError


def template() -> str:
    return files("fl_chain.cli").joinpath("template.toml").read_text(encoding="utf-8")


def test_the_template_loads(tmp_path: Path) -> None:
    path = tmp_path / "fl_chain.toml"
    path.write_text(template(), encoding="utf-8")

    settings = load_settings(path)

    assert isinstance(settings.run.task, TableTaskSettings)
    assert settings.store.urls == (str(tmp_path / "store"),)


EXAMPLES = {
    "members",
    "key_maker",
    "chain_id",
    "ledger",
    "keystore",
    "password_file",
    "owner",
    "data",
    "payout",
    "source",
    "owner_column",
    "group_column",
    "proximal_mu",
    "local",
    "deadline_share",
    "staleness_factor",
    "size",
    "randomness",
}


def shown_defaults() -> list[tuple[str, str, object]]:
    """Return section, key and value of each line of the template that shows a default."""
    section, found = "", []
    for line in template().splitlines():
        if heading := re.match(r"^(?:# )?\[([\w.]+)\]$", line):
            section = heading[1]
        if setting := re.match(r"^# (\w+) = (.*?)(?:\s{2,}#.*)?$", line):
            value = tomllib.loads(f"value = {setting[2]}")["value"]
            found.append((section, setting[1], tuple(value) if isinstance(value, list) else value))
    return found


def test_the_template_shows_the_real_defaults() -> None:
    checked = 0
    for section, key, shown in shown_defaults():
        if key in EXAMPLES or section == "run.task" or (section, key) == ("run.privacy", "kind"):
            continue
        settings: object = Settings(run=RunSettings(privacy=RowPrivacySettings()))
        for name in section.split("."):
            settings = getattr(settings, name)
        default = getattr(settings, key)
        assert (str(default) if isinstance(default, Path) else default) == shown, f"[{section}] {key}"
        checked += 1
    assert checked == 48


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[chain", "not valid TOML"),
        ("[chain]\nrcp = ['x']", "chain.rcp"),
        ("[run.policy]\nrounds = 0", "run.policy.rounds"),
        ("[run.policy]\nfraction_bits = 25", "run.policy.fraction_bits"),
        ("[run.policy]\nfraction_bits = 7", "run.policy.fraction_bits"),
        ("[run.training]\nlearning_rate = 'fast'", "run.training.learning_rate"),
        ("[store]\nurls = []", "store.urls"),
        ("[run.task]\nkind = 'magic'", "run.task"),
    ],
)
def test_wrong_settings_name_the_key(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        parse_settings(text, origin="test.toml")


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fl-chain init"):
        load_settings(tmp_path / "none.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fl_chain.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_settings(path)


def test_relative_paths_start_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fl_chain.toml"
    path.write_text(
        "[store]\nurls = ['blobs', 's3://bucket/run', '/abs']\n"
        "[worker]\ndata = 'mine.csv'\n[keys]\nkeystore = 'k.json'\n"
    )

    settings = load_settings(path)

    assert settings.store.urls == (str(tmp_path / "blobs"), "s3://bucket/run", "/abs")
    assert settings.worker.data == str(tmp_path / "mine.csv")
    assert settings.keys.keystore == tmp_path / "k.json"
    assert settings.keys.password_file is None


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FL_CHAIN_PASSWORD", "")
    assert environment("FL_CHAIN_PASSWORD") is None
    monkeypatch.setenv("FL_CHAIN_PASSWORD", "x")
    assert environment("FL_CHAIN_PASSWORD") == "x"


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ('algorithm = "fedprox"', "proximal_mu"),
        ("proximal_mu = 0.1", "proximal_mu"),
        ('algorithm = "scaffold"\nmomentum = 0.9', "momentum"),
        ('algorithm = "scaffold"\nstaleness_factor = 0.5', "staleness_factor"),
        ('algorithm = "fedsgd"', "algorithm"),
        ('local = [""]', "local"),
        ("deadline_share = 0.0", "deadline_share"),
        ("deadline_share = 1.0", "deadline_share"),
        ("staleness_factor = 0.0", "staleness_factor"),
        ("staleness_factor = 1.1", "staleness_factor"),
        ("max_staleness = 0", "max_staleness"),
        ("max_staleness = 65", "max_staleness"),
    ],
)
def test_training_that_contradicts_itself_is_refused(training: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_settings(f"[run.training]\n{training}\n", origin="here")


@pytest.mark.parametrize(
    "training",
    [
        'algorithm = "fedprox"\nproximal_mu = 1e-9',
        'algorithm = "scaffold"',
        "deadline_share = 0.999",
        "staleness_factor = 1.0\nmax_staleness = 64",
        'local = ["output.*", "norm.running_mean"]',
    ],
)
def test_training_within_its_bounds_is_taken(training: str) -> None:
    assert parse_settings(f"[run.training]\n{training}\n", origin="here").run.training.batch_size == 32


@pytest.mark.parametrize(
    "cohort", ["", "size = 3\nfraction = 0.5", "size = 0", "size = 65536", "fraction = 0.0", "fraction = 1.1"]
)
def test_a_cohort_has_one_measure_within_its_bounds(cohort: str) -> None:
    with pytest.raises(ConfigError, match="cohort"):
        parse_settings(f"[run.cohort]\n{cohort}\n", origin="here")
    parse_settings("[run.cohort]\nsize = 65535\n", origin="here")
    parse_settings("[run.cohort]\nfraction = 1.0\n", origin="here")
