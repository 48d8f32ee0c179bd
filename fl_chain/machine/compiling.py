"""Compiles a module's loops by Numba; see `fl_chain.machine.objects`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

import llvmlite.binding as llvm
import numba
from numba import types

from fl_chain.commitment.sizes import HASHING_SYMBOL
from fl_chain.machine.forms import Form, Parameter, symbol

_NUMBERS: dict[str, Any] = {
    "b1": types.boolean,
    "u1": types.uint8,
    "i1": types.int8,
    "u4": types.uint32,
    "i8": types.int64,
    "f4": types.float32,
    "f8": types.float64,
}
_array: Any = numba.carray  # type: ignore[attr-defined]
_pointer: Any = types.CPointer
_DECLARED = re.compile(r"^declare (?P<kind>.*) @(?P<name>[\w.]+)\((?P<given>[^\n]*?)\)[^)\n]*$", re.MULTILINE)


def loops_code(module: str, forms: Mapping[str, Form]) -> llvm.ModuleRef:
    """Return a module's loops as LLVM code that needs nothing but the compiled hashing.

    Args:
        module: where they are defined.
        forms: of each.
    """
    source = importlib.import_module(module)
    whole: Any = None
    for name, form in forms.items():
        part = llvm.parse_assembly(_standalone(symbol(module, name), getattr(source, name), form))
        if whole is None:
            whole = part
        else:
            whole.link_in(part)
    return whole


def _standalone(name: str, loop: Any, form: Form) -> str:
    """Return a loop's LLVM code with addresses and sizes in the place of arrays, as C calls it."""
    given, passed, kinds = [], [], []
    for number, parameter in enumerate(form.parameters):
        names = [f"p{number}"] + [f"n{number}_{axis}" for axis in range(parameter.dimensions)]
        given += names
        kinds += _kinds(parameter)
        passed.append(f"carray({names[0]}, ({', '.join(names[1:])},))" if parameter.dimensions else names[0])
    text = f"def entry({', '.join(given)}):\n    return loop({', '.join(passed)})\n"
    space: dict[str, Any] = {"carray": _array, "loop": loop}
    exec(text, space)  # noqa: S102 - built above from the forms that this package gives
    result = _NUMBERS[form.result] if form.result else types.void
    entry = numba.cfunc(result(*kinds))(space["entry"])
    code = entry.inspect_llvm().replace(entry.native_name, name)
    return _without_interpreter(code.replace(f"@{name}(", f'@"{name}"('))


def _kinds(parameter: Parameter) -> list[Any]:
    number = _NUMBERS[parameter.code]
    if not parameter.dimensions:
        return [number]
    return [_pointer(number)] + [types.int64] * parameter.dimensions


def _without_interpreter(code: str) -> str:
    """Give functions of Numba's and Python's, which only an error would call, a body that stops the process.

    No loop raises: what they divide by is above zero, and sizes are looked at before.
    """

    def body(found: re.Match[str]) -> str:
        name = found["name"]
        if name.startswith("llvm.") or name in {HASHING_SYMBOL, "pread"}:
            return found[0]
        if "alloc" in name.lower():
            raise RuntimeError("a loop makes an array: give it room for that as an argument")
        return (
            f"define linkonce_odr {found['kind']} @{name}({found['given']}) {{\n"
            "  call void @llvm.trap()\n  unreachable\n}"
        )

    code = _DECLARED.sub(body, code)
    return code if "declare void @llvm.trap()" in code else code + "\ndeclare void @llvm.trap()\n"
