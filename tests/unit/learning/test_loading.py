import hashlib
from pathlib import Path

import pytest

from fl_chain.config import FileTaskSettings, ModelSettings
from fl_chain.data.orange_juice import logistic_regression
from fl_chain.errors import ConfigError, DigestMismatch
from fl_chain.learning import build_task, task_file_digest
from fl_chain.learning.loading import load_task_file
from fl_chain.learning.table_task import TableTask
from fl_chain.learning.task import Task
from fl_chain.records import Digest

TASK_FILE = """
from dataclasses import dataclass

import torch
from torch import nn

from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import train_sgd


@dataclass
class Line:
    slope: float = 2.0

    def model(self, seed):
        return nn.Linear(1, 1)

    def load(self, owner, source):
        x = torch.linspace(-1, 1, 20)[:, None]
        examples = Examples(x, self.slope * x)
        return OwnerData(examples, examples)

    def train(self, model, examples, settings, seed):
        return train_sgd(model, examples, nn.functional.mse_loss, settings, seed=seed)

    def evaluate(self, model, examples):
        return {"mse": nn.functional.mse_loss(model(examples.inputs), examples.targets).item()}


def task():
    return Line(slope=3.0)


def broken():
    raise RuntimeError("out of coffee")


def number():
    return 7
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "my_task.py"
    file.write_text(TASK_FILE)
    return file


def test_a_function_or_a_class_makes_the_task(path: Path) -> None:
    for factory in ("task", "Line"):
        loaded = load_task_file(path, factory)
        assert isinstance(loaded, Task)
        assert len(loaded.load("a", None).train) == 20


def test_settings_name_a_table_or_a_file(path: Path) -> None:
    table, model, _ = logistic_regression()
    assert isinstance(build_task(table, model), TableTask)
    digest = task_file_digest(path).hex()
    for sha256 in (None, digest, "0x" + digest):
        settings = FileTaskSettings(path=str(path), sha256=sha256)
        assert isinstance(build_task(settings, ModelSettings()), Task)


def test_the_digest_is_that_of_the_file(path: Path) -> None:
    assert task_file_digest(path) == hashlib.sha256(TASK_FILE.encode()).digest()


def test_another_file_than_the_policys_is_refused_before_it_runs(tmp_path: Path) -> None:
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(DigestMismatch, match="take the operator's"):
        load_task_file(trap, "task", expected=Digest(bytes(32)))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("missing", r"no class or function 'missing'; it has .*Line"),
        ("broken", "RuntimeError: out of coffee"),
        ("number", "lacks model, load, train, evaluate"),
    ],
)
def test_what_a_factory_can_do_wrong(path: Path, factory: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_task_file(path, factory)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def task(:", "SyntaxError"),
        ("import no_such_module", "no_such_module"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_file_that_does_not_run(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_task_file(tmp_path / "bad.py", "task")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_task_file(tmp_path / "none.py", "task")
    with pytest.raises(ConfigError, match="cannot be read"):
        task_file_digest(tmp_path / "none.py")


@pytest.mark.parametrize("sha256", ["abc", "zz" * 32, "00" * 31])
def test_a_sha256_that_is_none(path: Path, sha256: str) -> None:
    with pytest.raises(ConfigError, match="sha256"):
        build_task(FileTaskSettings(path=str(path), sha256=sha256), ModelSettings())
