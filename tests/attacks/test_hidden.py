"""What is withheld: the prover goes round it where it can, and says what is missing where it cannot."""

from dataclasses import replace

import numpy as np
import pytest
from lies import add, withheld
from rounds import PostedRoundCase, World, random_world

from fl_chain.aggregation.challenges import is_proof
from fl_chain.commitment.chunks import LANE
from fl_chain.commitment.proofs import ApplyProof, SumProof
from fl_chain.commitment.tree import vector_tree
from fl_chain.records import Digest, ExclusionReason
from fl_chain.run.prover import examine
from fl_chain.run.verdicts import Hidden, Outcome, Proven, Right, Unprovable


@pytest.fixture
def world() -> World:
    return random_world(np.random.default_rng(11), 20, 1500)


def outcome_of(case: PostedRoundCase) -> Outcome:
    outcome = examine(case.claim, case.blobs)
    if isinstance(outcome, Proven):
        assert is_proof(outcome.proof, case.claim.stored)
    return outcome


def doubts_of(case: PostedRoundCase) -> set[tuple[Hidden, int | None]]:
    outcome = outcome_of(case)
    assert isinstance(outcome, Unprovable), outcome
    assert str(outcome)
    return {(doubt.hidden, doubt.index) for doubt in outcome.doubts}


def with_wrong_sums(world: World, *positions: int) -> PostedRoundCase:
    """Return a posting whose sums of level 1 at these positions are wrong, and all above are consistent."""
    sums = world.honest_sums()
    for position in positions:
        add(sums[0][position], 3, 1)
        world.sums_above(sums, 1, position)
    return world.posted(sums)


def without_sum(case: PostedRoundCase, *places: int) -> PostedRoundCase:
    gone = {case.claim.partial_sum_roots[place] for place in places}
    return withheld(case, sums={root: hashes for root, hashes in case.blobs.sums.items() if root not in gone})


def without_update(case: PostedRoundCase, index: int) -> PostedRoundCase:
    return withheld(case, updates={i: update for i, update in case.blobs.updates.items() if i != index})


def test_a_wrong_sum_without_chunk_hashes_cannot_be_proven(world: World) -> None:
    case = without_sum(with_wrong_sums(world, 1), 1)
    assert doubts_of(case) == {(Hidden.SUM_HASHES, 1)}
    outcome = outcome_of(case)
    assert isinstance(outcome, Unprovable)
    assert outcome.is_certain


def test_of_two_wrong_sums_the_one_that_is_published_is_proven(world: World) -> None:
    outcome = outcome_of(without_sum(with_wrong_sums(world, 0, 2), 0))
    assert isinstance(outcome, Proven)
    assert isinstance(outcome.proof, SumProof)
    assert outcome.proof.index == 2


def test_a_wrong_upper_sum_is_proven_from_right_lower_ones(world: World) -> None:
    sums = world.honest_sums()
    add(sums[1][0], 1400, 5)
    outcome = outcome_of(world.posted(sums))
    assert isinstance(outcome, Proven)
    assert isinstance(outcome.proof, SumProof)
    assert (outcome.proof.index, outcome.proof.chunk, outcome.proof.openings) == (3, 1, ())


def test_a_hidden_inner_sum_under_a_right_total_is_named(world: World) -> None:
    sums = world.honest_sums()
    add(sums[0][2], 0, 1)
    assert doubts_of(without_sum(world.posted(sums), 2)) == {(Hidden.SUM_HASHES, 2)}


def test_a_wrong_model_is_proven_although_an_inner_sum_is_hidden(world: World) -> None:
    sums = world.honest_sums()
    add(sums[0][2], 0, 1)
    model = world.model_of(sums[-1][0])
    add(model, 7, 1)
    outcome = outcome_of(without_sum(world.posted(sums, model), 2))
    assert isinstance(outcome, Proven)
    assert isinstance(outcome.proof, ApplyProof)


def test_a_wrong_model_that_nobody_can_read_is_named(world: World) -> None:
    model = world.model_of(world.honest_sums()[-1][0])
    add(model, 7, 1)
    case = withheld(world.posted(model=model), models={})
    assert doubts_of(case) == {(Hidden.MODEL_HASHES, None)}


def test_a_right_model_need_not_be_published(world: World) -> None:
    assert isinstance(outcome_of(withheld(world.posted(), models={}, sums={})), Right)


def test_an_unreadable_update_is_named_and_not_certain(world: World) -> None:
    case = without_update(world.posted(), 9)
    assert doubts_of(case) == {(Hidden.UPDATE, 9)}
    outcome = outcome_of(case)
    assert isinstance(outcome, Unprovable)
    assert not outcome.is_certain


def test_a_wrong_sum_beside_an_unreadable_update_is_proven(world: World) -> None:
    outcome = outcome_of(without_update(with_wrong_sums(world, 2), 9))
    assert isinstance(outcome, Proven)
    assert isinstance(outcome.proof, SumProof)
    assert outcome.proof.index == 2


def test_the_base_model_is_needed_for_the_model_only(world: World) -> None:
    assert doubts_of(withheld(world.posted(), base=None)) == {(Hidden.BASE_MODEL, None)}
    assert isinstance(outcome_of(withheld(with_wrong_sums(world, 0), base=None)), Proven)


def test_a_root_over_set_padding_chunks_has_no_chunk_hashes() -> None:
    world = random_world(np.random.default_rng(3), 2, 3 * 1024)  # three chunks and one of padding
    honest = world.posted()
    padded = np.concatenate([world.honest_sums()[0][0], np.ones(1024, dtype=np.uint32)])
    root = vector_tree(padded.astype(LANE)).root
    stored = replace(honest.claim.stored, sums_hash=_hash_of(root))
    case = replace(honest, claim=replace(honest.claim, stored=stored, partial_sum_roots=[root]))
    assert doubts_of(case) == {(Hidden.SUM_HASHES, 0)}


def _hash_of(root: Digest) -> Digest:
    from fl_chain.commitment.partial_sums import sums_hash

    return sums_hash([root])


@pytest.mark.parametrize("reason", [ExclusionReason.OUT_OF_RANGE, ExclusionReason.BY_RULE])
def test_a_valid_update_left_out_for_what_it_holds_is_named(world: World, reason: ExclusionReason) -> None:
    case = replace(world, excluded={4: reason}).posted()
    assert doubts_of(case) == {(Hidden.EXCLUSION, 4)}


def test_a_valid_update_left_out_as_unreadable_counts_only_for_who_saw_it_in_time(world: World) -> None:
    case = replace(world, excluded={4: ExclusionReason.UNREADABLE}).posted()
    assert isinstance(examine(case.claim, case.blobs), Right)
    assert isinstance(examine(case.claim, case.blobs, seen_in_time={3}), Right)
    outcome = examine(case.claim, case.blobs, seen_in_time={4})
    assert isinstance(outcome, Unprovable)
    assert [doubt.hidden for doubt in outcome.doubts] == [Hidden.EXCLUSION]


def test_an_update_rightly_left_out_is_no_matter(world: World) -> None:
    bound = world.quantisation.clip_lanes * world.weights[4]
    odd = replace(world.with_update(4, 0, bound + 1), excluded={4: ExclusionReason.OUT_OF_RANGE})
    assert isinstance(outcome_of(odd.posted()), Right)
