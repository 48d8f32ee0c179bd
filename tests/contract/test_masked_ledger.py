"""Masked rounds on the contract, with the masks that participants make."""

from __future__ import annotations

import re

import numpy as np
import pytest
from eth_hash.auto import keccak
from masked_run import DIMENSION, MaskedRound, MaskedRun

from fl_chain.commitment.tree import vector_root
from fl_chain.ledger.artifact import mask_challenges, masked_ledger, secure_aggregation
from fl_chain.ledger.code import Contracts, created_address
from fl_chain.masking.setup import ring_digest
from fl_chain.records import address

NOTHING_WRONG = re.escape(str(keccak(b"NothingWrong()")[:4])[1:])


@pytest.fixture
def run() -> MaskedRun:
    run = MaskedRun()
    run.participants(5)
    return run


def played(run: MaskedRun, *, submitting: int, excluded: tuple[int, ...] = ()) -> MaskedRound:
    """Play a round of five up to its survivors."""
    current = MaskedRound(run, 5)
    for index in range(5):
        current.set_up(index)
    for index in range(submitting):
        current.submit(index)
    if submitting < 5:
        run.pass_time(run.policy["submissionSeconds"])
        run.send(run.aggregator, "closeRound", 1)
    if excluded:
        run.pass_time(run.policy["publicationSeconds"])
    current.fix(excluded)
    return current


@pytest.mark.parametrize(("submitting", "excluded"), [(5, ()), (4, (2,))])
def test_the_sum_of_masked_updates_is_the_plain_sum(
    run: MaskedRun, submitting: int, excluded: tuple[int, ...]
) -> None:
    current = played(run, submitting=submitting, excluded=excluded)
    listed, total, _ = current.posting()
    expected = sum(
        current.plain[index].astype(np.uint32)
        for at, index in enumerate(current.submitted)
        if at not in excluded
    )
    assert np.array_equal(total.astype(np.uint32), expected)
    run.mask(run.aggregator, "publishSeeds", 1, current.seeds())
    current.post(listed, vector_root(current.model(total)))
    assert run.ledger.functions.roundOf(1).call()[0] == 4
    # Nothing of it can be proven wrong: forge tries every term, here are the first and the last.
    for number, chunk in ((0, 0), (len(current.terms()) - 1, 1)):
        lanes = current.term_lanes(current.terms()[number])
        with pytest.raises(Exception, match=NOTHING_WRONG):
            run.ledger.functions.challengeMask(1, current.mask_proof(number, chunk, listed, lanes)).call()


def test_a_wrong_term_falls(run: MaskedRun) -> None:
    current = played(run, submitting=4)
    listed, total, terms = current.posting()
    wrong = terms[-1].copy()
    wrong[DIMENSION - 1] += 1
    listed[len(terms) - 1] = vector_root(wrong)
    run.mask(run.aggregator, "publishSeeds", 1, current.seeds())
    current.post(listed, vector_root(current.model(total)))
    run.send(run.operator, "challengeMask", 1, current.mask_proof(len(terms) - 1, 1, listed, wrong))
    assert run.ledger.functions.roundOf(1).call()[0] == 2


def test_a_wrong_seed_falls(run: MaskedRun) -> None:
    current = played(run, submitting=4)
    listed, total, _ = current.posting()
    seeds = current.seeds()
    seeds[4] = bytes(16)
    run.mask(run.aggregator, "publishSeeds", 1, seeds)
    current.post(listed, vector_root(current.model(total)))
    for number in range(4):
        with pytest.raises(Exception, match=NOTHING_WRONG):
            run.ledger.functions.challengeSeed(1, current.seed_proof(number, seeds)).call()
    run.send(run.operator, "challengeSeed", 1, current.seed_proof(4, seeds))
    assert run.ledger.functions.roundOf(1).call()[0] == 2


def test_signed_set_ups_come_together(run: MaskedRun) -> None:
    current = MaskedRound(run, 5)
    current.set_up_together(range(5))
    assert run.masks.functions.keyRingOf(1).call()[:3] == (5, 5, True)
    assert run.masks.functions.ringDigestOf(1).call() == ring_digest(current.ring())


def test_the_code_that_decides_challenges_is_the_one_that_the_masks_created(run: MaskedRun) -> None:
    ledger = run.run_id.ledger
    masks = address(run.masks.address.lower())
    contracts = Contracts(masked_ledger(), secure_aggregation(), masks, mask_challenges())
    assert contracts.challenges == created_address(masks, 1)
    expected = contracts.judge_immutables(run.run_id)
    for artifact, place in contracts.parts:
        code = bytes(run.w3.eth.get_code(run.w3.to_checksum_address(place)))
        artifact.verify_code(code)
        written = artifact.named_immutables(code)
        assert written == {name: expected[name] for name in written}
    assert expected["LEDGER"] == int(ledger, 16)
