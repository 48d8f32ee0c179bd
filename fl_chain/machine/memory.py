"""What a process that works through many rounds does with its memory.

A fresh array of some megabytes is thousands of pages that the system takes, zeroes and hands out one by one,
and takes back when the array is gone. Training and quantising make such arrays for every batch and every
update: where memory is virtual, that costs a tenth of their time.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD = -1  # of glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_LARGEST_KEPT_BYTES = 32 << 20  # glibc's own bound on that; a larger array is worth its pages
_COLLECTED_OBJECTS = 20_000  # new ones after which Python looks for cyclic garbage; its own number is 700
_MOST = 2**31 - 1  # of an int: free memory at the end of the heap is never given back


def keep_freed_memory() -> bool:
    """Let this process, and those that are forked from it, keep memory that it has freed.

    It is for processes that make arrays of the same sizes again and again: what they hold at most, they hold
    to their end.

    Returns:
        Whether the C library does that; other libraries than glibc are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES) and mallopt(_M_TRIM_THRESHOLD, _MOST))


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Leave what is there out of the search for cyclic garbage, and search more seldom.

    The search goes through all objects again and again: those of the loaded libraries alone take it a tenth
    of a second each time. Processes that are forked within share their memory, which a search would copy.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
