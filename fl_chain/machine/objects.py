"""Machine code of the compiled loops, kept on disk, so that only who compiles it loads Numba.

Loading Numba is slow, and loading an object file is not. A loop is written once, in Python; its first use on
a machine compiles it, and the object file that comes of it stands beside Python's own byte code. It is made
anew when a source, a compiler or the processor is another.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt

from fl_chain.config import cache_folder
from fl_chain.machine.forms import Form, Parameter, symbol
from fl_chain.machine.host import engine_of

_SCALARS: dict[str, Any] = {
    "i8": ctypes.c_int64,
    "f8": ctypes.c_double,
    "f4": ctypes.c_float,
    "b1": ctypes.c_bool,
}
_COMPILING = "fl_chain.machine.compiling"
_HOST = "fl_chain.machine.host"
_IMPORTED = re.compile(r"^from (fl_chain[\w.]*) import", re.MULTILINE)
Folders = tuple[Path, ...]
_kept: list[object] = []  # code is gone with its engine


def load_loops(module: str, forms: Mapping[str, str], *, folders: Folders | None = None) -> Any:
    """Load a module's loops, or compile them.

    Args:
        module: where they are defined, decorated with `fl_chain.commitment.kernels.compiled`.
        forms: for each loop's name its form.
        folders: as `kept_engine` has them.

    Returns:
        An object with a function for each loop. It raises TypeError for an array of another form than the
        loop's, and ValueError for bytes that are no whole number of words.

    Raises:
        ImportError: if Numba is needed and not there.
    """
    read = {name: Form.of(text) for name, text in forms.items()}

    def code() -> llvm.ModuleRef:
        return importlib.import_module(_COMPILING).loops_code(module, read)

    known = (version("numba"), *(f"{name}: {text}" for name, text in sorted(forms.items())))
    engine = kept_engine(module, (module, _COMPILING, _HOST), known, code, folders=folders)
    loops = {one: _bound(engine.get_function_address(symbol(module, one)), read[one]) for one in read}
    return SimpleNamespace(**loops)


def kept_engine(
    name: str,
    sources: Sequence[str],
    known: Sequence[str],
    code: Callable[[], llvm.ModuleRef],
    *,
    folders: Folders | None = None,
) -> llvm.ExecutionEngine:
    """Load machine code from its object file, or make both.

    Args:
        name: of the file.
        sources: the modules that the code comes from; what they import of this package is found.
        known: what else it depends on, apart from LLVM, Python and the processor.
        code: makes it.
        folders: where object files may stand; None: beside Python's byte code, or in the user's cache.
    """
    name = f"{name}-{_key(sources, known)}.o"
    places = _folders() if folders is None else folders
    content = _kept_code(name, places)
    if content is None:
        content = _object_code(code())
        _keep_code(name, content, places)
    engine = engine_of(llvm.parse_assembly(""))
    engine.add_object_file(llvm.ObjectFileRef.from_data(content))
    engine.finalize_object()
    _kept.append(engine)
    return engine


def _object_code(module: llvm.ModuleRef) -> bytes:
    made: list[bytes] = []
    engine = engine_of(module)
    engine.set_object_cache(notify_func=lambda _, content: made.append(bytes(content)))
    engine.finalize_object()
    return made[0]


def _key(sources: Sequence[str], known: Sequence[str]) -> str:
    """Return what tells apart the code of every source, compiler and processor."""
    features = llvm.get_host_cpu_features().flatten()
    texts = (*known, llvmlite.__version__, sys.version, llvm.get_host_cpu_name(), features)
    whole = hashlib.sha256()
    for part in (*sorted(source_texts(sources).values()), *texts):
        whole.update(hashlib.sha256(part.encode()).digest())
    return whole.hexdigest()[:32]


def source_texts(modules: Sequence[str]) -> dict[str, str]:
    """Return the sources of modules, and of all that they import of this package, which may be inlined."""
    found: dict[str, str] = {}
    waiting = [*modules]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _source(name).read_text(encoding="utf-8")
            waiting += _IMPORTED.findall(found[name])
    return found


def _source(module: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise ImportError(f"{module} has no source file")
    return Path(found.origin)


def _folders() -> Folders:
    beside = Path(__file__).parent / "__pycache__"
    try:
        return beside, cache_folder() / "machine-code"
    except RuntimeError:  # whoever this runs as has no home
        return (beside,)


def _kept_code(name: str, folders: Folders) -> bytes | None:
    for folder in folders:
        with contextlib.suppress(OSError):
            kept = (folder / name).read_bytes()
            if hashlib.sha256(kept[32:]).digest() == kept[:32]:  # not cut off by a full disk
                return kept[32:]
    return None


def _keep_code(name: str, content: bytes, folders: Folders) -> None:
    """Write into the first folder that takes it; code that cannot be kept is compiled again next time."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as unfinished:  # is gone if the disk is full
                whole = Path(unfinished) / name
                whole.write_bytes(hashlib.sha256(content).digest() + content)
                whole.replace(folder / name)
            return


def _bound(address: int, form: Form) -> Callable[..., Any]:
    kinds: list[Any] = []
    for parameter in form.parameters:
        if parameter.dimensions:
            kinds += [ctypes.c_void_p] + [ctypes.c_int64] * parameter.dimensions
        else:
            kinds.append(_SCALARS[parameter.code])
    result = _SCALARS[form.result] if form.result else None
    function = ctypes.CFUNCTYPE(result, *kinds)(address)
    parameters = [(one, np.dtype(one.code)) for one in form.parameters]

    def call(*arguments: Any) -> Any:
        if len(arguments) != len(parameters):
            raise TypeError(f"{len(parameters)} arguments are needed, {len(arguments)} were given")
        passed: list[Any] = []
        for argument, (parameter, dtype) in zip(arguments, parameters, strict=True):
            if parameter.dimensions:
                _verify_array(argument, parameter, dtype)
                passed += (argument.ctypes.data, *argument.shape)
            else:
                passed.append(argument)
        return function(*passed)

    return call


def _verify_array(array: npt.NDArray[Any], parameter: Parameter, dtype: np.dtype[Any]) -> None:
    is_fitting = (
        array.dtype == dtype
        and array.ndim == parameter.dimensions
        and array.flags.c_contiguous
        and (array.flags.writeable or not parameter.is_written)
    )
    if not is_fitting:
        wanted = "to write to" if parameter.is_written else "to read"
        raise TypeError(
            f"a loop needs {parameter.dimensions} dimensions of {dtype.str} {wanted}, in C order, not "
            f"{array.ndim} of {array.dtype.str}"
        )
    if dtype.itemsize == 1 and dtype.kind == "u" and array.size % 4:
        raise ValueError(f"{array.size} bytes are no whole number of words of 4")
