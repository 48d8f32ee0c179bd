"""SHA-256 over many pieces of one length as machine code, two pieces at a time where the processor can.

The processor's SHA instructions wait for their own results: one message keeps them half busy. Two messages in
turn fill the gap, so that a core hashes over half as much again as OpenSSL does with the same instructions.
Where there are none, OpenSSL's own loop is called, which is as fast as one message can be. The code runs
without the interpreter's lock.
"""

from __future__ import annotations

import _hashlib
import ctypes
import importlib
from ctypes.util import find_library
from dataclasses import dataclass

import llvmlite.binding as llvm

from fl_chain.commitment.native import HashPieces
from fl_chain.commitment.sizes import HASHING_SYMBOL, OPENSSL_FUNCTIONS
from fl_chain.machine.objects import kept_engine

_LOOP = "fl_chain.machine.sha256_loop"


@dataclass(frozen=True, slots=True)
class LoadedHashing:
    """The loop, loaded."""

    hash_pieces: HashPieces  # addresses of the pieces, how many, blocks each, tag, address of the hashes
    is_paired: bool


def load_hashing(*, paired: bool | None = None) -> LoadedHashing:
    """Load or compile the loop and make it known to later compiled code as `HASHING_SYMBOL`.

    ``hash_pieces(content, count, blocks, tag, hashes)`` writes for each of ``count`` neighbouring pieces of
    ``64 * blocks`` bytes, at least one block, the 32 bytes of ``SHA-256(tag || piece)``. The hashes may be
    written over the pieces.

    Args:
        paired: two pieces at a time; None where the processor has SHA instructions.

    Raises:
        OSError: if OpenSSL is needed and cannot be opened.
        AttributeError: if it does not have the functions.
    """
    if paired is None:
        features = llvm.get_host_cpu_features()
        paired = all(features.get(name) for name in ("sha", "ssse3", "sse4.1"))
    if not paired:
        _name_openssl()

    def code() -> llvm.ModuleRef:
        return importlib.import_module(_LOOP).hashing_code(paired=paired)

    engine = kept_engine(f"{_LOOP}-{'paired' if paired else 'openssl'}", (_LOOP,), (), code)
    address = engine.get_function_address(HASHING_SYMBOL)
    llvm.add_symbol(HASHING_SYMBOL, address)
    sizes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint8, ctypes.c_void_p)
    return LoadedHashing(ctypes.CFUNCTYPE(None, *sizes)(address), paired)


def _name_openssl() -> None:
    """Make functions of the OpenSSL that `hashlib` uses known to compiled code by their names."""
    path = getattr(_hashlib, "__file__", None) or find_library("crypto")
    if path is None:
        raise OSError("no OpenSSL to call: Python has one of its own that it does not share")
    library = ctypes.CDLL(path)
    for name in OPENSSL_FUNCTIONS:
        llvm.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
