"""A partition as a picture: one bar a participant, its rows by class. SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from markupsafe import escape

BAR_HEIGHT, BAR_GAP = 18, 6
NAME_WIDTH, BAR_WIDTH, COUNT_WIDTH = 140, 560, 70
MARGIN, HEAD = 12, 34
NAME_LENGTH, MOST_CLASSES = 20, 20

# Okabe and Ito's colours, which most colour-blind people tell apart, and paler ones of the same order.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#666666"),
    *("#80B8D8", "#F2CF80", "#80CEB9", "#E5BCD3", "#AAD9F4", "#EAAE80", "#F7F1A0", "#B2B2B2"),
)


def partition_svg(
    title: str, participants: Sequence[str], classes: Sequence[str], counts: npt.NDArray[Any]
) -> str:
    """Return the picture.

    Args:
        title: above it.
        participants: a name for each bar.
        classes: a name for each colour; beyond 20 the rarest share one.
        counts: rows, shape (participants, classes).
    """
    classes, counts = _fewer(classes, counts)
    most = max(1, int(counts.sum(axis=1).max()))
    width = 2 * MARGIN + NAME_WIDTH + BAR_WIDTH + COUNT_WIDTH
    legend, legend_height = _legend(classes, width)
    top = MARGIN + HEAD + legend_height
    height = top + len(participants) * (BAR_HEIGHT + BAR_GAP) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 14}" font-size="15">{escape(title)}</text>',
        *legend,
    ]
    for number, (name, row) in enumerate(zip(participants, counts, strict=True)):
        parts += _bar(name, classes, row, top + number * (BAR_HEIGHT + BAR_GAP), most)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(name: str, classes: Sequence[str], row: npt.NDArray[Any], y: int, most: int) -> list[str]:
    middle = y + BAR_HEIGHT - 5
    shown = name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
    parts = [
        f'<text x="{MARGIN + NAME_WIDTH - 8}" y="{middle}" text-anchor="end">{escape(shown)}</text>',
    ]
    x = float(MARGIN + NAME_WIDTH)
    for number, (label, count) in enumerate(zip(classes, row.tolist(), strict=True)):
        if count:
            width = BAR_WIDTH * count / most
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT}" '
                f'fill="{_colour(number)}"><title>{escape(name)}, {escape(label)}: {count:,}</title></rect>'
            )
            x += width
    parts.append(f'<text x="{x + 6:.1f}" y="{middle}" fill="#444444">{int(row.sum()):,}</text>')
    return parts


def _legend(classes: Sequence[str], width: int) -> tuple[list[str], int]:
    parts, x, y = [], MARGIN, MARGIN + HEAD
    for number, label in enumerate(classes):
        shown = label if len(label) <= NAME_LENGTH else label[: NAME_LENGTH - 1] + "…"
        taken = 26 + 7 * len(shown)
        if x + taken > width - MARGIN and x > MARGIN:
            x, y = MARGIN, y + 18
        parts.append(f'<rect x="{x}" y="{y - 10}" width="11" height="11" fill="{_colour(number)}"/>')
        parts.append(f'<text x="{x + 16}" y="{y}">{escape(shown)}</text>')
        x += taken
    return parts, y - MARGIN - HEAD + 16


def _fewer(classes: Sequence[str], counts: npt.NDArray[Any]) -> tuple[list[str], npt.NDArray[Any]]:
    if len(classes) <= MOST_CLASSES:
        return list(classes), counts
    order = counts.sum(axis=0).argsort(kind="stable")[::-1]
    kept = sorted(order[: MOST_CLASSES - 1].tolist())
    reduced = counts[:, [*kept, 0]].copy()
    reduced[:, -1] = counts.sum(axis=1) - reduced[:, :-1].sum(axis=1)
    return [*(classes[i] for i in kept), "others"], reduced


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
