from __future__ import annotations

import json

import pytest
from contract_gas import GAS_FILE, encode, measure

from fl_chain.ledger.artifact import masked_ledger, secure_aggregation, training_ledger
from fl_chain.ledger.gas import gas_limit

# The masks have them for the ledger alone: they are part of what a submission and a departure cost.
OF_THE_LEDGER = {"checkMember", "countOut"}


@pytest.fixture(scope="module")
def gas() -> dict[str, int]:
    return measure()


@pytest.mark.slow
def test_the_committed_figures_are_current(gas: dict[str, int]) -> None:
    advice = "run `python tests/contract/contract_gas.py` and look at the difference"
    assert GAS_FILE.read_text(encoding="utf-8") == encode(gas), advice


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "limit"),
    [("submit", 70_000), ("post_64", 200_000), ("post_64_settling_1", 200_000), ("claim_1", 90_000)],
)
def test_the_calls_of_every_round_stay_cheap(gas: dict[str, int], call: str, limit: int) -> None:
    assert gas[call] <= limit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "limit"),
    [
        ("challengeSum_8", 1_700_000),
        ("challengeSum_64", 1_700_000),
        ("challengeSum_512", 1_700_000),
        ("challengeRange", 350_000),
        ("challengeApply", 500_000),
    ],
)
def test_a_challenge_of_a_million_lanes_fits_a_transaction(
    gas: dict[str, int], call: str, limit: int
) -> None:
    assert gas[call] <= limit


@pytest.mark.slow
def test_more_participants_make_a_challenge_hardly_dearer(gas: dict[str, int]) -> None:
    assert gas["challengeSum_512"] < 1.1 * gas["challengeSum_8"]


@pytest.mark.slow
def test_a_participant_of_a_masked_round_pays_at_most_half_as_much_again(gas: dict[str, int]) -> None:
    """With its share of a set-up that came for all, and its reward claimed with eight others."""
    claim = gas["claim_9"] // 9
    plain = gas["submit"] + claim
    masked = gas["setUpKeysOf_16"] // 16 + gas["submit_masked"] + claim
    assert masked <= 1.5 * plain


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "limit"),
    [
        ("drawGraph", 70_000),
        ("setUpKeys", 65_000),
        ("submit_masked", 82_000),
        ("fixSurvivors_16", 150_000),
        ("publishSeeds_16", 80_000),
        ("challengeSeed", 250_000),
        ("challengeMask_own", 1_000_000),
        ("challengeMask_pair", 1_200_000),
    ],
)
def test_the_calls_of_masked_rounds_stay_cheap(gas: dict[str, int], call: str, limit: int) -> None:
    assert gas[call] <= limit


@pytest.mark.parametrize(
    ("figure", "data_bytes", "rounds"),
    [
        ("challengeSum_8", 37_188, 0),
        ("challengeSum_512", 39_492, 0),
        ("challengeRange", 4_836, 0),
        ("challengeApply", 9_700, 0),
        ("challengeApply_512", 12_004, 0),
        ("object", 164, 0),
        ("object_voiding_63", 164, 64),
    ],
)
def test_gas_limits_leave_room(figure: str, data_bytes: int, rounds: int) -> None:
    """A third of a limit stays unused, as a refund is paid back only at the end of a transaction."""
    stored = json.loads(GAS_FILE.read_text(encoding="utf-8"))
    limit = gas_limit(figure.split("_", maxsplit=1)[0], data_bytes=data_bytes, rounds=rounds)
    assert stored[figure] * 3 <= limit * 2


@pytest.mark.slow
def test_every_transaction_has_a_figure(gas: dict[str, int]) -> None:
    calls = {
        entry["name"]
        for artifact in (training_ledger(), masked_ledger(), secure_aggregation())
        for entry in artifact.abi
        if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable")
    }
    assert calls - OF_THE_LEDGER == {name.split("_")[0] for name in gas} - {"deploy"}


def test_the_figures_are_stored_in_order() -> None:
    stored = json.loads(GAS_FILE.read_text(encoding="utf-8"))
    assert list(stored) == sorted(stored)
