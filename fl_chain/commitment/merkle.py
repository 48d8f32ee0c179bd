"""The SHA-256 chunk tree over plain bytes, the hot loop of the project.

Leaves and nodes are hashed with different first bytes, as in RFC 6962, section 2.1, so that neither can
stand for the other. Large inputs go through compiled loops where there are any.
"""

from __future__ import annotations

import hashlib

import numpy as np

from fl_chain.commitment.native import hashing_for, hashing_in_use
from fl_chain.commitment.sizes import CHUNK_BYTES, HASH_BYTES

BLOCK_LEVEL = 10  # 1024 chunks, 4 MiB: some milliseconds' work, whose hashes stay in a core's own cache
BLOCK_BYTES = CHUNK_BYTES << BLOCK_LEVEL
_FEW = 16  # chunks or nodes: so few are hashed faster than a compiled loop is called

# Copying a context that has taken the tag in is faster than building tag || chunk: that would copy the chunk.
_LEAF = hashlib.sha256(b"\x00")
_NODE = hashlib.sha256(b"\x01")


def chunk_hash(chunk: bytes | bytearray | memoryview) -> bytes:
    """Return the hash of one chunk of 4096 bytes.

    Raises:
        ValueError: if the chunk has another length.
    """
    if len(chunk) != CHUNK_BYTES:
        raise ValueError(f"a chunk has {CHUNK_BYTES} bytes, not {len(chunk)}; pad the last one with zeros")
    context = _LEAF.copy()
    context.update(chunk)
    return context.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node from its two children, 32 bytes each."""
    context = _NODE.copy()
    context.update(left + right)
    return context.digest()


def _zero_subtree_roots(levels: int) -> tuple[bytes, ...]:
    roots = [chunk_hash(bytes(CHUNK_BYTES))]
    for _ in range(levels):
        roots.append(node_hash(roots[-1], roots[-1]))
    return tuple(roots)


# The root of a tree of 2^level zero chunks; a dimension is below 2^64, so a tree has at most 2^54 chunks.
ZERO_SUBTREE_ROOTS = _zero_subtree_roots(54)
ZERO_ROOTS = np.frombuffer(b"".join(ZERO_SUBTREE_ROOTS), dtype=np.uint8).reshape(-1, HASH_BYTES)


def hash_block(view: memoryview) -> tuple[bytes, bytes]:
    """Return the chunk hashes and the root of one block of chunks.

    Args:
        view: at most ``BLOCK_BYTES``, one-dimensional, format ``B``.

    Returns:
        32 bytes for each chunk that holds something, and the root at ``BLOCK_LEVEL``, zero chunks filling up.
    """
    hashes = hash_chunks(view)
    return hashes, subtree_root(hashes, 0, BLOCK_LEVEL)


def hash_chunks(view: memoryview) -> bytes:
    """Return the hashes of the chunks of a byte view, the last chunk padded with zeros.

    Args:
        view: one-dimensional, format ``B``.

    Returns:
        32 bytes a chunk.
    """
    native = hashing_for(len(view)) if len(view) > _FEW * CHUNK_BYTES else None
    if native is not None:
        found = np.empty((-(-len(view) // CHUNK_BYTES), HASH_BYTES), dtype=np.uint8)
        native.hash_chunks(np.frombuffer(view, dtype=np.uint8), found)
        return found.tobytes()
    fork = _LEAF.copy
    hashes = []
    whole = len(view) - len(view) % CHUNK_BYTES
    for start in range(0, whole, CHUNK_BYTES):
        context = fork()
        context.update(view[start : start + CHUNK_BYTES])
        hashes.append(context.digest())
    if whole < len(view):
        hashes.append(chunk_hash(bytes(view[whole:]).ljust(CHUNK_BYTES, b"\x00")))
    return b"".join(hashes)


def subtree_root(nodes: bytes, level: int, height: int) -> bytes:
    """Return the root over neighbouring nodes of one level, padded with trees of zero chunks.

    Args:
        nodes: 32 bytes each, at least one and at most ``2**(height - level)``.
        level: how far above the chunks they stand.
        height: the level of the root.
    """
    native = hashing_in_use() if len(nodes) > _FEW * HASH_BYTES else None
    if native is not None:
        found = np.frombuffer(bytearray(nodes), dtype=np.uint8).reshape(-1, HASH_BYTES)
        native.reduce_nodes(found, ZERO_ROOTS, level, height)
        root: bytes = found[0].tobytes()
        return root
    fork = _NODE.copy
    while level < height:
        if len(nodes) % (2 * HASH_BYTES):
            nodes += ZERO_SUBTREE_ROOTS[level]
        above = []
        for start in range(0, len(nodes), 2 * HASH_BYTES):
            context = fork()
            context.update(nodes[start : start + 2 * HASH_BYTES])
            above.append(context.digest())
        nodes = b"".join(above)
        level += 1
    return nodes
