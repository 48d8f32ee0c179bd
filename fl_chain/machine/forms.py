"""What a compiled loop is called with, and what it is called by."""

from __future__ import annotations

from dataclasses import dataclass


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


def symbol(module: str, name: str) -> str:
    """Return what a loop is called in an object file."""
    return f"{module}.{name}"
