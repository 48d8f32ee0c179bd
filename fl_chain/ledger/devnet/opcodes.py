"""The commonest instructions of the EVM without py-evm's layers between them.

py-evm spends most of a transaction in calls around its instructions: gas, stack and code are objects of their
own. Those that make up nine tenths of what a contract executes work on their lists here. They do what py-evm's
do to gas, stack, memory and program counter, and fail with its errors; all others are py-evm's own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from eth.exceptions import FullStack, InsufficientStack, InvalidJumpDestination
from eth.vm import opcode_values as code
from eth.vm.forks.prague.computation import PragueComputation

WORD = (1 << 256) - 1
STACK_LIMIT = 1024
VERY_LOW_GAS, MID_GAS, HIGH_GAS, BASE_GAS, JUMPDEST_GAS = 3, 8, 10, 2, 1

Instruction = Callable[[Any], None]


@lru_cache(maxsize=64)
def jump_destinations(contract: bytes) -> frozenset[int]:
    """Return where a contract may jump to: its JUMPDESTs that are no data of a PUSH."""
    found, position = set(), 0
    while position < len(contract):
        instruction = contract[position]
        if instruction == code.JUMPDEST:
            found.add(position)
        elif code.PUSH1 <= instruction <= code.PUSH32:
            position += instruction - code.PUSH1 + 1
        position += 1
    return frozenset(found)


def _pay(computation: Any, gas: int, name: str) -> None:
    meter = computation._gas_meter
    if meter.gas_remaining < gas:
        meter.consume_gas(gas, name)  # raises what py-evm raises
    meter.gas_remaining -= gas


def _number(value: int | bytes) -> int:
    return value if value.__class__ is int else int.from_bytes(value, "big")  # type: ignore[arg-type]


def _push(size: int) -> Instruction:
    name = f"PUSH{size}"

    def push(computation: Any) -> None:
        _pay(computation, VERY_LOW_GAS, name)
        stream = computation.code
        start = stream.program_counter
        stream.program_counter = end = start + size
        values = computation._stack.values
        if len(values) >= STACK_LIMIT:
            raise FullStack("Stack limit reached")
        word = stream._raw_code_bytes[start:end]
        values.append(int.from_bytes(word if len(word) == size else word.ljust(size, b"\x00"), "big"))

    return push


def _dup(depth: int) -> Instruction:
    name = f"DUP{depth}"

    def dup(computation: Any) -> None:
        _pay(computation, VERY_LOW_GAS, name)
        values = computation._stack.values
        if len(values) >= STACK_LIMIT:
            raise FullStack("Stack limit reached")
        if len(values) < depth:
            raise InsufficientStack(f"Insufficient stack items for {name}")
        values.append(values[-depth])

    return dup


def _swap(depth: int) -> Instruction:
    name = f"SWAP{depth}"

    def swap(computation: Any) -> None:
        _pay(computation, VERY_LOW_GAS, name)
        values = computation._stack.values
        if len(values) <= depth:
            raise InsufficientStack(f"Insufficient stack items for {name}")
        values[-1], values[-depth - 1] = values[-depth - 1], values[-1]

    return swap


def _binary(name: str, result: Callable[[int, int], int]) -> Instruction:
    """Return an instruction that replaces the two topmost words, the topmost first, by one."""

    def binary(computation: Any) -> None:
        _pay(computation, VERY_LOW_GAS, name)
        values = computation._stack.values
        if len(values) < 2:
            raise InsufficientStack(f"Wanted 2 stack items, only had {len(values)}")
        first = _number(values.pop())
        values[-1] = result(first, _number(values[-1]))

    return binary


def _iszero(computation: Any) -> None:
    _pay(computation, VERY_LOW_GAS, "ISZERO")
    values = computation._stack.values
    if not values:
        raise InsufficientStack("Wanted 1 stack item, had none")
    values[-1] = 0 if _number(values[-1]) else 1


def _pop(computation: Any) -> None:
    _pay(computation, BASE_GAS, "POP")
    values = computation._stack.values
    if not values:
        raise InsufficientStack("Wanted 1 stack item, had none")
    values.pop()


def _jump_to(computation: Any, target: int) -> None:
    stream = computation.code
    if target not in jump_destinations(stream._raw_code_bytes):
        raise InvalidJumpDestination("Invalid Jump Destination")
    stream.program_counter = target


def _jump(computation: Any) -> None:
    _pay(computation, MID_GAS, "JUMP")
    values = computation._stack.values
    if not values:
        raise InsufficientStack("Wanted 1 stack item, had none")
    _jump_to(computation, _number(values.pop()))


def _jumpi(computation: Any) -> None:
    _pay(computation, HIGH_GAS, "JUMPI")
    values = computation._stack.values
    if len(values) < 2:
        raise InsufficientStack(f"Wanted 2 stack items, only had {len(values)}")
    target = _number(values.pop())
    if _number(values.pop()):
        _jump_to(computation, target)


def _jumpdest(computation: Any) -> None:
    _pay(computation, JUMPDEST_GAS, "JUMPDEST")


def _named(instruction: Instruction, name: str) -> Instruction:
    instruction.mnemonic = name  # type: ignore[attr-defined] # where py-evm's logs look for it
    return instruction


def _instructions() -> dict[int, Instruction]:
    found = {code.PUSH1 + size - 1: _named(_push(size), f"PUSH{size}") for size in range(1, 33)}
    for depth in range(1, 17):
        found[code.DUP1 + depth - 1] = _named(_dup(depth), f"DUP{depth}")
        found[code.SWAP1 + depth - 1] = _named(_swap(depth), f"SWAP{depth}")
    binaries: dict[str, Callable[[int, int], int]] = {
        "ADD": lambda first, second: (first + second) & WORD,
        "SUB": lambda first, second: (first - second) & WORD,
        "AND": operator.and_,
        "OR": operator.or_,
        "XOR": operator.xor,
        "LT": lambda first, second: int(first < second),
        "GT": lambda first, second: int(first > second),
        "EQ": lambda first, second: int(first == second),
        "SHL": lambda shift, value: (value << shift) & WORD if shift < 256 else 0,
        "SHR": lambda shift, value: value >> shift if shift < 256 else 0,
    }
    for name, result in binaries.items():
        found[getattr(code, name)] = _named(_binary(name, result), name)
    for instruction, name in (
        (_iszero, "ISZERO"),
        (_pop, "POP"),
        (_jump, "JUMP"),
        (_jumpi, "JUMPI"),
        (_jumpdest, "JUMPDEST"),
    ):
        found[getattr(code, name)] = _named(instruction, name)
    return found


class QuickComputation(PragueComputation):
    """A computation under the Prague rules with the quick instructions."""

    opcodes = {**PragueComputation.opcodes, **_instructions()}
