"""The worked jobs: rounds are the protocol's, pages say what results say, and small runs run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from examples.catalogue import ROOT, STUDIES, load_study
from examples.federation import federated_rounds
from examples.plot import study_svg
from examples.results import BLOCK, filled, results, write
from examples.study import FEDERATED, LOCAL, POOLED, REGIMES, Study, judged_rounds, run_seed, run_study
from fl_chain.aggregation.quantise import model_lanes, model_values
from fl_chain.commitment.tree import vector_root
from fl_chain.config import PolicySettings, RunSettings, data_places
from fl_chain.data.catalogue import DATASETS
from fl_chain.data.orange_juice import OWNERS, logistic_regression
from fl_chain.data.places import is_located
from fl_chain.errors import ConfigError, LedgerReverted
from fl_chain.learning import LocalLearner, build_task
from fl_chain.policy import run_policy

TASK, MODEL, TRAINING = logistic_regression()
PAGES = sorted({ROOT / entry.folder / "README.md" for entry in STUDIES.values()})
DATA_OF = {
    "purchase_intention": "online_shoppers",
    "shill_bidding": "shill_bidding",
    "payment_risk": "credit_card_default",
    "baskets_by_country": "online_retail",
    "baskets_by_group": "online_retail",
    "demand": "online_retail",
}


def settings(**policy: object) -> RunSettings:
    rules = {"rounds": 3, "quorum": len(OWNERS), "max_total_weight": 4096, "challenge_s": 600}
    return RunSettings(
        seed=4, task=TASK, model=MODEL, training=TRAINING, policy=PolicySettings(**rules | policy)
    )


def learners() -> dict[str, LocalLearner]:
    return {owner: LocalLearner(build_task(TASK, MODEL), TRAINING, owner=owner, seed=4) for owner in OWNERS}


def study(n_rounds: int = 3) -> Study:
    return Study(
        name="juice",
        settings=settings(rounds=n_rounds),
        task=lambda seed: build_task(TASK.model_copy(update={"split_seed": seed}), MODEL),
        participants=OWNERS,
        metric="auroc",
        references={"a coin": lambda task, data: {"auroc": 0.5, "accuracy": 0.5}},
    )


def test_rounds_are_those_of_float_averaging_up_to_rounding_and_repeat_bit_for_bit() -> None:
    policy = run_policy(settings())
    rounds = list(federated_rounds(policy, learners()))
    assert [made.round for made in rounds] == [1, 2, 3]
    people = learners()
    values = people["1"].genesis_values()
    for made in rounds:
        local = [people[owner].train(values, round_id=made.round) for owner in OWNERS]
        weights = np.array([one.n_examples for one in local], dtype=np.float64)
        mean = np.average([one.values.astype(np.float64) for one in local], axis=0, weights=weights)
        assert np.abs(made.values - mean).max() < 1e-4
        values = made.values
    again = list(federated_rounds(policy, learners()))
    assert [made.model_root for made in again] == [made.model_root for made in rounds]
    bits = policy.ledger.fraction_bits
    lanes = model_lanes(rounds[-1].values, bits)
    assert np.array_equal(model_values(lanes, bits), rounds[-1].values)
    assert vector_root(lanes) == rounds[-1].model_root


def test_the_ledger_refuses_what_its_rules_refuse() -> None:
    with pytest.raises(LedgerReverted):
        list(federated_rounds(run_policy(settings(max_total_weight=500)), learners()))


def test_a_study_compares_on_the_same_rows_and_its_files_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("<!-- figures: juice means -->\n<!-- end -->\n")
    outcomes = run_study(study(), (0, 1))
    assert outcomes[0].rows != {}
    assert set(outcomes[0].scores) == set(REGIMES)
    for outcome in outcomes:
        assert all(len(curve) == 3 for curve in outcome.curves.values())
        assert outcome.curves[LOCAL][-1] == pytest.approx(
            np.mean([own["auroc"] for own in outcome.scores[LOCAL].values()])
        )
        for who in OWNERS:
            assert outcome.scores["local_best"][who]["auroc"] >= outcome.scores[LOCAL][who]["auroc"]
    found = results(study(), (0, 1), outcomes)
    write(tmp_path, "juice", found)
    assert json.loads((tmp_path / "juice.json").read_text()) == json.loads(json.dumps(found))
    page = (tmp_path / "README.md").read_text()
    assert f"{found['means'][POOLED]['auroc']['mean']:.3f} ±" in page
    assert filled(page, tmp_path) == page
    assert "a coin" in page


def test_a_study_repeats_itself() -> None:
    first, second = (run_seed(study(n_rounds=1), 7) for _ in range(2))
    assert first == second
    assert first.model_root != run_seed(study(n_rounds=1), 8).model_root


@pytest.mark.parametrize(("rounds", "expected"), [(1, 1), (2, 2), (10, 10), (40, 10)])
def test_the_first_and_the_last_round_are_judged(rounds: int, expected: int) -> None:
    shown = judged_rounds(rounds)
    assert (shown[0], shown[-1], len(shown)) == (1, rounds, expected)


def test_an_unknown_example_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="payment_risk"):
        load_study("payment")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_a_page_says_what_its_results_say(page: Path) -> None:
    text = page.read_text()
    assert BLOCK.search(text)
    assert filled(text, page.parent) == text


@pytest.mark.parametrize("name", STUDIES)
def test_results_belong_to_the_settings_and_the_picture_to_the_results(name: str) -> None:
    folder = ROOT / STUDIES[name].folder
    found = json.loads((folder / f"{name}.json").read_text())
    assert study_svg(found) == (folder / f"{name}.svg").read_text()
    assert len(found["seeds"]) == STUDIES[name].seeds >= 3
    if is_located(DATASETS[DATA_OF[name]], data_places()):
        # A setting that came later has its default in results from before.
        assert RunSettings.model_validate(found["settings"]) == load_study(name).settings


@pytest.mark.parametrize("name", ["purchase_intention", "payment_risk"])
def test_federated_beats_local_only_beyond_the_spread(name: str) -> None:
    found = json.loads((ROOT / STUDIES[name].folder / f"{name}.json").read_text())
    gain = found["gain_over_local"][LOCAL]
    assert gain["mean"] > gain["std"] > 0
    assert (
        found["means"][FEDERATED]["average_precision"]["mean"]
        > found["means"][LOCAL]["average_precision"]["mean"]
    )


@pytest.mark.parametrize("name", STUDIES)
def test_one_round_of_two_participants_runs_on_the_real_data(name: str) -> None:
    if not is_located(DATASETS[DATA_OF[name]], data_places()):
        pytest.skip(f"{DATA_OF[name]} is not on this machine; name its folder in FL_CHAIN_DATA")
    whole = load_study(name)
    small = whole.participants[:2] if "baskets" not in name else whole.participants[-3:-1]
    rules = whole.settings.policy.model_copy(update={"rounds": 1, "quorum": 2})
    short = Study(
        name=whole.name,
        settings=whole.settings.model_copy(update={"policy": rules}),
        task=whole.task,
        participants=small,
        metric=whole.metric,
        higher_is_better=whole.higher_is_better,
        references=whole.references,
    )
    outcome = run_seed(short, 0)
    scores = outcome.scores[FEDERATED]
    assert set(scores) == set(small)
    assert all(np.isfinite(own[whole.metric]) for own in scores.values())
