import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_reports import account, made_report, made_round, made_summary, round_without_model

from fl_chain.audit import AuditReport
from fl_chain.report import charts, curves, frame, parse_report, parse_summary
from fl_chain.report.reading import Part, Reading, partial_sums

scores = st.floats(min_value=-1e12, max_value=1e12)


def read(report: AuditReport) -> Reading:
    return Reading.of(parse_report(report.to_json().encode()))


@given(scores, scores)
def test_ticks_are_few_and_enclose_the_range(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    ticks = frame.nice_ticks(low, high)
    assert 2 <= len(ticks) <= 12
    assert all(b > a for a, b in itertools.pairwise(ticks))
    margin = 1e-6 * (ticks[-1] - ticks[0])
    assert ticks[0] - margin <= low
    assert high <= ticks[-1] + margin


@given(st.lists(scores, min_size=1, max_size=20), scores)
def test_a_curve_stays_in_its_frame(values: list[float], pooled: float) -> None:
    summary = parse_summary(made_summary()).model_copy(
        update={
            "rounds": {str(i): {"loss": value} for i, value in enumerate(values, 1)},
            "pooled": {"loss": pooled},
            "local": {},
        }
    )
    (curve,) = curves.learning_curves(summary)
    assert len(curve.points) == len(values)
    for y in [point.y for point in curve.points] + [level.y for level in curve.levels]:
        assert frame.TOP - 1 <= float(y) <= frame.HEIGHT - frame.BOTTOM + 1
    for point in curve.points:
        assert frame.LEFT <= float(point.x) <= frame.WIDTH - frame.RIGHT


def test_labels_of_close_levels_are_apart() -> None:
    summary = parse_summary(made_summary(pooled={"auroc": 0.75}))
    (curve,) = curves.learning_curves(summary)
    first, second = (float(level.label_y) for level in curve.levels)
    assert second - first >= curves.LABEL_HEIGHT


def test_participation_says_who_was_excluded_and_who_was_away() -> None:
    report = made_report()
    report.rounds[0].participants[0]["excluded"] = "by_rule"
    report.rounds[1] = made_round(2, 2)
    report.rounds.append(round_without_model(4, 3, status="closed"))
    reading = read(report)
    assert reading.parts(account(1)) == (Part.EXCLUDED, Part.INCLUDED, Part.INCLUDED, Part.SUBMITTED)
    assert reading.parts(account(3)) == (Part.INCLUDED, Part.ABSENT, Part.INCLUDED, Part.SUBMITTED)


@pytest.mark.parametrize(("rounds", "stretch", "columns"), [(60, 1, 60), (61, 2, 31), (600, 10, 60)])
def test_many_rounds_share_columns_and_hide_no_exclusion(rounds: int, stretch: int, columns: int) -> None:
    report = made_report(rounds=rounds, participants=1)
    report.rounds[-1].participants[0]["excluded"] = "unreadable"
    grid = charts.participation(read(report))
    assert grid is not None
    assert grid.stretch == stretch
    cells = grid.rows[0].cells
    assert len(cells) == columns
    assert [cell.part for cell in cells] == [Part.INCLUDED] * (columns - 1) + [Part.EXCLUDED]


@pytest.mark.parametrize(("participants", "left_out"), [(60, 0), (61, 1)])
def test_the_largest_rewards_are_drawn(participants: int, left_out: int) -> None:
    report = made_report(rounds=1, participants=participants)
    reading = read(report)
    bars = charts.rewards(reading)
    assert bars is not None
    assert bars.left_out == left_out
    assert reading.names[account(participants)] in {bar.name for bar in bars.bars}
    assert (reading.names[account(1)] in {bar.name for bar in bars.bars}) is (left_out == 0)


def test_there_is_no_chart_of_nothing() -> None:
    assert charts.participation(read(made_report(rounds=0))) is None
    report = made_report()
    for one in report.participants:
        one.update(claimed_wei=0, unclaimed_wei=0)
    assert charts.rewards(read(report)) is None


def test_the_line_leads_from_genesis_to_the_last_model() -> None:
    report = made_report(rounds=4)
    report.rounds[1] = round_without_model(2, 3, status="void", void_reason="not_posted")
    report.rounds[2] = made_round(3, 3, base_round=1, step=2)
    reading = read(report)
    assert [item.round for item in reading.line] == [1, 3, 4]
    assert [item.round for item in reading.aside] == [2]
    assert reading.last_model_root == report.rounds[3].model_root
    assert read(made_report(rounds=0)).last_model_root == report.run["genesis_model_root"]


def test_partial_sums_say_what_they_cover() -> None:
    (item,) = parse_report(made_report(rounds=1, participants=70).to_json().encode()).rounds
    found = partial_sums(item)
    assert [one.root for one in found] == list(item.partial_sum_roots)
    assert [(one.level, one.first, one.last) for one in found] == [
        *((1, first, min(first + 7, 70)) for first in range(1, 71, 8)),
        (2, 1, 64),
        (2, 65, 70),
        (3, 1, 70),
    ]
