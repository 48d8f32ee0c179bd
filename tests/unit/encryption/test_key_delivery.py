import pytest

from fl_chain.encryption.delivery import opened_secret_key, sealed_secret_key
from fl_chain.encryption.keys import SecretKey, new_secret_key
from fl_chain.errors import MalformedBlob, Undecryptable
from fl_chain.masking.keys import public_key
from fl_chain.records import Address, RunId

ANNA, BORIS, CARLA = (Address("0x" + digit * 40) for digit in "abc")
OWN = {ANNA: b"\x01" * 32, BORIS: b"\x02" * 32, CARLA: b"\x03" * 32}
RUN = RunId(7, Address("0x" + "e" * 40))


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return new_secret_key()


def sealed_to_boris(key: SecretKey) -> bytes:
    return sealed_secret_key(key, OWN[ANNA], public_key(OWN[BORIS]), RUN, (ANNA, BORIS))


def test_the_receiver_reads_the_key_and_the_wire_does_not_show_it(key: SecretKey) -> None:
    sealed = sealed_to_boris(key)
    assert (
        opened_secret_key(sealed, OWN[BORIS], public_key(OWN[ANNA]), RUN, (ANNA, BORIS), public=key.public)
        == key
    )
    assert key.content[:28] not in sealed


def test_nobody_else_opens_it_and_nothing_else_is_taken_for_it(key: SecretKey) -> None:
    sealed, anna = sealed_to_boris(key), public_key(OWN[ANNA])
    other = new_secret_key().public
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    attempts = [
        (sealed, OWN[CARLA], anna, RUN, (ANNA, BORIS), key.public),  # not the receiver
        (sealed, OWN[BORIS], public_key(OWN[CARLA]), RUN, (ANNA, BORIS), key.public),  # not the sender
        (sealed, OWN[BORIS], anna, RunId(8, RUN.ledger), (ANNA, BORIS), key.public),  # another run
        (sealed, OWN[BORIS], anna, RUN, (BORIS, ANNA), key.public),  # the other way
        (sealed, OWN[BORIS], anna, RUN, (ANNA, BORIS), other),  # another cohort
        (flipped, OWN[BORIS], anna, RUN, (ANNA, BORIS), key.public),
        (sealed[:-1], OWN[BORIS], anna, RUN, (ANNA, BORIS), key.public),
        (b"", OWN[BORIS], anna, RUN, (ANNA, BORIS), key.public),
    ]
    for attempt in attempts:
        with pytest.raises(MalformedBlob, match="Ask another holder"):
            opened_secret_key(*attempt[:-1], public=attempt[-1])


def test_a_sender_that_seals_another_cohorts_key_is_found_out(key: SecretKey) -> None:
    lying = SecretKey(new_secret_key().content, key.public)
    with pytest.raises(Undecryptable, match="does not belong"):
        opened_secret_key(
            sealed_to_boris(lying), OWN[BORIS], public_key(OWN[ANNA]), RUN, (ANNA, BORIS), public=key.public
        )
