"""Proofs that are none: of postings that are right, and proofs with one thing changed."""

from __future__ import annotations

from dataclasses import astuple, fields, replace
from typing import Any

import numpy as np
from rounds import PostedRoundCase, World

from fl_chain.aggregation.proving import OpenedChunk, apply_proof, opened_chunk, range_proof, sum_proof
from fl_chain.commitment.chunks import LANE, padded_chunk_count
from fl_chain.commitment.partial_sums import children, list_index, place_of
from fl_chain.commitment.proofs import Proof, SubmissionOpening
from fl_chain.commitment.tree import vector_tree


def well_formed(world: World, case: PostedRoundCase, rng: np.random.Generator) -> Proof:
    """Return what would prove the honest posting wrong if anything in it were."""
    kind = int(rng.integers(3))
    chunk = int(rng.integers(padded_chunk_count(world.dimension)))
    if kind == 0:
        return _sum(world, case, int(rng.integers(len(case.claim.partial_sum_roots))), chunk)
    if kind == 1:
        index = int(rng.choice([i for i in range(world.count) if i not in world.excluded]))
        update, _ = world.opened[index]
        return range_proof(index, opening(world, index), update.lanes, int(rng.integers(update.lanes.size)))
    total = _native(world.honest_sums()[-1][0])
    base = _native(world.base)
    return apply_proof(
        chunk,
        partial_sum_roots=case.claim.partial_sum_roots,
        base=opened_chunk(base, vector_tree(base), chunk),
        total=opened_chunk(total, vector_tree(total), chunk),
        posted_hashes=case.blobs.models[case.claim.stored.model_root],
        dimension=world.dimension,
    )


def opening(world: World, index: int) -> SubmissionOpening:
    update, submission = world.opened[index]
    return SubmissionOpening(
        update.opening.vector_root, update.opening.salt, submission.weight, submission.participant
    )


def _sum(world: World, case: PostedRoundCase, place: int, chunk: int) -> Proof:
    level, position = place_of(place, world.count)
    members = list(children(level, position, world.count))
    summands: list[OpenedChunk] = []
    openings: list[SubmissionOpening] = []
    if level == 1:
        members = [index for index in members if index not in world.excluded]
        openings = [opening(world, index) for index in members]
    for member in members:
        vector = world.updates[member] if level == 1 else world.honest_sums()[level - 2][member]
        lanes = _native(vector)
        summands.append(opened_chunk(lanes, vector_tree(lanes), chunk))
    root = case.claim.partial_sum_roots[list_index(level, position, world.count)]
    return sum_proof(
        place,
        chunk,
        posted_hashes=case.blobs.sums[root],
        dimension=world.dimension,
        partial_sum_roots=case.claim.partial_sum_roots,
        openings=openings,
        summands=summands,
    )


def _native(lanes: Any) -> Any:
    return lanes.astype(LANE)


def mutated(proof: Proof, rng: np.random.Generator) -> Proof:
    """Return a proof in which one field is another; it may be of another length."""
    names = [item.name for item in fields(proof) if _is_mutable(getattr(proof, item.name))]
    name = str(rng.choice(names))
    value = getattr(proof, name)
    if isinstance(value, SubmissionOpening):
        return replace(proof, **{name: _mutated_opening(value, rng)})
    if isinstance(value, tuple):
        return replace(proof, **{name: _mutated_tuple(value, rng)})
    if isinstance(value, bytes):
        return replace(proof, **{name: _mutated_bytes(value, rng, is_fixed=len(value) == 32)})
    return replace(proof, **{name: _mutated_integer(value, name, rng)})


def _is_mutable(value: object) -> bool:
    return value not in ((), b"")


_BITS = {"index": 16, "chunk": 64, "lane": 16}


def _mutated_integer(value: int, name: str, rng: np.random.Generator) -> int:
    limit = 2 ** _BITS[name]
    candidates = [value + 1, value - 1, value ^ 1 << int(rng.integers(_BITS[name])), limit - 1]
    fitting = [number for number in candidates if 0 <= number < limit and number != value]
    return fitting[int(rng.integers(len(fitting)))]


def _mutated_bytes(value: bytes, rng: np.random.Generator, *, is_fixed: bool) -> bytes:
    kind = int(rng.integers(1 if is_fixed else 4))
    if kind == 1:
        return value[: -int(rng.choice([1, 32, 4096]))]
    if kind == 2:
        return value + bytes(int(rng.choice([1, 32, 4096])))
    changed = bytearray(value)
    changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _mutated_tuple(value: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    place, kind = int(rng.integers(len(value))), int(rng.integers(4))
    if kind == 0:
        return value[:place] + value[place + 1 :]
    if kind == 1:
        return (*value, value[place])
    if kind == 2 and value[place] != value[place - 1]:
        swapped = list(value)
        swapped[place], swapped[place - 1] = swapped[place - 1], swapped[place]
        return tuple(swapped)
    item = value[place]
    changed = (
        _mutated_opening(item, rng)
        if isinstance(item, SubmissionOpening)
        else _mutated_bytes(item, rng, is_fixed=True)
    )
    return (*value[:place], changed, *value[place + 1 :])


def _mutated_opening(opening: SubmissionOpening, rng: np.random.Generator) -> SubmissionOpening:
    name = str(rng.choice(["vector_root", "salt", "weight", "participant"]))
    if name == "weight":
        return replace(opening, weight=opening.weight ^ 1 << int(rng.integers(32)))
    if name == "participant":
        digits = opening.participant[2:]
        return replace(opening, participant="0x" + digits[1:] + digits[:1])
    value = getattr(opening, name)
    return replace(opening, **{name: _mutated_bytes(value, rng, is_fixed=True)})


def size_bytes(proof: Proof) -> int:
    """Return the bytes of everything in a proof, a word for each number."""

    def size(value: Any) -> int:
        if isinstance(value, tuple):
            return sum(map(size, value))
        return len(value) if isinstance(value, bytes) else 32

    return size(astuple(proof))
