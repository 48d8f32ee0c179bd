"""What challengers, objectors and whoever moves rounds on can try against honest postings."""

from __future__ import annotations

from dataclasses import replace

from arena import COUNT, PUBLICATION_S, SUBMISSION_S, WEIGHT, Arena
from by_aggregator import added, with_model, without
from by_participant import ODD, with_odd
from registry import Result, Stopped, Succeeded, Who, attack, attempt
from rules import contract

from fl_chain.aggregation.proving import apply_proof, opened_chunk, range_proof, sum_proof
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.proofs import Proof, SubmissionOpening, SumProof
from fl_chain.commitment.tree import vector_tree
from fl_chain.records import Digest, Exclusion, ExclusionReason, RoundStatus
from fl_chain.run.claims import StoredBlobs, posting_claim
from fl_chain.run.prover import examine
from fl_chain.run.verdicts import Proven

BY = Who.CHALLENGER
BOND_GONE = "an honest aggregator loses its bond"


def opening(a: Arena, number: int) -> SubmissionOpening:
    """Return what opens a participant's stored leaf."""
    lanes = a.lanes(number, 1)
    own = a.opening(number, 1, lanes)
    return SubmissionOpening(own.vector_root, own.salt, WEIGHT, a.who(number))


def well_formed(a: Arena, chunk: int = 0) -> SumProof:
    """Return what would prove the honest total wrong if it were."""
    [root] = a.history.postings[1].partial_sum_roots
    return sum_proof(
        0,
        chunk,
        posted_hashes=a.store.read_sum(root, 1030),
        dimension=1030,
        partial_sum_roots=[root],
        openings=[opening(a, number) for number in range(COUNT)],
        summands=[opened_chunk(lanes, vector_tree(lanes), chunk) for lanes in a.updates(1)],
    )


def proof_of(a: Arena) -> Proof:
    """Return the proof against a posting that is wrong."""
    outcome = examine(posting_claim(a.history, 1), StoredBlobs(a.history, a.store, lambda: a.model(0)))
    assert isinstance(outcome, Proven)
    return outcome.proof


def challenged(a: Arena, proof: Proof, *, number: int = 1, gain: str = BOND_GONE) -> Result:
    """Challenge round 1."""
    return attempt(
        lambda: a.ledger.challenge(a.stranger, 1, proof),
        gain,
        holds=lambda: a.ledger.round(1).posting_number == number,
    )


# ---------------------------------------------------------------------- forged proofs


@attack(
    131,
    "proof that proves nothing",
    BY,
    "challenges a right sum with everything as it is",
    (
        contract(
            "sum-is-wrong", "the summands do not add up to the posted chunk", "verifier, `challengeSum`"
        ),
        "NothingWrong",
    ),
    phase="posted",
)
def nothing_wrong(a: Arena) -> Result:
    return challenged(a, well_formed(a))


@attack(
    132,
    "forged chunk of a summand",
    BY,
    "challenges a right sum with a chunk that no participant submitted",
    (contract("proof-path", "every chunk leads to its root", "verifier, `_checkPath`"), "PathMismatch"),
    phase="posted",
)
def forged_chunk(a: Arena) -> Result:
    proof = well_formed(a)
    return challenged(a, replace(proof, chunks=b"\x01" + proof.chunks[1:]))


@attack(
    133,
    "forged list of sums",
    BY,
    "challenges a right sum by a list in which another one stands",
    (contract("proof-list", "the list is the posted one", "verifier, `_checkList`"), "WrongPartialSums"),
    phase="posted",
)
def forged_list(a: Arena) -> Result:
    forged = vector_tree(added(a.aggregate().total, 0, 1))
    path = opened_chunk(added(a.aggregate().total, 0, 1), forged, 0).path
    proof = replace(
        well_formed(a),
        partial_sum_roots=(forged.root,),
        chunk_hash=Digest(forged.chunk_hashes[:32]),
        path=path,
    )
    return challenged(a, proof)


@attack(
    134,
    "forged opening",
    BY,
    "challenges a right sum by an update that it says somebody had submitted",
    (contract("proof-leaf", "an opening opens a stored leaf", "verifier, `_checkOpening`"), "LeafMismatch"),
    phase="posted",
)
def forged_opening(a: Arena) -> Result:
    lanes = added(a.updates(1)[0], 0, 1)
    opened = opened_chunk(lanes, vector_tree(lanes), 0)
    proof = well_formed(a)
    depth = len(opened.path)
    return challenged(
        a,
        replace(
            proof,
            openings=(replace(proof.openings[0], vector_root=vector_tree(lanes).root), *proof.openings[1:]),
            chunks=opened.content + proof.chunks[4096:],
            paths=(*opened.path, *proof.paths[depth:]),
        ),
    )


@attack(
    135,
    "summand that nobody opened",
    BY,
    "appends a chunk to a proof, with neither opening nor path",
    (
        contract("proof-length", "every length follows from what is stored", "verifier, `_checkLength`"),
        "WrongLength",
    ),
    phase="posted",
)
def extra_chunk(a: Arena) -> Result:
    proof = well_formed(a)
    return challenged(a, replace(proof, chunks=proof.chunks + b"\x01" * 4096))


@attack(
    136,
    "range proof of a valid lane",
    BY,
    "says of a lane within its bounds that it is not",
    (contract("lane-is-wrong", "the lane is out of range", "verifier, `challengeRange`"), "NothingWrong"),
    phase="posted",
)
def valid_lane(a: Arena) -> Result:
    return challenged(a, range_proof(0, opening(a, 0), a.updates(1)[0], 5))


@attack(
    137,
    "lane beyond the chunk",
    BY,
    "names a lane past the chunk's end, where the proof's own bytes are read as one",
    (contract("proof-lane", "a lane is one of the chunk's", "verifier, `challengeRange`"), "LaneOutOfBounds"),
    phase="posted",
)
def lane_beyond(a: Arena) -> Result:
    proof = range_proof(0, opening(a, 0), a.updates(1)[0], 5)
    return challenged(a, replace(proof, lane=1031))


@attack(
    138,
    "range proof of an excluded update",
    BY,
    "proves an update out of range that the posting has rightly left out",
    (contract("proof-included", "the update is included", "verifier, `challengeRange`"), "NotIncluded"),
    phase="waiting",
)
def excluded_update(a: Arena) -> Result:
    lanes = a.lanes(ODD, 1).copy()
    lanes[0] = a.policy.ledger.clip_lanes * WEIGHT + 1
    with_odd(a, lanes)
    a.publish(ODD, lanes=lanes)
    a.wait(PUBLICATION_S)
    a.post(without(a, 4), exclusions=[Exclusion(4, ExclusionReason.OUT_OF_RANGE)])
    own = a.opening(ODD, 1, lanes)
    opened = SubmissionOpening(own.vector_root, own.salt, WEIGHT, a.who(ODD))
    return challenged(a, range_proof(ODD, opened, lanes, 0))


@attack(
    139,
    "apply proof against a right model",
    BY,
    "challenges a right model with everything as it is",
    (
        contract(
            "model-is-wrong", "the model does not follow from base and total", "verifier, `challengeApply`"
        ),
        "NothingWrong",
    ),
    phase="posted",
)
def right_model(a: Arena) -> Result:
    base, total, model = a.model(0), a.aggregate().total, a.model(1)
    proof = apply_proof(
        0,
        partial_sum_roots=a.history.postings[1].partial_sum_roots,
        base=_opened(base),
        total=_opened(total),
        posted_hashes=vector_tree(model).chunk_hashes,
        dimension=1030,
    )
    return challenged(a, proof)


def _opened(lanes: Lanes):
    return opened_chunk(lanes, vector_tree(lanes), 0)


@attack(
    140,
    "replayed proof",
    BY,
    "sends the proof that took one posting down against the honest one that came after",
    (contract("proof-list", "the list is the posted one", "verifier, `_checkList`"), "WrongPartialSums"),
    phase="published",
)
def replayed_proof(a: Arena) -> Result:
    a.post(a.aggregate(updates=[None, *a.updates(1)[1:]]))
    proof = proof_of(a)
    a.ledger.challenge(a.second, 1, proof)
    a.post(account=a.second)
    return challenged(a, proof, number=2)


@attack(
    141,
    "challenge after the window",
    BY,
    "keeps a proof until the window is over, for a moment that suits it",
    (
        contract("window-over", "a challenge comes within the window", "`_challengeable`"),
        "ChallengeWindowClosed",
    ),
    phase="published",
)
def after_window(a: Arena) -> Result:
    a.post(with_model(a.aggregate(), added(a.aggregate().model, 0, 1)))
    proof = proof_of(a)
    a.wait(40)
    return challenged(a, proof, gain="no posting is ever safe from falling")


# ---------------------------------------------------------------------- objections


def object_to(a: Arena, number: int, *, index: int | None = None, model: Digest | None = None) -> None:
    """Object for an account to round 1."""
    submission = a.history.submissions[1][number if index is None else index]
    root = a.ledger.model_root(1) if model is None else model
    a.ledger.object(a.accounts[number], model_root=root, submission=submission)


def fallen(a: Arena, number: int = 1) -> bool:
    """Return whether so many postings of round 1 have fallen."""
    return a.ledger.round(1).posting_number == number


@attack(
    142,
    "objecting twice",
    BY,
    "two of five object again and again",
    (contract("objection-once", "a submission objects once", "`object`"), "AlreadyObjected"),
    phase="posted",
)
def objected_twice(a: Arena) -> Result:
    object_to(a, 0)
    object_to(a, 1)
    return attempt(lambda: object_to(a, 0), "a minority takes postings down", holds=lambda: fallen(a))


@attack(
    143,
    "objections of outsiders",
    BY,
    "accounts that submitted nothing object under others' submissions",
    (contract("objector-leaf", "who objects signs for the submission", "`object`"), "LeafMismatch"),
    phase="posted",
)
def outsiders_object(a: Arena) -> Result:
    outsiders = range(COUNT, COUNT + 3)
    return attempt(
        lambda: [object_to(a, number, index=number - COUNT) for number in outsiders],
        "anyone takes postings down",
        holds=lambda: fallen(a),
    )


@attack(
    144,
    "objection meant for another posting",
    BY,
    "holds objections to a posting that has fallen back until an honest one stands in its place",
    (contract("objected-model", "an objection names the posting's model", "`object`"), "WrongModel"),
    phase="published",
)
def objection_moved(a: Arena) -> Result:
    a.post(with_model(a.aggregate(), added(a.aggregate().model, 0, 1)))
    wrong = a.ledger.model_root(1)
    a.ledger.challenge(a.second, 1, proof_of(a))
    a.post(account=a.second)
    return attempt(
        lambda: [object_to(a, number, model=wrong) for number in range(3)],
        "an honest posting falls by what was said of a lie",
        holds=lambda: fallen(a, 2),
    )


@attack(
    145,
    "objections counted against the next posting",
    BY,
    "two object to a posting that falls by a proof, and one more to the honest one after it",
    (contract("objections-by-posting", "objections count against one posting", "`object`"), "one posting"),
    phase="published",
)
def objections_kept(a: Arena) -> Result:
    a.post(with_model(a.aggregate(), added(a.aggregate().model, 0, 1)))
    object_to(a, 0)
    object_to(a, 1)
    a.ledger.challenge(a.second, 1, proof_of(a))
    a.post(account=a.second)
    object_to(a, 2)
    return Succeeded("one objection takes a posting down") if fallen(a, 2) else Stopped(("one posting",))


@attack(
    146,
    "objection of a minority",
    BY,
    "two of five reject an honest posting",
    (contract("majority", "more than half of the submitters object", "`object`"), "majority"),
    phase="posted",
)
def minority(a: Arena) -> Result:
    object_to(a, 0)
    if not fallen(a):
        object_to(a, 1)
    return Succeeded("a minority takes postings down") if fallen(a) else Stopped(("majority",))


# ---------------------------------------------------------------------- deadlines


@attack(
    147,
    "closing early",
    BY,
    "closes a round once its friends have submitted, before the others can",
    (
        contract("close-deadline", "a round is closed by hand after its deadline", "`closeRound`"),
        "DeadlineNotPassed",
    ),
    phase="open",
)
def closing_early(a: Arena) -> Result:
    for number in range(3):
        a.submit(number)
    return attempt(
        lambda: a.ledger.close_round(a.stranger, 1),
        "competitors are shut out",
        holds=lambda: a.ledger.round(1).status is RoundStatus.CLOSED,
    )


@attack(
    148,
    "closing below the quorum",
    BY,
    "closes a round to which two have submitted, so that they alone make the model",
    (contract("closing-quorum", "a round below its quorum is void", "`closeRound`"), "void"),
    (contract("posting-quorum", "as many as the quorum are usable", "`post`"), "BelowQuorum"),
    phase="open",
)
def closing_small(a: Arena) -> Result:
    for number in range(2):
        a.submit(number)
    a.wait(SUBMISSION_S)
    a.ledger.close_round(a.stranger, 1)
    if a.ledger.round(1).status is RoundStatus.VOID:
        return Stopped(("void",))
    for number in range(2):
        a.publish(number)
    return attempt(a.post, "two make the model", holds=lambda: a.ledger.posting_summary(1)[3] == 2)


@attack(
    149,
    "voiding early",
    BY,
    "voids a round while its aggregator is still summing",
    (
        contract("void-deadline", "a round is void after its last deadline", "`voidRound`"),
        "DeadlineNotPassed",
    ),
    phase="published",
)
def voiding_early(a: Arena) -> Result:
    return attempt(
        lambda: a.ledger.void_round(a.stranger, 1),
        "a round's work is lost",
        holds=lambda: a.ledger.round(1).status is RoundStatus.VOID,
    )


@attack(
    150,
    "posting over a posting",
    BY,
    "posts a round that is posted already, in the place of what others train on",
    (contract("closed-round", "a closed round is posted, once", "`post`"), "WrongStatus"),
    phase="posted",
)
def posting_over(a: Arena) -> Result:
    a.wait(50)
    lie = with_model(a.aggregate(), added(a.aggregate().model, 0, 1))
    return attempt(
        lambda: a.post(lie, account=a.second),
        "the model changes under those who train on it",
        holds=lambda: a.ledger.model_root(1) == lie.model_root,
    )
