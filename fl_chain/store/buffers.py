"""Memory that blobs are read into, used again.

A fresh array of some megabytes is a thousand pages that the system hands out and takes back, zeroed each
time; with one for every blob that is much work beside hashing it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

SMALLEST_BYTES = 1 << 20  # below, the allocator keeps the memory by itself
LARGEST_BYTES = 16 << 20  # above, pages cost little beside the rest, and keeping them much
MOST_BUFFERS = 4  # that wait to be used again; so at most 64 MiB lie idle

_Octets = npt.NDArray[np.uint8]
_idle: deque[_Octets] = deque(maxlen=MOST_BUFFERS)  # its methods are atomic: threads share it


class _Lease:
    """Holds memory as long as any array looks at it, and gives it back then."""

    def __init__(self, memory: _Octets, size_bytes: int) -> None:
        self._memory = memory
        self.__array_interface__: dict[str, Any] = memory[:size_bytes].__array_interface__

    def __del__(self) -> None:
        _idle.append(self._memory)


def empty_buffer(size_bytes: int) -> _Octets:
    """Return an array of bytes, of any content, that nobody else looks at.

    Its memory is used again once the last array that shares it is gone.
    """
    if not SMALLEST_BYTES <= size_bytes <= LARGEST_BYTES:
        return np.empty(size_bytes, dtype=np.uint8)
    try:
        memory = _idle.pop()
    except IndexError:
        memory = np.empty(size_bytes, dtype=np.uint8)
    if not size_bytes <= memory.size <= 2 * size_bytes:  # of blobs of another run
        memory = np.empty(size_bytes, dtype=np.uint8)
    return np.asarray(_Lease(memory, size_bytes))
