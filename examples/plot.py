"""A study as a picture: the metric by round with its spread over seeds, and by participant. Plain SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import escape

from fl_chain.report.frame import nice_ticks

COLOURS = {"federated": "#0072B2", "local": "#D55E00", "local_best": "#E69F00", "pooled": "#009E73"}
LABELS = {
    "federated": "federated",
    "local": "local-only",
    "local_best": "local-only at its best",
    "pooled": "pooled",
}
WIDTH, TOP, BOTTOM = 960, 56, 44
LEFT_PANEL = (70, 440)
RIGHT_PANEL = (640, 930)
ROW = 24


def study_svg(found: Mapping[str, Any]) -> str:
    """Return the picture of a study's results.

    Args:
        found: as `examples.results.results` gives it.
    """
    people = list(found["by_participant"])
    height = TOP + max(240, ROW * len(people)) + BOTTOM
    metric = found["metric"].replace("_", " ")
    title = f"{found['example']}: {metric}, {len(found['seeds'])} seeds"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="16" y="22" font-size="15">{escape(title)}</text>',
        *_legend(),
        *_curves(found, height),
        *_participants(found, people, height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend() -> list[str]:
    parts, x = [], 420
    for regime, label in LABELS.items():
        parts.append(f'<circle cx="{x}" cy="18" r="5" fill="{COLOURS[regime]}"/>')
        parts.append(f'<text x="{x + 9}" y="22">{label}</text>')
        x += 30 + 7 * len(label)
    return parts


def _curves(found: Mapping[str, Any], height: int) -> list[str]:
    rounds, curves = found["rounds"], found["curves"]
    values = [
        point["mean"] + side * point["std"]
        for curve in curves.values()
        for point in curve
        for side in (-1, 1)
    ]
    ticks = nice_ticks(min(values), max(values))
    left, right = LEFT_PANEL

    def x(number: float) -> float:
        return left + (number - rounds[0]) / max(1, rounds[-1] - rounds[0]) * (right - left)

    def y(value: float) -> float:
        return height - BOTTOM - (value - ticks[0]) / (ticks[-1] - ticks[0]) * (height - BOTTOM - TOP)

    parts = []
    for tick in ticks:
        parts.append(
            f'<line x1="{left}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#dddddd"/>'
        )
        parts.append(f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.3g}</text>')
    for number in (rounds[0], rounds[len(rounds) // 2], rounds[-1]):
        parts.append(
            f'<text x="{x(number):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{number}</text>'
        )
    parts.append(
        f'<text x="{(left + right) // 2}" y="{height - 8}" text-anchor="middle">round; mean over '
        "participants, one standard deviation over seeds</text>"
    )
    for regime, curve in curves.items():
        band = [(number, p["mean"] + p["std"]) for number, p in zip(rounds, curve, strict=True)]
        band += [
            (number, p["mean"] - p["std"]) for number, p in reversed(list(zip(rounds, curve, strict=True)))
        ]
        points = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in band)
        parts.append(f'<polygon points="{points}" fill="{COLOURS[regime]}" opacity="0.18"/>')
        line = " ".join(
            f"{x(number):.1f},{y(p['mean']):.1f}" for number, p in zip(rounds, curve, strict=True)
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[regime]}" stroke-width="2"/>')
    return parts


def _participants(found: Mapping[str, Any], people: Sequence[str], height: int) -> list[str]:
    scores = found["by_participant"]
    values = [
        s["mean"] + side * s["std"] for own in scores.values() for s in own.values() for side in (-1, 1)
    ]
    ticks = nice_ticks(min(values), max(values), 4)
    left, right = RIGHT_PANEL

    def x(value: float) -> float:
        return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (right - left)

    parts = []
    for tick in ticks:
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 8}" y2="{height - BOTTOM}" '
            'stroke="#dddddd"/>'
        )
        parts.append(
            f'<text x="{x(tick):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{tick:.3g}</text>'
        )
    for number, who in enumerate(people):
        middle = TOP + ROW * number + 6
        parts.append(f'<text x="{left - 12}" y="{middle + 4}" text-anchor="end">{escape(who)}</text>')
        for shift, (regime, score) in enumerate(scores[who].items()):
            y = middle + 4 * (shift - 1.5)
            low, high = x(score["mean"] - score["std"]), x(score["mean"] + score["std"])
            colour = COLOURS[regime]
            parts.append(
                f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"/>'
            )
            parts.append(
                f'<circle cx="{x(score["mean"]):.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">'
                f"<title>{escape(who)}, {LABELS[regime]}: {score['mean']:.4f} ± {score['std']:.4f}"
                "</title></circle>"
            )
    return parts
