"""What can be tried against the masks of a run in which nobody sees an update.

The attacker is whom secure aggregation has to withstand: an aggregator that also serves the participants'
nodes, so that it can show each of them another chain, or participants of its own. It sees ledger and store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from arena import COUNT, DIMENSION, MASKED, POSTING_S, PUBLICATION_S, WEIGHT, Arena
from by_aggregator import added, stands
from by_challenger import BOND_GONE, challenged
from by_network import audited_by, lying, topic_of
from registry import Outcome, Result, Stopped, Succeeded, Who, attack, attempt
from rules import (
    CHALLENGES,
    DERIVED,
    ENOUGH_RELEASED_FOR,
    FIXED_FOR_EVER,
    MASKS_BOUND,
    MASKS_RIGHT,
    PROVEN_EVENTS,
    PROVEN_STATE,
    RELEASE_SIGNED,
    RELEASED_ONCE,
    SEED_COMMITTED,
    STATE,
    UNDERIVABLE,
    contract,
)

from fl_chain.aggregation.quantise import verify_update
from fl_chain.aggregation.round import Aggregate, aggregate_round
from fl_chain.commitment.chunks import Lanes
from fl_chain.errors import UpdateOutOfRange
from fl_chain.ledger import events as e
from fl_chain.ledger.events import Place
from fl_chain.ledger.history import History
from fl_chain.masking.keys import public_key, round_private_key
from fl_chain.masking.masks import Mask, add_masks, is_subtracted, native_lanes, pair_mask_key, self_mask_key
from fl_chain.masking.masks import wire_lanes as wire
from fl_chain.records import Address, Digest, Exclusion, ExclusionReason, Submission
from fl_chain.run.claims import posting_claim
from fl_chain.run.masked_rounds import (
    masking_context,
    release_blob,
    round_occasion,
    unmasking_vectors,
    verify_sum,
)
from fl_chain.run.posted_terms import PostedTerms
from fl_chain.run.unmasking import joined_seeds

VICTIM = 1  # place among the submissions
FEW = (2, 3, 4)  # places of those who leave the sum to two
THIEF = bytes(range(1, 33))  # private key
ENOUGH = contract("enough-survivors", "so many stay that their sum hides each of them", "`fixSurvivors`")


# ---------------------------------------------------------------------- what the attacker does


def shown(a: Arena, excluded: Sequence[int] = ()) -> History:
    """Return the history that a node makes up: as if these survivors had been fixed."""
    a.ledger.sync()
    events = [one for one in a.ledger.all_events() if not isinstance(one, e.SurvivorsFixed)]
    history = History(a.ledger.run)
    history.extend(events)
    submissions, last = history.submissions[1], events[-1].place
    survivors = len(submissions) - len(excluded)
    place = Place(last.block_number + 1, bytes(32), last.timestamp, bytes(32), 0)
    exclusions = tuple(exclusion(submissions[index]) for index in excluded)
    terms = survivors * (1 + len(excluded))
    history.extend([e.SurvivorsFixed(place, 1, a.aggregator.address, survivors, terms, exclusions, ())])
    return history


def exclusion(submission: Submission) -> Exclusion:
    return Exclusion(submission.index, ExclusionReason.UNREADABLE, submission.leaf)


def fix(a: Arena, *excluded: int) -> None:
    """Fix the survivors on the ledger."""
    submissions, bond_wei = shown(a).submissions[1], a.policy.ledger.bond_wei
    if a.ledger.account(a.aggregator.address).free_bond_wei < bond_wei:
        a.ledger.deposit_bond(a.aggregator, bond_wei)
    a.wait(PUBLICATION_S)
    a.ledger.fix_survivors(
        a.aggregator,
        round=1,
        digest=a.ledger.round(1).digest,
        exclusions=[(exclusion(submissions[index]), submissions[index]) for index in excluded],
        absentees=[],
    )


def ask(a: Arena, history: History, numbers: Iterable[int] = range(COUNT)) -> None:
    """Show a history to participants, and let them release what they will."""
    for number in numbers:
        a.worker(number)._ring.step(history, a.who(number))


def seeds(a: Arena, history: History) -> dict[Address, bytes]:
    """Return whatever seeds follow from what is released for a set of survivors."""
    masks, submissions = history.round_masks(1), history.submissions[1]
    owners = masks.stayed(submissions) + masks.departed(submissions)
    return dict(zip(owners, joined_seeds(history, a.store, 1), strict=True))


def published(a: Arena, history: History, index: int) -> Lanes:
    one = history.submissions[1][index]
    lanes = a.store.read_update(one.participant, one.sealed_root, DIMENSION, run=a.ledger.run, round=1).lanes
    return lanes[:DIMENSION]


def opened(a: Arena, history: History, key_seed: bytes, mask_seed: bytes) -> Lanes:
    """Return the victim's update, from both of its seeds and what is public."""
    context, victim = masking_context(history, 1), history.submissions[1][VICTIM].participant
    lanes, private = native_lanes(published(a, history, VICTIM)), round_private_key(key_seed, context)
    taken = [Mask(self_mask_key(mask_seed, context, victim), is_negative=True)]
    for keys in history.round_masks(1).keys:
        if keys.participant != victim:
            pair = (victim, keys.participant)
            key = pair_mask_key(private, keys.round_key, context, pair)
            taken.append(Mask(key, is_negative=not is_subtracted(*pair)))
    add_masks(lanes, taken)
    return wire(lanes)


def unmasked(a: Arena, history: History, updates: Iterable[Lanes]) -> Lanes:
    """Return the sum of masked updates and of the terms that a set of survivors calls for."""
    total = sum(map(native_lanes, updates), np.zeros(DIMENSION, np.uint32))
    for term in unmasking_vectors(history, 1, seeds(a, history)):
        total += native_lanes(term)
    return wire(total)


def posted(a: Arena, published_seeds: Sequence[bytes], terms: Sequence[Lanes]) -> Aggregate:
    """Publish seeds and post what the masked updates and some terms give."""
    history = a.history
    a.ledger.publish_seeds(a.aggregator, 1, published_seeds)
    weight = sum(one.weight for one in history.submissions[1])
    base = a.store.read_model(history.model_root(0), DIMENSION)
    updates = [published(a, history, index) for index in range(COUNT)]
    made = aggregate_round(base, updates, weight, a.policy.ledger.quantisation, terms=terms)
    a.post(made)
    return made


def released(a: Arena) -> tuple[dict[Address, bytes], list[Lanes]]:
    """Fix that everybody stays, let all release, and return seeds and terms."""
    fix(a)
    history = a.history
    ask(a, history)
    found = seeds(a, history)
    return found, list(unmasking_vectors(history, 1, found))


# ---------------------------------------------------------------------- by the aggregator


@attack(
    171,
    "two sets of survivors",
    Who.AGGREGATOR,
    "fixes that all stay, gathers the shares, and fixes a second set, which calls for a peer's other seed",
    (
        contract("survivors-once", "the survivors of a round are fixed once", "`fixSurvivors`"),
        "SurvivorsAlreadyFixed",
    ),
    (FIXED_FOR_EVER, "MalformedResponse"),
    (RELEASED_ONCE, "TooFewShares"),
    phase="masked",
    policy=MASKED,
)
def two_sets(a: Arena) -> Result:
    stays, left = shown(a), shown(a, (VICTIM,))
    victim = stays.submissions[1][VICTIM]

    def open_update() -> None:
        fix(a)
        ask(a, stays)
        a.wait(POSTING_S)  # until when others come before who has fixed what came to nothing
        fix(a, VICTIM)
        ask(a, left)
        lanes = opened(a, stays, seeds(a, left)[victim.participant], seeds(a, stays)[victim.participant])
        verify_update(lanes, victim.weight, a.policy.ledger.quantisation, DIMENSION)

    return attempt(open_update, "one participant's update is open")


@attack(
    172,
    "both shares of one peer",
    Who.AGGREGATOR,
    "asks one participant for both of its shares of a peer, by showing it two sets of survivors",
    (RELEASED_ONCE, "one share"),
    phase="masked",
    policy=MASKED,
)
def both_shares(a: Arena) -> Result:
    stays, left = shown(a), shown(a, (VICTIM,))
    asked = next(n for n in range(COUNT) if a.who(n) != stays.submissions[1][VICTIM].participant)
    for history in (stays, left):
        ask(a, history, (asked,))
    assert a.store.has_release(a.who(asked), round_occasion(stays, 1))
    if not a.store.has_release(a.who(asked), round_occasion(left, 1)):
        return Stopped(("one share",))
    return Succeeded("a third of the members who answer so open a peer's update")


@attack(
    173,
    "replayed shares",
    Who.AGGREGATOR,
    "puts the shares that were released for one set of survivors under the name of another set",
    (RELEASE_SIGNED, "TooFewShares"),
    (SEED_COMMITTED, "TooFewShares"),
    phase="masked",
    policy=MASKED,
)
def replayed_shares(a: Arena) -> Result:
    stays, left = shown(a), shown(a, (VICTIM,))
    ask(a, stays)
    for number in range(COUNT):
        signed = a.store.read_release(release_blob(stays, 1, a.who(number)))
        a.store.write_release(release_blob(left, 1, a.who(number)), signed)
    victim = stays.submissions[1][VICTIM].participant
    return attempt(
        lambda: seeds(a, left),
        "others publish a seed of the wrong kind, and lose their bond to `challengeSeed`",
        holds=lambda: seeds(a, left)[victim] == seeds(a, stays)[victim],
    )


@attack(
    174,
    "wrong seed published",
    Who.AGGREGATOR,
    "publishes another mask seed of a competitor than it committed to, and posts the sum that follows",
    (CHALLENGES, "seed"),
    (MASKS_RIGHT, "mask_seed_differs"),
    (UNDERIVABLE, "model_underivable"),
    outcome=Outcome.CHALLENGEABLE,
    phase="masked",
    policy=MASKED,
)
def wrong_seed(a: Arena) -> Result:
    found, terms = released(a)
    victim = a.history.submissions[1][VICTIM].participant
    context = masking_context(a.history, 1)
    lanes = np.zeros(DIMENSION, np.uint32)
    add_masks(lanes, [Mask(self_mask_key(bytes(16), context, victim), is_negative=True)])
    terms[VICTIM] = wire(lanes)
    posted(a, list((found | {victim: bytes(16)}).values()), terms)
    return stands(a, "a model of the aggregator's choice is final")


@attack(
    175,
    "wrong term listed",
    Who.AGGREGATOR,
    "publishes the right seeds, and lists a term that is not what they give",
    (CHALLENGES, "mask"),
    (MASKS_RIGHT, "mask_term_differs"),
    (DERIVED, "partial_sum_differs"),
    outcome=Outcome.CHALLENGEABLE,
    phase="masked",
    policy=MASKED,
)
def wrong_term(a: Arena) -> Result:
    found, terms = released(a)
    posted(a, list(found.values()), [added(terms[0], 3, 1), *terms[1:]])
    return stands(a, "a model of the aggregator's choice is final")


# ---------------------------------------------------------------------- by participants


@attack(
    176,
    "sum of few",
    Who.PARTICIPANT,
    "three sybils of five withhold their updates, so that the aggregator sees the sum of the other two",
    (ENOUGH, "TooFewSurvivors"),
    (ENOUGH_RELEASED_FOR, "TooFewShares"),
    phase="masked",
    policy=MASKED,
)
def sum_of_few(a: Arena) -> Result:
    few, weights = shown(a, FEW), [one.weight for one in a.history.submissions[1]]

    def sum_two() -> None:
        fix(a, *FEW)
        ask(a, few)
        total = unmasked(a, few, [published(a, few, 0), published(a, few, 1)])
        verify_sum(total, weights[0] + weights[1], a.policy.ledger.quantisation)

    return attempt(sum_two, "whoever knows one of the two updates knows the other")


@attack(
    177,
    "identity key set again",
    Who.PARTICIPANT,
    "has a participant's signing key for a moment, and puts another identity key in the place of its own",
    (
        contract("identity-key-once", "an identity key is set once, for ever", "`setIdentityKey`"),
        "IdentityKeyFixed",
    ),
    (FIXED_FOR_EVER, "MalformedResponse"),
    phase="masked",
    policy=MASKED,
)
def key_again(a: Arena) -> Result:
    def replace_key() -> None:
        a.ledger.set_identity_key(a.accounts[0], public_key(THIEF))
        assert a.history.identity_keys[a.who(0)] == public_key(THIEF)

    return attempt(replace_key, "what others seal to the participant in the next round, the thief opens")


# ---------------------------------------------------------------------- by nodes


@attack(
    178,
    "another identity key in a peer's place",
    Who.NETWORK,
    "a node shows a key of its own as a peer's, to open what is sealed to the peer",
    (STATE, "state_differs"),
    (PROVEN_EVENTS, "proven_events_differ"),
    (PROVEN_STATE, "proven_state_differs"),
    outcome=Outcome.DETECTED,
    phase="masked",
    policy=MASKED,
)
def other_key(a: Arena) -> Result:
    topic, peer = topic_of("IdentityKeySet(address,bytes32)"), f"0x{int(a.who(1), 16):064x}"

    def lie(method: str, parameters: Sequence[Any], result: Any) -> Any:
        for log in result if method == "eth_getLogs" else ():
            if log["topics"] == [topic, peer]:
                log["data"] = "0x" + public_key(THIEF).hex()
        return result

    return audited_by(a, lying(a, lie), "the node opens the shares that are sealed to the peer")


@attack(
    179,
    "another base model for one victim",
    Who.NETWORK,
    "a node gives one participant a model of its own to train on, and looks at what that does to the sum",
    (MASKS_BOUND, "SpoiltRound"),
    phase="masked",
    policy=MASKED,
)
def other_base(a: Arena) -> Result:
    fooled, history = shown(a), shown(a)
    fooled.base_model_roots[1] = Digest(b"\x07" * 32)
    index = next(one.index for one in history.submissions[1] if one.participant == a.who(0))
    lanes = a.worker(0)._ring.masked(fooled, 1, a.who(0), a.lanes(0, 1, scale=1.5))
    ask(a, history)
    updates = [lanes if one == index else published(a, history, one) for one in range(COUNT)]
    quantisation, weight = a.policy.ledger.quantisation, COUNT * WEIGHT
    try:
        verify_update(lanes, WEIGHT, quantisation, DIMENSION)
    except UpdateOutOfRange:
        return attempt(
            lambda: verify_sum(unmasked(a, history, updates), weight, quantisation),
            "the sum has what the victim's rows do to a model that was made to ask about them",
        )
    raise AssertionError("the victim's update went out without masks")


# ---------------------------------------------------------------------- by challengers


def terms_of(a: Arena) -> PostedTerms:
    claim = posting_claim(a.history, 1)
    assert claim.stored.masks is not None
    return PostedTerms(claim, claim.stored.masks)


@attack(
    181,
    "challenge of a right seed",
    Who.CHALLENGER,
    "challenges a seed that is the one committed to",
    (
        contract("seed-is-wrong", "a challenged seed is not the one committed to", "`challengeSeed`"),
        "NothingWrong",
    ),
    phase="unmasked",
    policy=MASKED,
)
def right_seed(a: Arena) -> Result:
    return challenged(a, terms_of(a).seed_proof(2), gain=BOND_GONE)


@attack(
    182,
    "challenge of a right term",
    Who.CHALLENGER,
    "challenges a chunk of a term that is the cipher's output",
    (
        contract("term-is-wrong", "a challenged chunk is not the cipher's output", "`challengeMask`"),
        "NothingWrong",
    ),
    phase="unmasked",
    policy=MASKED,
)
def right_term(a: Arena) -> Result:
    from fl_chain.commitment.tree import vector_tree

    terms = terms_of(a)
    hashes = vector_tree(terms.lanes(2)).chunk_hashes
    return challenged(a, terms.mask_proof(2, 0, hashes), gain=BOND_GONE)
