import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tenseal

from fl_chain.commitment.chunks import LANE, Lanes, lane_bytes, lanes_from_native
from fl_chain.commitment.tree import vector_root
from fl_chain.encryption import seal
from fl_chain.encryption.ciphertexts import (
    WORD,
    ciphertext_from_bytes,
    ciphertext_lanes,
    residues,
    sum_ciphertexts,
    wire,
)
from fl_chain.encryption.keys import (
    PublicKey,
    SecretKey,
    new_secret_key,
    parse_public_key,
    parse_secret_key,
    verify_key_pair,
)
from fl_chain.encryption.lanes import decrypt, encrypt, wrapped
from fl_chain.encryption.scheme import (
    DEGREE,
    KEY_PRIME,
    LANE_LIMIT,
    MAX_SUMMANDS,
    MODULUS,
    least_noise_budget_bits,
)
from fl_chain.errors import ExtraMissing, MalformedBlob, SecretKeyExposed, Undecryptable

ROOT = Path(__file__).parents[3]
LOWEST, HIGHEST = -(2**31), 2**31 - 1


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return new_secret_key()


@pytest.fixture(scope="module")
def other_key() -> SecretKey:
    return new_secret_key()


def lanes_of(*values: int) -> Lanes:
    return lanes_from_native(np.array(values, dtype=np.int32))


def random_lanes(seed: int, dimension: int) -> Lanes:
    return np.random.default_rng(seed).integers(0, 2**32, dimension, dtype=np.uint32).astype(LANE)


def tenseal_context(key: SecretKey) -> tenseal.Context:
    return seal._context(key.public.numbers, key.numbers)


def tenseal_vector(key: SecretKey, ciphertext: Lanes) -> tenseal.BFVVector:
    stream = seal._stream(seal._forms().ciphertext, residues(ciphertext, DEGREE)[0])
    message = seal._field(1, seal._varint(DEGREE)) + seal._field(2, stream)
    return tenseal.bfv_vector_from(tenseal_context(key), message)


@pytest.mark.parametrize(
    ("dimension", "summands"), [(1, 1), (DEGREE - 1, 3), (DEGREE, 2), (DEGREE + 1, 9), (300, 10)]
)
def test_a_sum_decrypts_to_the_exact_sum_of_the_lanes(key: SecretKey, dimension: int, summands: int) -> None:
    updates = [random_lanes(seed, dimension) for seed in range(summands)]
    total = sum_ciphertexts((encrypt(update, key.public) for update in updates), dimension)
    exact = decrypt(total.total, key, dimension, summands=total.summands)
    assert total.summands == summands
    assert np.array_equal(exact, sum(update.view(">i4").astype(np.int64) for update in updates))
    plain = sum(update.astype(np.uint32) for update in updates)
    assert lane_bytes(wrapped(exact)) == lane_bytes(lanes_from_native(plain.astype(np.uint32)))


@pytest.mark.parametrize("summands", [64, MAX_SUMMANDS])
def test_the_most_extreme_lanes_sum_exactly(key: SecretKey, summands: int) -> None:
    update = lanes_of(LOWEST, HIGHEST, 0, 1, -1, LOWEST + 1)
    ciphertexts = [encrypt(update, key.public) for _ in range(2)] * 64
    ciphertexts = ciphertexts[:summands]
    exact = decrypt(sum_ciphertexts(ciphertexts, 6).total, key, 6, summands=summands)
    assert exact.tolist() == [summands * value for value in update.view(">i4").tolist()]
    assert exact[0] == -LANE_LIMIT * summands
    _, budget_bits = seal.Decryptor(key.numbers, key.public.numbers).decrypted(
        residues(sum_ciphertexts(ciphertexts, 6).total, 6)[0]
    )
    assert budget_bits >= least_noise_budget_bits(summands)


def test_one_summand_more_than_can_be_exact_is_refused(key: SecretKey) -> None:
    ciphertext = encrypt(lanes_of(1), key.public)
    with pytest.raises(ValueError, match="from 1 to 127"):
        sum_ciphertexts([ciphertext] * (MAX_SUMMANDS + 1), 1)
    for summands in (0, MAX_SUMMANDS + 1):
        with pytest.raises(ValueError, match="from 1 to 127"):
            decrypt(ciphertext, key, 1, summands=summands)


def test_every_order_gives_the_same_bytes_and_they_are_those_of_seal(key: SecretKey) -> None:
    ciphertexts = [encrypt(random_lanes(seed, DEGREE), key.public) for seed in range(4)]
    found = {
        bytes(lane_bytes(sum_ciphertexts(order, DEGREE).total))
        for order in itertools.permutations(ciphertexts)
    }
    vectors = [tenseal_vector(key, ciphertext) for ciphertext in ciphertexts]
    by_seal = (vectors[0] + vectors[1]) + (vectors[2] + vectors[3])  # as a tree
    assert found == {bytes(lane_bytes(wire(seal.ciphertext_numbers(by_seal.serialize())[np.newaxis])))}


@pytest.mark.parametrize("submissions", [1, 8, 70])
def test_a_sum_is_that_of_the_numbers_of_all_that_are_in_it(key: SecretKey, submissions: int) -> None:
    few = [encrypt(random_lanes(seed, 5), key.public) for seed in range(3)]
    ciphertexts = (
        [few[index % 3] if index % 5 else None for index in range(submissions)]
        if submissions > 1
        else few[:1]
    )
    found = sum_ciphertexts(ciphertexts, 5)
    there = [one for one in ciphertexts if one is not None]
    numbers = sum(residues(one, 5).astype(object) for one in there) % MODULUS
    assert lane_bytes(found.total) == lane_bytes(wire(numbers.astype(np.uint64)))
    assert found.root == vector_root(found.total)
    assert found.summands == len(there)


def test_a_round_of_excluded_ciphertexts_has_no_sum() -> None:
    for ciphertexts in ([], [None, None]):
        with pytest.raises(ValueError, match="0 ciphertexts"):
            sum_ciphertexts(ciphertexts, 5)


def test_the_same_lanes_encrypt_differently_each_time(key: SecretKey) -> None:
    one, other = (encrypt(lanes_of(7), key.public) for _ in range(2))
    assert np.mean(one == other) < 0.001
    assert decrypt(one, key, 1).tolist() == decrypt(other, key, 1).tolist() == [7]


def test_words_of_a_ciphertext_are_uniform_whatever_is_in_it(key: SecretKey) -> None:
    for value in (0, LOWEST):
        lanes = np.full(8 * DEGREE, value, dtype=np.int32)
        numbers = residues(encrypt(lanes_from_native(lanes), key.public), lanes.size)
        for polynomial in (0, 1):
            counts = np.bincount((numbers[:, polynomial] >> np.uint64(52)).reshape(-1), minlength=256)
            expected = 8 * DEGREE / 256
            assert ((counts - expected) ** 2 / expected).sum() < 425  # chi-square, 255 degrees: 1 in 10^10


def test_a_public_key_does_not_decrypt(key: SecretKey) -> None:
    context = seal._context(key.public.numbers, None)
    assert not context.is_private()
    with pytest.raises(ValueError, match="secret"):
        tenseal.bfv_vector(context, [1] * DEGREE).decrypt()


def test_ciphertexts_have_one_form_and_its_round_trip(key: SecretKey) -> None:
    ciphertext = encrypt(random_lanes(1, DEGREE + 1), key.public)
    content = bytes(lane_bytes(ciphertext))
    assert len(content) == 16 * 2 * DEGREE == 4 * ciphertext_lanes(DEGREE + 1)
    again = ciphertext_from_bytes(content, DEGREE + 1)
    assert lane_bytes(wire(residues(again, DEGREE + 1))) == content


def test_truncated_ciphertexts_and_those_of_other_dimensions_are_refused(key: SecretKey) -> None:
    ciphertext = encrypt(random_lanes(1, DEGREE), key.public)
    content = bytes(lane_bytes(ciphertext))
    for damaged in (b"", content[:-1], content[:-8], content + bytes(8), content * 2):
        with pytest.raises(MalformedBlob):
            ciphertext_from_bytes(damaged, DEGREE)
    for read in (
        lambda: sum_ciphertexts([ciphertext], DEGREE + 1),
        lambda: decrypt(ciphertext, key, DEGREE + 1),
    ):
        with pytest.raises(MalformedBlob, match="encrypted lanes"):
            read()


@pytest.mark.parametrize(("value", "is_refused"), [(MODULUS - 1, False), (MODULUS, True), (2**64 - 1, True)])
def test_numbers_are_below_the_modulus(key: SecretKey, value: int, is_refused: bool) -> None:
    content = bytearray(lane_bytes(encrypt(lanes_of(1), key.public)))
    content[-8:] = value.to_bytes(8, "big")
    if not is_refused:
        assert residues(ciphertext_from_bytes(content, 1), 1)[-1, -1, -1] == value
        return
    with pytest.raises(MalformedBlob, match=f"word {2 * DEGREE - 1} of a ciphertext is {value}"):
        ciphertext_from_bytes(content, 1)


def test_ciphertexts_under_another_key_are_found_when_the_sum_is_decrypted(
    key: SecretKey, other_key: SecretKey
) -> None:
    strange = encrypt(lanes_of(1), other_key.public)
    assert decrypt(strange, other_key, 1).tolist() == [1]
    total = sum_ciphertexts([encrypt(lanes_of(1), key.public), strange], 1)
    with pytest.raises(Undecryptable, match="another key"):
        decrypt(total.total, key, 1, summands=2)


def test_multiplied_ciphertexts_are_refused(key: SecretKey) -> None:
    vector = tenseal_vector(key, encrypt(random_lanes(1, DEGREE), key.public))
    with pytest.raises(MalformedBlob, match="multiplied"):  # three polynomials
        seal.ciphertext_numbers((vector * vector).serialize())
    by_plain = seal.ciphertext_numbers((vector * [1 + index % 2 for index in range(DEGREE)]).serialize())
    with pytest.raises(Undecryptable, match="multiplied"):
        decrypt(wire(by_plain[np.newaxis]), key, DEGREE)


def test_a_multiple_is_no_lanes_or_the_sum_of_equal_ciphertexts(key: SecretKey) -> None:
    ciphertext = encrypt(lanes_of(HIGHEST), key.public)
    numbers = residues(ciphertext, 1).astype(object) * 3 % MODULUS
    tripled = wire(numbers.astype(np.uint64))
    assert lane_bytes(tripled) == lane_bytes(sum_ciphertexts([ciphertext] * 3, 1).total)
    with pytest.raises(Undecryptable, match="larger than 1 lanes"):
        decrypt(tripled, key, 1)


def test_several_blocks_at_a_time_are_refused(key: SecretKey) -> None:
    vector = tenseal.bfv_vector(tenseal_context(key), [1] * (DEGREE + 1))
    with pytest.raises(MalformedBlob, match="2 blocks"):
        seal.ciphertext_numbers(vector.serialize())


def test_numbers_past_the_dimension_are_found(key: SecretKey) -> None:
    ciphertext = encrypt(lanes_of(1, 2), key.public)
    assert decrypt(ciphertext, key, 2).tolist() == [1, 2]
    with pytest.raises(Undecryptable, match="past the 1 lanes"):
        decrypt(ciphertext, key, 1)


@pytest.mark.parametrize(
    ("value", "is_refused"),
    [(LANE_LIMIT - 1, False), (LANE_LIMIT, True), (-LANE_LIMIT, False), (-LANE_LIMIT - 1, True)],
)
def test_a_ciphertext_of_more_than_a_lane_is_found(key: SecretKey, value: int, is_refused: bool) -> None:
    values = np.zeros(DEGREE, dtype=np.int64)
    values[0] = value
    ciphertext = wire(seal.Encryptor(key.public.numbers).encrypted(values)[np.newaxis])
    if is_refused:
        with pytest.raises(Undecryptable, match="larger than"):
            decrypt(ciphertext, key, 1)
    else:
        assert decrypt(ciphertext, key, 1).tolist() == [value]


def test_keys_have_one_form_and_its_round_trip(key: SecretKey) -> None:
    public = parse_public_key(key.public.content)
    assert public == key.public
    assert public.digest() == key.public.digest()
    assert parse_secret_key(key.content, public) == key
    assert key.content.hex()[:99] not in repr(key)
    assert decrypt(encrypt(lanes_of(5), public), key, 1).tolist() == [5]


def test_a_secret_key_in_a_public_ones_place_is_refused(key: SecretKey) -> None:
    for exposed in (key.content, key.public.content + key.content):
        with pytest.raises(SecretKeyExposed, match="Make a new key"):
            parse_public_key(exposed)
    with pytest.raises(MalformedBlob):  # what TenSEAL serialises, with the secret in it
        parse_public_key(tenseal_context(key).serialize(save_secret_key=True))


def test_damaged_keys_are_refused(key: SecretKey) -> None:
    public = key.public.content
    for damaged in (b"", public[:-1], public + b"\0", b"F" + public[1:]):
        with pytest.raises(MalformedBlob, match="are no key"):
            parse_public_key(damaged)
    for damaged in (b"", key.content[:-8], public):
        with pytest.raises(MalformedBlob, match="are no key"):
            parse_secret_key(damaged, key.public)


@pytest.mark.parametrize(("prime", "row"), [(MODULUS, 0), (KEY_PRIME, 1)])
def test_a_keys_numbers_are_below_their_primes(key: SecretKey, prime: int, row: int) -> None:
    for value, is_refused in ((prime - 1, False), (prime, True)):
        numbers = key.public.numbers
        numbers[1, row, 7] = value
        content = key.public.content[:28] + numbers.astype(WORD).tobytes()
        if is_refused:
            with pytest.raises(MalformedBlob, match="below its prime"):
                parse_public_key(content)
        else:
            assert parse_public_key(content).numbers[1, row, 7] == value


def test_keys_of_two_cohorts_do_not_make_a_pair(key: SecretKey, other_key: SecretKey) -> None:
    verify_key_pair(key)
    with pytest.raises(Undecryptable, match="does not belong"):
        parse_secret_key(key.content, other_key.public)


def test_a_public_key_that_encrypts_badly_is_found(key: SecretKey) -> None:
    numbers = key.public.numbers
    numbers[0, 0] = (numbers[0, 0] + np.uint64(12345)) % np.uint64(MODULUS)
    altered = PublicKey(key.public.content[:28] + numbers.astype(WORD).tobytes())
    with pytest.raises(Undecryptable):
        parse_secret_key(key.content, altered)


@pytest.mark.parametrize("package", ["tenseal", "zstandard"])
def test_without_the_extra_the_message_says_how_to_install_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal._tenseal.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExtraMissing, match=r"pip install 'fl-chain\[he\]'"):
        new_secret_key()
    with pytest.raises(ExtraMissing, match=r"pip install 'fl-chain\[he\]'"):
        seal.verify_installed()  # before anybody registers for an encrypted run, or a demonstration begins
    seal._tenseal.cache_clear()
    monkeypatch.undo()
    seal.verify_installed()


@pytest.mark.parametrize(("at", "byte"), [(0, 0), (2, 8), (5, 1), (8, 255)])
def test_streams_of_another_form_are_refused(at: int, byte: int) -> None:
    stream = bytearray(seal._forms().parameters)
    seal._stream_payload(bytes(stream))
    stream[at] = byte
    with pytest.raises(ExtraMissing, match=r"tenseal==0\.3\.18"):
        seal._stream_payload(bytes(stream))


def test_adding_and_auditing_need_no_extra() -> None:
    program = (
        "import sys; sys.modules['tenseal'] = sys.modules['zstandard'] = None\n"
        "import numpy as np; import fl_chain.encryption.rounds\n"
        "from fl_chain.encryption.ciphertexts import ciphertext_from_bytes, sum_ciphertexts\n"
        "one = ciphertext_from_bytes(bytes([1] * 65536), 9)\n"
        "assert sum_ciphertexts([one, one], 9).total[0] == 0x02020202"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
