import hashlib

import pytest

from fl_chain.commitment.seals import fold, initial_digest, leaf, round_digest, salt, sealed_root
from fl_chain.errors import ConfigError
from fl_chain.records import Address, Digest, RunId

RUN = RunId(31337, Address("0x" + "11" * 20))
SOMEBODY = Address("0x" + "22" * 20)
ROOT, SALT = Digest(bytes(range(32))), bytes(range(32, 64))
SECRET = bytes(range(16))


def test_sealed_root_is_bound_to_everything_it_names() -> None:
    sealed = {
        sealed_root(ROOT, SALT, RUN, 7, SOMEBODY),
        sealed_root(Digest(SALT), SALT, RUN, 7, SOMEBODY),
        sealed_root(ROOT, bytes(32), RUN, 7, SOMEBODY),
        sealed_root(ROOT, SALT, RunId(1, RUN.ledger), 7, SOMEBODY),
        sealed_root(ROOT, SALT, RunId(31337, SOMEBODY), 7, SOMEBODY),
        sealed_root(ROOT, SALT, RUN, 8, SOMEBODY),
        sealed_root(ROOT, SALT, RUN, 7, RUN.ledger),
    }
    assert len(sealed) == 7


def test_salt_differs_by_secret_run_and_round() -> None:
    salts = {
        salt(SECRET, RUN, 1),
        salt(SECRET, RUN, 2),
        salt(SECRET, RunId(1, RUN.ledger), 1),
        salt(SECRET, RunId(31337, SOMEBODY), 1),
        salt(SECRET + b"\x01", RUN, 1),
    }
    assert len(salts) == 5
    assert all(len(value) == 32 for value in salts)
    assert salt(SECRET, RUN, 1) in salts


@pytest.mark.parametrize("length", [0, 15])
def test_a_short_secret_is_refused(length: int) -> None:
    with pytest.raises(ConfigError, match="at least 16"):
        salt(bytes(length), RUN, 1)


def test_round_digest_folds_leaves_in_order() -> None:
    first, second = Digest(hashlib.sha256(b"1").digest()), Digest(hashlib.sha256(b"2").digest())
    start = initial_digest(RUN, 7, ROOT)
    assert round_digest(RUN, 7, ROOT, []) == start
    assert round_digest(RUN, 7, ROOT, [first, second]) == fold(fold(start, first), second)
    assert round_digest(RUN, 7, ROOT, [second, first]) != round_digest(RUN, 7, ROOT, [first, second])


@pytest.mark.parametrize("value", [0, 2**64 - 1])
def test_the_ends_of_64_bits_are_accepted(value: int) -> None:
    assert len(leaf(ROOT, value, SOMEBODY)) == 32
    assert len(initial_digest(RunId(value, SOMEBODY), value, ROOT)) == 32


@pytest.mark.parametrize("value", [-1, 2**64, 1.0, True])
def test_integers_out_of_range_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="the weight"):
        leaf(ROOT, value, SOMEBODY)
    with pytest.raises(ValueError, match="the round"):
        sealed_root(ROOT, SALT, RUN, value, SOMEBODY)
    with pytest.raises(ValueError, match="the round"):
        salt(SECRET, RUN, value)
    with pytest.raises(ValueError, match="the chain id"):
        initial_digest(RunId(value, SOMEBODY), 1, ROOT)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_digests_of_another_length_are_refused(length: int) -> None:
    wrong = Digest(bytes(length))
    with pytest.raises(ValueError, match="vector root must be 32 bytes"):
        sealed_root(wrong, SALT, RUN, 1, SOMEBODY)
    with pytest.raises(ValueError, match="salt must be 32 bytes"):
        sealed_root(ROOT, wrong, RUN, 1, SOMEBODY)
    with pytest.raises(ValueError, match="sealed root must be 32 bytes"):
        leaf(wrong, 1, SOMEBODY)
    with pytest.raises(ValueError, match="base model root must be 32 bytes"):
        initial_digest(RUN, 1, wrong)
    with pytest.raises(ValueError, match="digest must be 32 bytes"):
        fold(wrong, ROOT)
    with pytest.raises(ValueError, match="leaf must be 32 bytes"):
        fold(ROOT, wrong)


def test_a_digest_as_text_is_refused() -> None:
    with pytest.raises(ValueError, match="a str"):
        fold("11" * 16, ROOT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", ["", "0x", "22" * 20, "0x" + "22" * 19, "0x" + "22" * 21, "0x" + "AA" * 20, "0x" + "zz" * 20]
)
def test_what_is_no_canonical_address_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="the participant"):
        leaf(ROOT, 1, Address(wrong))
    with pytest.raises(ValueError, match="the ledger"):
        initial_digest(RunId(1, Address(wrong)), 1, ROOT)
