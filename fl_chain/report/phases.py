"""The geometry of where a run's time went: a column of phases for each round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fl_chain.report.frame import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Tick, nice_ticks, shown, value_ticks
from fl_chain.report.panel import HEIGHT, Panel, Segment, figure, words

MOST_COLUMNS = 60


def phases(seconds: Mapping[str, Mapping[str, float]], clock: str) -> Panel:
    """Return where each round's time went, as columns.

    Args:
        seconds: by round, at least one, and by phase in the order of a round.
        clock: what they are counted by.
    """
    rounds = sorted(int(key) for key in seconds)
    names = list(dict.fromkeys(name for n in rounds for name in seconds[str(n)]))
    stretch = -(-len(rounds) // MOST_COLUMNS)
    columns = [rounds[start : start + stretch] for start in range(0, len(rounds), stretch)]
    means = [_mean_seconds(seconds, own, names) for own in columns]
    ticks = nice_ticks(0.0, max(math.fsum(own.values()) for own in means))
    step = (WIDTH - LEFT - RIGHT) / len(columns)
    scale = (HEIGHT - TOP - BOTTOM) / ticks[-1]
    segments = []
    for place, (own, mean) in enumerate(zip(columns, means, strict=True)):
        top = float(HEIGHT - BOTTOM)
        where = f"round {own[0]}" if len(own) == 1 else f"rounds {own[0]} to {own[-1]}, mean"
        for number, (name, taken) in enumerate(mean.items(), 1):
            height = taken * scale
            top -= height
            label = f"{where}: {words(name)} {taken:.3g} s"
            segments.append(
                Segment(
                    shown(LEFT + step * (place + 0.1)),
                    shown(top),
                    shown(step * 0.8),
                    shown(height),
                    f"phase-{number}",
                    label,
                )
            )
    total = {name: math.fsum(own.get(name, 0.0) for own in seconds.values()) for name in names}
    every = max(1, len(columns) // 10)
    return Panel(
        name="phases",
        title=f"Seconds of each phase of a round, by the {clock} clock",
        text="In all: " + ", ".join(f"{words(name)} {total[name]:.3g} s" for name in names) + ".",
        x_name="round",
        x_ticks=tuple(
            Tick(shown(LEFT + step * (place + 0.5)), str(own[0]))
            for place, own in enumerate(columns)
            if place % every == 0
        ),
        y_ticks=value_ticks(ticks, lambda value: HEIGHT - BOTTOM - value * scale),
        head=("round", *map(words, names)),
        rows=tuple((str(n), *(figure(seconds[str(n)].get(name, 0.0)) for name in names)) for n in rounds),
        key=tuple((f"phase-{number}", words(name)) for number, name in enumerate(names, 1)),
        segments=tuple(segments),
        note=f"Each column is the mean of {stretch} rounds." if stretch > 1 else "",
    )


def _mean_seconds(
    seconds: Mapping[str, Mapping[str, float]], rounds: Sequence[int], names: Sequence[str]
) -> dict[str, float]:
    return {name: math.fsum(seconds[str(n)].get(name, 0.0) for n in rounds) / len(rounds) for name in names}
