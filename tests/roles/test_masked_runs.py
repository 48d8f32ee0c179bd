"""Whole runs in which nobody sees a single update."""

from pathlib import Path

from consortium import Consortium, policy

from fl_chain.config import MaskingSettings
from fl_chain.ledger.history import History

SECAGG = MaskingSettings(kind="secagg")


def is_over(history: History) -> bool:
    state = history.state
    return state.tip > 0 and history.rounds[state.tip].step == 2 and state.settled == state.latest


def test_a_masked_run_makes_the_model_of_the_plain_run_and_passes_its_audit(tmp_path: Path) -> None:
    # The same resolution for both: a masked run leaves room for noise to show.
    chosen = policy(rounds=2, scale_bits=15)
    masked = Consortium(tmp_path / "masked", privacy=SECAGG, policy=chosen)
    masked.work_until(is_over)
    plain = Consortium(tmp_path / "plain", policy=chosen)
    plain.work_until(is_over)

    roots = [
        [one.postings[number].model_root for number in (1, 2)] for one in (masked.history, plain.history)
    ]
    assert roots[0] == roots[1]
    report = masked.audit()
    assert report.verdict == "pass", report.findings
