"""The compiled loops find what the interpreter finds, and are left alone where they cannot be trusted."""

import ctypes
import hashlib
import importlib
import mmap
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from naive_tree import random_lanes

from fl_chain.commitment import merkle, native
from fl_chain.commitment.chunks import lane_bytes
from fl_chain.commitment.native import Hashing, Kernels
from fl_chain.commitment.tree import vector_tree
from fl_chain.machine.objects import load_loops
from fl_chain.machine.sha256 import load_hashing


@pytest.fixture
def loops() -> Kernels:
    found = native.kernels()
    assert found is not None, "Numba and OpenSSL are there: hashing may not fall back unnoticed"
    return found


@pytest.fixture
def hash_and_add(loops: Kernels) -> Any:
    """A loop that only another compiled loop calls."""
    forms = {"hash_and_add": "=u1[] =u4[] i8 =u1[,] -> b1"}
    return load_loops("fl_chain.commitment.kernels", forms).hash_and_add


@pytest.fixture
def unloaded() -> Iterator[None]:
    native.kernels.cache_clear()
    native.hashing.cache_clear()
    yield
    native.kernels.cache_clear()
    native.hashing.cache_clear()


@pytest.fixture(params=["paired", "openssl"])
def hashing(request: pytest.FixtureRequest) -> Iterator[Hashing]:
    is_paired = request.param == "paired"
    if is_paired and not llvm.get_host_cpu_features().get("sha"):
        pytest.skip("this processor has no SHA instructions")
    loaded = load_hashing(paired=is_paired)
    assert loaded.is_paired is is_paired
    yield Hashing(loaded.hash_pieces)
    load_hashing()  # the symbol is of the usual one again


def by_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merkle, "hashing_for", lambda size_bytes: None)
    monkeypatch.setattr(merkle, "hashing_in_use", lambda: None)


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 16 * 4096, 17 * 4096, 17 * 4096 + 1, 100 * 4096 - 1])
def test_chunk_hashes_are_those_of_the_interpreter(
    hashing: Hashing, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    content = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    hashes = np.empty((-(-size // 4096), 32), dtype=np.uint8)
    hashing.hash_chunks(content, hashes)
    by_interpreter(monkeypatch)
    assert hashes.tobytes() == merkle.hash_chunks(content.data)


@pytest.mark.parametrize(
    ("count", "level", "height"), [(1, 0, 0), (1, 0, 3), (17, 2, 7), (64, 0, 6), (33, 1, 9)]
)
def test_roots_are_those_of_the_interpreter(
    hashing: Hashing, monkeypatch: pytest.MonkeyPatch, count: int, level: int, height: int
) -> None:
    nodes = np.random.default_rng(count).integers(0, 256, (count, 32), dtype=np.uint8)
    zeros = np.frombuffer(b"".join(merkle.ZERO_SUBTREE_ROOTS), dtype=np.uint8).reshape(-1, 32)
    reduced = nodes.copy()
    hashing.reduce_nodes(reduced, zeros, level, height)
    by_interpreter(monkeypatch)
    assert reduced[0].tobytes() == merkle.subtree_root(nodes.tobytes(), level, height)


@pytest.mark.parametrize("dimension", [20 * 1024, 70 * 1024 + 5, 1024 * 1024 + 1025])
def test_whole_vectors_are_hashed_the_same(
    loops: Kernels, monkeypatch: pytest.MonkeyPatch, dimension: int
) -> None:
    lanes = random_lanes(dimension)
    compiled = vector_tree(lanes)
    by_interpreter(monkeypatch)
    assert vector_tree(lanes) == compiled


@pytest.mark.parametrize("extreme", [2**31 - 1, -(2**31), 1000, -1000, 1001, -1001])
@pytest.mark.parametrize("place", [0, 1023, 1024, 3071])
def test_adding_is_modular_and_checks_every_lane(hash_and_add: Any, extreme: int, place: int) -> None:
    rng = np.random.default_rng(7)
    signed = rng.integers(-1000, 1001, 3072, dtype=np.int64).astype(np.int32)
    signed[place] = extreme
    lanes = signed.view(np.uint32).astype(">u4")
    before = rng.integers(0, 2**32, 3072, dtype=np.uint32)
    sums, hashes = before.copy(), np.empty((3, 32), dtype=np.uint8)
    within = hash_and_add(lanes.view(np.uint8), sums, 1000, hashes)
    assert bool(within) is (-1000 <= extreme <= 1000)
    assert np.array_equal(sums, before + signed.view(np.uint32))
    assert hashes.tobytes() == merkle.hash_chunks(lane_bytes(lanes))


def test_a_bound_beyond_32_bits_holds_everything(hash_and_add: Any) -> None:
    lanes = np.array([2**31 - 1, -(2**31)] * 512, dtype=np.int32).view(np.uint32).astype(">u4")
    sums, hashes = np.zeros(1024, dtype=np.uint32), np.empty((1, 32), dtype=np.uint8)
    assert hash_and_add(lanes.view(np.uint8), sums, 2**40, hashes)


@pytest.mark.parametrize(
    ("count", "blocks", "tag"), [(1, 1, 0), (2, 1, 255), (3, 2, 1), (7, 3, 0), (16, 64, 1)]
)
def test_pieces_are_hashed_behind_their_tag(hashing: Hashing, count: int, blocks: int, tag: int) -> None:
    pieces = np.random.default_rng(count).integers(0, 256, (count, 64 * blocks), dtype=np.uint8)
    hashes = np.zeros((count + 1, 32), dtype=np.uint8)
    hashing.hash_pieces(pieces.ctypes.data, count, blocks, tag, hashes.ctypes.data)
    expected = [hashlib.sha256(bytes([tag]) + piece.tobytes()).digest() for piece in pieces]
    assert [one.tobytes() for one in hashes[:-1]] == expected
    assert not hashes[-1].any(), "nothing behind the last hash is written"


def test_no_piece_is_no_work(hashing: Hashing) -> None:
    hashing.hash_pieces(0, 0, 64, 0, 0)


def test_nothing_outside_the_pieces_is_read(hashing: Hashing) -> None:
    page = mmap.PAGESIZE
    with mmap.mmap(-1, 3 * page) as memory:  # a page that must not be touched before and behind
        view = np.frombuffer(memory, dtype=np.uint8)
        address = view.ctypes.data
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (address, address + 2 * page):
            assert libc.mprotect(ctypes.c_void_p(guard), page, 0) == 0
        hashes = np.empty((1, 32), dtype=np.uint8)
        hashing.hash_pieces(address + page, 1, page // 64, 0, hashes.ctypes.data)
        for guard in (address, address + 2 * page):
            assert libc.mprotect(ctypes.c_void_p(guard), page, mmap.PROT_READ | mmap.PROT_WRITE) == 0
        del view
    assert hashes.tobytes() == hashlib.sha256(bytes(1 + page)).digest()


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    "error", [ImportError("llvmlite"), OSError("no OpenSSL"), AttributeError("SHA256_Init")]
)
def test_without_llvmlite_or_openssl_there_are_none(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def missing(name: str) -> Any:
        raise error

    monkeypatch.setattr(importlib, "import_module", missing)
    assert native.hashing() is None
    assert native.kernels() is None
    assert native.hashing_for(1 << 40) is None
    assert native.kernels_for(1 << 40) is None


@pytest.mark.usefixtures("unloaded")
def test_without_numba_chunks_are_hashed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def missing(name: str) -> Any:
        if name == "fl_chain.machine.objects":
            raise ImportError("numba")
        return found(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert native.kernels() is None
    assert native.hashing() is not None


@pytest.mark.usefixtures("unloaded")
def test_code_that_hashes_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(content: int, count: int, blocks: int, tag: int, hashes: int) -> None:
        ctypes.memset(hashes, 0, 32 * count)

    loaded = SimpleNamespace(hash_pieces=wrong)
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(load_hashing=lambda: loaded))
    assert native.hashing() is None
    assert native.kernels() is None


@pytest.mark.usefixtures("unloaded")
def test_a_big_endian_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "byteorder", "big")
    assert native.kernels() is None


@pytest.mark.usefixtures("unloaded")
def test_small_work_does_not_load_them() -> None:
    assert native.kernels_for(native.WORTHWHILE_BYTES - 1) is None
    assert not native.kernels.cache_info().currsize
    assert native.hashing_for(native.WORTHWHILE_BYTES - 1) is None
    assert not native.hashing.cache_info().currsize
    assert native.kernels_for(native.WORTHWHILE_BYTES) is not None
    assert native.kernels_for(1) is not None
    assert native.hashing_for(1) is not None
