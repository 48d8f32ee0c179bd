"""Any lane of any vector changed, hashes consistent upward: always a proof. Nothing wrong: never one."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from forgeries import mutated, well_formed
from lies import LIES, told
from rounds import PostedRoundCase, drawn_world, participant, random_world

from fl_chain.aggregation.challenges import verify_proof
from fl_chain.commitment.proofs import ApplyProof, RangeProof, SumProof
from fl_chain.errors import ProofRejected
from fl_chain.run.prover import examine
from fl_chain.run.verdicts import Proven, Right

SEEDS = range(10)
CASES = 1000  # a seed: 10,000 postings in all
LIES_PER_WORLD = 24


@pytest.mark.parametrize("seed", SEEDS)
def test_every_lie_about_a_lane_is_proven_and_no_honest_posting_ever(seed: int) -> None:
    rng = np.random.default_rng(seed)
    told_lies: Counter[str] = Counter()
    cases = 0
    while cases < CASES:
        world = drawn_world(rng)
        honest = world.posted()
        outcome = examine(honest.claim, honest.blobs)
        assert isinstance(outcome, Right)
        assert np.array_equal(outcome.model, world.model_of(world.honest_sums()[-1][0])[: world.dimension])
        cases += 1
        for _ in range(LIES_PER_WORLD):
            lie = str(rng.choice(LIES))
            case = told(world, lie, rng)
            if case is None:
                continue
            outcome = examine(case.claim, case.blobs)
            assert isinstance(outcome, Proven), lie
            assert type(outcome.proof) is _kind_of(lie)
            with pytest.raises(ProofRejected):
                verify_proof(outcome.proof, honest.claim.stored)
            told_lies[lie] += 1
            cases += 1
    assert set(told_lies) == set(LIES)


def _kind_of(lie: str) -> type[SumProof | RangeProof | ApplyProof]:
    if lie.startswith("model"):
        return ApplyProof
    return RangeProof if lie.startswith("update ") else SumProof


@pytest.mark.parametrize("seed", SEEDS)
def test_no_forged_proof_against_an_honest_posting_is_accepted(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    refusals: Counter[str] = Counter()
    cases = 0
    while cases < CASES:
        world = drawn_world(rng)
        honest = world.posted()
        for _ in range(8):
            proof = well_formed(world, honest, rng)
            assert _refusal(proof, honest) == "NothingWrong"
            for _ in range(4):
                proof_or_twice = (
                    mutated(mutated(proof, rng), rng) if rng.random() < 0.2 else mutated(proof, rng)
                )
                if proof_or_twice != proof:
                    refusals[_refusal(proof_or_twice, honest)] += 1
                    cases += 1
    assert {"WrongLength", "PathMismatch", "WrongPartialSums", "LeafMismatch", "ChunkOutOfBounds"} <= set(
        refusals
    )


def _refusal(proof: SumProof | RangeProof | ApplyProof, case: PostedRoundCase) -> str:
    with pytest.raises(ProofRejected) as caught:
        verify_proof(proof, case.claim.stored)
    return caught.value.name


def test_a_proof_counts_for_its_own_round_and_run_only() -> None:
    rng = np.random.default_rng(3)
    case = told(random_world(rng, 5, 1030), "submission dropped", rng)
    assert case is not None
    outcome = examine(case.claim, case.blobs)
    assert isinstance(outcome, Proven)
    stored = case.claim.stored
    verify_proof(outcome.proof, stored)
    for other in (
        replace(stored, round=stored.round + 1),
        replace(stored, run=replace(stored.run, chain_id=stored.run.chain_id + 1)),
        replace(stored, run=replace(stored.run, ledger=participant(0))),
        replace(stored, leaves=stored.leaves[::-1]),
    ):
        with pytest.raises(ProofRejected) as caught:
            verify_proof(outcome.proof, other)
        assert caught.value.name == "LeafMismatch"
