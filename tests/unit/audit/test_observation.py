"""The compiled pass over an update sees what the interpreter's sees."""

import numpy as np
import pytest

from fl_chain.audit import observation
from fl_chain.audit.observation import CROSSED, observed
from fl_chain.audit.sketches import BUCKETS, ROWS
from fl_chain.commitment import native
from fl_chain.commitment.chunks import LANE

BLOCK = BUCKETS * ROWS


@pytest.mark.parametrize("dimension", [1, BUCKETS, BUCKETS + 1, BLOCK - 1, BLOCK + 5, CROSSED * BLOCK + 3])
@pytest.mark.parametrize("kind", ["usual", "extreme", "zero"])
@pytest.mark.parametrize("has_earlier", [False, True])
def test_both_see_the_same(
    monkeypatch: pytest.MonkeyPatch, dimension: int, kind: str, has_earlier: bool
) -> None:
    rng = np.random.default_rng(dimension)
    values = {
        "usual": lambda: rng.integers(-5, 6, dimension),
        "extreme": lambda: rng.choice([-(2**31), 2**31 - 1], dimension),
        "zero": lambda: np.zeros(dimension, dtype=np.int64),
    }[kind]()
    lanes = values.astype(np.int32).view(np.uint32).astype(LANE)
    lanes.flags.writeable = False
    signs, earlier = (rng.choice(np.array([-1, 1], dtype=np.int8), dimension) for _ in range(2))
    assert native.kernels() is not None
    found = []
    for kernels in (native.kernels(), None):
        monkeypatch.setattr(observation, "kernels_for", lambda size, kernels=kernels: kernels)
        found.append(observed(lanes, signs, earlier if has_earlier else None))
    compiled, plain = found
    for name in ("square", "largest", "zero_lanes", "crossed_lanes"):
        assert getattr(compiled, name) == getattr(plain, name)
    for name in ("sketch", "part", "crossing"):
        assert np.array_equal(getattr(compiled, name), getattr(plain, name))
    assert compiled.square == sum(int(value) ** 2 for value in values)
