"""The protocol once more, as plainly as it is stated, in Python integers and bytes.

What the golden vectors are made of: nothing here comes from fl_chain, so that the package is not compared
with itself.
"""

from __future__ import annotations

import hashlib
import struct

CHUNK_LANES = 1024
FAN_IN = 8


def sha256(*parts: bytes) -> bytes:
    """The digest of all parts, one after the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def u64(value: int) -> bytes:
    """Eight big-endian bytes."""
    return struct.pack(">Q", value)


def shown(value: bytes) -> str:
    """How bytes stand in the files."""
    return "0x" + value.hex()


def levels(lanes: list[int]) -> list[list[bytes]]:
    """Every level of a vector's tree, padding included, chunk hashes first."""
    chunks = 1
    while chunks * CHUNK_LANES < len(lanes):
        chunks *= 2
    padded = lanes + [0] * (chunks * CHUNK_LANES - len(lanes))
    content = [padded[i : i + CHUNK_LANES] for i in range(0, len(padded), CHUNK_LANES)]
    tree = [[sha256(b"\x00", struct.pack(">1024I", *chunk)) for chunk in content]]
    while len(tree[-1]) > 1:
        below = tree[-1]
        tree.append([sha256(b"\x01", below[i], below[i + 1]) for i in range(0, len(below), 2)])
    return tree


def vector_root(lanes: list[int]) -> bytes:
    """The top of a vector's tree."""
    return levels(lanes)[-1][0]


def chunk_path(lanes: list[int], index: int) -> list[bytes]:
    """The siblings from a chunk up to the root, lowest first."""
    return [level[(index >> height) ^ 1] for height, level in enumerate(levels(lanes)[:-1])]


def lane_sum(vectors: list[list[int]], dimension: int) -> list[int]:
    """The sum of vectors, lane by lane, modulo 2^32."""
    return [sum(vector[i] for vector in vectors) % 2**32 for i in range(dimension)]


def signed(lane: int) -> int:
    """A lane read as two's complement."""
    return lane - 2**32 if lane >= 2**31 else lane


def chunk_bytes(lanes: list[int], index: int) -> bytes:
    """The content of a chunk, which may be one of the padding."""
    content = lanes[index * CHUNK_LANES : (index + 1) * CHUNK_LANES]
    return struct.pack(f">{CHUNK_LANES}I", *content, *[0] * (CHUNK_LANES - len(content)))


def sealed_root(
    root: bytes, salt: bytes, *, chain_id: int, ledger: bytes, round_id: int, who: bytes
) -> bytes:
    """A participant's commitment to an update."""
    return sha256(b"\x04", root, salt, u64(chain_id), ledger, u64(round_id), who)


def leaf(sealed: bytes, weight: int, who: bytes) -> bytes:
    """What the ledger stores for a submission."""
    return sha256(b"\x02", sealed, u64(weight), who)


def sums_hash(roots: list[bytes]) -> bytes:
    """What the ledger stores for a posting's list."""
    return sha256(b"\x03", *roots)


def partial_sums(included: list[list[int]], dimension: int) -> list[list[list[int]]]:
    """Every level of sums, level 1 first.

    Args:
        included: the vectors of all submissions, zeros for one that is excluded.
        dimension: lanes of each.
    """
    below = included
    found: list[list[list[int]]] = []
    while not found or len(below) > 1:
        below = [lane_sum(below[i : i + FAN_IN], dimension) for i in range(0, len(below), FAN_IN)]
        found.append(below)
    return found


def applied(base: list[int], total: list[int], fraction_bits: int, divisor: int) -> list[int]:
    """The model after a round; ``divisor`` is total weight * 2^scale_bits."""
    model = []
    for lane, change in zip(base, total, strict=True):
        moved = signed(lane) + (2 * signed(change) * 2**fraction_bits + divisor) // (2 * divisor)
        model.append(max(-(2**31), min(2**31 - 1, moved)) % 2**32)
    return model
