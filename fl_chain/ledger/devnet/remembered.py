"""What py-evm's tries work out again and again, remembered.

Every block opens the tries of state and storage anew and walks from their roots, over nodes that mostly were
there before. Decoding those, and the nibbles of their keys, follow from bytes alone, so what came of them
once holds for good. A node comes as lists that the tries write into; everybody gets some of their own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from trie import hexary
from trie.utils import nodes
from trie.utils.nibbles import bytes_to_nibbles, decode_nibbles
from trie.utils.nodes import decode_node

KEPT_NODES = 8192  # of at most 532 bytes, some kilobytes each as lists
KEPT_KEYS = 8192

_decoded = lru_cache(KEPT_NODES)(decode_node)
_nibbles = lru_cache(KEPT_KEYS)(bytes_to_nibbles)
_decoded_nibbles = lru_cache(KEPT_KEYS)(decode_nibbles)


def remember_nodes() -> None:
    """Make py-evm's tries of this process remember; calling this again changes nothing."""
    vars(hexary).update(decode_node=_node, bytes_to_nibbles=_nibbles)
    vars(nodes).update(decode_nibbles=_decoded_nibbles)


def _node(encoded: Any) -> Any:
    """Return a node as `trie.utils.nodes.decode_node` does; one that is no bytes is decoded already."""
    return _own(_decoded(encoded)) if isinstance(encoded, bytes) else decode_node(encoded)


def _own(node: Any) -> Any:
    return [_own(one) for one in node] if isinstance(node, list) else node
