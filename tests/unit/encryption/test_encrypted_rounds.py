from dataclasses import replace

import numpy as np
import pytest

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.round import aggregate_round
from fl_chain.commitment.chunks import LANE, Lanes, lane_bytes, lanes_from_native
from fl_chain.commitment.seals import leaf
from fl_chain.commitment.tree import vector_root
from fl_chain.encryption.ciphertexts import residues, sum_ciphertexts, wire
from fl_chain.encryption.keys import SecretKey, new_secret_key
from fl_chain.encryption.lanes import encrypt
from fl_chain.encryption.rounds import (
    EncryptedRound,
    EncryptedUpdate,
    open_sum,
    spoilt_updates,
    verify_update,
)
from fl_chain.encryption.scheme import MODULUS
from fl_chain.errors import (
    DigestMismatch,
    MalformedBlob,
    Undecryptable,
    UnverifiedPosting,
    UpdateOutOfRange,
)
from fl_chain.records import Address, Digest, Quantisation, RunId, Submission
from fl_chain.run.updates import sealed_update

RUN = RunId(31337, Address("0x" + "e" * 40))
ROUND, DIMENSION = 4, 4100
QUANTISATION = Quantisation(fraction_bits=22, scale_bits=16, clip_lanes=1 << 16, max_total_weight=1000)
WEIGHTS = (3, 200, 1, 40, 5, 6, 7, 8, 99, 2)


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return new_secret_key()


def update_of(index: int, weight: int) -> Lanes:
    bound = QUANTISATION.clip_lanes * weight
    lanes = np.random.default_rng(index).integers(-bound, bound + 1, DIMENSION).astype(np.int32)
    lanes[:2] = bound, -bound
    return lanes_from_native(lanes)


def submitted(index: int, ciphertext: Lanes, weight: int) -> tuple[Submission, EncryptedUpdate]:
    who = Address(f"0x{index + 1:040x}")
    root, secret = vector_root(ciphertext), b"secret of %8d" % index
    base = Digest(bytes(32))
    made = sealed_update(ciphertext, root, weight, ROUND, base, secret, run=RUN, identity=who)
    submission = Submission(ROUND, index, who, weight, made.sealed_root, leaf(made.sealed_root, weight, who))
    return submission, EncryptedUpdate(made.opening, made.lanes)


def round_of(ciphertexts: list[Lanes]) -> EncryptedRound:
    pairs = [
        submitted(index, ciphertext, weight)
        for index, (ciphertext, weight) in enumerate(zip(ciphertexts, WEIGHTS, strict=False))
    ]
    submissions, updates = zip(*pairs, strict=True)
    return EncryptedRound(RUN, ROUND, submissions, updates, DIMENSION, QUANTISATION)


@pytest.fixture(scope="module")
def plain() -> list[Lanes]:
    return [update_of(index, weight) for index, weight in enumerate(WEIGHTS)]


@pytest.fixture(scope="module")
def honest(key: SecretKey, plain: list[Lanes]) -> EncryptedRound:
    return round_of([encrypt(update, key.public) for update in plain])


@pytest.mark.parametrize("excluded", [set(), {0, 8}])
def test_the_model_is_that_of_plain_mode(
    key: SecretKey, plain: list[Lanes], honest: EncryptedRound, excluded: set[int]
) -> None:
    def kept(index: int) -> bool:
        return index not in excluded

    current = replace(
        honest, updates=tuple(one if kept(index) else None for index, one in enumerate(honest.updates))
    )
    total = open_sum(current, key)
    base = lanes_from_native(np.random.default_rng(99).integers(-(2**24), 2**24, DIMENSION).astype(np.int32))
    model, clamped = apply_sum(base, total, current.included_weight, QUANTISATION)

    weight = sum(one for index, one in enumerate(WEIGHTS) if kept(index))
    in_plain = [one if kept(index) else None for index, one in enumerate(plain)]
    expected = aggregate_round(base, in_plain, weight, QUANTISATION)
    assert current.included_weight == weight
    assert lane_bytes(total) == lane_bytes(expected.total)
    assert vector_root(model) == expected.model_root
    assert clamped == expected.clamped
    assert current.added.summands == len(WEIGHTS) - len(excluded)
    assert current.added.root not in expected.partial_sum_roots


def test_a_sum_of_too_few_is_not_opened(key: SecretKey, honest: EncryptedRound) -> None:
    def first(count: int) -> EncryptedRound:
        return replace(honest, updates=honest.updates[:count] + (None,) * (len(WEIGHTS) - count))

    open_sum(first(3), key)
    with pytest.raises(UnverifiedPosting, match="fewer than 3"):
        open_sum(first(2), key)
    open_sum(first(2), key, least_summands=2)
    with pytest.raises(ValueError, match="is an update"):
        open_sum(first(2), key, least_summands=1)


def test_what_was_not_submitted_is_not_added(key: SecretKey, honest: EncryptedRound) -> None:
    submission, update = honest.submissions[1], honest.updates[1]
    assert update is not None
    verify_update(update, submission, RUN, DIMENSION)
    again = encrypt(update_of(1, WEIGHTS[1]), key.public)  # the same update, encrypted a second time
    with pytest.raises(DigestMismatch, match="the ciphertext of"):
        verify_update(replace(update, ciphertext=again), submission, RUN, DIMENSION)
    _, resealed = submitted(1, again, WEIGHTS[1])
    with pytest.raises(DigestMismatch, match="the sealed ciphertext of"):
        verify_update(resealed, submission, RUN, DIMENSION)
    with pytest.raises(DigestMismatch, match="the sealed ciphertext of"):  # as its own by another participant
        verify_update(update, replace(submission, participant=Address("0x" + "9" * 40)), RUN, DIMENSION)
    with pytest.raises(DigestMismatch, match="the sealed ciphertext of"):
        verify_update(update, submission, RunId(1, RUN.ledger), DIMENSION)
    swapped = replace(honest, updates=(honest.updates[1], honest.updates[0], *honest.updates[2:]))
    with pytest.raises(DigestMismatch):
        _ = swapped.added


def test_lanes_that_are_no_ciphertext_are_refused(plain: list[Lanes]) -> None:
    with pytest.raises(MalformedBlob):
        _ = round_of(plain).added  # updates in the clear


def test_submissions_and_updates_belong_together(honest: EncryptedRound) -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = replace(honest, updates=honest.updates[:-1]).added
    with pytest.raises(ValueError, match="stands in round"):
        _ = replace(honest, id=ROUND + 1).added


def test_who_encrypts_with_another_key_is_named(key: SecretKey, plain: list[Lanes]) -> None:
    strange = encrypt(plain[1], new_secret_key().public)
    current = round_of([encrypt(plain[0], key.public), strange, encrypt(plain[2], key.public)])
    with pytest.raises(Undecryptable, match="another key"):
        open_sum(current, key)
    (spoilt,) = spoilt_updates(current, key)
    assert spoilt.participant == current.submissions[1].participant
    assert isinstance(spoilt.reason, Undecryptable)


@pytest.mark.parametrize(("past", "is_refused"), [(0, False), (1, True)])
def test_who_goes_beyond_its_weight_is_named(
    key: SecretKey, plain: list[Lanes], past: int, is_refused: bool
) -> None:
    bound = QUANTISATION.clip_lanes * WEIGHTS[1]
    lanes = np.zeros(DIMENSION, dtype=np.int32)
    lanes[3] = bound + past
    zeros = encrypt(np.zeros(DIMENSION, dtype=LANE), key.public)
    current = round_of([zeros, encrypt(lanes_from_native(lanes), key.public), zeros])
    spoilt = spoilt_updates(current, key)
    assert bool(spoilt) is is_refused
    if is_refused:
        assert spoilt[0].participant == current.submissions[1].participant
        assert isinstance(spoilt[0].reason, UpdateOutOfRange)
        assert (spoilt[0].reason.lane, spoilt[0].reason.value, spoilt[0].reason.bound) == (
            3,
            bound + 1,
            bound,
        )


@pytest.mark.parametrize(("past", "is_refused"), [(0, False), (1, True), (-1, True)])
def test_a_sum_beyond_the_weight_is_refused(key: SecretKey, past: int, is_refused: bool) -> None:
    weight = sum(WEIGHTS[:3])
    lanes = np.zeros(DIMENSION, dtype=np.int32)
    lanes[0] = (QUANTISATION.clip_lanes * weight + abs(past)) * (-1 if past < 0 else 1)
    zeros = encrypt(np.zeros(DIMENSION, dtype=LANE), key.public)
    current = round_of([zeros, encrypt(lanes_from_native(lanes), key.public), zeros])
    if is_refused:
        with pytest.raises(UpdateOutOfRange, match="lane 0"):
            open_sum(current, key)
    else:
        assert open_sum(current, key)[0] == QUANTISATION.clip_lanes * weight


def test_a_multiplied_ciphertext_changes_the_sum(honest: EncryptedRound) -> None:
    first, *others = [update for update in honest.updates if update is not None]
    numbers = residues(first.ciphertext, DIMENSION).astype(object) * 3 % MODULUS
    wrong = sum_ciphertexts([wire(numbers.astype(np.uint64)), *(one.ciphertext for one in others)], DIMENSION)
    assert wrong.root != honest.added.root


def test_the_roots_that_are_published_do_not_follow_from_the_update(
    key: SecretKey, plain: list[Lanes]
) -> None:
    one, other = (submitted(0, encrypt(plain[0], key.public), 3)[0] for _ in range(2))
    assert one.sealed_root != other.sealed_root
