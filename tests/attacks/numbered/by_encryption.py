"""What can be tried against a run in which only its participants read updates.

The attacker holds no key: an aggregator that also serves nodes or the store, so that it can show each
participant another round. It encrypts as well as anybody, since the public key is public. What those who hold
the key can do to one another, encryption does not stop, and is not tried here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from arena import COUNT, DIMENSION, ENCRYPTED, POSTING_S, TAKEOVER_S, Arena
from by_aggregator import added, stands
from by_challenger import challenged
from registry import Outcome, Result, Stopped, Succeeded, Who, attack, audited
from rules import (
    CHOSEN_ONCE,
    COHORT_KEY_SIGNED,
    DERIVED,
    ENCRYPTED_ALL,
    ENDORSED,
    OBJECTED,
    OBJECTIONS,
    OPENINGS_AGREE,
    ORDER,
    POSTED_IN_TIME,
    contract,
)

from fl_chain.aggregation.proving import range_proof
from fl_chain.commitment.chunks import Lanes, depth, lane_bytes, lanes_from_native
from fl_chain.commitment.proofs import SubmissionOpening
from fl_chain.commitment.tree import vector_root
from fl_chain.encryption.delivery import sealed_secret_key
from fl_chain.encryption.keys import PublicKey, new_secret_key, parse_public_key
from fl_chain.encryption.lanes import encrypt
from fl_chain.ledger.history import History
from fl_chain.masking.keys import public_key
from fl_chain.run.encrypted_blobs import (
    OpenedSum,
    cohort_key_blob,
    identity_blob,
    opening_blob,
    opening_bytes,
    sealed_key_blob,
    signed,
)
from fl_chain.run.encrypted_rounds import EncryptedRounds
from fl_chain.run.updates import sealed_update

MAKER, VICTIM = 0, 2  # participants
THIEF = bytes(range(1, 33))  # private key


def rounds_of(a: Arena, history: History) -> EncryptedRounds:
    cohort = a.policy.key_cohort
    assert cohort is not None
    return EncryptedRounds(history, a.store, cohort)


def shown(a: Arena, *, without: Iterable[int] = ()) -> History:
    """Return the history that a node makes up: as if these participants had not submitted."""
    hidden = [a.who(number) for number in without]
    history = a.opened().sync()
    kept = [one for one in history.submissions[1] if one.participant not in hidden]
    history.submissions[1] = [replace(one, index=index) for index, one in enumerate(kept)]
    return history


def let_open(a: Arena, history: History, numbers: Iterable[int]) -> None:
    """Show a history to participants, and let them endorse and open what they will."""
    rounds, workers = rounds_of(a, history), [(number, a.worker(number)) for number in numbers]
    for now in (0, 1000, 2000):
        for number, worker in workers:
            assert worker._opener is not None
            worker._opener.step(rounds, a.who(number), now)


def opened(a: Arena, history: History) -> list[Lanes]:
    """Return what was opened of the round that a history shows."""
    rounds = rounds_of(a, history)
    found = rounds.openings(1, rounds.read(1).added.root).found
    return [one.lanes for one in found.values() if isinstance(one, OpenedSum)]


def is_difference(a: Arena, whole: Lanes, rest: Lanes) -> bool:
    """Return whether two sums differ by the victim's update."""
    difference = whole.view(">i4").astype(np.int64) - rest.view(">i4")
    own = a.lanes(VICTIM, 1, weight=1).view(">i4")
    return bool(np.array_equal(difference, own))


def cohort_key(a: Arena) -> PublicKey:
    """Return what everybody encrypts with."""
    return parse_public_key(a.store.read_signed(cohort_key_blob(a.history, a.who(MAKER))))


# ---------------------------------------------------------------------- by nodes


@attack(
    183,
    "two sums of one round",
    Who.NETWORK,
    "a node shows some participants a round without a victim, others the whole, and subtracts what they open",
    (ENDORSED, "too few endorse it"),
    phase="encrypted",
    policy=ENCRYPTED,
)
def two_sums(a: Arena) -> Result:
    whole, rest = shown(a), shown(a, without=(VICTIM,))
    others = [number for number in range(COUNT) if number != VICTIM]
    let_open(a, rest, others[:2])
    let_open(a, whole, (*others[2:], VICTIM))
    sums, rests = opened(a, whole), opened(a, rest)
    if not (sums and rests):
        return Stopped(("too few endorse it",))
    assert is_difference(a, sums[0], rests[0])
    return Succeeded("the difference is the victim's update")


@attack(
    184,
    "a round made up around one update",
    Who.NETWORK,
    "shows a victim its own update among zeros that the node has encrypted, as if others had sent them",
    (ENDORSED, "too few endorse it"),
    phase="encrypted",
    policy=ENCRYPTED,
)
def made_up(a: Arena) -> Result:
    history, key = shown(a), cohort_key(a)
    zero = lanes_from_native(np.zeros(DIMENSION, dtype=np.int32))
    for index, one in enumerate(history.submissions[1]):
        if one.participant != a.who(VICTIM):
            lanes, base = encrypt(zero, key), history.model_root(0)
            root, own = vector_root(lanes), {"run": a.ledger.run, "identity": one.participant}
            made = sealed_update(lanes, root, one.weight, 1, base, THIEF, **own)
            a.store.write_update(
                one.participant, made.sealed_root, made.opening, lanes, run=a.ledger.run, round=1
            )
            history.submissions[1][index] = replace(one, sealed_root=made.sealed_root)
    let_open(a, history, range(COUNT))
    sums = opened(a, history)
    if not sums:
        return Stopped(("too few endorse it",))
    assert lane_bytes(sums[0]) == lane_bytes(a.lanes(VICTIM, 1, weight=1))
    return Succeeded("what the victim opens and publishes is its own update")


@attack(
    185,
    "another sum after a reorganisation",
    Who.NETWORK,
    "waits until a round is opened, and shows everybody a branch in which one submission more is in it",
    (CHOSEN_ONCE, "one sum"),
    phase="encrypted",
    policy=ENCRYPTED,
)
def another_sum(a: Arena) -> Result:
    whole, rest = shown(a), shown(a, without=(VICTIM,))
    let_open(a, rest, [number for number in range(COUNT) if number != VICTIM])
    assert opened(a, rest)
    let_open(a, whole, range(COUNT))
    if not opened(a, whole):
        return Stopped(("one sum",))
    assert is_difference(a, opened(a, whole)[0], opened(a, rest)[0])
    return Succeeded("the difference is the victim's update")


# ---------------------------------------------------------------------- by stores


@attack(
    186,
    "another key in the cohort's place",
    Who.STORE,
    "puts a key of its own where a participant looks for the cohort's, sealed as its maker would seal it",
    (COHORT_KEY_SIGNED, "not signed"),
    policy=ENCRYPTED,
)
def other_key(a: Arena) -> Result:
    a.ledger.sync()
    history, victim, maker, mine = a.history, a.who(VICTIM), a.who(MAKER), new_secret_key()
    worker = a.worker(VICTIM)
    keyring = worker._keyring
    assert keyring is not None
    keyring.step(history, victim)  # it says what to seal to
    peer_key = a.store.read_signed(identity_blob(history, victim))
    sealed = sealed_secret_key(mine, THIEF, peer_key, a.ledger.run, (maker, victim))
    for blob, content in (
        (identity_blob(history, maker), public_key(THIEF)),
        (cohort_key_blob(history, maker), mine.public.content),
        (sealed_key_blob(history, maker, victim, peer_key, mine.public.digest()), sealed),
    ):
        a.store.write_signed(blob, signed(a.stranger, history, blob, content))
    a.wait(5)
    keyring.step(history, victim)
    if keyring.key is None:
        return Stopped(("not signed",))
    assert keyring.key == mine
    return Succeeded("the store reads what the victim encrypts")


# ---------------------------------------------------------------------- by the aggregator


def posted(a: Arena, lanes: Lanes) -> None:
    """Post the first round by what somebody calls its sum."""
    rounds = rounds_of(a, a.history)
    current = rounds.read(1)
    base = a.store.read_model(a.history.model_root(0), DIMENSION)
    a.post(rounds.derived(current, base, current.added.root, lanes, pool=None))


@attack(
    187,
    "another sum than was opened",
    Who.AGGREGATOR,
    "posts the model of a sum that nobody has opened, of ciphertexts that nobody else can read",
    (OBJECTIONS, "objections"),
    (DERIVED, "model_differs"),
    (OBJECTED, "posting_objected"),
    (ORDER, "out_of_order"),
    outcome=Outcome.CHALLENGEABLE,
    phase="opened",
    policy=ENCRYPTED,
)
def other_sum(a: Arena) -> Result:
    posted(a, added(opened(a, a.history)[0], 3, 1))
    return stands(a, "a model of the aggregator's choice is final", watchers=(0, 1, 2))


# ---------------------------------------------------------------------- by participants


@attack(
    188,
    "an update that is not encrypted",
    Who.PARTICIPANT,
    "submits and publishes its update as it is, in a run whose report calls every update encrypted",
    (ENCRYPTED_ALL, "update_unencrypted"),
    (POSTED_IN_TIME, "sum_left_closed"),
    outcome=Outcome.DETECTED,
    phase="open",
    policy=ENCRYPTED,
)
def unencrypted(a: Arena) -> Result:
    odd = a.worker(VICTIM)
    odd._updates = odd._publication._updates = replace(odd._updates, encrypt=lambda lanes: lanes)
    a.play_encrypted_round({VICTIM: odd}, is_opened=False)
    a.wait(POSTING_S + TAKEOVER_S)
    a.ledger.void_round(a.stranger, 1)
    return audited(a.audit(), "the store has an update in the clear")


def say(a: Arena, numbers: Iterable[int], lanes: Lanes) -> None:
    """Let participants publish something as the sum that they opened."""
    history, rounds = a.history, rounds_of(a, a.history)
    total = rounds.read(1).added.root
    for number in numbers:
        blob = opening_blob(history, 1, a.who(number), total)
        a.store.write_signed(blob, signed(a.accounts[number], history, blob, opening_bytes(OpenedSum(lanes))))


@attack(
    189,
    "most lie about a sum",
    Who.PARTICIPANT,
    "three of five publish the same wrong sum as the one that they opened, and the aggregator posts it",
    (OPENINGS_AGREE, "opening_differs"),
    outcome=Outcome.DETECTED,
    phase="opened",
    policy=ENCRYPTED,
)
def most_lie(a: Arena) -> Result:
    wrong = added(opened(a, a.history)[0], 3, 1)
    say(a, range(3), wrong)
    posted(a, wrong)
    return stands(a, "a model of three participants' choice is final", watchers=())


@attack(
    190,
    "all lie about a sum",
    Who.PARTICIPANT,
    "all who hold the key publish the same wrong sum",
    outcome=Outcome.UNDETECTED,
    phase="opened",
    policy=ENCRYPTED,
    why="without the key nobody can tell what ciphertexts hold, and BFV gives no proof of it that gives "
    "nothing else away. All who trained would have to agree on the lie, and could as well have trained it. "
    "An audit with the key finds it.",
)
def all_lie(a: Arena) -> Result:
    wrong = added(opened(a, a.history)[0], 3, 1)
    say(a, range(COUNT), wrong)
    posted(a, wrong)
    return stands(a, "a model of the participants' choice is final", watchers=())


# ---------------------------------------------------------------------- by challengers


@attack(
    191,
    "range challenge of a ciphertext",
    Who.CHALLENGER,
    "proves a lane of an included ciphertext out of range, as nearly all of them are",
    (
        contract(
            "proof-path",
            "a chunk is shown by a path of the depth that the model has",
            "verifier, `_checkPath`",
        ),
        "PathMismatch",
    ),
    phase="opened",
    policy=ENCRYPTED,
)
def range_of_ciphertext(a: Arena) -> Result:
    posted(a, opened(a, a.history)[0])
    current = rounds_of(a, a.history).read(1)
    update, submission = current.updates[0], current.submissions[0]
    assert update is not None
    opening = SubmissionOpening(
        update.opening.vector_root, update.opening.salt, submission.weight, submission.participant
    )
    bound = a.policy.ledger.clip_lanes
    lane = int(np.flatnonzero(np.abs(update.ciphertext.view(">i4").astype(np.int64)) > bound)[0])
    proof = range_proof(0, opening, update.ciphertext, lane)
    return challenged(a, replace(proof, path=proof.path[: depth(DIMENSION)]))
