"""Random numbers that only whoever holds a key can foretell: who is sampled, and the noise.

Noise that others can draw again hides nothing, so it never follows from the run's public seed. The stream
is ChaCha20's (RFC 8439). A normal number is half the sum of four that Box and Muller's method gives: one
number's bits in floating point can betray what was added to it, those of such a sum cannot in practice
(Holohan and Braghin, "Secure Random Sampling in Differential Privacy", ESORICS 2021).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from fl_chain.commitment.encoding import bytes32

Floats = npt.NDArray[np.float64]

_NONCE = bytes(16)  # block counter and nonce: a key is used for one stream
_SUMMANDS = 4
_WORD_BYTES = 8


class SecretStream:
    """A stream of numbers; the same key gives the same numbers."""

    def __init__(self, key: bytes) -> None:
        """Begin a stream.

        Args:
            key: 32 secret bytes, used for nothing else.

        Raises:
            ValueError: if the key has another length.
        """
        self._stream = Cipher(ChaCha20(bytes32(key, "a noise key"), _NONCE), None).encryptor()

    def words(self, count: int) -> npt.NDArray[np.uint64]:
        """Return numbers of 64 random bits, shape (count,)."""
        drawn = np.frombuffer(self._stream.update(bytes(_WORD_BYTES * count)), dtype="<u8")
        return drawn.astype(np.uint64)

    def uniform(self, count: int) -> Floats:
        """Return numbers of 53 random bits in [0, 1), shape (count,)."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def sampled(self, count: int, rate: float) -> npt.NDArray[np.bool_]:
        """Return for each of ``count`` whether it is drawn, each by itself with probability ``rate``."""
        drawn: npt.NDArray[np.bool_] = self.uniform(count) < rate
        return drawn

    def normal(self, count: int) -> Floats:
        """Return independent normal numbers of mean 0 and deviation 1, shape (count,)."""
        pairs = self.uniform(2 * _SUMMANDS * count).reshape(2, _SUMMANDS, count)
        radius = np.sqrt(-2.0 * np.log1p(-pairs[0]))  # of 1 - u, which is never 0
        summed: Floats = (radius * np.cos(2.0 * np.pi * pairs[1])).sum(axis=0)
        return summed / 2.0
