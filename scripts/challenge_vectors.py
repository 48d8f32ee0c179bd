"""Challenges of lying postings, and near misses that must be refused: the content of ``challenges.json``.

A round is described by what it is made of, a proof by the SHA-256 of its ABI encoding (what follows the
selector in the calldata), so that the file stays small and whoever builds a proof can compare it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from plain_challenges import (
    CHAIN_ID,
    CLIP_LANES,
    FRACTION_BITS,
    LEDGER,
    NO_LIE,
    ROUND,
    SCALE_BITS,
    Lie,
    Posting,
    Proof,
    depth,
    participant,
    weight,
)
from plain_protocol import CHUNK_LANES, leaf, sealed_root, sha256, shown, sums_hash, u64, vector_root

# Dimension, submissions, excluded ones, and what is wrong: (sum, its place in the list, lane, added),
# (update, its position, lane, value) or (model, -, lane, added).
ROUNDS: list[tuple[int, int, list[int], list[tuple[str, int, int, int]]]] = [
    (1, 1, [], [("sum", 0, 0, 1), ("sum", 0, 1023, 1), ("update", 0, 0, 5001), ("update", 0, 1, 1)]),
    (1, 1, [], [("model", 0, 0, 1), ("model", 0, 1, 1)]),
    (1023, 3, [1], [("sum", 0, 1022, 2**31), ("update", 2, 1023, -1), ("model", 0, 1022, 2**32 - 1)]),
    (1024, 8, [], [("sum", 0, 1023, 1), ("update", 7, 1023, -(2**31)), ("model", 0, 1023, 1)]),
    (1025, 9, [8], [("sum", 0, 1024, 1), ("sum", 1, 1024, 1), ("sum", 2, 0, 1), ("update", 0, 1025, 1)]),
    (1025, 9, [], [("sum", 1, 1024, 1), ("model", 0, 1024, 1)]),
    (2048, 11, [2, 9], [("sum", 1, 2047, 1), ("update", 10, 1024, -25001), ("model", 0, 0, 1)]),
    (2049, 3, [], [("sum", 0, 3072, 7), ("update", 1, 4095, 1), ("model", 0, 4095, 1)]),
    (
        5000,
        17,
        [2, 16],
        [("sum", 0, 4999, 1), ("sum", 2, 0, 1), ("sum", 3, 8191, 1), ("update", 15, 5000, 9)],
    ),
    (5000, 2, [0], [("sum", 0, 4096, 1), ("model", 0, 4096, 1)]),
    (100, 70, [0, 69], [("sum", 8, 99, 1), ("sum", 9, 0, 1), ("sum", 10, 50, 1), ("sum", 11, 50, 1)]),
    (100, 70, [0, 69], [("update", 68, 0, 141001), ("model", 0, 99, 1)]),
]


# ---------------------------------------------------------------------- near misses


def near_misses(posting: Posting, proof: Proof) -> Iterator[tuple[str, str, Proof]]:
    """A proof's mutations: what was done to it, the contract's error, and what became of it."""
    flipped = bytes([proof.contents[0][0] ^ 1]) + proof.contents[0][1:] if proof.contents else b""
    yield "trailing byte", "WrongLength", replace(proof, tail=b"\0")
    yield "chunk beyond", "ChunkOutOfBounds", replace(proof, chunk=2 ** depth(posting.dimension))
    yield "longer path", "WrongLength", with_path(proof, lambda path: (*path, bytes(32)))
    if proof.paths[0]:
        yield "shorter path", "WrongLength", with_path(proof, lambda path: path[1:])
    if proof.contents:
        yield "another content", "PathMismatch", replace(proof, contents=(flipped, *proof.contents[1:]))
        yield (
            "short content",
            "WrongLength",
            replace(proof, contents=(proof.contents[0][:-1], *proof.contents[1:])),
        )
    if proof.kind != "range":
        yield "root missing", "WrongPartialSums", replace(proof, roots=proof.roots[:-1])
        yield "root added", "WrongPartialSums", replace(proof, roots=(*proof.roots, proof.roots[-1]))
    if proof.kind != "range" and proof.paths[-1]:
        own = proof.paths[0] if proof.kind == "sum" else proof.paths[2]
        node = sha256(b"\x01", proof.chunk_hash, own[0])
        yield "node as chunk", "PathMismatch", replace(proof, chunk_hash=node)
    if proof.kind == "range":
        yield "lane beyond", "LaneOutOfBounds", replace(proof, lane=CHUNK_LANES)
        yield "index beyond", "IndexOutOfBounds", replace(proof, index=posting.count)
    if proof.kind == "sum":
        yield from sum_misses(posting, proof)
    if proof.openings:
        k = posting.summands(proof.index)[1] if proof.kind == "sum" else [proof.index]
        first = next(i for i in k if i not in posting.excluded)
        opened = (posting.opening(first, other_round=True), *proof.openings[1:])
        yield "other round", "LeafMismatch", replace(proof, openings=opened)


def sum_misses(posting: Posting, proof: Proof) -> Iterator[tuple[str, str, Proof]]:
    """Mutations of which children a sum has."""
    yield "index beyond", "IndexOutOfBounds", replace(proof, index=len(proof.roots))
    if proof.contents:
        fewer = replace(
            proof, contents=proof.contents[:-1], paths=proof.paths[:-1], openings=proof.openings[:-1]
        )
        yield "child missing", "WrongLength", fewer
        more = replace(
            proof,
            contents=(*proof.contents, proof.contents[-1]),
            paths=(*proof.paths, proof.paths[-1]),
            openings=(*proof.openings, *proof.openings[-1:]),
        )
        yield "child twice", "WrongLength", more
    is_first, places = posting.summands(proof.index)
    if is_first and set(places) & set(posting.excluded):
        yield "excluded child", "WrongLength", posting.sum_proof(proof.index, proof.chunk, [])


def with_path(proof: Proof, change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Proof:
    """A proof whose first path is another."""
    return replace(proof, paths=(change(proof.paths[0]), *proof.paths[1:]))


def round_case(
    dimension: int, count: int, excluded: list[int], lies: list[tuple[str, int, int, int]]
) -> dict[str, Any]:
    """A round, and the lies about it with their proofs."""
    honest = Posting(dimension, count, excluded, NO_LIE)
    sealed = [
        sealed_root(root, salt, chain_id=CHAIN_ID, ledger=LEDGER, round_id=ROUND, who=who)
        for root, salt, _, who in (honest.opening(k) for k in range(count))
    ]
    digest = sha256(b"\x06", u64(CHAIN_ID), LEDGER, u64(ROUND), vector_root(honest.base))
    for k, root in enumerate(sealed):
        digest = sha256(b"\x07", digest, leaf(root, weight(k + 1), participant(k + 1)))
    return {
        "dimension": dimension,
        "submissions": count,
        "excluded": excluded,
        "base_model_root": shown(vector_root(honest.base)),
        "digest": shown(digest),
        "sums_hash": shown(sums_hash(list(honest.roots))),
        "model_root": shown(vector_root(honest.model)),
        "challenges": [challenge(Posting(dimension, count, excluded, Lie(*lie))) for lie in lies],
    }


def challenge(posting: Posting) -> dict[str, Any]:
    """A lie, its proof, and what must not pass for one."""
    proof = posting.proof()
    return {
        "kind": proof.kind,
        "lie": asdict(posting.lie),
        "sums_hash": shown(sums_hash(list(posting.roots))),
        "model_root": shown(vector_root(posting.model)),
        "arguments_bytes": len(proof.encoded()),
        "arguments_sha256": shown(sha256(proof.encoded())),
        "near_misses": [
            {"name": name, "error": error, "arguments_sha256": shown(sha256(mutated.encoded()))}
            for name, error, mutated in near_misses(posting, proof)
        ],
    }


def challenges() -> dict[str, Any]:
    """Proofs that must be accepted, and near misses that must be refused."""
    return {
        "note": "update k (1-based: its position and one) has lanes ((k * 2654435761 + i * 40503) mod 2^32) "
        "mod (2 b + 1) - b with b = clip_lanes * weight; weight 2k + 3; address k = first 20 bytes of "
        "SHA-256('participant' || byte k); salt k = byte k thirty-two times, of another round byte k + 128; "
        "base model lanes (i * 2246822519 + 374761393) mod 2^32. A wrong sum or update is carried on into "
        "all that follows from it, a wrong model lane is wrong alone. Reason 3 excludes.",
        "chain_id": CHAIN_ID,
        "ledger": shown(LEDGER),
        "round": ROUND,
        "clip_lanes": CLIP_LANES,
        "fraction_bits": FRACTION_BITS,
        "scale_bits": SCALE_BITS,
        "rounds": [round_case(*made) for made in ROUNDS],
    }
