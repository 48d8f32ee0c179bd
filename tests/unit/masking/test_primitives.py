"""Published vectors, statistics of masked lanes, and what is refused."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st
from secure_rounds import CONTEXT, SecureRound, participant

from fl_chain.commitment.chunks import LANE
from fl_chain.errors import DigestMismatch, MalformedBlob
from fl_chain.masking import masks
from fl_chain.masking.context import MaskingContext, derived
from fl_chain.masking.keys import agreed_secret, public_key, round_private_key
from fl_chain.masking.masks import Mask, add_masks, pair_mask_key, self_mask_key
from fl_chain.masking.shares import (
    PRIME,
    joined,
    opened_shares,
    sealed_shares,
    seed_commitment,
    split,
    threshold,
)
from fl_chain.records import Digest, RunId

# RFC 7748, section 6.1
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")


def test_x25519_of_rfc_7748() -> None:
    assert public_key(ALICE) == ALICE_PUBLIC
    assert public_key(BOB) == BOB_PUBLIC
    assert agreed_secret(ALICE, BOB_PUBLIC) == agreed_secret(BOB, ALICE_PUBLIC) == SHARED


def test_hkdf_of_rfc_5869_appendix_a_1() -> None:
    found = HKDF(
        SHA256(), 42, bytes.fromhex("000102030405060708090a0b0c"), bytes.fromhex("f0f1f2f3f4f5f6f7f8f9")
    )
    assert found.derive(b"\x0b" * 22).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_derived_keys_are_hkdf_with_the_round_as_salt() -> None:
    expected = HKDF(SHA256(), 32, CONTEXT.digest(), b"fl_chain/masking/1/purpose").derive(ALICE)
    assert derived(ALICE, CONTEXT, b"purpose") == expected
    with pytest.raises(ValueError, match="too short"):
        derived(bytes(15), CONTEXT, b"purpose")


def test_a_key_of_low_order_is_refused() -> None:
    for point in (bytes(32), b"\x01" + bytes(31)):
        with pytest.raises(MalformedBlob, match="no key to agree"):
            agreed_secret(ALICE, point)


@pytest.mark.parametrize("field", ["chain", "ledger", "round", "base"])
def test_every_field_of_the_round_changes_every_key(field: str) -> None:
    run, ledger = CONTEXT.run, participant(5)
    other = {
        "chain": MaskingContext(RunId(1, run.ledger), 3, CONTEXT.base_model_root),
        "ledger": MaskingContext(RunId(run.chain_id, ledger), 3, CONTEXT.base_model_root),
        "round": MaskingContext(run, 4, CONTEXT.base_model_root),
        "base": MaskingContext(run, 3, Digest(bytes(32))),
    }[field]
    assert self_mask_key(bytes(16), CONTEXT, ledger) != self_mask_key(bytes(16), other, ledger)
    assert round_private_key(bytes(16), CONTEXT) != round_private_key(bytes(16), other)


def test_chacha20_of_rfc_8439_appendix_a_1() -> None:
    lanes = np.zeros(32, dtype=np.uint32)
    add_masks(lanes, [Mask(bytes(32))])
    stream = lanes.astype(">u4").tobytes()
    assert stream[:64].hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )
    assert stream[64:].hex() == (
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )


BLOCK = masks.BLOCK_BYTES // 4


@pytest.mark.parametrize("dimension", [1, 16, BLOCK - 1, BLOCK, BLOCK + 1])
@pytest.mark.parametrize("is_negative", [False, True])
def test_masks_are_added_and_taken_off(dimension: int, is_negative: bool) -> None:
    before = np.random.default_rng(dimension).integers(0, 2**32, dimension, dtype=np.uint32)
    stream = Cipher(ChaCha20(ALICE, bytes(16)), None).encryptor().update(bytes(4 * dimension))
    values = np.frombuffer(stream, dtype=LANE).astype(np.uint32)
    lanes = before.copy()
    add_masks(lanes, [Mask(ALICE, is_negative)])
    assert np.array_equal(lanes, before - values if is_negative else before + values)
    add_masks(lanes, [Mask(ALICE, not is_negative)])
    assert np.array_equal(lanes, before)


def test_many_masks_at_once_are_the_same_as_one_after_the_other() -> None:
    several = [Mask(ALICE), Mask(BOB, is_negative=True), Mask(SHARED)]
    at_once, in_turn = (np.zeros(masks.BLOCK_BYTES // 4 + 5, dtype=np.uint32) for _ in range(2))
    add_masks(at_once, several)
    for mask in reversed(several):
        add_masks(in_turn, [mask])
    assert at_once.any()
    assert np.array_equal(at_once, in_turn)


@pytest.mark.parametrize(
    "lanes",
    [np.zeros(4, dtype=LANE), np.zeros((2, 2), dtype=np.uint32), np.zeros(8, dtype=np.uint32)[::2]],
)
def test_masks_go_on_native_rows(lanes: np.ndarray) -> None:
    with pytest.raises(ValueError, match="native uint32"):
        add_masks(lanes, [Mask(ALICE)])


def test_keys_and_seeds_have_one_length() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        add_masks(np.zeros(1, dtype=np.uint32), [Mask(bytes(16))])
    with pytest.raises(ValueError, match="16 bytes"):
        self_mask_key(bytes(32), CONTEXT, participant(0))
    with pytest.raises(ValueError, match="16 bytes"):
        round_private_key(bytes(15), CONTEXT)
    with pytest.raises(ValueError, match="32 bytes"):
        public_key(bytes(31))


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.integers(1, 12), st.data())
def test_enough_shares_give_the_seed_and_fewer_do_not(seed: bytes, needed: int, data: st.DataObject) -> None:
    holders = data.draw(st.integers(needed, 20))
    shares = split(seed, ALICE, CONTEXT, holders, needed)
    chosen = data.draw(st.lists(st.integers(0, holders - 1), min_size=needed, max_size=holders, unique=True))
    commitment = seed_commitment(seed)
    assert joined({place: shares[place] for place in chosen}, needed, commitment) == seed
    few = dict(enumerate(shares[: needed - 1]))
    with pytest.raises(MalformedBlob, match="are needed"):
        joined(few, needed, commitment)
    if needed > 1:  # taken for a polynomial of lower degree, they give something else
        with pytest.raises(DigestMismatch):
            joined(few, needed - 1, commitment)


def test_shares_are_the_same_after_a_crash_and_others_in_another_round() -> None:
    other = MaskingContext(CONTEXT.run, 4, CONTEXT.base_model_root)
    assert split(bytes(16), ALICE, CONTEXT, 5, 4) == split(bytes(16), ALICE, CONTEXT, 5, 4)
    assert split(bytes(16), ALICE, CONTEXT, 5, 4) != split(bytes(16), ALICE, other, 5, 4)
    assert split(bytes(16), ALICE, CONTEXT, 5, 4) != split(bytes(16), BOB, CONTEXT, 5, 4)


@pytest.mark.parametrize(("count", "needed"), [(1, 1), (2, 2), (3, 3), (4, 3), (6, 5), (7, 5), (100, 67)])
def test_the_threshold_is_two_thirds_and_one(count: int, needed: int) -> None:
    assert threshold(count) == needed


def test_misuse_of_shares_is_refused() -> None:
    with pytest.raises(ValueError, match="need at least 1"):
        threshold(0)
    for holders, needed in [(3, 4), (3, 0)]:
        with pytest.raises(ValueError, match="cannot be needed"):
            split(bytes(16), ALICE, CONTEXT, holders, needed)
    for share in (bytes(16), PRIME.to_bytes(17, "big")):
        with pytest.raises(MalformedBlob, match="no share"):
            joined({0: share}, 1, seed_commitment(bytes(16)))


def test_sealed_shares_open_for_one_peer_in_one_round_and_direction() -> None:
    alice, bob = participant(0), participant(1)
    shares = (b"\x01" * 17, b"\x02" * 17)
    sealed = sealed_shares(shares, ALICE, BOB_PUBLIC, CONTEXT, (alice, bob))
    assert opened_shares(sealed, BOB, ALICE_PUBLIC, CONTEXT, (alice, bob)) == shares
    other = MaskingContext(CONTEXT.run, 4, CONTEXT.base_model_root)
    altered = bytes([sealed[0] ^ 1]) + sealed[1:]
    for content, key, context, route in [
        (altered, BOB, CONTEXT, (alice, bob)),
        (sealed[:-1], BOB, CONTEXT, (alice, bob)),
        (sealed, ALICE, CONTEXT, (alice, bob)),
        (sealed, BOB, other, (alice, bob)),
        (sealed, BOB, CONTEXT, (bob, alice)),
    ]:
        with pytest.raises(MalformedBlob, match="do not open"):
            opened_shares(content, key, ALICE_PUBLIC, context, route)
    odd = sealed_shares((b"\x01" * 18,), ALICE, BOB_PUBLIC, CONTEXT, (alice, bob))
    with pytest.raises(MalformedBlob, match="whole number"):
        opened_shares(odd, BOB, ALICE_PUBLIC, CONTEXT, (alice, bob))


def test_masked_lanes_are_uniform_and_independent_between_rounds() -> None:
    first = SecureRound(3, 40_000)
    second = SecureRound(3, 40_000, context=MaskingContext(CONTEXT.run, 4, CONTEXT.base_model_root))
    who = participant(0)
    one, two = (round_.masked(who).astype(np.uint32) for round_ in (first, second))
    assert np.array_equal(first.updates[who], second.updates[who])
    for lanes in (one, two, one - two):
        for shift in (0, 8, 16, 24):
            counts = np.bincount((lanes >> shift & 0xFF).astype(np.int64), minlength=256)
            statistic = float(((counts - lanes.size / 256) ** 2 / (lanes.size / 256)).sum())
            assert 150 < statistic < 400  # chi-square with 255 degrees of freedom: 5 deviations of 22.6
    pairs = np.corrcoef(one.astype(np.float64), two.astype(np.float64))[0, 1]
    assert abs(pairs) < 0.025  # 5 / sqrt(40,000)


def test_both_of_a_pair_find_the_same_mask() -> None:
    pair = (participant(0), participant(1))
    assert pair_mask_key(ALICE, BOB_PUBLIC, CONTEXT, pair) == pair_mask_key(
        BOB, ALICE_PUBLIC, CONTEXT, pair[::-1]
    )
