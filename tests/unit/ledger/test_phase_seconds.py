from fl_chain.ledger.events import Event, Place, RoundClosed, RoundFinalized, RoundOpened, RoundPosted
from fl_chain.ledger.phases import phase_seconds
from fl_chain.records import ZERO_ADDRESS, ZERO_DIGEST


def at(timestamp: int) -> Place:
    return Place(1, bytes(32), timestamp, bytes(32), 0)


def opened(timestamp: int, round_id: int = 1) -> Event:
    return RoundOpened(at(timestamp), round_id, round_id - 1, ZERO_DIGEST, round_id, timestamp + 60, 3)


def closed(timestamp: int) -> Event:
    return RoundClosed(at(timestamp), 1, ZERO_DIGEST, ZERO_DIGEST, 3, 30, 3)


def posted(timestamp: int, posting_number: int = 0) -> Event:
    roots = (ZERO_DIGEST, ZERO_DIGEST, ZERO_DIGEST)
    return RoundPosted(at(timestamp), 1, posting_number, ZERO_ADDRESS, *roots, 3, 30, timestamp + 60, (), ())


def finalized(timestamp: int) -> Event:
    return RoundFinalized(at(timestamp), 1, 0, 0, 0)


def test_phases_follow_from_the_events_of_a_round() -> None:
    found = phase_seconds([opened(100), closed(130), posted(137), opened(137, 2), finalized(200)])
    assert found == {1: {"submission": 30, "posting": 7, "finality": 63}, 2: {}}


def test_the_posting_that_stands_counts() -> None:
    found = phase_seconds([opened(100), closed(130), posted(137), posted(150, 1), finalized(220)])
    assert found[1] == {"submission": 30, "posting": 20, "finality": 70}


def test_a_phase_without_an_end_has_no_length() -> None:
    assert phase_seconds([opened(100), closed(130)]) == {1: {"submission": 30}}
    assert phase_seconds([]) == {}
