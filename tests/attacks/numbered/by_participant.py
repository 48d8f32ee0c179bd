"""What a participant, or who would be one, can try."""

from __future__ import annotations

import tracemalloc

import numpy as np
from arena import COUNT, PUBLICATION_S, SUBMISSION_S, WEIGHT, Arena, findings_of
from registry import Outcome, Result, Stopped, Succeeded, Who, attack, attempt, audited
from rules import (
    BOUNDS,
    CHALLENGES,
    DIRECTIONS,
    EQUAL,
    IN_TIME,
    NEAR,
    NORMS,
    OPENING,
    RANGE,
    READABLE,
    REJECTED,
    SECRET_SALT,
    SIZE,
    VECTOR_ROOT,
    WEIGHTS,
    contract,
)

from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.seals import salt, sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.records import Digest, ExclusionReason, FallReason, RoundStatus, RunId
from fl_chain.run.outbox import Outbox

BY = Who.PARTICIPANT
ODD = 4  # the number of the participant that attacks
HONEST = range(ODD)


def with_odd(
    a: Arena,
    lanes: Lanes | None = None,
    *,
    round_id: int = 1,
    seal: Digest | None = None,
    weight: int = WEIGHT,
) -> None:
    """Let everybody submit, one of them something of its own, and let the honest ones publish.

    To round 1 the honest ones have submitted already.
    """
    for number in HONEST if round_id > 1 else ():
        a.submit(number, round_id)
    a.submit(ODD, round_id, lanes=lanes, seal=seal, weight=weight)
    for number in HONEST:
        a.publish(number, round_id)


def exclusion_of(a: Arena, number: int = ODD, round_id: int = 1) -> str | None:
    """Return why a participant was left out of a posting; None where it is in."""
    index = a.submission(number, round_id).index
    reasons = {one.index: one.reason for one in a.history.postings[round_id].exclusions}
    return reasons[index].name.lower() if index in reasons else None


def included(a: Arena, gain: str, *, round_id: int = 1) -> Result:
    """Let an honest aggregator post, and say what became of the odd one."""
    try:
        a.aggregated(round_id)
    except ValueError:
        return Succeeded("the aggregator dies of it")
    if round_id not in a.history.postings:
        return Succeeded("the round is void")
    reason = exclusion_of(a, round_id=round_id)
    return Succeeded(gain) if reason is None else Stopped((reason,))


def suspected(a: Arena, gain: str) -> Result:
    """Audit; no rule is broken, so all that it may have is warnings."""
    report = a.audit()
    assert findings_of(report) == []
    return audited(report, gain)


# ---------------------------------------------------------------------- weights


@attack(
    31,
    "inflated weight",
    BY,
    "declares more than the weight that it was admitted with",
    (contract("weight-cap", "a weight is at most the participant's cap", "`submit`"), "WeightOutOfBounds"),
    (WEIGHTS, "weight_over_cap"),
    phase="waiting",
)
def inflated(a: Arena) -> Result:
    lanes = a.lanes(ODD, 1, weight=1001)
    result = attempt(lambda: with_odd(a, lanes, weight=1001), "")
    if isinstance(result, Stopped):
        return result
    a.publish(ODD, lanes=lanes)
    a.post()
    return audited(a.audit(), "its update counts ten times")


@attack(
    32,
    "weights that overflow together",
    BY,
    "several declare so much that the 32-bit lanes of a sum wrap around",
    (
        contract("total-weight", "a round's weights add up to the policy's most", "`submit`"),
        "TotalWeightExceeded",
    ),
    phase="open",
    policy={"max_total_weight": 450},
)
def overflow(a: Arena) -> Result:
    def submit() -> None:
        for number in range(COUNT):
            a.submit(number)

    return attempt(submit, "sums wrap around", holds=lambda: a.ledger.round(1).total_weight == COUNT * WEIGHT)


@attack(
    33,
    "inflated sample count within the cap",
    BY,
    "declares the most that its cap allows, whatever its data",
    outcome=Outcome.UNDETECTED,
    phase="waiting",
    why="no ledger sees the data. The cap that the operator set at admission bounds it, the declared weights "
    "stand in the report, and the default reward does not depend on them.",
)
def claimed_samples(a: Arena) -> Result:
    lanes = a.lanes(ODD, 1, weight=1000)
    with_odd(a, lanes, weight=1000)
    a.publish(ODD, lanes=lanes)
    a.post()
    return suspected(a, "its update counts ten times")


# ---------------------------------------------------------------------- copies


@attack(
    34,
    "copied commitment",
    BY,
    "sees a sealed root on its way, submits it first under its own name, and publishes a copy of the blob",
    (OPENING, "unreadable"),
    phase="open",
)
def copied_commitment(a: Arena) -> Result:
    a.submit(ODD, seal=a.seal(0, 1, a.lanes(0, 1)))
    for number in HONEST:
        a.submit(number)  # an equal sealed root is taken, so that a copy censors nobody
        a.publish(number)
    a.update_file(ODD).parent.mkdir()
    a.update_file(ODD).write_bytes(a.update_file(0).read_bytes())
    result = included(a, "it is paid for another's work")
    assert exclusion_of(a, 0) is None
    return result


@attack(
    35,
    "copied update",
    BY,
    "submits in the next round what another published in this one",
    (EQUAL, "update_copied"),
    (DIRECTIONS, "direction_outlier"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def copied_update(a: Arena) -> Result:
    lanes = a.updates(1)[0]
    with_odd(a, lanes, round_id=2)
    a.publish(ODD, 2, lanes=lanes)
    a.post(round_id=2)
    return suspected(a, "it is paid for another's work")


@attack(
    36,
    "replayed update",
    BY,
    "submits its update of the last round again, without training",
    (EQUAL, "update_repeated"),
    (DIRECTIONS, "direction_outlier"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def replayed_update(a: Arena) -> Result:
    lanes = a.updates(1)[ODD]
    with_odd(a, lanes, round_id=2)
    a.publish(ODD, 2, lanes=lanes)
    a.post(round_id=2)
    return suspected(a, "it is paid for work that it has not done")


@attack(
    68,
    "copied update in another length",
    BY,
    "submits in the next round what another published in this one, half as long",
    (NEAR, "update_nearly_copied"),
    (DIRECTIONS, "direction_outlier"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def rescaled_update(a: Arena) -> Result:
    halves = np.rint(a.updates(1)[0].view(">i4").astype(np.int64) / 2).astype(np.int32)
    lanes = halves.view(np.uint32).astype(LANE)
    with_odd(a, lanes, round_id=2)
    a.publish(ODD, 2, lanes=lanes)
    a.post(round_id=2)
    return suspected(a, "it is paid for another's work")


@attack(
    37,
    "replayed commitment",
    BY,
    "submits its sealed root of the last round again, with the blob of then",
    (OPENING, "unreadable"),
    phase="posted",
)
def replayed_commitment(a: Arena) -> Result:
    old = a.submission(ODD)
    with_odd(a, seal=old.sealed_root, round_id=2)
    assert a.update_file(ODD, 1) == a.update_file(ODD, 2)
    return included(a, "one blob is paid in every round", round_id=2)


@attack(
    38,
    "commitment of another ledger",
    BY,
    "submits a sealed root that was made for another run, on another chain, with the blob of there",
    (OPENING, "unreadable"),
    phase="waiting",
)
def other_ledger(a: Arena) -> Result:
    lanes = a.lanes(ODD, 1)
    opening, elsewhere = a.opening(ODD, 1, lanes), RunId(1, a.stranger.address)
    seal = sealed_root(opening.vector_root, opening.salt, elsewhere, 1, a.who(ODD))
    with_odd(a, seal=seal)
    a.store.write_update(a.who(ODD), seal, opening, lanes, run=elsewhere, round=1)
    return included(a, "one training is paid by two consortia")


@attack(
    39,
    "guessed update",
    BY,
    "guesses what a competitor committed to, and looks whether the sealed root is that of the guess",
    (SECRET_SALT, "secret salt"),
    phase="open",
)
def guessed(a: Arena) -> Result:
    worker = a.worker(0)
    worker.step()
    seal, guess = a.submission(0).sealed_root, vector_root(a.lanes(0, 1))
    assert guess == vector_root(Outbox(a.folder / "worker-0").load(1, a.ledger.model_root(0)).lanes)
    known = salt(bytes(32), a.ledger.run, 1)  # what does not follow from a secret follows from nothing
    if sealed_root(guess, known, a.ledger.run, 1, a.who(0)) == seal:
        return Succeeded("a private update is known before the round closes")
    return Stopped(("secret salt",))


# ---------------------------------------------------------------------- blobs


@attack(
    40,
    "commitment without a blob",
    BY,
    "commits and never publishes, so that nobody can post the round",
    (READABLE, "unreadable"),
    phase="waiting",
)
def never_published(a: Arena) -> Result:
    with_odd(a)
    return included(a, "")


@attack(
    41,
    "blob other than committed",
    BY,
    "publishes other lanes under its commitment, made when it had seen those of the others",
    (VECTOR_ROOT, "unreadable"),
    phase="closed",
)
def other_blob(a: Arena) -> Result:
    for number in range(COUNT):
        a.publish(number)
    body = bytearray(a.update_file(ODD).read_bytes())
    body[64:] = a.lanes(0, 1).tobytes()
    a.update_file(ODD).write_bytes(body)
    return included(a, "it chose its update after the others")


@attack(
    42,
    "malformed blob",
    BY,
    "publishes half of its update",
    (SIZE, "unreadable"),
    (VECTOR_ROOT, "unreadable"),
    (BOUNDS, "unreadable"),
    phase="closed",
)
def malformed(a: Arena) -> Result:
    for number in range(COUNT):
        a.publish(number)
    body = a.update_file(ODD).read_bytes()
    a.update_file(ODD).write_bytes(body[: 64 + 4 * 500])
    return included(a, "")


@attack(
    43,
    "oversized blob",
    BY,
    "publishes a huge file, so that whoever reads it runs out of memory",
    (SIZE, "size"),
    phase="closed",
)
def oversized(a: Arena) -> Result:
    for number in range(COUNT):
        a.publish(number)
    huge = 1 << 24
    with a.update_file(ODD).open("r+b") as file:
        file.truncate(huge)
    tracemalloc.start()
    a.wait(PUBLICATION_S)
    a.honest_aggregator().step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert exclusion_of(a) == "unreadable"
    return Stopped(("size",)) if peak < huge // 4 else Succeeded("its readers hold the whole of it")


@attack(
    44,
    "NaN in a blob",
    BY,
    "commits to lanes that are the bits of floats that are no numbers",
    (BOUNDS, "out_of_range"),
    (CHALLENGES, "range"),
    (RANGE, "update_out_of_range"),
    (NORMS, "norm_outlier"),
    phase="waiting",
)
def nan_blob(a: Arena) -> Result:
    lanes = np.full(1030, np.nan, dtype=">f4").view(LANE)
    return out_of_range(a, lanes, "the model is not a number any more")


@attack(
    45,
    "update over the norm bound",
    BY,
    "commits to an update with one lane beyond the clip times its weight",
    (BOUNDS, "out_of_range"),
    (CHALLENGES, "range"),
    (RANGE, "update_out_of_range"),
    (DIRECTIONS, "direction_outlier"),
    phase="waiting",
)
def over_norm(a: Arena) -> Result:
    lanes = a.lanes(ODD, 1).copy()
    lanes[7] = a.policy.ledger.clip_lanes * WEIGHT + 1
    return out_of_range(a, lanes, "it moves the model further than anybody may")


@attack(
    46,
    "lanes past the dimension",
    BY,
    "hides something in the padding of its last chunk",
    (BOUNDS, "out_of_range"),
    (CHALLENGES, "range"),
    (RANGE, "update_out_of_range"),
    phase="waiting",
)
def past_dimension(a: Arena) -> Result:
    lanes = np.zeros(2048, dtype=LANE)
    lanes[:1030] = a.lanes(ODD, 1)
    lanes[1500] = 1
    return out_of_range(a, lanes, "the run's stores carry what is no update")


def out_of_range(a: Arena, lanes: Lanes, gain: str) -> Result:
    """Submit and publish an update out of range; then post, watch, settle and audit."""
    with_odd(a, lanes)
    opening, seal = a.opening(ODD, 1, lanes), a.seal(ODD, 1, lanes)
    a.store.write_update(a.who(ODD), seal, opening, lanes, run=a.ledger.run, round=1)
    a.wait(PUBLICATION_S)
    a.aggregated()
    reason = exclusion_of(a)
    if reason is not None:
        return Stopped((reason,))
    fallen = a.watched(watchers=(0,))
    if fallen is not None:
        return Stopped((fallen,))
    a.finalise()
    return audited(a.audit(), gain)


# ---------------------------------------------------------------------- updates that are none


@attack(
    47,
    "zero update",
    BY,
    "submits zeros, and is rewarded like any other",
    (EQUAL, "update_zero"),
    outcome=Outcome.DETECTED,
    phase="waiting",
)
def zero_update(a: Arena) -> Result:
    lanes = np.zeros(1030, dtype=LANE)
    with_odd(a, lanes)
    a.publish(ODD, lanes=lanes)
    a.post()
    return suspected(a, "it is paid for nothing")


@attack(
    48,
    "pure noise",
    BY,
    "submits random lanes of the usual size",
    (DIRECTIONS, "direction_outlier"),
    outcome=Outcome.DETECTED,
    phase="waiting",
)
def pure_noise(a: Arena) -> Result:
    size = int(np.abs(a.lanes(ODD, 1).view(">i4").astype(np.int64)).mean())
    noise = np.random.default_rng(3).normal(0, 1.25 * size, 1030).astype(np.int32)
    lanes = noise.view(np.uint32).astype(LANE)
    with_odd(a, lanes)
    a.publish(ODD, lanes=lanes)
    a.post()
    return suspected(a, "it is paid for noise")


@attack(
    49,
    "noise inside the norm bound",
    BY,
    "adds noise to an honest update, as large as the update itself and within every bound",
    outcome=Outcome.UNDETECTED,
    phase="waiting",
    why="it looks like an update on small or unusual data. Outliers are warnings at most. A robust rule of "
    "aggregation would bound the harm, and this release has none. The report has the size of every update.",
)
def noisy(a: Arena) -> Result:
    honest = a.lanes(ODD, 1).view(">i4").astype(np.int64)
    noise = np.random.default_rng(4).normal(0, np.abs(honest).mean() * 0.6, honest.size).astype(np.int64)
    lanes = (honest + noise).astype(np.int32).view(np.uint32).astype(LANE)
    with_odd(a, lanes)
    a.publish(ODD, lanes=lanes)
    a.post()
    return suspected(a, "the model is worse than it would be")


@attack(
    50,
    "poisoned data",
    BY,
    "trains honestly on rows that it made up, so that the model treats a few inputs as it likes",
    outcome=Outcome.UNDETECTED,
    phase="waiting",
    why="a backdoor is a few lanes in an update of the usual size and direction. No ledger sees the data; a "
    "bound on each participant's norm and weight limits what one of them can do a round.",
)
def poisoned(a: Arena) -> Result:
    lanes = a.lanes(ODD, 1).copy()
    lanes[:3] = a.policy.ledger.clip_lanes * WEIGHT // 8
    with_odd(a, lanes)
    a.publish(ODD, lanes=lanes)
    a.post()
    return suspected(a, "the model has a backdoor")


# ---------------------------------------------------------------------- who takes part


@attack(
    51,
    "two registrations with one key",
    BY,
    "registers again, to be expected and paid twice",
    (contract("registered-once", "a key registers once", "`register`"), "AlreadyRegistered"),
)
def registered_twice(a: Arena) -> Result:
    return attempt(
        lambda: a.ledger.register(a.accounts[0], a.who(0)),
        "one key counts as two participants",
        holds=lambda: a.ledger.state().registered == COUNT + 1,
    )


@attack(
    52,
    "one key for two participants",
    BY,
    "rotates its signing key to that of another participant",
    (
        contract("signer-is-free", "a signing key serves one participant", "`requestSignerRotation`"),
        "SignerTaken",
    ),
)
def shared_key(a: Arena) -> Result:
    def rotate() -> None:
        a.ledger.request_signer_rotation(a.accounts[0], a.who(1))
        a.wait(60)
        a.ledger.rotate_signer(a.accounts[1], a.who(0))

    return attempt(
        rotate,
        "the other participant has lost its seat",
        holds=lambda: a.ledger.identity_of(a.who(1)) == a.who(0),
    )


@attack(
    53,
    "registration of an outsider",
    BY,
    "registers without having been admitted",
    (contract("admitted-only", "who registers was admitted", "`register`"), "NotAdmitted"),
)
def outsider_registers(a: Arena) -> Result:
    return attempt(
        lambda: a.ledger.register(a.stranger, a.stranger.address),
        "anyone counts towards the quorum",
        holds=lambda: a.ledger.state().registered == COUNT + 1,
    )


@attack(
    54,
    "submission of an outsider",
    BY,
    "submits without having registered",
    (contract("registered-only", "who submits is registered", "`submit`"), "NotRegistered"),
    (
        contract("not-suspended", "who submits is not suspended from the round", "`submit`"),
        "ParticipantSuspendedFrom",
    ),
    (contract("weight-cap", "a weight is at most the participant's cap", "`submit`"), "WeightOutOfBounds"),
    phase="open",
)
def outsider_submits(a: Arena) -> Result:
    stranger = a.accounts.index(a.stranger)
    return attempt(
        lambda: a.submit(stranger, seal=Digest(b"\x01" * 32)),
        "an update of nobody is in the round",
        holds=lambda: a.ledger.round(1).submissions == 1,
    )


@attack(
    55,
    "two submissions to one round",
    BY,
    "submits twice, to count and to be paid twice",
    (contract("once-a-round", "a participant submits once a round", "`submit`"), "AlreadySubmitted"),
    phase="open",
)
def submitted_twice(a: Arena) -> Result:
    a.submit(0)
    return attempt(
        lambda: a.submit(0),
        "one participant counts twice",
        holds=lambda: a.ledger.round(1).submissions == 2,
    )


@attack(
    56,
    "submission of a suspended participant",
    BY,
    "goes on submitting after its suspension",
    (
        contract("not-suspended", "who submits is not suspended from the round", "`submit`"),
        "ParticipantSuspendedFrom",
    ),
)
def suspended(a: Arena) -> Result:
    a.ledger.suspend(a.operator, a.who(0))
    a.ledger.open_round(a.stranger)
    return attempt(
        lambda: a.submit(0),
        "a suspension means nothing",
        holds=lambda: a.ledger.round(1).submissions == 1,
    )


@attack(
    57,
    "suspension dodged by leaving",
    BY,
    "leaves when it is suspended, and registers anew",
    (contract("admitted-only", "who registers was admitted", "`register`"), "NotAdmitted"),
)
def dodged(a: Arena) -> Result:
    a.ledger.suspend(a.operator, a.who(0))
    a.ledger.leave(a.accounts[0])
    return attempt(
        lambda: a.ledger.register(a.accounts[0], a.who(0)),
        "a suspension means nothing",
        holds=lambda: a.ledger.state().registered == COUNT,
    )


@attack(
    58,
    "late submission",
    BY,
    "submits after the deadline, while nobody has closed the round",
    (contract("submission-deadline", "a submission comes before the deadline", "`submit`"), "DeadlinePassed"),
    phase="open",
)
def late(a: Arena) -> Result:
    a.wait(SUBMISSION_S)
    return attempt(
        lambda: a.submit(0), "it has longer than the others", holds=lambda: a.ledger.round(1).submissions == 1
    )


@attack(
    59,
    "submission after reading the others'",
    BY,
    "waits until the round has closed and the others have published, and submits what suits it then",
    (contract("open-round", "a submission comes while the round is open", "`submit`"), "WrongStatus"),
    phase="open",
    policy={"close_at": 4},
)
def last_word(a: Arena) -> Result:
    for number in HONEST:
        a.submit(number)
    for number in HONEST:
        a.publish(number)
    answer = (np.uint32(0) - a.updates(1)[0].astype(np.uint32)).astype(LANE)
    return attempt(
        lambda: a.submit(ODD, lanes=answer),
        "it undoes what a competitor contributed",
        holds=lambda: a.ledger.round(1).submissions == COUNT,
    )


@attack(
    60,
    "base model of one's own",
    BY,
    "submits an update on another model than the round's, so that its direction is the one that it likes",
    (contract("base-model", "a submission names the round's base model", "`submit`"), "WrongBaseModel"),
    phase="open",
)
def own_base(a: Arena) -> Result:
    return attempt(
        lambda: a.submit(0, base=Digest(b"\x07" * 32)),
        "it does not have to follow the others",
        holds=lambda: a.ledger.round(1).submissions == 1,
    )


# ---------------------------------------------------------------------- keys and money


@attack(
    61,
    "stolen key rotated at once",
    BY,
    "has a participant's key for a moment, and makes its own key the participant's for ever",
    (
        contract("rotation-delay", "a rotation is due after the unbonding time", "`rotateSigner`"),
        "RotationNotDue",
    ),
)
def stolen_key(a: Arena) -> Result:
    a.ledger.request_signer_rotation(a.accounts[0], a.stranger.address)
    return attempt(
        lambda: a.ledger.rotate_signer(a.stranger, a.who(0)),
        "the participant has no time to cancel",
        holds=lambda: a.ledger.identity_of(a.stranger.address) == a.who(0),
    )


@attack(
    62,
    "rotation in another's name",
    BY,
    "puts a requested key in force without holding it",
    (contract("requested-signer", "the requested key itself signs", "`rotateSigner`"), "NotRequestedSigner"),
)
def blind_rotation(a: Arena) -> Result:
    a.ledger.request_signer_rotation(a.accounts[0], a.second.address)
    a.wait(60)
    return attempt(
        lambda: a.ledger.rotate_signer(a.stranger, a.who(0)),
        "a key that nobody can sign with is the participant's",
        holds=lambda: a.ledger.identity_of(a.second.address) == a.who(0),
    )


@attack(
    63,
    "reward claimed twice",
    BY,
    "claims one reward twice in one transaction",
    (contract("claimed-once", "a reward is paid once", "`claim`"), "AlreadyClaimed"),
    phase="final",
)
def claimed_twice(a: Arena) -> Result:
    before_wei = a.ledger.balance()
    return attempt(
        lambda: a.ledger.claim(a.stranger, a.who(0), [a.submission(0)] * 2),
        "others' rewards",
        holds=lambda: before_wei - a.ledger.balance() == 2 * a.policy.ledger.reward_wei // COUNT,
    )


@attack(
    64,
    "reward of a round that is not final",
    BY,
    "claims before the challenge window is over",
    (contract("final-only", "a reward is paid once the round is final", "`claim`"), "NotFinal"),
    phase="posted",
)
def too_early(a: Arena) -> Result:
    before_wei = a.ledger.balance()
    return attempt(
        lambda: a.ledger.claim(a.stranger, a.who(0), [a.submission(0)]),
        "it is paid for a posting that falls",
        holds=lambda: a.ledger.balance() < before_wei,
    )


@attack(
    65,
    "reward of who was left out",
    BY,
    "claims for a submission that the posting excluded",
    (contract("excluded-unpaid", "who is left out is not paid", "`claim`"), "ExcludedFromReward"),
    phase="waiting",
)
def left_out_claims(a: Arena) -> Result:
    with_odd(a)
    a.aggregated()
    assert exclusion_of(a) == "unreadable"
    a.finalise()
    before_wei = a.ledger.balance()
    return attempt(
        lambda: a.ledger.claim(a.stranger, a.who(ODD), [a.submission(ODD)]),
        "it takes part of another's reward",
        holds=lambda: a.ledger.balance() < before_wei,
    )


@attack(
    66,
    "late blob that frames the aggregator",
    BY,
    "publishes only after it was rightly left out, so that the exclusion looks wrongful",
    (IN_TIME, "in time"),
    phase="waiting",
)
def framed(a: Arena) -> Result:
    with_odd(a)
    a.aggregated()
    assert [one.reason for one in a.history.postings[1].exclusions] == [ExclusionReason.UNREADABLE]
    a.publish(ODD)
    fallen = a.watched()
    return Stopped(("in time",)) if fallen is None else Succeeded("an honest posting falls")


@attack(
    67,
    "majority against an honest posting",
    BY,
    "more than half of the submitters object to a posting that is right",
    (REJECTED, "rejected_though_right"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def majority(a: Arena) -> Result:
    for number in range(3):
        a.ledger.object(
            a.accounts[number], model_root=a.ledger.model_root(1), submission=a.submission(number)
        )
    [fallen] = a.history.fallen
    assert fallen.reason is FallReason.OBJECTIONS
    assert a.ledger.round(1).status is RoundStatus.CLOSED
    return suspected(a, "an honest posting falls")
