import re
from importlib.resources import files
from pathlib import Path

import pytest

from fl_chain.config import Settings, TableTaskSettings, environment, load_settings, parse_settings
from fl_chain.errors import ConfigError


def template() -> str:
    return files("fl_chain.cli").joinpath("template.toml").read_text(encoding="utf-8")


def test_the_template_loads(tmp_path: Path) -> None:
    path = tmp_path / "fl_chain.toml"
    path.write_text(template(), encoding="utf-8")

    settings = load_settings(path)

    assert isinstance(settings.run.task, TableTaskSettings)
    assert settings.store.urls == (str(tmp_path / "store"),)


def test_the_template_shows_the_real_defaults() -> None:
    shown = re.sub(r"^# (\w+ = [^#]*?)(\s+#.*)?$", r"\1", template(), flags=re.MULTILINE)
    shown = re.sub(
        r'^\w+ = "(0x\.\.\.|.*\.json|password|my_.*|builtin:.*|shop|my_task.py|task|1)"$',
        "",
        shown,
        flags=re.MULTILINE,
    )
    shown = re.sub(r"^chain_id = 1$", "", shown, flags=re.MULTILINE)
    uncommented = parse_settings(shown, origin="template")
    assert (
        uncommented.model_copy(update={"run": uncommented.run.model_copy(update={"task": None})})
        == Settings()
    )


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
