"""What a study found, as JSON, as a picture, and as the figures of its page; all three say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from examples.plot import study_svg
from examples.study import FEDERATED, LOCAL, LOCAL_BEST, REGIMES, SeedOutcome, Study, judged_rounds

NAMES = {
    FEDERATED: "federated",
    LOCAL: "local-only",
    LOCAL_BEST: "local-only, stopped at its best",
    "pooled": "pooled",
}
BLOCK = re.compile(r"(<!-- figures: (\w+) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def results(study: Study, seeds: Sequence[int], outcomes: Sequence[SeedOutcome]) -> dict[str, Any]:
    """Return what was found: means over participants, then mean and standard deviation over seeds."""
    first = outcomes[0]
    metrics = sorted({metric for own in first.scores[FEDERATED].values() for metric in own})
    metrics.sort(key=lambda metric: metric != study.metric)  # what decides comes first
    return {
        "example": study.name,
        "metric": study.metric,
        "higher_is_better": study.higher_is_better,
        "seeds": list(seeds),
        "dimension": first.dimension,
        "settings": study.settings.model_dump(mode="json", exclude_none=True),
        "participants": {
            who: dict(zip(("train", "test"), first.rows[who], strict=True)) for who in first.rows
        },
        "means": {
            regime: {
                metric: _spread([_mean(one.scores[regime], metric) for one in outcomes]) for metric in metrics
            }
            for regime in REGIMES
        },
        "references": {
            name: {
                metric: _spread([_mean(one.references[name], metric) for one in outcomes])
                for metric in metrics
                if any(metric in own for own in first.references[name].values())
            }
            for name in study.references
        },
        "gain_over_local": {
            other: _spread(
                [
                    _mean(one.scores[FEDERATED], study.metric) - _mean(one.scores[other], study.metric)
                    for one in outcomes
                ]
            )
            for other in (LOCAL, LOCAL_BEST)
        },
        "by_participant": {
            who: {
                regime: _spread([one.scores[regime][who][study.metric] for one in outcomes])
                for regime in REGIMES
            }
            for who in study.participants
        },
        "references_by_participant": {
            who: {
                name: _spread([one.references[name][who][study.metric] for one in outcomes])
                for name in study.references
            }
            for who in study.participants
        },
        "rounds": list(judged_rounds(study.settings.policy.rounds)),
        "curves": {
            regime: [
                _spread(list(values))
                for values in zip(*(one.curves[regime] for one in outcomes), strict=True)
            ]
            for regime in first.curves
        },
        "model_roots": {str(seed): one.model_root for seed, one in zip(seeds, outcomes, strict=True)},
    }


def write(folder: Path, name: str, found: Mapping[str, Any]) -> None:
    """Write NAME.json and NAME.svg into a folder, and the figures into its page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.svg").write_text(study_svg(found), encoding="utf-8")
    page = folder / "README.md"
    if page.is_file():
        page.write_text(filled(page.read_text(encoding="utf-8"), folder), encoding="utf-8")


def filled(page: str, folder: Path) -> str:
    """Return a page with its figures in place, between ``<!-- figures: STUDY KIND -->`` and an end mark."""

    def figure(found: re.Match[str]) -> str:
        path = folder / f"{found[2]}.json"
        if not path.is_file():
            return found[0]
        content = json.loads(path.read_text(encoding="utf-8"))
        return f"{found[1]}{KINDS[found[3]](content)}{found[4]}"

    return BLOCK.sub(figure, page)


def means(found: Mapping[str, Any]) -> str:
    """Return the table of all metrics: means over participants, and the spread over seeds."""
    metrics = list(found["means"][FEDERATED])
    rows = [(NAMES[regime], found["means"][regime]) for regime in REGIMES]
    rows += [(name.replace("_", " "), scores) for name, scores in found["references"].items()]
    return _table(
        ("mean over participants", *(metric.replace("_", " ") for metric in metrics)),
        [
            (name, *(_shown(scores[metric]) if metric in scores else "" for metric in metrics))
            for name, scores in rows
        ],
    )


def participants(found: Mapping[str, Any]) -> str:
    """Return the table of the metric by participant, with who gains by federation."""
    references = list(found["references"])
    head = ("participant", "rows", *(NAMES[regime] for regime in REGIMES))
    rows = []
    for who, scores in found["by_participant"].items():
        cells = [_shown(scores[regime]) for regime in REGIMES]
        cells += [_shown(found["references_by_participant"][who][name]) for name in references]
        rows.append((who, f"{found['participants'][who]['train']:,}", *cells))
    return _table((*head, *(name.replace("_", " ") for name in references)), rows)


def verdict(found: Mapping[str, Any]) -> str:
    """Return in words by how much federated differs from local-only, and for whom."""
    metric, sign = found["metric"].replace("_", " "), 1 if found["higher_is_better"] else -1
    lines = []
    for other, gain in found["gain_over_local"].items():
        better = [
            who
            for who, scores in found["by_participant"].items()
            if sign * (scores[FEDERATED]["mean"] - scores[other]["mean"]) > 0
        ]
        worse = [who for who in found["by_participant"] if who not in better]
        lines.append(
            f"Against {NAMES[other]}, federated {metric} differs by {gain['mean']:+.4f} ± {gain['std']:.4f} "
            f"in the mean over participants ({len(found['seeds'])} seeds); it is better for {len(better)} of "
            f"{len(better) + len(worse)}" + (f", and not for {', '.join(worse)}" if worse else "") + ".\n"
        )
    return "\n".join(lines)


KINDS = {"means": means, "participants": participants, "verdict": verdict}


def _mean(scores: Mapping[str, Mapping[str, float]], metric: str) -> float:
    """Return a metric's mean over the participants for whose held-out rows it is defined."""
    return float(np.mean([own[metric] for own in scores.values() if metric in own]))


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Return mean and sample standard deviation over seeds, to six digits: more are noise."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 6), "std": round(deviation, 6)}


def _shown(spread: Mapping[str, float]) -> str:
    return f"{spread['mean']:.3f} ± {spread['std']:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |\n" for cells in (head, *rows)]
    return "".join([lines[0], "|---" * len(head) + "|\n", *lines[1:]])
