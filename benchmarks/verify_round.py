"""Verifying a posted round against hashing its blobs once.

Ours reads 32 updates of 1,000,000 parameters and the base model from a store on disk, checks every opening,
root and bound, adds up all partial sums, applies the total and compares every posted root. The peer hashes
the round's files, updates, model and chunk hashes of the sums, with `hashlib.sha256` and nothing else, in as
many processes, which wait for their turn as ours do. All files are in the page cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.harness import Result, cores, interleaved_medians, throughput
from fl_chain.aggregation.round import aggregate_round
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.partial_sums import sums_hash
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.proofs import PostedRound
from fl_chain.commitment.seals import leaf, sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.records import Opening, Quantisation, RunId, Submission, address
from fl_chain.run.prover import PostingClaim
from fl_chain.run.striped import StripedRounds
from fl_chain.store import Store

DIMENSION = 1_000_000
PARTICIPANTS = 32
WEIGHT = 10
QUANTISATION = Quantisation(fraction_bits=22, scale_bits=20, clip_lanes=2**20, max_total_weight=1000)
RUN = RunId(31337, address("0x" + "ab" * 20))
GIGABYTES = DIMENSION * 4 * (PARTICIPANTS + 1) / 1e9


def results() -> list[Result]:
    """Return the comparison."""
    with TemporaryDirectory() as folder:
        store = Store([folder])
        claim = _published(store)
        base = store.model_file(claim.stored.base_model_root, DIMENSION)
        files = [path for path in Path(folder).rglob("*") if path.is_file() and path != base]
        pool = HashingPool(cores())
        rounds = StripedRounds(pool)

        def ours() -> None:
            if rounds.right(claim, store) is None:
                raise RuntimeError("the round is right, and was not found to be")

        with _raw_processes(files) as connections:

            def theirs() -> list[str]:
                for connection in connections:
                    connection.send(None)
                return [connection.recv() for connection in connections]

            seconds = interleaved_medians([ours, theirs])
        pool.close()
    peer = f"hashlib.sha256 over the same files, {cores()} processes"
    return [throughput("verify_round", peer, GIGABYTES, seconds, "GB/s")]


def _published(store: Store) -> PostingClaim:
    rng = np.random.default_rng(0)
    base = _random(rng, 2**24)
    base_root = vector_root(base)
    submissions, updates = [], []
    for index in range(PARTICIPANTS):
        lanes, who = _random(rng, 2**20), address(index.to_bytes(20, "big"))
        opening = Opening(vector_root(lanes), index.to_bytes(32, "big"))
        sealed = sealed_root(opening.vector_root, opening.salt, RUN, 1, who)
        store.write_update(who, sealed, opening, lanes, run=RUN, round=1)
        submissions.append(Submission(1, index, who, WEIGHT, sealed, leaf(sealed, WEIGHT, who)))
        updates.append(lanes)
    made = aggregate_round(base, updates, WEIGHT * PARTICIPANTS, QUANTISATION)
    for root, hashes in zip(made.partial_sum_roots, made.chunk_hashes, strict=True):
        store.write_sum(root, hashes)
    store.write_model(made.model_root, made.model)
    stored = PostedRound(
        run=RUN,
        round=1,
        dimension=DIMENSION,
        quantisation=QUANTISATION,
        leaves=[submission.leaf for submission in submissions],
        excluded=frozenset(),
        included_weight=WEIGHT * PARTICIPANTS,
        sums_hash=sums_hash(made.partial_sum_roots),
        base_model_root=base_root,
        model_root=made.model_root,
    )
    store.write_model(base_root, base)
    return PostingClaim(stored, made.partial_sum_roots, submissions, ())


def _random(rng: np.random.Generator, bound: int) -> Lanes:
    return (
        rng.integers(-bound, bound, DIMENSION, dtype=np.int64).astype(np.int32).view(np.uint32).astype(LANE)
    )


@contextmanager
def _raw_processes(files: list[Path]) -> Iterator[list[Connection]]:
    context = get_context("fork")
    shares = [files[number :: cores()] for number in range(cores())]
    pipes = [context.Pipe() for _ in shares]
    crew = [
        context.Process(target=_hash_on_demand, args=(share, theirs), daemon=True)
        for share, (_, theirs) in zip(shares, pipes, strict=True)
    ]
    try:
        for process in crew:
            process.start()
        yield [ours for ours, _ in pipes]
    finally:
        for process in crew:
            process.terminate()
            process.join()


def _hash_on_demand(files: list[Path], connection: Connection) -> None:
    while True:
        connection.recv()
        for path in files:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
        connection.send(digest.hexdigest())
