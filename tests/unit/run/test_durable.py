import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fl_chain.errors import ConfigError, StateInUse, StateUnwritable
from fl_chain.run.durable import exclusive, make_folder, write_durably, write_whole

HOLD = """
import sys
from pathlib import Path
from fl_chain.run.durable import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


WRITERS = pytest.mark.parametrize("write", [write_durably, write_whole])


@WRITERS
def test_what_is_written_reads_back_and_is_private(tmp_path: Path, write: Callable[..., None]) -> None:
    path = tmp_path / "file"
    write(path, b"one", memoryview(b"two"))
    assert path.read_bytes() == b"onetwo"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@WRITERS
def test_what_a_killed_process_left_behind_is_replaced(tmp_path: Path, write: Callable[..., None]) -> None:
    (tmp_path / "file.part").write_bytes(b"a longer text than the new one")
    write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_full_disk_is_said_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_durably(tmp_path / "file", b"old")
    script = f"""
import resource
from pathlib import Path
from fl_chain.errors import StateUnwritable
from fl_chain.run.durable import write_durably
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
write_durably(Path({str(tmp_path / "file")!r}), bytes(1000))
try:
    write_durably(Path({str(tmp_path / "file")!r}), bytes(1001))
except StateUnwritable as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "File too large" in result.stdout
    assert (tmp_path / "file").read_bytes() == bytes(1000)


@WRITERS
def test_a_folder_that_is_not_there_is_said(tmp_path: Path, write: Callable[..., None]) -> None:
    with pytest.raises(StateUnwritable, match="cannot write"):
        write(tmp_path / "missing" / "file", b"")


def test_a_folder_under_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot make"):
        make_folder(tmp_path / "file" / "state")


def test_a_folder_serves_one_process_until_that_dies(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "state")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StateInUse, match="another process"), exclusive(tmp_path / "state"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with exclusive(tmp_path / "state"):
        pass
    with exclusive(tmp_path / "state"):
        assert list((tmp_path / "state").iterdir()) == []
