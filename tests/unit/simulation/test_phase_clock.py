import pytest

from fl_chain.errors import InputDataError
from fl_chain.simulation.phases import Phase, PhaseClock


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_phase_within_another_is_counted_once() -> None:
    hands = Hands()
    clock = PhaseClock(hands)
    with clock.phase(1, Phase.TRAIN):
        hands.now += 3
        with clock.phase(1, Phase.SUBMIT):
            hands.now += 1
        hands.now += 2
    hands.now += 50
    with clock.phase(1, Phase.TRAIN):
        hands.now += 4
    assert clock.seconds == {1: {"train": 9.0, "submit": 1.0}}


def test_what_fails_has_taken_its_time_and_ends() -> None:
    hands = Hands()
    clock = PhaseClock(hands)

    def failing() -> None:
        hands.now += 1
        raise InputDataError("no rows")

    with pytest.raises(InputDataError), clock.phase(2, Phase.VERIFY):
        failing()
    hands.now += 7
    with clock.phase(2, Phase.AGGREGATE):
        hands.now += 2
    assert clock.seconds == {2: {"aggregate": 2.0, "verify": 1.0}}


def test_what_comes_before_the_first_round_belongs_to_none() -> None:
    hands = Hands()
    clock = PhaseClock(hands)
    with clock.phase(0, Phase.AGGREGATE):
        hands.now += 1
    assert clock.seconds == {}
