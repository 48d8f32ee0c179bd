"""The loop over pieces to hash, built as LLVM code; see `fl_chain.machine.sha256`.

Source: FIPS 180-4, section 6.2; the instructions as Intel's "SHA Extensions" (2013) uses them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from fl_chain.commitment.sizes import HASHING_SYMBOL, OPENSSL_FUNCTIONS, PIECE_BYTES
from fl_chain.machine.host import host_machine

_BYTE, _WORD, _LONG = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BYTES = _BYTE.as_pointer()
_WORDS_4, _BYTES_16 = ir.VectorType(_WORD, 4), ir.VectorType(_BYTE, 16)
_CONTEXT_BYTES = 256  # OpenSSL's SHA256_CTX has 112

_INITIAL = (
    *(0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A),
    *(0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19),
)
# fmt: off
_ROUND_CONSTANTS = (
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
)
# fmt: on

_Values = list[Any]  # of LLVM, one for each message
_States = Sequence[tuple[Any, Any]]  # for each message the words FEBA and HGDC, lowest first


def hashing_code(*, paired: bool) -> llvm.ModuleRef:
    """Return the loop.

    Args:
        paired: two pieces at a time, by the processor's instructions; otherwise OpenSSL is called.
    """
    module = ir.Module("hash_pieces")
    module.triple = llvm.get_process_triple()
    if not paired:
        _build_openssl_loop(module)
        return llvm.parse_assembly(str(module))
    _PairedLoop(module).build()
    parsed = llvm.parse_assembly(str(module))
    _keep_states_in_registers(parsed)
    return parsed


def _keep_states_in_registers(parsed: llvm.ModuleRef) -> None:
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.run(parsed, llvm.create_pass_builder(host_machine(), llvm.create_pipeline_tuning_options()))


def _begin_loop(module: ir.Module) -> ir.Function:
    kinds = [_BYTES, _LONG, _LONG, _BYTE, _BYTES]
    return ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), HASHING_SYMBOL)


def _long(value: int) -> Any:
    return ir.Constant(_LONG, value)


def _words(*values: int) -> Any:
    return ir.Constant(_WORDS_4, values)


def _build_openssl_loop(module: ir.Module) -> None:
    number = ir.IntType(32)
    init = ir.Function(module, ir.FunctionType(number, [_BYTES]), OPENSSL_FUNCTIONS[0])
    update = ir.Function(module, ir.FunctionType(number, [_BYTES, _BYTES, _LONG]), OPENSSL_FUNCTIONS[1])
    final = ir.Function(module, ir.FunctionType(number, [_BYTES, _BYTES]), OPENSSL_FUNCTIONS[2])
    loop = _begin_loop(module)
    content, count, blocks, tag, hashes = loop.args
    build = ir.IRBuilder(loop.append_basic_block())
    context = build.alloca(_BYTE, _CONTEXT_BYTES)
    context.align = 16
    first = build.alloca(_BYTE)
    build.store(tag, first)
    size = build.mul(blocks, _long(PIECE_BYTES))
    with _each(build, count, step=1) as piece:
        build.call(init, [context])
        build.call(update, [context, first, _long(1)])
        build.call(update, [context, build.gep(content, [build.mul(piece, size)]), size])
        build.call(final, [build.gep(hashes, [build.mul(piece, _long(32))]), context])
    build.ret_void()


class _each:  # noqa: N801 - reads as the statement that it is
    """Builds a loop over 0, step, ... below an end."""

    def __init__(self, build: ir.IRBuilder, end: Any, *, step: int, start: int = 0) -> None:
        self._build, self._end, self._step, self._start = build, end, step, start

    def __enter__(self) -> Any:
        build = self._build
        before = build.block
        self._test, self._body = build.append_basic_block(), build.append_basic_block()
        self._after = build.append_basic_block()
        build.branch(self._test)
        build.position_at_end(self._test)
        self.number = build.phi(_LONG)
        self.number.add_incoming(_long(self._start), before)
        build.cbranch(build.icmp_unsigned("<", self.number, self._end), self._body, self._after)
        build.position_at_end(self._body)
        return self.number

    def __exit__(self, *error: object) -> None:
        build = self._build
        self.number.add_incoming(build.add(self.number, _long(self._step)), build.block)
        build.branch(self._test)
        build.position_at_end(self._after)


class _PairedLoop:
    """Builds the loop that hashes two pieces at a time; of an odd number it hashes the last one twice."""

    def __init__(self, module: ir.Module) -> None:
        three, two = ([_WORDS_4] * 3, [_WORDS_4] * 2)
        self._rounds = ir.Function(module, ir.FunctionType(_WORDS_4, three), "llvm.x86.sha256rnds2")
        self._schedule_1 = ir.Function(module, ir.FunctionType(_WORDS_4, two), "llvm.x86.sha256msg1")
        self._schedule_2 = ir.Function(module, ir.FunctionType(_WORDS_4, two), "llvm.x86.sha256msg2")
        self._loop = _begin_loop(module)
        self._build = ir.IRBuilder(self._loop.append_basic_block())

    def build(self) -> None:
        content, count, blocks, tag, hashes = self._loop.args
        build = self._build
        states = [[build.alloca(_WORDS_4) for _ in range(2)] for _ in range(2)]
        size = build.mul(blocks, _long(PIECE_BYTES))
        with _each(build, count, step=2) as number:
            following = build.add(number, _long(1))
            second = build.select(build.icmp_unsigned("<", following, count), following, number)
            pair = (number, second)
            pieces = [build.gep(content, [build.mul(one, size)]) for one in pair]
            initial = (
                _words(*(_INITIAL[at] for at in (5, 4, 1, 0))),
                _words(*(_INITIAL[at] for at in (7, 6, 3, 2))),
            )
            self._keep(
                states, self._compressed([initial] * 2, [self._first_block(piece, tag) for piece in pieces])
            )
            with _each(build, blocks, step=1, start=1) as block:
                place = build.sub(build.mul(block, _long(PIECE_BYTES)), _long(1))
                self._keep(
                    states, self._compressed(self._kept(states), [self._block(one, place) for one in pieces])
                )
            ends = [self._last_block(piece, size) for piece in pieces]
            for state, one in zip(self._compressed(self._kept(states), ends), pair, strict=True):
                self._write(state, build.gep(hashes, [build.mul(one, _long(32))]))
        build.ret_void()

    def _keep(self, places: list[_Values], states: _States) -> None:
        for place, state in zip(places, states, strict=True):
            for where, half in zip(place, state, strict=True):
                self._build.store(half, where)

    def _kept(self, places: list[_Values]) -> _States:
        return [(self._build.load(one), self._build.load(other)) for one, other in places]

    def _loaded(self, piece: Any, place: Any) -> Any:
        address = self._build.bitcast(self._build.gep(piece, [place]), _BYTES_16.as_pointer())
        return self._build.load(address, align=1)

    def _turned(self, octets: Any) -> Any:
        """Return 16 bytes as four big-endian words."""
        order = [at ^ 3 for at in range(16)]
        mask = ir.Constant(ir.VectorType(_WORD, 16), order)
        return self._build.bitcast(
            self._build.shuffle_vector(octets, ir.Constant(_BYTES_16, None), mask), _WORDS_4
        )

    def _first_block(self, piece: Any, tag: Any) -> _Values:
        """Return the tag and the first 63 bytes; nothing before the piece is read."""
        begin = self._loaded(piece, _long(0))
        later = ir.Constant(ir.VectorType(_WORD, 16), [0, *range(15)])
        begin = self._build.shuffle_vector(begin, ir.Constant(_BYTES_16, None), later)
        begin = self._build.insert_element(begin, tag, ir.Constant(_WORD, 0))
        return [self._turned(begin)] + [self._turned(self._loaded(piece, _long(at))) for at in (15, 31, 47)]

    def _block(self, piece: Any, place: Any) -> _Values:
        build = self._build
        return [self._turned(self._loaded(piece, build.add(place, _long(at)))) for at in (0, 16, 32, 48)]

    def _last_block(self, piece: Any, size: Any) -> _Values:
        """Return the last byte, the bit that ends a message, and its length in bits."""
        build = self._build
        octet = build.zext(build.load(build.gep(piece, [build.sub(size, _long(1))])), _WORD)
        word = build.or_(build.shl(octet, ir.Constant(_WORD, 24)), ir.Constant(_WORD, 0x800000))
        bits = build.trunc(build.mul(build.add(size, _long(1)), _long(8)), _WORD)
        zero = _words(0, 0, 0, 0)
        begin = build.insert_element(zero, word, ir.Constant(_WORD, 0))
        return [begin, zero, zero, build.insert_element(zero, bits, ir.Constant(_WORD, 3))]

    def _compressed(self, states: _States, blocks: Sequence[_Values]) -> _States:
        """Return the states after one more block of each message, their instructions in turn."""
        build = self._build
        ends = [list(state) for state in states]
        schedules = [list(words) for words in blocks]
        for group in range(16):
            constants = _words(*_ROUND_CONSTANTS[4 * group : 4 * group + 4])
            if group >= 4:
                for words in schedules:
                    words.append(self._next_words(words))
            sums = [build.add(words[group], constants) for words in schedules]
            for end, words in zip(ends, sums, strict=True):
                end[1] = build.call(self._rounds, [end[1], end[0], words])
            for end, words in zip(ends, sums, strict=True):
                upper = build.shuffle_vector(words, words, _words(2, 3, 2, 3))
                end[0] = build.call(self._rounds, [end[0], end[1], upper])
        return [
            (build.add(end[0], state[0]), build.add(end[1], state[1]))
            for end, state in zip(ends, states, strict=True)
        ]

    def _next_words(self, words: _Values) -> Any:
        build = self._build
        begun = build.call(self._schedule_1, [words[-4], words[-3]])
        seven_back = build.shuffle_vector(words[-2], words[-1], _words(1, 2, 3, 4))
        return build.call(self._schedule_2, [build.add(begun, seven_back), words[-1]])

    def _write(self, state: tuple[Any, Any], place: Any) -> None:
        build = self._build
        for number, order in enumerate(((3, 2, 7, 6), (1, 0, 5, 4))):
            words = build.shuffle_vector(state[0], state[1], _words(*order))
            octets = build.bitcast(self._turned(build.bitcast(words, _BYTES_16)), _BYTES_16)
            address = build.bitcast(build.gep(place, [_long(16 * number)]), _BYTES_16.as_pointer())
            build.store(octets, address, align=1)
