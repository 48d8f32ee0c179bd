"""The contract and the pure verifier take the same proofs, and refuse all others for the same reason."""

from pathlib import Path

import numpy as np
import pytest
from chain_round import BOND_WEI, CHALLENGE_REWARD_WEI, ChainRound, chain_round
from forgeries import mutated, well_formed
from lies import LIES, told
from rounds import random_world

from fl_chain.aggregation.challenges import verify_proof
from fl_chain.commitment.proofs import PostedRound, Proof
from fl_chain.errors import LedgerReverted, ProofRejected
from fl_chain.ledger.memory.records import refused
from fl_chain.run.claims import posting_claim
from fl_chain.run.verdicts import Proven, Right

FORGED = 5  # of each proof
WORLDS = [(1, 5, 0), (3, 1024, 1), (9, 2049, 2), (10, 3073, 0)]  # submissions, lanes, excluded


@pytest.mark.parametrize(("count", "dimension", "excluded"), WORLDS)
def test_both_verifiers_agree_on_every_proof(
    tmp_path: Path, count: int, dimension: int, excluded: int
) -> None:
    rng = np.random.default_rng(count)
    world = random_world(rng, count, dimension, excluded=excluded, is_extreme=count == 9)
    lies = [lie for lie in LIES if not lie.startswith("update ")]
    with chain_round(world, tmp_path, posters=len(lies) + 1) as on_chain:
        fallen = 0
        for lie in lies:
            case = told(on_chain.world, lie, rng)
            if case is None:
                continue
            poster = on_chain.post(case)
            outcome = on_chain.examined()
            assert isinstance(outcome, Proven), lie
            compare(on_chain, outcome.proof, rng)
            on_chain.ledger.challenge(on_chain.stranger, 1, outcome.proof)
            fallen += 1
            assert on_chain.ledger.round(1).posting_number == fallen
            assert on_chain.ledger.account(poster.address).locked_bond_wei == 0
            assert on_chain.ledger.bonus_wei(1) == fallen * (BOND_WEI - CHALLENGE_REWARD_WEI)
        assert on_chain.ledger.account(on_chain.stranger.address).credit_wei == fallen * CHALLENGE_REWARD_WEI
        honest = on_chain.world.posted()
        on_chain.post(honest)
        assert isinstance(on_chain.examined(), Right)
        for _ in range(4):
            compare(on_chain, well_formed(on_chain.world, honest, rng), rng)
        assert fallen >= 4


@pytest.mark.parametrize(("count", "dimension"), [(1, 1025), (4, 1023)])
@pytest.mark.parametrize("lie", ["update over the bound", "update past the dimension"])
def test_both_verifiers_agree_on_updates_out_of_range(
    tmp_path: Path, count: int, dimension: int, lie: str
) -> None:
    rng = np.random.default_rng(count)
    world = random_world(rng, count, dimension)
    lane, value = (dimension, 1) if lie == "update past the dimension" else (0, 0)
    if not value:
        value = -world.quantisation.clip_lanes * world.weights[0] - 1
    odd = world.with_update(0, lane, value)
    with chain_round(odd, tmp_path, posters=1) as on_chain:
        on_chain.post(on_chain.world.posted())
        outcome = on_chain.examined()
        assert isinstance(outcome, Proven)
        compare(on_chain, outcome.proof, rng, forged=24)
        on_chain.ledger.challenge(on_chain.stranger, 1, outcome.proof)
        assert on_chain.ledger.round(1).posting_number == 1


def compare(on_chain: ChainRound, proof: Proof, rng: np.random.Generator, *, forged: int = FORGED) -> None:
    stored = posting_claim(on_chain.ledger.sync(), 1).stored
    for candidate in [proof, *(mutated(proof, rng) for _ in range(forged))]:
        assert shown(on_chain.refusal(candidate)) == shown(pure_refusal(candidate, stored))


def pure_refusal(proof: Proof, stored: PostedRound) -> LedgerReverted | None:
    try:
        verify_proof(proof, stored)
    except ProofRejected as error:
        return refused(error.name, **error.arguments)
    return None


def shown(refusal: LedgerReverted | None) -> tuple[str, dict[str, object]] | None:
    return None if refusal is None else (refusal.name, refusal.arguments)
