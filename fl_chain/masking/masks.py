"""Masks: the key stream of ChaCha20 (RFC 8439), added to lanes modulo 2^32.

The stream's bytes are read as lanes are, big-endian, from block 0 with nonce 0: a key masks one vector. The
stream is made in a buffer that stays in the core's own cache, and added from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.encoding import bytes32
from fl_chain.commitment.sizes import CHUNK_BYTES
from fl_chain.masking.context import MaskingContext, derived, pair_bytes
from fl_chain.masking.keys import agreed_secret, seed16
from fl_chain.records import Address

BLOCK_BYTES = 1 << 18  # smaller ones take more calls, larger ones leave the cache
_ZEROS = memoryview(bytes(BLOCK_BYTES))
_NONCE = bytes(16)  # block counter and nonce

Sum = npt.NDArray[np.uint32]
"""Lanes in this machine's order, shape (dimension,): what masks are added to."""


@dataclass(frozen=True, slots=True)
class Mask:
    """A key stream to be added to lanes, or taken off."""

    key: bytes  # of the stream, 32 bytes; used for no other vector
    is_negative: bool = False


def add_masks(lanes: Sum, masks: Sequence[Mask]) -> None:
    """Add masks to lanes in place, modulo 2^32.

    All masks go on one block of lanes, which stays in the core's cache, before the next block follows.

    Args:
        lanes: shape (dimension,), contiguous uint32 of this machine's order.
        masks: in any order, which does not matter to the sum.

    Raises:
        ValueError: if the lanes are of another form, or a key has another length.
    """
    if (
        lanes.dtype != np.uint32
        or not lanes.dtype.isnative
        or lanes.ndim != 1
        or not lanes.flags.c_contiguous
    ):
        raise ValueError(f"masks are added to one row of native uint32, not {lanes.dtype.str} {lanes.shape}")
    streams = [
        (Cipher(ChaCha20(bytes32(mask.key, "a mask's key"), _NONCE), None).encryptor(), mask.is_negative)
        for mask in masks
    ]
    buffer = np.empty(BLOCK_BYTES, dtype=np.uint8)
    block = BLOCK_BYTES // LANE.itemsize
    for start in range(0, lanes.size, block):
        part = lanes[start : start + block]
        content = buffer[: part.nbytes]
        summands = content.view(LANE)
        for stream, is_negative in streams:
            stream.update_into(_ZEROS[: part.nbytes], content.data)
            if is_negative:
                np.subtract(part, summands, out=part)
            else:
                np.add(part, summands, out=part)


def chunk_of_mask(mask: Mask, chunk: int) -> Lanes:
    """Return 1024 lanes of a mask from the middle of its stream, as they are added; big-endian."""
    counter = chunk * (CHUNK_BYTES // 64)  # the cipher's blocks have 64 bytes
    nonce = counter.to_bytes(4, "little") + bytes(12)
    stream = Cipher(ChaCha20(bytes32(mask.key, "a mask's key"), nonce), None).encryptor()
    lanes = np.frombuffer(stream.update(bytes(CHUNK_BYTES)), dtype=LANE)
    return lanes if not mask.is_negative else (0 - lanes.astype(np.uint32)).astype(LANE)


def self_mask_key(seed: bytes, context: MaskingContext, participant: Address) -> bytes:
    """Return the key of the mask that a participant puts on its own update.

    Args:
        seed: the participant's mask seed of the round, 16 bytes.
        context: the round.
        participant: whose.

    Raises:
        ValueError: if the seed has another length.
    """
    return derived(seed16(seed), context, b"self mask" + pair_bytes(participant, participant))


def pair_mask_key(
    private: bytes, public: bytes, context: MaskingContext, pair: tuple[Address, Address]
) -> bytes:
    """Return the key of the mask that two participants share; both find the same.

    Args:
        private: the round key of one of them.
        public: the round key of the other.
        context: the round.
        pair: who they are, in either order.

    Raises:
        MalformedBlob: if the other's key is none.
    """
    return derived(agreed_secret(private, public), context, b"pair mask" + pair_bytes(*pair))


def is_subtracted(participant: Address, peer: Address) -> bool:
    """Return whether a participant takes off the mask that its peer adds: the one with the higher address."""
    return participant > peer


def native_lanes(lanes: Lanes) -> Sum:
    """Return a copy of big-endian lanes in this machine's order."""
    return lanes.astype(np.uint32)


def wire_lanes(lanes: Sum) -> Lanes:
    """Return lanes in big-endian order, in the same memory: the argument is of no use any more."""
    return lanes.view(LANE) if LANE.isnative else lanes.byteswap(inplace=True).view(LANE)
