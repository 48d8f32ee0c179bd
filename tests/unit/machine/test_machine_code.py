"""Machine code that is kept is made once, and anew where it is damaged; arrays are looked at before."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fl_chain.commitment import native
from fl_chain.machine import objects
from fl_chain.machine.forms import Form, Parameter
from fl_chain.machine.objects import load_loops

MODULE = "fl_chain.commitment.kernels"
FORMS = {"add_to_group": "u1[] =u4[] b1 b1"}
SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from fl_chain.machine.objects import load_loops
loops = load_loops("fl_chain.commitment.kernels", {forms!r}, folders=(Path({folder!r}),))
sums = np.zeros(2, dtype=np.uint32)
loops.add_to_group(np.array([0, 0, 0, 1, 0, 0, 1, 0], dtype=np.uint8), sums, True, False)
assert list(sums) == [1, 256], sums
print("numba" in sys.modules)
"""


def loads_numba(folder: Path, forms: dict[str, str] = FORMS) -> bool:
    script = SCRIPT.format(forms=forms, folder=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip() == "True"


def test_only_who_compiles_loads_numba_and_damage_is_mended(tmp_path: Path) -> None:
    assert loads_numba(tmp_path)
    (kept,) = tmp_path.glob("*.o")
    assert not loads_numba(tmp_path)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-100])
    assert loads_numba(tmp_path)
    assert kept.read_bytes() == whole, "the same source gives the same code"


def test_code_that_cannot_be_kept_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    made: list[bytes] = []
    compile_code = objects._object_code

    def counted(module: Any) -> bytes:
        made.append(compile_code(module))
        return made[-1]

    assert native.kernels() is not None  # so that the usual folders have all of it
    monkeypatch.setattr(objects, "_object_code", counted)
    for _ in range(2):
        native.hashing.__wrapped__()
    assert not made, "the usual folders have it"
    for _ in range(2):
        objects.kept_engine("x", (), (), _empty, folders=(file,))
    assert len(made) == 2


def _empty() -> Any:
    import llvmlite.binding as llvm

    return llvm.parse_assembly("define void @nothing() {\n  ret void\n}")


@pytest.mark.parametrize("known", [("1",), ("2",), ()])
def test_what_code_depends_on_is_in_its_name(known: tuple[str, ...]) -> None:
    assert objects._key((MODULE,), known) != objects._key((MODULE,), ("3",))
    assert objects._key((MODULE,), known) != objects._key((), known)


def test_what_a_loop_imports_is_part_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = "fl_chain.run.stripe_kernel"
    texts = objects.source_texts((kernel,))
    assert "fl_chain.aggregation.observation_kernel" in texts, "a loop of it is inlined"
    assert "fl_chain.commitment.sizes" in texts, "so are its constants"
    before = objects._key((kernel,), ())
    changed = {**texts, "fl_chain.commitment.sizes": texts["fl_chain.commitment.sizes"] + "# changed"}
    monkeypatch.setattr(objects, "source_texts", lambda modules: changed)
    assert objects._key((kernel,), ()) != before


def test_a_loop_that_makes_an_array_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "making_loop.py").write_text(
        "import numpy as np\n"
        "from fl_chain.commitment.kernels import compiled\n"
        "@compiled\n"
        "def make(count):\n"
        "    return np.zeros(count, dtype=np.int64).sum()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="give it room for that as an argument"):
        load_loops("making_loop", {"make": "i8 -> i8"}, folders=(tmp_path,))


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    objects._keep_code("x.o", b"code", (tmp_path,))
    assert list(tmp_path.iterdir()) == []


def test_a_form_is_read() -> None:
    form = Form.of("u1[] =i8[,] f8 -> b1")
    assert form == Form((Parameter("u1", 1), Parameter("i8", 2, is_written=True), Parameter("f8", 0)), "b1")
    assert Form.of("=u4[]") == Form((Parameter("u4", 1, is_written=True),), "")


def _read_only() -> Any:
    array = np.zeros(2, dtype=np.uint32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "sums",
    [
        np.zeros(2, dtype=np.int64),
        np.zeros((1, 2), dtype=np.uint32),
        np.zeros(4, dtype=np.uint32)[::2],
        np.zeros(2, dtype=">u4"),
        _read_only(),
    ],
    ids=["other items", "other dimensions", "gaps", "other order of bytes", "read-only"],
)
def test_an_array_of_another_form_is_refused(sums: Any) -> None:
    loops = load_loops(MODULE, native._LOOPS)
    with pytest.raises(TypeError, match="a loop needs 1 dimensions of <u4 to write to"):
        loops.add_to_group(np.zeros(8, dtype=np.uint8), sums, True, False)


def test_other_arguments_are_refused() -> None:
    loops = load_loops(MODULE, native._LOOPS)
    with pytest.raises(TypeError, match="4 arguments are needed, 1 were given"):
        loops.add_to_group(np.zeros(8, dtype=np.uint8))
    with pytest.raises(ValueError, match="7 bytes are no whole number of words"):
        loops.add_to_group(np.zeros(7, dtype=np.uint8), np.zeros(2, dtype=np.uint32), True, False)


def test_who_has_no_home_keeps_code_beside_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert len(objects._folders()) == 2
    monkeypatch.setattr(Path, "home", homeless)
    assert len(objects._folders()) == 1
