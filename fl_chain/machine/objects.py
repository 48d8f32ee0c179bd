"""Machine code of the compiled loops, kept on disk, so that only who compiles it loads Numba.

Loading Numba and the code that it keeps takes as long as hashing a gigabyte; loading an object file takes
milliseconds. A loop is written once, in Python; its first use on a machine compiles it, and the object file
that comes of it stands beside Python's own byte code. It is made anew when the source, a compiler or the
processor is another.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt

_SCALARS: dict[str, Any] = {
    "i8": ctypes.c_int64,
    "f8": ctypes.c_double,
    "f4": ctypes.c_float,
    "b1": ctypes.c_bool,
}
OPENSSL_FUNCTIONS = ("SHA256_Init", "SHA256_Update", "SHA256_Final")  # what that calls where it must
_LIBRARY = "fl_chain.commitment.kernels"  # what the other modules of loops import from
_COMPILING = "fl_chain.machine.compiling"
Folders = tuple[Path, ...]
_kept: list[object] = []  # code is gone with its engine


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a loop as compiled code takes it."""

    code: str  # NumPy's: of the array's items, or of a number
    dimensions: int  # 0: a number
    is_written: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters of a loop, and its result."""

    parameters: tuple[Parameter, ...]
    result: str  # code of a number, or empty

    @staticmethod
    def of(text: str) -> Form:
        """Read a form such as ``"u1[] =u4[] i8 -> b1"``: a sign stands before an array that is written."""
        given, _, result = text.partition("->")
        parameters = []
        for word in given.split():
            dimensions = 0 if "[" not in word else word.count(",") + 1
            code = word.removeprefix("=").partition("[")[0]
            parameters.append(Parameter(code, dimensions, word.startswith("=")))
        return Form(tuple(parameters), result.strip())


def _engine(module: llvm.ModuleRef) -> llvm.ExecutionEngine:
    return llvm.create_mcjit_compiler(module, host_machine())


def host_machine() -> llvm.TargetMachine:
    """Return a target for the processor that this runs on; an engine that is given it owns it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )


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
    engine = kept_engine(module, (module, _LIBRARY, _COMPILING), known, code, folders=folders)
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
        sources: the modules that the code comes from.
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
    engine = _engine(llvm.parse_assembly(""))
    engine.add_object_file(llvm.ObjectFileRef.from_data(content))
    engine.finalize_object()
    _kept.append(engine)
    return engine


def _object_code(module: llvm.ModuleRef) -> bytes:
    made: list[bytes] = []
    engine = _engine(module)
    engine.set_object_cache(notify_func=lambda _, content: made.append(bytes(content)))
    engine.finalize_object()
    return made[0]


def symbol(module: str, name: str) -> str:
    """Return what a loop is called in an object file."""
    return f"{module}.{name}"


def _key(sources: Sequence[str], known: Sequence[str]) -> str:
    """Return what tells apart the code of every source, compiler and processor."""
    features = llvm.get_host_cpu_features().flatten()
    texts = (*known, llvmlite.__version__, sys.version, llvm.get_host_cpu_name(), features)
    whole = hashlib.sha256()
    for part in (*(_source(one).read_bytes() for one in (*sources, __name__)), *map(str.encode, texts)):
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:32]


def _source(module: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise ImportError(f"{module} has no source file")
    return Path(found.origin)


def _folders() -> Folders:
    beside = Path(__file__).parent / "__pycache__"
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # whoever this runs as has no home
        return (beside,)
    return beside, cache / "fl_chain" / "machine-code"


def _kept_code(name: str, folders: Folders) -> bytes | None:
    for folder in folders:
        with contextlib.suppress(OSError):
            digest, content = _parted((folder / name).read_bytes())
            if hashlib.sha256(content).digest() == digest:  # not cut off by a full disk
                return content
    return None


def _parted(kept: bytes) -> tuple[bytes, bytes]:
    return kept[:32], kept[32:]


def _keep_code(name: str, content: bytes, folders: Folders) -> None:
    """Write into the first folder that takes it; code that cannot be kept is compiled again next time."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                file.write(hashlib.sha256(content).digest() + content)
            Path(file.name).replace(folder / name)
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
