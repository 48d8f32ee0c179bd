"""The graph of large rounds: how it is drawn, what it takes to be safe and to last, and when it has a gap."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import comb

import numpy as np
import pytest

from fl_chain.masking.graph import (
    COLLUDING,
    SECRECY_BITS,
    Graph,
    is_lasting,
    least_holders,
    least_staying,
    reach,
)
from fl_chain.masking.shares import threshold

SEED = bytes(range(16))
SIZES = (65, 66, 96, 100, 127, 128, 200, 255, 256, 511, 512, 1000)


def seed(number: int) -> bytes:
    return number.to_bytes(16, "big")


def drawn(vertices: int, number: int = 0) -> Graph:
    return Graph(vertices, reach(vertices, vertices), seed(number))


def components(graph: Graph, staying: set[int]) -> list[set[int]]:
    """Return what hangs together of those who stay, by their masks alone."""
    left, found = set(staying), []
    while left:
        pending, seen = [left.pop()], set()
        while pending:
            one = pending.pop()
            seen.add(one)
            near = left.intersection(graph.neighbours(one))
            left -= near
            pending += near
        found.append(seen)
    return found


# ---------------------------------------------------------------------- the draw


def test_the_order_is_fixed_for_ever() -> None:
    """Whoever changes it changes every ledger: forge has the same numbers, in `Graphs.t.sol`."""
    assert Graph(5, 1, SEED).neighbours(0) == (2, 4)
    assert Graph(70, 3, SEED).neighbours(11) == (10, 22, 61, 42, 39, 33)
    assert Graph(300, 2, SEED).neighbours(299) == (110, 250, 50, 69)


@pytest.mark.parametrize("vertices", SIZES)
def test_everybody_has_as_many_neighbours_and_they_have_it(vertices: int) -> None:
    graph = drawn(vertices)
    around = {one: graph.neighbours(one) for one in range(vertices)}
    for one, own in around.items():
        assert len(own) == len(set(own)) == 2 * graph.reach
        assert one not in own
        assert all(one in around[other] for other in own)
    with pytest.raises(IndexError):
        graph.neighbours(vertices)


def test_every_order_of_few_comes_as_often() -> None:
    """Chi-square over the 12 rings of 5 vertices; above 31.3 by chance once in a thousand."""
    rings: Counter[frozenset[frozenset[int]]] = Counter()
    for number in range(2400):
        graph = Graph(5, 1, seed(number))
        rings[frozenset(frozenset((one, other)) for one in range(5) for other in graph.neighbours(one))] += 1
    assert len(rings) == 12
    assert sum((count - 200) ** 2 / 200 for count in rings.values()) < 31.3


def test_a_graph_takes_a_seed_of_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Graph(70, 3, bytes(15)).neighbours(0)


# ---------------------------------------------------------------------- how far it reaches


def test_it_reaches_farther_the_more_there_are_and_the_fewer_are_expected() -> None:
    assert [reach(vertices, vertices) for vertices in (65, 127, 128, 255, 256, 512, 1024)] == [
        *(29, 29, 35, 35, 41, 47, 53)
    ]
    assert [reach(256, expected) for expected in (300, 256, 255, 192, 128)] == [41, 41, 42, 73, 127]
    assert reach(256, 0) == reach(256, 1) == 127  # never so far that somebody is on both sides
    assert reach(65, 32) == 32


@pytest.mark.parametrize("vertices", SIZES)
def test_a_round_lasts_where_a_tenth_leaves(vertices: int) -> None:
    side = reach(vertices, vertices)
    assert 2 * side >= least_holders(vertices)
    assert is_lasting(vertices, vertices, side, vertices // 10, 9)
    # A graph of half the neighbours would not.
    assert not is_lasting(vertices, vertices, side // 2, vertices // 10, 9)


@pytest.mark.parametrize("vertices", SIZES[2:])
def test_a_round_does_not_last_where_a_third_leaves(vertices: int) -> None:
    assert not is_lasting(vertices, vertices, reach(vertices, vertices), vertices // 3, 1)


@pytest.mark.parametrize("vertices", [128, 256, 512])
def test_a_round_lasts_where_a_tenth_is_not_expected_either(vertices: int) -> None:
    expected = vertices - vertices // 10
    side = reach(vertices, expected)
    assert is_lasting(vertices, expected, side, vertices - expected + expected // 20, 9)


# ---------------------------------------------------------------------- what it takes to be safe


def probability(population: int, marked: int, draws: int, least: int) -> float:
    return sum(
        comb(marked, hit) * comb(population - marked, draws - hit) / comb(population, draws)
        for hit in range(least, min(draws, marked) + 1)
    )


@pytest.mark.parametrize("expected", SIZES)
def test_the_fewest_holders_are_safe_and_fewer_are_not(expected: int) -> None:
    least, colluding = least_holders(expected), expected // COLLUDING

    def failure(holders: int) -> float:
        return expected * probability(expected - 1, colluding, holders, threshold(holders + 1))

    assert all(failure(least + more) <= 2.0**-SECRECY_BITS for more in range(9))
    assert any(failure(least - fewer) > 2.0**-SECRECY_BITS for fewer in (1, 2, 3))


@pytest.mark.parametrize(("vertices", "members"), list(product((100, 256, 512), (0.8, 1))))
def test_the_fewest_who_stay_are_safe_and_fewer_are_not(vertices: int, members: float) -> None:
    count, side = int(vertices * members), reach(vertices, vertices)

    def failure(least: int) -> float:
        return (vertices * probability(vertices, count // COLLUDING, side, least)) ** 2 / 2

    least = least_staying(vertices, count, side)
    assert failure(least) <= 2.0**-SECRECY_BITS < failure(least - 1)


def test_a_row_can_be_too_short_for_any_number_to_do() -> None:
    assert least_staying(256, 256, 3) == 4


# ---------------------------------------------------------------------- gaps


def in_a_row(graph: Graph, first: int, count: int) -> list[int]:
    """Return the vertices at some places in a row."""
    places = {graph.neighbours(one): one for one in range(graph.vertices)}
    ring, one = [], next(iter(places.values()))
    for _ in range(graph.vertices):
        ring.append(one)
        one = graph.neighbours(one)[graph.reach]  # the next place
    assert len(set(ring)) == graph.vertices
    return [ring[(first + step) % graph.vertices] for step in range(count)]


def test_a_gap_is_where_one_too_few_stay() -> None:
    graph = drawn(256)
    everybody = set(range(256))
    needed = least_staying(256, 256, graph.reach)
    assert graph.gap(everybody, 256) is None
    row = in_a_row(graph, 7, graph.reach)
    assert graph.gap(everybody.difference(row[: graph.reach - needed]), 256) is None
    found = graph.gap(everybody.difference(row[: graph.reach - needed + 1]), 256)
    assert found is not None
    assert found[1] == needed - 1


def test_a_complete_graph_has_no_gap() -> None:
    assert Graph(65, 32, SEED).is_complete()
    assert Graph(65, 32, SEED).gap({1, 2}, 65) is None
    assert not Graph(65, 31, SEED).is_complete()
    assert Graph(65, 31, SEED).gap({1, 2}, 65) is not None


def test_without_the_rule_an_aggregator_would_single_one_out() -> None:
    """All neighbours of one are left out: no third of the members, and its update alone would be a sum."""
    graph = drawn(512)
    victim = 5
    staying = set(range(512)).difference(graph.neighbours(victim))
    assert len(staying) >= threshold(511)
    assert {victim} in components(graph, staying)
    assert graph.gap(staying, 512) is not None


@pytest.mark.parametrize("vertices", [100, 256, 512])
def test_the_honest_who_stay_hang_together_whoever_leaves_and_colludes(vertices: int) -> None:
    """An eighth leave as it happens, or in two rows as long as the rule lets them; a fifth collude."""
    rng = np.random.default_rng(vertices)
    tried = 0
    for number in range(12):
        graph = drawn(vertices, number)
        colluding = set(rng.choice(vertices, vertices // COLLUDING, replace=False).tolist())
        gone = set(rng.choice(vertices, vertices // 12, replace=False).tolist())
        if number % 2:
            spare = graph.reach - least_staying(vertices, vertices, graph.reach)
            honest = [one for one in in_a_row(graph, 0, vertices) if one not in colluding]
            gone = set(honest[:spare] + honest[vertices // 3 : vertices // 3 + spare])
        staying = set(range(vertices)) - gone
        if graph.gap(staying, vertices) is not None:
            continue
        tried += 1
        assert len(components(graph, staying - colluding)) == 1
    assert tried >= 6
