import re

import pytest
from made_reports import account, made_report, made_summary, round_without_model

from fl_chain.audit import AuditReport
from fl_chain.errors import InputDataError
from fl_chain.report import Summary, parse_report, parse_summary
from fl_chain.report.curves import learning_curves
from fl_chain.report.frame import LEFT, RIGHT, TOP, WIDTH
from fl_chain.report.panel import HEIGHT, Panel
from fl_chain.report.panels import MOST_DOTS, MOST_ROWS, summary_panels, update_norms
from fl_chain.report.phases import MOST_COLUMNS
from fl_chain.report.reading import Reading


def judged(participants: int, rounds: int = 3, **more: float) -> dict[str, object]:
    """Scores of participants: the first has the least, all get better by the round."""
    return {
        f"shop {number}": {
            "account": account(number),
            "rounds": {
                str(r): {"auroc": 0.5 + 0.001 * number + 0.01 * r, **more} for r in range(1, rounds + 1)
            },
        }
        for number in range(1, participants + 1)
    }


def summary(**changes: object) -> Summary:
    return parse_summary(made_summary(**changes))


def panels(declared: Summary) -> dict[str, Panel]:
    return {panel.name: panel for panel in summary_panels(declared)}


def reading(report: AuditReport) -> Reading:
    return Reading.of(parse_report(report.to_json().encode()))


def test_a_summary_of_scores_alone_has_curves_without_bands_and_no_panel() -> None:
    (curve,) = learning_curves(summary())
    assert curve.bands is None
    assert summary_panels(summary()) == ()


def test_a_curve_has_the_spread_of_the_participants_inside_its_frame() -> None:
    (curve,) = learning_curves(summary(participants=judged(4)))
    assert curve.bands is not None
    assert "4 participants' own scores go from 0.5310 to 0.5340, their mean is 0.5325" in curve.bands.text
    numbers = [float(number) for number in re.findall(r"[0-9.]+", curve.bands.whole)]
    assert all(LEFT <= x <= WIDTH - RIGHT for x in numbers[::2])
    assert all(TOP - 1 <= y <= 270 for y in numbers[1::2])


def test_quality_lists_everybody_from_the_lowest_up() -> None:
    found = panels(summary(participants=judged(3)))["quality-auroc"]
    assert found.rows == (
        ("shop 1", "3", "0.5110", "0.5310"),
        ("shop 2", "3", "0.5120", "0.5320"),
        ("shop 3", "3", "0.5130", "0.5330"),
    )
    assert [(mark.kind, mark.label) for mark in found.marks[:2]] == [
        ("first", "shop 1, round 1: 0.5110"),
        ("last", "shop 1, round 3: 0.5310"),
    ]
    assert float(found.marks[1].x) > float(found.marks[0].x)


@pytest.mark.parametrize(("participants", "left_out"), [(MOST_ROWS, 0), (MOST_ROWS + 1, 1)])
def test_of_many_participants_some_are_drawn_with_both_ends(participants: int, left_out: int) -> None:
    found = panels(summary(participants=judged(participants)))["quality-auroc"]
    assert len(found.names) == participants - left_out
    assert (found.names[0].label, found.names[-1].label) == ("shop 1", f"shop {participants}")
    assert len(found.rows) == participants
    assert (f"{left_out} more are not drawn" in found.note) is (left_out > 0)


def test_fairness_has_the_figures_of_each_round() -> None:
    found = panels(summary(participants=judged(2)))["fairness-auroc"]
    assert found.head[1:] == ("lowest", "mean", "highest", "standard deviation", "Jain's index")
    assert found.rows[-1] == ("3", "0.5310", "0.5315", "0.5320", "0.0005", "1.0000")
    assert "Jain's index" in found.title


def test_fairness_of_a_metric_below_zero_is_its_deviation() -> None:
    people = {"a": {"account": account(1), "rounds": {"1": {"auroc": -1.0}}}}
    found = panels(summary(participants=people))["fairness-auroc"]
    assert found.title.endswith("standard deviation")
    assert found.rows == (("1", "-1.0000", "-1.0000", "-1.0000", "0.0000", ""),)


def test_what_only_participants_have_is_drawn_by_itself() -> None:
    found = panels(summary(participants=judged(2, training_loss=0.25)))
    assert set(found) == {"own-training_loss", "quality-auroc", "fairness-auroc"}
    assert found["own-training_loss"].rows[0] == ("1", "2", "0.2500", "0.2500", "0.2500", "0.0000")


def test_a_round_s_phases_are_stacked_to_its_whole_time() -> None:
    seconds = {"1": {"train": 3.0, "submit": 1.0}, "2": {"train": 2.0}}
    found = panels(summary(seconds=seconds, clock="chain"))["phases"]
    assert "chain clock" in found.title
    assert found.text == "In all: train 5 s, submit 1 s."
    assert found.rows == (("1", "3.0000", "1.0000"), ("2", "2.0000", "0.0000"))
    first, second = found.segments[:2]
    assert float(second.y) + float(second.height) == pytest.approx(float(first.y), abs=0.2)
    assert float(first.height) == pytest.approx(3 * float(second.height), abs=0.3)
    assert float(first.y) + float(first.height) == pytest.approx(HEIGHT - 40, abs=0.2)


@pytest.mark.parametrize(("rounds", "columns"), [(MOST_COLUMNS, 60), (MOST_COLUMNS + 1, 31)])
def test_many_rounds_share_columns_of_time(rounds: int, columns: int) -> None:
    seconds = {str(number): {"train": 1.0} for number in range(1, rounds + 1)}
    found = panels(summary(seconds=seconds))["phases"]
    assert len(found.segments) == columns
    assert len(found.rows) == rounds
    assert ("mean of 2 rounds" in found.note) is (rounds > columns)


def test_norms_are_those_of_the_included_updates() -> None:
    report = made_report()
    report.rounds[0].participants[1]["excluded"] = "by_rule"
    report.rounds[0].participants[2]["statistics"]["norm_billionths"] = 5_000_000_000
    report.rounds[1] = round_without_model(2, 3, status="void", void_reason="not_posted")
    for one in report.rounds[1].participants:
        one["statistics"] = None
    found = update_norms(reading(report))
    assert found is not None
    assert [row[:2] for row in found.rows] == [("1", "2"), ("3", "3")]
    assert found.rows[0][2:] == ("1.2500", "3.1250", "5.0000")
    assert len(found.marks) == 5


@pytest.mark.parametrize(("participants", "dots"), [(MOST_DOTS // 3, MOST_DOTS), (MOST_DOTS // 3 + 1, 0)])
def test_very_many_updates_are_drawn_as_a_band_alone(participants: int, dots: int) -> None:
    found = update_norms(reading(made_report(rounds=3, participants=participants)))
    assert found is not None
    assert len(found.marks) == dots
    assert found.bands is not None


def test_there_are_no_norms_of_nothing() -> None:
    assert update_norms(reading(made_report(rounds=0))) is None


@pytest.mark.parametrize(
    "changes",
    [
        {
            "participants": {
                "a": {"account": account(1), "rounds": {}},
                "b": {"account": account(1), "rounds": {}},
            }
        },
        {"participants": {"a": {"account": "0x1", "rounds": {}}}},
        {"seconds": {"1": {"train": -1.0}}},
        {"seconds": {"1": {f"phase_{number}": 1.0 for number in range(7)}}},
        {"seconds": {"0": {"train": 1.0}}},
        {"clock": "sun"},
    ],
    ids=["one account twice", "no account", "negative time", "seven phases", "round 0", "unknown clock"],
)
def test_a_summary_of_another_form_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputDataError):
        summary(**changes)
    assert summary(seconds={"1": {f"phase_{number}": 0.0 for number in range(6)}}).seconds
