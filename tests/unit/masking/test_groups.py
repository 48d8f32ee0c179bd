"""Groups of a masked round: who is in which, who stays, and that their sums are the plain ones."""

from dataclasses import replace

import numpy as np
import pytest
from secure_rounds import SecureRound, participant

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.rules.grouped import Grouped, group_means
from fl_chain.aggregation.rules.multi_krum import MultiKrum
from fl_chain.aggregation.rules.order import Median, TrimmedMean
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.errors import SpoiltRound, TooFewInGroups
from fl_chain.masking.groups import (
    Groups,
    MaskedGroup,
    divided,
    least_groups,
    least_in_group,
    least_quorum,
    verify_groups,
)
from fl_chain.masking.keys import public_key
from fl_chain.masking.recovery import Suspicion
from fl_chain.masking.setup import key_set_up
from fl_chain.masking.shares import threshold
from fl_chain.records import Address, PublishedKeys, Quantisation
from fl_chain.run.group_sums import GroupedRound

SEED = bytes(range(16))
QUANTISATION = Quantisation(fraction_bits=22, scale_bits=20, clip_lanes=1 << 20, max_total_weight=400)


@pytest.mark.parametrize(("vertices", "count"), [(9, 3), (10, 3), (11, 3), (47, 7), (100, 9)])
def test_every_vertex_is_in_one_group_and_no_two_groups_differ_by_more_than_one(
    vertices: int, count: int
) -> None:
    groups = Groups(vertices, count, SEED)
    members = [frozenset(v for v in range(vertices) if groups.group(v) == number) for number in range(count)]
    sizes = {len(one) for one in members}
    assert sum(map(len, members)) == vertices
    assert max(sizes) - min(sizes) <= 1
    for vertex in range(vertices):
        own = members[groups.group(vertex)]
        assert sorted((*groups.neighbours(vertex), vertex)) == sorted(own)


def test_another_seed_draws_other_groups() -> None:
    one, two = Groups(60, 10, SEED), Groups(60, 10, bytes(16))
    assert [one.group(v) for v in range(60)] != [two.group(v) for v in range(60)]


def test_how_many_have_to_stay() -> None:
    assert [least_in_group(members) for members in range(8)] == [3, 3, 3, 3, 3, 4, 5, 5]
    assert all(least_in_group(members) >= threshold(members) for members in range(1, 50))
    assert [least_groups(count) for count in range(3, 8)] == [2, 3, 3, 4, 4]
    assert [least_quorum(count) for count in (3, 4, 5)] == [6, 9, 9]


def some(stay: int, gone: int, first: int = 0) -> MaskedGroup:
    people = [participant(number) for number in range(first, first + stay + gone)]
    return MaskedGroup(tuple(people[:stay]), tuple(people[stay:]))


def test_of_a_group_enough_stay_or_nobody_and_a_majority_of_groups() -> None:
    verify_groups([some(3, 1), some(5, 1), some(0, 4)])
    with pytest.raises(TooFewInGroups, match="of the 6 members of group 1 only 4 stay, and it takes 5"):
        verify_groups([some(3, 1), some(4, 2), some(0, 4)])
    with pytest.raises(TooFewInGroups, match="only 2 stay, and it takes 3"):
        verify_groups([some(3, 1), some(5, 1), some(2, 0)])
    with pytest.raises(TooFewInGroups, match="1 of 3 groups stay, and it takes 2"):
        verify_groups([some(3, 1), some(0, 6), some(0, 4)])
    verify_groups([some(3, 0), some(3, 0), some(3, 0), some(0, 3), some(0, 3)])
    with pytest.raises(TooFewInGroups, match="2 of 5 groups stay, and it takes 3"):
        verify_groups([some(3, 0), some(3, 0), some(0, 3), some(0, 3), some(0, 3)])


# ---------------------------------------------------------------------- sums


class GroupedPlay(SecureRound):
    """A secure round in which everybody shares masks with its group alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        people = sorted(self.updates, key=[participant(number) for number in range(self.count)].index)
        self.groups = Groups(self.count, 3, SEED)
        self.vertices = {who: number for number, who in enumerate(people)}
        for number, who in enumerate(people):
            self.neighbours[who] = [people[one] for one in self.groups.neighbours(number)]
            keys = {peer: public_key(self.identity[peer]) for peer in self.neighbours[who]}
            self.set_ups[who] = key_set_up(self.secrets[who], self.identity[who], self.context, who, keys)

    def parts(self, survivors: frozenset[Address]) -> list[MaskedGroup]:
        gone = sorted(self.set_ups.keys() - survivors)
        return divided(self.groups, self.vertices, sorted(survivors), gone)

    def grouped(self, survivors: frozenset[Address], weight: int = 2) -> GroupedRound:
        staying = tuple(one for one in self.parts(survivors) if one.survivors)
        members = frozenset(who for one in staying for who in one.members)
        return GroupedRound(
            groups=staying,
            keys={who: one.published() for who, one in self.set_ups.items()},
            seeds=self.seeds_of(survivors, members),
            weights=dict.fromkeys(survivors, weight),
            context=self.context,
            dimension=self.dimension,
            quantisation=QUANTISATION,
        )

    def seeds_of(self, survivors: frozenset[Address], members: frozenset[Address]) -> dict[Address, bytes]:
        everybody, self.set_ups = self.set_ups, {who: self.set_ups[who] for who in sorted(members)}
        try:
            return self.seeds(survivors)
        finally:
            self.set_ups = everybody

    def masked_updates(self, survivors: frozenset[Address]) -> list[tuple[Address, Lanes]]:
        return [(who, self.masked(who)) for who in sorted(survivors)]

    def plain_mean(self, group: MaskedGroup, weight: int = 2) -> list[int]:
        """Return the mean in whole numbers, half upwards, without NumPy."""
        divisor = weight * len(group.survivors)
        signed = [self.updates[who].view(">i4") for who in group.survivors]
        totals = [sum(int(one[lane]) for one in signed) for lane in range(self.dimension)]
        return [(2 * total + divisor) // (2 * divisor) for total in totals]


@pytest.fixture(scope="module")
def play() -> GroupedPlay:
    return GroupedPlay(14, 7)


def random_survivors(play: GroupedPlay, seed: int) -> frozenset[Address]:
    """Return some who leave, and with them the whole groups of which too few are there."""
    rng = np.random.default_rng(seed)
    there = frozenset(who for who in play.vertices if rng.random() > 0.2)
    out = frozenset(who for one in play.parts(there) if not one.may_stay for who in one.members)
    return there - out


@pytest.mark.parametrize("seed", range(12))
def test_group_sums_are_the_plain_ones_for_random_dropouts(play: GroupedPlay, seed: int) -> None:
    survivors = random_survivors(play, seed)
    sums = play.grouped(survivors).sums(play.masked_updates(survivors))
    assert not sums.spoilt
    assert [list(one.view(">i4")) for one in sums.means] == [play.plain_mean(one) for one in sums.kept]
    assert {who for one in sums.kept for who in one.survivors} == survivors


def test_a_group_of_which_one_masks_otherwise_is_left_out_and_the_others_are_as_they_were(
    play: GroupedPlay,
) -> None:
    everybody = frozenset(play.vertices)
    right = play.grouped(everybody).sums(play.masked_updates(everybody))
    liar = right.kept[1].survivors[0]
    updates = [
        (who, play.masked_updates(everybody)[0][1] if who == liar else lanes)
        for who, lanes in play.masked_updates(everybody)
    ]
    sums = play.grouped(everybody).sums(updates)
    assert [liar in one.group.survivors for one in sums.spoilt] == [True]
    assert sums.kept == (right.kept[0], right.kept[2])
    assert (sums.means == right.means[[0, 2]]).all()
    sums.verify_majority(3)
    with pytest.raises(SpoiltRound, match="of 4 groups 2 have a sum, and it takes 3"):
        sums.verify_majority(4)


def test_a_key_seed_that_is_not_of_the_round_key_spoils_its_group_alone(play: GroupedPlay) -> None:
    everybody = frozenset(play.vertices)
    gone = play.parts(everybody)[2].survivors[0]
    survivors = everybody - {gone}
    grouped = play.grouped(survivors)
    other: PublishedKeys = play.set_ups[min(survivors)].published()
    keys = {**grouped.keys, gone: replace(grouped.keys[gone], round_key=other.round_key)}
    sums = replace(grouped, keys=keys).sums(play.masked_updates(survivors))
    assert [gone in one.group.departed for one in sums.spoilt] == [True]
    assert len(sums.kept) == 2


# ---------------------------------------------------------------------- the rule


def lanes(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.int32).view(np.uint32).astype(LANE)


def test_the_mean_of_a_group_is_rounded_as_a_sum_is_applied() -> None:
    sums = lanes([5, -5, 3, -3, 7], [4, 2, -2, 1, 0])
    means = group_means(sums, [2, 4])
    assert [list(one.view(">i4")) for one in means] == [[3, -2, 2, -1, 4], [1, 1, 0, 0, 0]]
    # With as many fraction bits as scale bits a model of zeros takes the very same means.
    quantisation = Quantisation(20, 20, 1 << 20, 400)
    for row, weight in ((0, 2), (1, 4)):
        model, _ = apply_sum(lanes([0] * 5)[0], sums[row], weight, quantisation)
        assert list(model) == list(means[row])


def test_rules_across_groups_take_means_as_updates_of_weight_one() -> None:
    means = lanes([1, 10], [2, 20], [90, -900], [3, 30], [4, 40])
    nothing = np.empty(0, dtype=LANE)
    for across in (Median(), TrimmedMean(trim=0.2)):
        grouped = Grouped(across, 5)
        assert grouped.carried_lanes(2) == 0
        one, two = (rule.result(means, nothing, QUANTISATION) for rule in (grouped, across))
        assert (list(one.lanes), one.weight) == (list(two.lanes), two.weight)
    krum = Grouped(MultiKrum(byzantine=1, keep=0), 5).result(means, nothing, QUANTISATION)
    assert (list(krum.lanes.view(">i4")), krum.weight) == ([10, 100], 4)


# ---------------------------------------------------------------------- suspicion


def test_groups_whose_sums_are_noise_are_under_suspicion_and_the_others_are_cleared() -> None:
    a, b, c, d, e, f = map(participant, range(6))
    found = Suspicion().after_groups({d, e, f}, [{a, b, c}])
    assert found == Suspicion(frozenset({a, b, c}))
    assert found.after_groups({a, d}, [{b, e, f}]).suspects == {b}
    assert found.after_groups({a, b, c, d}, []).suspects == frozenset()
    # Two groups at once: one of each.
    assert found.after_groups({c}, [{a, d}, {e, f}]).suspects == {a, e, f}
    # Who is the only one left is named by another group of noise, not by a round without it.
    last = Suspicion(frozenset({b}))
    assert last.after_groups({a, c, d}, []) == last
    assert last.after_groups({a, b, c}, []) == Suspicion()
    assert last.after_groups({a, c}, [{d, e}]) == Suspicion(frozenset({d, e}))
    assert last.after_groups({a, c}, [{b, d}]) == Suspicion(frozenset(), frozenset({b}))
    assert found.after_groups({d}, [{a, e}]).after_groups({e}, [{a, d}]).named == {a}
