"""The quick instructions against py-evm's own, on programs that nobody would write."""

from __future__ import annotations

from typing import Any

import pytest
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.exceptions import InvalidInstruction, InvalidJumpDestination
from eth.vm import opcode_values as code
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.message import Message
from eth.vm.transaction_context import BaseTransactionContext
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_chain.ledger.devnet.evm import QuickState
from fl_chain.ledger.devnet.opcodes import QuickComputation, jump_destinations

SENDER, CONTRACT = b"\x01" * 20, b"\x02" * 20
QUICK = sorted(
    number
    for number, instruction in QuickComputation.opcodes.items()
    if instruction is not PragueComputation.opcodes[number]
)
OTHERS = [code.MSTORE, code.MLOAD, code.PC, code.GAS, code.CALLDATALOAD, code.PUSH0, code.NOT, code.SHA3]


class Context(BaseTransactionContext):
    def __init__(self) -> None:
        super().__init__(gas_price=1, origin=SENDER)


def outcome(state_class: type[PragueState], program: bytes, gas: int) -> tuple[Any, ...]:
    context = ExecutionContext(b"\0" * 20, 1, 1, 1, b"\0" * 32, 10**7, [], 1, base_fee_per_gas=0)
    state = state_class(AtomicDB(), context, BLANK_ROOT_HASH)
    message = Message(gas=gas, to=CONTRACT, sender=SENDER, value=0, data=bytes(range(64)), code=program)
    ran = state.computation_class.apply_computation(state, message, Context())
    words = [int.from_bytes(each, "big") if isinstance(each, bytes) else each for each in ran._stack.values]
    if ran.is_error:  # a failure takes all gas, whatever was on the stack
        return type(ran.error), ran.get_gas_used(), bytes(ran.output)
    return words, ran.get_gas_used(), bytes(ran.output), bytes(ran._memory._bytes), ran.code.program_counter


def agree(program: bytes, gas: int = 100_000) -> tuple[Any, ...]:
    quick, plain = outcome(QuickState, program, gas), outcome(PragueState, program, gas)
    assert quick == plain
    return quick


def push(value: int) -> bytes:
    word = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return bytes([code.PUSH1 + len(word) - 1]) + word


WORDS = st.one_of(st.integers(0, 300), st.integers(0, 2**256 - 1), st.just(2**256 - 1))
STEPS = st.one_of(WORDS.map(push), st.sampled_from([bytes([one]) for one in [*QUICK, *OTHERS]]))


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60).map(b"".join), st.sampled_from([20, 100, 100_000]))
def test_any_program_comes_to_the_same_end(program: bytes, gas: int) -> None:
    agree(program, gas)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_come_to_the_same_end(program: bytes) -> None:
    plain = [each for each in program if each in {*QUICK, *OTHERS}]
    agree(bytes(plain))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(QUICK), st.lists(WORDS, min_size=16, max_size=17))
def test_each_instruction_gives_the_same_words(instruction: int, words: list[int]) -> None:
    agree(b"".join(map(push, words)) + bytes([instruction]))


@pytest.mark.parametrize("instruction", QUICK)
def test_each_instruction_fails_alike_on_an_empty_stack_and_without_gas(instruction: int) -> None:
    agree(bytes([instruction]))
    agree(bytes([instruction]), gas=0)
    full = push(1) * 1024 + bytes([instruction])
    agree(full)
    agree(push(1) * 1023 + bytes([instruction]))


def test_a_push_at_the_end_of_the_code_is_filled_with_zeros() -> None:
    assert agree(bytes([code.PUSH4, 1, 2]))[0] == [0x01020000]


def test_a_jump_goes_to_an_instruction_and_not_into_data() -> None:
    program = bytes([code.PUSH1, 4, code.JUMP, code.PUSH1, code.JUMPDEST])
    assert jump_destinations(program) == frozenset()
    assert agree(program)[0] is InvalidInstruction
    assert agree(bytes([code.PUSH1, 0, code.JUMP]))[0] is InvalidJumpDestination
    good = bytes([code.PUSH1, 4, code.JUMP, code.STOP, code.JUMPDEST, code.PUSH1, 7])
    assert jump_destinations(good) == {4}
    assert agree(good)[0] == [7]
