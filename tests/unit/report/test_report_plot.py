from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_reports import account, made_report, made_summary, root
from test_report_panels import judged
from typer.testing import CliRunner

from fl_chain.cli.main import app
from fl_chain.errors import ConfigError, InputDataError
from fl_chain.report import of_metric, parse_report, parse_summary, render_page, render_plot

SVG = "{http://www.w3.org/2000/svg}"
POISON = "</text></style><script>alert(1)</script><image href='http://x'/>\"' {{ 7*7 }}"
REPORT = parse_report(made_report().to_json().encode())
FULL = parse_summary(made_summary(participants=judged(3, training_loss=0.3), seconds={"1": {"train": 2.5}}))


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_a_picture_has_every_chart_and_needs_nothing_else() -> None:
    picture = render_plot("a run", report=REPORT, summary=FULL)
    found = texts(picture)
    for title in (
        "a run",
        "auroc of each round's model",
        "auroc of the model on each participant's own rows",
        "Fairness: auroc between participants, Jain's index",
        "training loss of the participants by round",
        "Seconds of each phase of a round, by the wall clock",
        "Norm of each update, per unit of weight",
    ):
        assert title in found
    for outside in ("<script", "href", "url(", "@import", "<image"):
        assert outside not in picture
    assert picture == render_plot("a run", report=REPORT, summary=FULL)


def test_the_page_has_the_same_charts() -> None:
    source = made_report().to_json().encode()
    page = render_page(parse_report(source), source=source, summary=FULL)
    for name in ("quality-auroc", "fairness-auroc", "own-training_loss", "phases", "norms"):
        assert page.count(f'id="{name}-title"') == 1
    assert "the middle half" in page


def test_either_half_is_enough() -> None:
    assert "Norm of each update, per unit of weight" in texts(render_plot("x", report=REPORT, summary=None))
    assert "auroc of each round's model" in texts(render_plot("x", report=None, summary=FULL))


def test_times_of_the_chain_stand_in_where_the_run_declares_none() -> None:
    chain = {"1": {"submission": 30.0, "posting": 7.0}}
    by_chain = "Seconds of each phase of a round, by the chain clock"
    assert by_chain in texts(render_plot("x", report=REPORT, summary=None, chain_seconds=chain))
    assert by_chain not in texts(render_plot("x", report=REPORT, summary=FULL, chain_seconds=chain))


def test_names_stay_text() -> None:
    people = {POISON: {"account": account(1), "rounds": {"1": {"auroc": 0.5}}}}
    picture = render_plot(POISON, report=None, summary=parse_summary(made_summary(participants=people)))
    root_element = ElementTree.fromstring(picture)
    tags = {element.tag.removeprefix(SVG) for element in root_element.iter()}
    assert not {"script", "image"} & tags
    assert POISON in texts(picture)


def test_one_metric_can_be_drawn_alone() -> None:
    rounds = {"1": {"auroc": 0.7, "loss": 0.4}}
    both = parse_summary(made_summary(rounds=rounds, participants=judged(2)))
    found = texts(render_plot("x", report=None, summary=of_metric(both, "loss")))
    assert "loss of each round's model" in found
    assert not any("auroc" in text for text in found)
    with pytest.raises(InputDataError, match="no metric 'f1'; there are: auroc, loss"):
        of_metric(both, "f1")


def test_two_runs_are_not_drawn_as_one() -> None:
    other = parse_summary(made_summary(model_root=root("another")))
    with pytest.raises(InputDataError, match="audit the run again"):
        render_plot("x", report=REPORT, summary=other)


def test_nothing_is_no_picture() -> None:
    empty = parse_report(made_report(rounds=0).to_json().encode())
    with pytest.raises(InputDataError, match="nothing that could be drawn"):
        render_plot("x", report=empty, summary=None)


def test_the_command_draws_a_folder(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(made_summary(participants=judged(2)))
    picture = tmp_path / "pictures" / "run.svg"
    done = CliRunner().invoke(app, ["plot", str(tmp_path), "--out", str(picture), "--metric", "auroc"])
    assert done.exit_code == 0, done.output
    assert tmp_path.name in texts(picture.read_text())
    (tmp_path / "audit.json").write_text(made_report().to_json())
    titled = CliRunner().invoke(app, ["plot", str(tmp_path), "--out", str(picture), "--title", "Shops"])
    assert titled.exit_code == 0, titled.output
    assert {"Shops", "Norm of each update, per unit of weight"} <= set(texts(picture.read_text()))


def test_the_command_says_what_is_missing_and_where_it_cannot_write(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["plot", str(tmp_path), "--out", str(tmp_path / "x.svg")])
    assert isinstance(refused.exception, ConfigError)
    assert "is no run's folder" in str(refused.exception)
    (tmp_path / "summary.json").write_bytes(made_summary())
    blocked = CliRunner().invoke(app, ["plot", str(tmp_path), "--out", str(tmp_path)])
    assert isinstance(blocked.exception, ConfigError)
    assert "cannot write the picture" in str(blocked.exception)
