"""What an aggregator can try."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from arena import COUNT, POSTING_S, PUBLICATION_S, WEIGHT, Arena, Drift
from registry import Outcome, Result, Stopped, Succeeded, Who, attack, attempt, audited
from rules import (
    AVAILABLE,
    CHALLENGES,
    CLAIM_LEAF,
    DERIVED,
    DERIVES,
    EXCLUSIONS,
    LEFT_OUT,
    OBJECTED,
    OBJECTIONS,
    ORDER,
    OWN_PAYOUT,
    VECTOR_ROOT,
    contract,
)

from fl_chain.aggregation.quantise import model_values
from fl_chain.aggregation.round import Aggregate
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.tree import vector_root
from fl_chain.config import RowPrivacySettings
from fl_chain.records import Digest, Exclusion, ExclusionReason, RoundStatus
from fl_chain.store import Store

BY = Who.AGGREGATOR
SUBMITTERS = range(3)  # more than half of them
OUT_OF_RANGE, UNREADABLE, BY_RULE = (
    ExclusionReason.OUT_OF_RANGE,
    ExclusionReason.UNREADABLE,
    ExclusionReason.BY_RULE,
)


def stands(a: Arena, gain: str, *, round_id: int = 1, watchers: Sequence[int] = (0,)) -> Result:
    """Let participants watch over a posting, then let it become final and audit the run."""
    fallen = a.watched(round_id, watchers)
    if fallen is not None:
        return Stopped((fallen,))
    a.finalise()
    return audited(a.audit(), gain)


def added(lanes: Lanes, lane: int, change: int) -> Lanes:
    """Return a vector in which one lane is another."""
    changed = lanes.copy()
    changed[lane] = (int(lanes[lane]) + change) % 2**32
    return changed


def with_model(aggregate: Aggregate, model: Lanes) -> Aggregate:
    """Return an aggregate that names another model."""
    return replace(aggregate, model=model, model_root=vector_root(model))


def without(a: Arena, *left_out: int) -> Aggregate:
    """Return what follows from a round whose submissions are not all included."""
    updates = [None if index in left_out else lanes for index, lanes in enumerate(a.updates(1))]
    return a.aggregate(updates=updates, weight=(COUNT - len(left_out)) * WEIGHT)


# ---------------------------------------------------------------------- wrong numbers


@attack(
    1,
    "wrong sum",
    BY,
    "adds one to a single lane of the total; model and hashes follow from the wrong total",
    (CHALLENGES, "sum"),
    (DERIVED, "partial_sum_differs"),
    outcome=Outcome.CHALLENGEABLE,
    phase="published",
)
def wrong_sum(a: Arena) -> Result:
    updates = a.updates(1)
    a.post(a.aggregate(updates=[added(updates[0], 3, 1), *updates[1:]]))
    return stands(a, "a model of the aggregator's choice is final")


@attack(
    2,
    "wrong model",
    BY,
    "posts the right sums, and a model that does not follow from them",
    (CHALLENGES, "apply"),
    (DERIVED, "model_differs"),
    outcome=Outcome.CHALLENGEABLE,
    phase="published",
)
def wrong_model(a: Arena) -> Result:
    honest = a.aggregate()
    a.post(with_model(honest, added(honest.model, 0, 1)))
    return stands(a, "a model of the aggregator's choice is final")


@attack(
    3,
    "replayed old root",
    BY,
    "posts the last round's model again, so that the round's training counts for nothing",
    (CHALLENGES, "apply"),
    (DERIVED, "model_differs"),
    outcome=Outcome.CHALLENGEABLE,
    phase="final",
)
def replayed_root(a: Arena) -> Result:
    a.play_round(2)
    a.post(with_model(a.aggregate(2), a.model(1)), 2)
    return stands(a, "the round's updates are lost", round_id=2)


@attack(
    4,
    "dropped submission",
    BY,
    "leaves a submission out of the sum, and counts it as included",
    (CHALLENGES, "sum"),
    (DERIVED, "partial_sum_differs"),
    outcome=Outcome.CHALLENGEABLE,
    phase="published",
)
def dropped(a: Arena) -> Result:
    a.post(a.aggregate(updates=[None, *a.updates(1)[1:]]))
    return stands(a, "a competitor's data count for nothing")


@attack(
    5,
    "invented submission",
    BY,
    "adds an update of nobody to the sum",
    (CHALLENGES, "sum"),
    (DERIVED, "partial_sum_differs"),
    outcome=Outcome.CHALLENGEABLE,
    phase="published",
)
def invented(a: Arena) -> Result:
    updates = a.updates(1)
    invented_lanes = a.lanes(9, 1)
    both = (updates[0].astype(np.uint32) + invented_lanes.astype(np.uint32)).astype(LANE)
    a.post(a.aggregate(updates=[both, *updates[1:]]))
    return stands(a, "an update that nobody submitted is in the model")


@attack(
    6,
    "doubled submission",
    BY,
    "adds an accomplice's update twice",
    (CHALLENGES, "sum"),
    (DERIVED, "partial_sum_differs"),
    outcome=Outcome.CHALLENGEABLE,
    phase="published",
)
def doubled(a: Arena) -> Result:
    updates = a.updates(1)
    a.post(a.aggregate(updates=[(updates[0].astype(np.uint32) * np.uint32(2)).astype(LANE), *updates[1:]]))
    return stands(a, "an accomplice counts twice")


# ---------------------------------------------------------------------- who is in


@attack(
    7,
    "valid update left out",
    BY,
    "excludes a competitor's valid update as out of range",
    (OBJECTIONS, "objections"),
    (EXCLUSIONS, "wrongful_exclusion"),
    (ORDER, "out_of_order"),
    (OBJECTED, "posting_objected"),
    outcome=Outcome.CHALLENGEABLE,
    phase="published",
)
def left_out(a: Arena) -> Result:
    a.wait(PUBLICATION_S)
    a.post(without(a, 4), exclusions=[Exclusion(4, OUT_OF_RANGE)])
    return stands(a, "a competitor is out of model and reward", watchers=SUBMITTERS)


@attack(
    8,
    "readable update called unreadable",
    BY,
    "excludes an update as unreadable although everybody has read it in time",
    (OBJECTIONS, "objections"),
    (LEFT_OUT, "excluded_but_readable"),
    (ORDER, "out_of_order"),
    (OBJECTED, "posting_objected"),
    outcome=Outcome.CHALLENGEABLE,
    phase="published",
)
def called_unreadable(a: Arena) -> Result:
    watches = [a.watch(a.accounts[number]) for number in range(3)]
    for seconds in (PUBLICATION_S // 2, PUBLICATION_S // 2):
        a.wait(seconds)
        for watch in watches:
            watch.step()
    a.post(without(a, 4), exclusions=[Exclusion(4, UNREADABLE)])
    for watch in watches:
        watch.step()
    if a.ledger.round(1).posting_number:
        return Stopped(("objections",))
    return audited(a.audit(), "a competitor is out")


@attack(
    9,
    "exclusion before the time to publish is over",
    BY,
    "posts the moment the round closes, without those who have not published yet",
    (
        contract("publication-time", "nothing is excluded before the time to publish is over", "`post`"),
        "ExclusionsTooEarly",
    ),
    phase="published",
)
def excluded_early(a: Arena) -> Result:
    return attempt(
        lambda: a.post(without(a, 4), exclusions=[Exclusion(4, UNREADABLE)]),
        "whoever is slower is out",
        holds=lambda: a.ledger.is_excluded(1, 4),
    )


@attack(
    10,
    "exclusion with another weight",
    BY,
    "excludes a submission under a weight that it never declared, so that the others' total is wrong",
    (contract("excluded-leaf", "an exclusion names what was submitted", "`post`"), "LeafMismatch"),
    phase="published",
)
def excluded_weight(a: Arena) -> Result:
    a.wait(PUBLICATION_S)
    aggregate = without(a, 4)
    a.show(aggregate)
    a.ledger.deposit_bond(a.aggregator, a.policy.ledger.bond_wei)
    submission = replace(a.history.submissions[1][4], weight=1)

    def post() -> None:
        a.ledger.post(
            a.aggregator,
            round=1,
            digest=a.ledger.round(1).digest,
            exclusions=[(Exclusion(4, OUT_OF_RANGE), submission)],
            partial_sum_roots=aggregate.partial_sum_roots,
            model_root=aggregate.model_root,
        )

    return attempt(
        post, "the model moves less than it should", holds=lambda: a.ledger.posting_summary(1)[2] == 499
    )


@attack(
    11,
    "exclusion listed twice",
    BY,
    "lists one exclusion twice, so that fewer share the reward and the total weight is too low",
    (contract("ascending", "exclusions ascend", "`post`"), "ExclusionsNotAscending"),
    phase="published",
)
def excluded_twice(a: Arena) -> Result:
    a.wait(PUBLICATION_S)
    twice = [Exclusion(4, OUT_OF_RANGE)] * 2
    return attempt(
        lambda: a.post(without(a, 4), exclusions=twice),
        "four share by three",
        holds=lambda: a.ledger.posting_summary(1)[3] == COUNT - 2,
    )


@attack(
    12,
    "most submissions called unusable",
    BY,
    "excludes so many that a minority makes the model",
    (contract("posting-quorum", "as many as the quorum are usable", "`post`"), "BelowQuorum"),
    phase="published",
)
def below_quorum(a: Arena) -> Result:
    a.wait(PUBLICATION_S)
    exclusions = [Exclusion(index, UNREADABLE) for index in (2, 3, 4)]
    return attempt(
        lambda: a.post(without(a, 2, 3, 4), exclusions=exclusions),
        "two of five make the model",
        holds=lambda: a.ledger.posting_summary(1)[3] == 2,
    )


@attack(
    13,
    "everybody excluded",
    BY,
    "excludes every submission by rule, so that the round's reward is divided by nobody and nothing settles",
    (
        contract("something-included", "a posting includes one submission at least", "`post`"),
        "NothingIncluded",
    ),
    phase="published",
)
def nobody(a: Arena) -> Result:
    a.wait(PUBLICATION_S)
    exclusions = [Exclusion(index, BY_RULE) for index in range(COUNT)]
    return attempt(
        lambda: a.post(a.aggregate(), exclusions=exclusions),
        "the run can never settle again",
        holds=lambda: a.ledger.posting_summary(1)[3] == 0,
    )


# ---------------------------------------------------------------------- what is shown


@attack(
    14,
    "two different models to two workers",
    BY,
    "gives one participant's store another model under the name of the right one",
    (VECTOR_ROOT, "vector root"),
    phase="final",
)
def two_models(a: Arena) -> Result:
    shutil.copytree(a.folder / "store", a.folder / "shown")
    lie = added(a.model(1), 5, 1 << 20)
    root = a.ledger.model_root(1)
    (a.folder / "shown" / "models" / f"0x{root.hex()}").write_bytes(lie.tobytes())
    trained_on: list[np.ndarray] = []

    class Recorder(Drift):
        def train(self, base: np.ndarray, *, round_id: int, work: object = None) -> object:
            trained_on.append(base)
            return super().train(base, round_id=round_id)

    worker = a.worker(0, store=Store([str(a.folder / "shown")]), learner=Recorder(0))
    for _ in range(3):
        worker.step()
    right = model_values(a.model(1), a.policy.ledger.fraction_bits)
    if trained_on and not np.array_equal(trained_on[0], right):
        return Succeeded("two workers train on different models")
    return Stopped(("vector root",)) if trained_on else Stopped(("nothing was trained",))


@attack(
    15,
    "withheld model",
    BY,
    "posts rightly and shows neither sums nor model, so that only it can go on",
    (DERIVES, "derived"),
    phase="published",
)
def withheld_model(a: Arena) -> Result:
    a.post(is_shown=False)
    worker = a.worker(0)
    for _ in range(4):
        worker.step()
    return Stopped(("derived",)) if a.history.submissions[2] else Succeeded("nobody else can go on")


@attack(
    16,
    "wrong sum that nobody can read",
    BY,
    "posts a wrong sum and withholds what a proof against it takes",
    (OBJECTIONS, "objections"),
    (DERIVED, "sum_blob_missing"),
    (AVAILABLE, "sum_blob_missing"),
    (ORDER, "out_of_order"),
    (OBJECTED, "posting_objected"),
    outcome=Outcome.CHALLENGEABLE,
    phase="published",
)
def withheld_lie(a: Arena) -> Result:
    updates = a.updates(1)
    a.post(a.aggregate(updates=[added(updates[0], 3, 1), *updates[1:]]), is_shown=False)
    return stands(a, "a model of the aggregator's choice is final", watchers=SUBMITTERS)


@attack(
    17,
    "list of sums cut short",
    BY,
    "posts no partial sums at all, so that there is nothing to prove wrong",
    (contract("sum-count", "a posting lists every partial sum", "`post`"), "WrongPartialSumCount"),
    phase="published",
)
def no_sums(a: Arena) -> Result:
    return attempt(
        lambda: a.post(roots=[]),
        "no sum can be challenged",
        holds=lambda: a.ledger.round(1).status is RoundStatus.POSTED,
    )


@attack(
    18,
    "posting of another branch",
    BY,
    "posts what was summed for other submissions than the ledger has, say before a reorganisation",
    (contract("digest", "a posting names the digest of the round's submissions", "`post`"), "WrongDigest"),
    phase="published",
)
def other_digest(a: Arena) -> Result:
    return attempt(
        lambda: a.post(digest=Digest(b"\x01" * 32)),
        "an honest posting becomes a lie that costs its bond",
        holds=lambda: a.ledger.round(1).status is RoundStatus.POSTED,
    )


# ---------------------------------------------------------------------- bonds and turns


@attack(
    19,
    "posting without a bond",
    BY,
    "posts with nothing to lose",
    (contract("bond-needed", "a posting takes a free bond", "`post`"), "BondTooSmall"),
    (
        contract("bond-locked", "the bond is locked, in arithmetic that does not wrap", "`post`"),
        "TransactionFailed",
    ),
    phase="published",
)
def no_bond(a: Arena) -> Result:
    return attempt(
        lambda: a.post(with_bond=False),
        "lies cost nothing",
        holds=lambda: a.ledger.account(a.aggregator.address).locked_bond_wei == 0,
    )


@attack(
    20,
    "bond taken out before the challenge",
    BY,
    "posts a lie and asks its bond back before anyone looks",
    (contract("free-bond-only", "only a bond that is free is given back", "`requestBond`"), "BondTooSmall"),
    (
        contract("bond-arithmetic", "a bond does not become less than nothing", "`requestBond`"),
        "TransactionFailed",
    ),
    phase="posted",
)
def bond_out(a: Arena) -> Result:
    bond_wei = a.policy.ledger.bond_wei
    return attempt(
        lambda: a.ledger.request_bond(a.aggregator, bond_wei),
        "there is no bond to lose",
        holds=lambda: a.ledger.account(a.aggregator.address).unbonding_wei == bond_wei,
    )


@attack(
    21,
    "posting again after a fall",
    BY,
    "posts a fallen round again, and so keeps others from it",
    (contract("barred", "whose posting fell does not post the round again", "`post`"), "Barred"),
    phase="published",
)
def posting_again(a: Arena) -> Result:
    a.post(with_model(a.aggregate(), added(a.aggregate().model, 0, 1)))
    assert a.watched() == "apply"
    return attempt(
        a.post, "one lie after the other", holds=lambda: a.ledger.round(1).status is RoundStatus.POSTED
    )


@attack(
    22,
    "posting out of turn",
    BY,
    "an account that was not named posts first, for the aggregator's reward",
    (contract("turn", "the named aggregator goes first", "`post`"), "NotYourTurn"),
    phase="published",
)
def out_of_turn(a: Arena) -> Result:
    return attempt(
        lambda: a.post(account=a.second),
        "whoever is fastest takes the reward",
        holds=lambda: a.ledger.posting_summary(1)[0] == a.second.address,
    )


@attack(
    23,
    "silence",
    BY,
    "posts nothing, so that the round's work is lost",
    (contract("takeover", "after the named one's time any bonded account posts", "`post`"), "takeover"),
    phase="published",
)
def silence(a: Arena) -> Result:
    second = a.honest_aggregator(a.second)
    for _ in range(20):
        if a.ledger.round(1).status is not RoundStatus.CLOSED:
            break
        if not second.step():
            a.wait(POSTING_S)
    is_posted = a.ledger.round(1).status is RoundStatus.POSTED
    return Stopped(("takeover",)) if is_posted else Succeeded("the round is void")


@attack(
    24,
    "posting after the last deadline",
    BY,
    "waits until nobody expects a posting any more, and posts then",
    (contract("posting-deadline", "a posting comes before the last deadline", "`post`"), "DeadlinePassed"),
    phase="published",
)
def late_posting(a: Arena) -> Result:
    a.wait(POSTING_S + 200)
    return attempt(
        a.post,
        "the run waits for one account",
        holds=lambda: a.ledger.round(1).status is RoundStatus.POSTED,
    )


@attack(
    25,
    "final before anyone could look",
    BY,
    "settles its posting in the block after it",
    (
        contract("challenge-window", "a posting is final after its challenge window", "`finalize`"),
        "NothingToFinalize",
    ),
    phase="posted",
)
def final_at_once(a: Arena) -> Result:
    return attempt(
        lambda: a.ledger.finalize(a.aggregator),
        "a lie is final before anyone has read it",
        holds=lambda: a.ledger.round(1).status is RoundStatus.FINAL,
    )


@attack(
    26,
    "endless tail of rounds that are not final",
    BY,
    "opens round upon round on a posting that is going to fall, until a fall takes more gas than a block has",
    (
        contract("unfinal-bound", "so many rounds at most are not final", "`openRound`"),
        "TooManyUnfinalRounds",
    ),
    phase="posted",
    policy={"max_unfinal_rounds": 1},
)
def endless_tail(a: Arena) -> Result:
    return attempt(
        lambda: a.ledger.open_round(a.aggregator),
        "the posting can no longer fall",
        holds=lambda: a.latest == 2,
    )


@attack(
    29,
    "round beyond the privacy budget",
    BY,
    "opens one more round when the budget is spent, so that participants give away more than they agreed to",
    (
        contract("privacy-budget", "no round opens beyond the privacy budget", "`openRound`"),
        "PrivacyBudgetSpent",
    ),
    (ORDER, "out_of_order"),
    phase="final",
    policy={"privacy": RowPrivacySettings(noise_multiplier=4.0, steps=5, rho_budget=0.3)},  # one round
)
def beyond_the_budget(a: Arena) -> Result:
    assert a.latest == 1, "posting opened the next round"
    result = attempt(lambda: a.ledger.open_round(a.aggregator), "")
    if isinstance(result, Stopped):
        return result
    a.play_round(2)
    a.post(round_id=2)
    a.finalise()
    return audited(a.audit(), "participants have trained twice under a budget for one round")


# ---------------------------------------------------------------------- rewards


@attack(
    27,
    "rewards skimmed",
    BY,
    "claims the participants' rewards itself",
    (OWN_PAYOUT, "own payout"),
    phase="final",
)
def skimmed(a: Arena) -> Result:
    victim = a.who(0)
    before_wei = a.node.balance_wei(victim)
    a.ledger.claim(a.aggregator, victim, [a.submission(0)])
    is_paid = a.node.balance_wei(victim) == before_wei + a.policy.ledger.reward_wei // COUNT
    return Stopped(("own payout",)) if is_paid else Succeeded("the aggregator has the participant's reward")


@attack(
    28,
    "claim with a greater weight",
    BY,
    "an accomplice claims its share of a reward that is split by weight under a weight ten times as large",
    (CLAIM_LEAF, "LeafMismatch"),
    phase="final",
    policy={"reward_split": "declared-weight"},
)
def greater_share(a: Arena) -> Result:
    greater = replace(a.submission(0), weight=5 * WEIGHT)
    before_wei = a.node.balance_wei(a.who(0))
    return attempt(
        lambda: a.ledger.claim(a.stranger, a.who(0), [greater]),
        "one takes the whole reward",
        holds=lambda: a.node.balance_wei(a.who(0)) - before_wei > a.policy.ledger.reward_wei // 2,
    )
