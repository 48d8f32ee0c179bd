"""Proofs about postings of the oracle, right ones where there is a lie, and proofs with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from oracle_people import some_digest
from oracle_vectors import Vectors

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.quantise import SIGNED_LANE
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes
from fl_chain.commitment.merkle import chunk_hash
from fl_chain.commitment.partial_sums import children, level_sizes, list_index, place_of
from fl_chain.commitment.proofs import ApplyProof, Proof, RangeProof, SumProof
from fl_chain.commitment.sizes import CHUNK_BYTES
from fl_chain.commitment.tree import chunk_path
from fl_chain.records import Digest, Posting, Submission

SOME = some_digest("no such node")
SIGNED = SIGNED_LANE


class Prover:
    """Builds proofs about one posting from vectors that are all known."""

    def __init__(
        self, vectors: Vectors, posting: Posting, submissions: list[Submission], base_root: Digest
    ) -> None:
        self.vectors, self.posting = vectors, posting
        self.submissions, self.base_root = submissions, base_root
        excluded = {exclusion.index for exclusion in posting.exclusions}
        self.included = [one for one in submissions if one.index not in excluded]

    def proofs(self) -> dict[str, Proof]:
        """Return a proof of each kind that can be built, by its call; it shows a lie where there is one."""
        return _by_call(self._true()) | self.refutations()

    def refutations(self) -> dict[str, Proof]:
        """Return a proof of each kind that shows a lie, by its call."""
        return _by_call(self._refuting())

    def _refuting(self) -> Iterator[Proof]:
        known = self.vectors.by_root
        roots = self.posting.partial_sum_roots
        for index, root in enumerate(roots):
            if root in known:
                yield from self._differing(known[root], self._sum(index), lambda c, i=index: self.sum(i, c))
        for one in self.included:
            excess = self._excess(one)
            if excess is not None:
                yield self.range(one.index, excess // CHUNK_LANES, excess % CHUNK_LANES)
        if self._knows_model():
            weight, quantisation = self.posting.included_weight, self.vectors.quantisation
            expected, _ = apply_sum(known[self.base_root], known[roots[-1]], weight, quantisation)
            yield from self._differing(known[self.posting.model_root], expected, self.apply)

    def _true(self) -> Iterator[Proof]:
        """Yield what is true of the posting's first chunk, which refutes nothing in most cases."""
        if self._knows_model():
            yield self.apply(0)
        if self.posting.partial_sum_roots and self._is_known(self.posting.partial_sum_roots[0]):
            yield self.sum(0, 0)
        yield self.range(self.included[-1].index, 0, 0)

    def _knows_model(self) -> bool:
        if not self.posting.partial_sum_roots:
            return False
        total, model = self.posting.partial_sum_roots[-1], self.posting.model_root
        return all(self._is_known(root) for root in (self.base_root, total, model))

    @staticmethod
    def _differing(actual: Lanes, expected: Lanes, build: Callable[[int], Proof]) -> Iterator[Proof]:
        lanes = np.flatnonzero(actual != expected)
        if lanes.size:
            yield build(int(lanes[0]) // CHUNK_LANES)

    def _sum(self, index: int) -> Lanes:
        zero = np.zeros(self.vectors.lanes, dtype=np.uint32)
        summands = [self.vectors.by_root[root] for root in self._summands(index) if self._is_known(root)]
        return np.sum([zero, *summands], axis=0, dtype=np.uint32).astype(LANE)

    def _is_known(self, root: Digest) -> bool:
        return root in self.vectors.by_root

    def _excess(self, one: Submission) -> int | None:
        lanes = self.vectors.by_root[self._opening(one).vector_root].view(SIGNED).astype(np.int64)
        bounds = np.zeros(self.vectors.lanes, dtype=np.int64)
        bounds[: self.vectors.dimension] = self.vectors.quantisation.clip_lanes * one.weight
        beyond = np.flatnonzero(abs(lanes) > bounds)
        return int(beyond[0]) if beyond.size else None

    # ------------------------------------------------------------------ one proof

    def sum(self, index: int, chunk: int) -> SumProof:
        """Return what a listed sum's chunk is made of."""
        level, _ = place_of(index, len(self.submissions))
        summands = self._summands(index)
        members = self._members(index) if level == 1 else []
        roots = self.posting.partial_sum_roots
        return SumProof(
            index=index,
            chunk=chunk,
            chunk_hash=Digest(chunk_hash(self._content(roots[index], chunk))),
            path=self._path(roots[index], chunk),
            partial_sum_roots=roots,
            openings=tuple(self._opening(one) for one in members),
            chunks=b"".join(self._content(root, chunk) for root in summands),
            paths=tuple(node for root in summands for node in self._path(root, chunk)),
        )

    def range(self, index: int, chunk: int, lane: int) -> RangeProof:
        """Return a lane of an update."""
        opening = self._opening(self.submissions[index])
        return RangeProof(
            index=index,
            opening=opening,
            chunk=chunk,
            lane=lane,
            content=self._content(opening.vector_root, chunk),
            path=self._path(opening.vector_root, chunk),
        )

    def apply(self, chunk: int) -> ApplyProof:
        """Return a chunk of base, total and model."""
        roots, model = self.posting.partial_sum_roots, self.posting.model_root
        return ApplyProof(
            chunk=chunk,
            partial_sum_roots=roots,
            base_content=self._content(self.base_root, chunk),
            base_path=self._path(self.base_root, chunk),
            total_content=self._content(roots[-1], chunk),
            total_path=self._path(roots[-1], chunk),
            model_chunk_hash=Digest(chunk_hash(self._content(model, chunk))),
            model_path=self._path(model, chunk),
        )

    def _members(self, index: int) -> list[Submission]:
        level, position = place_of(index, len(self.submissions))
        assert level == 1
        group = children(level, position, len(self.submissions))
        return [one for one in self.included if one.index in group]

    def _summands(self, index: int) -> list[Digest]:
        level, position = place_of(index, len(self.submissions))
        if level == 1:
            return [self._opening(one).vector_root for one in self._members(index)]
        below = children(level, position, len(self.submissions))
        places = [list_index(level - 1, one, len(self.submissions)) for one in below]
        return [self.posting.partial_sum_roots[place] for place in places]

    def _opening(self, one: Submission) -> Any:
        return self.vectors.openings[one.sealed_root]

    def _content(self, root: Digest, chunk: int) -> bytes:
        lanes = self.vectors.by_root[root]
        return lanes.tobytes()[chunk * CHUNK_BYTES : (chunk + 1) * CHUNK_BYTES].ljust(CHUNK_BYTES, b"\x00")

    def _path(self, root: Digest, chunk: int) -> tuple[Digest, ...]:
        return chunk_path(self.vectors.tree(root).chunk_hashes, chunk, self.vectors.lanes)


def _by_call(proofs: Iterator[Proof]) -> dict[str, Proof]:
    """Return the first proof of each kind, by the in-memory ledger's name of its call."""
    found: dict[str, Proof] = {}
    for proof in proofs:
        found.setdefault(f"challenge_{proof.reason.name.lower()}", proof)
    return found


# ---------------------------------------------------------------------- what can be wrong with a proof

Flaw = Callable[[Any], Any]


def flipped(content: bytes) -> bytes:
    """Return bytes with one bit changed, where there is one."""
    return content[:-1] + bytes([content[-1] ^ 1]) if content else content


def longer(path: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """Return a path with a node too many."""
    return (*path, SOME)


def another_list(proof: Any) -> Any:
    """Return a proof that lists another total."""
    return replace(proof, partial_sum_roots=(*proof.partial_sum_roots[:-1], SOME))


def elsewhere(proof: Any) -> Any:
    """Return a proof for a chunk beside that the vectors do not have."""
    return replace(proof, chunk=2**63 + proof.chunk)


def salted(opening: Any) -> Any:
    """Return an opening of another commitment."""
    return replace(opening, salt=SOME)


# Each flaw, and the custom error that it is refused with; `oracle_moves` names the flaws at random.
FLAWS: dict[str, dict[str, tuple[Flaw, str]]] = {
    "challenge_sum": {
        "list": (another_list, "WrongPartialSums"),
        "no list": (lambda p: replace(p, partial_sum_roots=()), "WrongPartialSums"),
        "chunk": (elsewhere, "ChunkOutOfBounds"),
        "index": (lambda p: replace(p, index=len(p.partial_sum_roots)), "IndexOutOfBounds"),
        "opening too many": (lambda p: replace(p, openings=(*p.openings, p.openings[0])), "WrongLength"),
        "opening too few": (lambda p: replace(p, openings=p.openings[1:]), "WrongLength"),
        "salt": (lambda p: replace(p, openings=(salted(p.openings[0]), *p.openings[1:])), "LeafMismatch"),
        "order": (lambda p: replace(p, openings=p.openings[::-1]), "LeafMismatch"),
        "chunk too short": (lambda p: replace(p, chunks=p.chunks[:-1]), "WrongLength"),
        "chunk too many": (lambda p: replace(p, chunks=p.chunks + bytes(CHUNK_BYTES)), "WrongLength"),
        "paths": (lambda p: replace(p, paths=longer(p.paths)), "WrongLength"),
        "path": (lambda p: replace(p, path=longer(p.path)), "WrongLength"),
        "content": (lambda p: replace(p, chunks=flipped(p.chunks)), "PathMismatch"),
        "hash": (lambda p: replace(p, chunk_hash=SOME), "PathMismatch"),
    },
    "challenge_range": {
        "index": (lambda p: replace(p, index=2**16 - 1), "IndexOutOfBounds"),
        "lane": (lambda p: replace(p, lane=CHUNK_LANES), "LaneOutOfBounds"),
        "chunk": (elsewhere, "ChunkOutOfBounds"),
        "length": (lambda p: replace(p, content=p.content[:-1]), "WrongLength"),
        "path": (lambda p: replace(p, path=longer(p.path)), "WrongLength"),
        "salt": (lambda p: replace(p, opening=salted(p.opening)), "LeafMismatch"),
        "weight": (
            lambda p: replace(p, opening=replace(p.opening, weight=p.opening.weight + 1)),
            "LeafMismatch",
        ),
        "content": (lambda p: replace(p, content=flipped(p.content)), "PathMismatch"),
        "another lane": (lambda p: replace(p, lane=1), "NothingWrong"),
    },
    "challenge_apply": {
        "list": (another_list, "WrongPartialSums"),
        "chunk": (elsewhere, "ChunkOutOfBounds"),
        "base length": (lambda p: replace(p, base_content=p.base_content[:-1]), "WrongLength"),
        "base path": (lambda p: replace(p, base_path=longer(p.base_path)), "WrongLength"),
        "total length": (lambda p: replace(p, total_content=p.total_content + b"\x00"), "WrongLength"),
        "total path": (lambda p: replace(p, total_path=longer(p.total_path)), "WrongLength"),
        "model path": (lambda p: replace(p, model_path=longer(p.model_path)), "WrongLength"),
        "base": (lambda p: replace(p, base_content=flipped(p.base_content)), "PathMismatch"),
        "total": (lambda p: replace(p, total_content=flipped(p.total_content)), "PathMismatch"),
        "model": (lambda p: replace(p, model_chunk_hash=SOME), "PathMismatch"),
    },
}


def level_two_index(submissions: int) -> int:
    """Return where a list has its first sum of level 2."""
    return level_sizes(submissions)[0]
