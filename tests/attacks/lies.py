"""Every way in which a posting can lie about a lane, drawn at random; all hashes are consistent upward."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rounds import Native, PostedRoundCase, World

from fl_chain.commitment.partial_sums import FAN_IN

LIES = (
    "altered update",
    "update over the bound",
    "update past the dimension",
    "sum and all above",
    "sum alone",
    "sum under a right total",
    "submission dropped",
    "submission counted twice",
    "excluded submission counted",
    "model lane",
    "model past the dimension",
)


def delta(rng: np.random.Generator) -> int:
    return int(rng.choice([1, 2**32 - 1, 2**31, int(rng.integers(1, 2**32))]))


def add(lanes: Native, lane: int, change: int) -> None:
    lanes[lane] = (int(lanes[lane]) + change) % 2**32


def lane_of(world: World, rng: np.random.Generator) -> int:
    """Return a lane, often next to a border of chunks or of the dimension."""
    borders = [0, world.dimension - 1, 1023, 1024, world.updates.shape[1] - 1, world.updates.shape[1] - 1024]
    lane = int(rng.choice(borders)) if rng.random() < 0.5 else int(rng.integers(world.dimension))
    return min(lane, world.dimension - 1)


def any_lane(world: World, rng: np.random.Generator) -> int:
    return int(rng.integers(world.updates.shape[1])) if rng.random() < 0.5 else lane_of(world, rng)


def included(world: World, rng: np.random.Generator) -> int:
    return int(rng.choice([index for index in range(world.count) if index not in world.excluded]))


def told(world: World, lie: str, rng: np.random.Generator) -> PostedRoundCase | None:
    """Return a posting with this lie in it; None where the round has no room for it."""
    if lie.startswith("update "):
        return _wrong_update(world, lie, rng)
    if lie.startswith("model"):
        return _wrong_model(world, lie, rng)
    if lie.startswith("sum"):
        return _wrong_sum(world, lie, rng)
    return _wrong_set(world, lie, rng)


def _wrong_update(world: World, lie: str, rng: np.random.Generator) -> PostedRoundCase | None:
    index = included(world, rng)
    if lie == "update over the bound":
        bound = world.quantisation.clip_lanes * world.weights[index]
        if bound == 2**31 - 1:
            return None
        value = int(rng.choice([-1, 1])) * int(rng.integers(bound + 1, 2**31))
        return world.with_update(index, lane_of(world, rng), value).posted()
    if world.dimension == world.updates.shape[1]:
        return None
    lane = int(rng.integers(world.dimension, world.updates.shape[1]))
    return world.with_update(index, lane, delta(rng)).posted()


def _wrong_model(world: World, lie: str, rng: np.random.Generator) -> PostedRoundCase | None:
    model = world.model_of(world.honest_sums()[-1][0])
    lane = lane_of(world, rng)
    if lie == "model past the dimension":
        if world.dimension == model.size:
            return None
        lane = int(rng.integers(world.dimension, model.size))
    add(model, lane, delta(rng))
    return world.posted(model=model)


def _wrong_sum(world: World, lie: str, rng: np.random.Generator) -> PostedRoundCase | None:
    sums = world.honest_sums()
    if lie == "sum under a right total" and len(sums) == 1:
        return None
    top = len(sums) - 1 if lie == "sum under a right total" else len(sums)
    level = int(rng.integers(1, top + 1))
    position = int(rng.integers(len(sums[level - 1])))
    add(sums[level - 1][position], any_lane(world, rng), delta(rng))
    if lie == "sum and all above":
        world.sums_above(sums, level, position)
    return world.posted(sums)


def _wrong_set(world: World, lie: str, rng: np.random.Generator) -> PostedRoundCase | None:
    sums, index = world.honest_sums(), included(world, rng)
    if lie == "altered update":
        updates = world.updates.copy()
        add(updates[index], any_lane(world, rng), delta(rng))
        return world.posted(world.sums_of(updates))
    if lie == "excluded submission counted":
        if not world.excluded:
            return None
        index = int(rng.choice(list(world.excluded)))
    if not world.updates[index].any():
        return None
    group = sums[0][index // FAN_IN]
    if lie == "submission dropped":
        group -= world.updates[index]
    else:
        group += world.updates[index]
    return world.posted(world.sums_above(sums, 1, index // FAN_IN))


def withheld(case: PostedRoundCase, **taken: object) -> PostedRoundCase:
    """Return a posting some of whose blobs nobody can read: ``updates``, ``sums``, ``models`` or ``base``."""
    return replace(case, blobs=replace(case.blobs, **taken))
