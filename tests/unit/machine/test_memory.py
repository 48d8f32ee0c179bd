"""Memory that a process keeps is used again without the system."""

import gc
import subprocess
import sys

import pytest

from fl_chain.machine.memory import collecting_seldom

SCRIPT = """
import resource, sys
import numpy as np
from fl_chain.machine.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        arrays = [np.empty(3 << 20, dtype=np.uint8) for _ in range(4)]
        for array in arrays:
            array[::4096] = 1
        del arrays, array
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert not sys.argv[1:] or keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another C library than glibc")
def test_arrays_of_one_size_come_without_new_pages() -> None:
    usual, kept = (
        int(
            subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, check=True).stdout
        )
        for arguments in ((), ("kept",))
    )
    array_pages = 768
    assert kept < array_pages <= usual // 4


def test_garbage_is_searched_for_among_new_objects_only() -> None:
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    with collecting_seldom():
        assert gc.get_threshold()[0] > thresholds[0]
        assert gc.get_freeze_count() > frozen + 1000
        assert len(gc.get_objects()) < 1000
    assert (gc.get_threshold(), gc.get_freeze_count()) == (thresholds, 0)
