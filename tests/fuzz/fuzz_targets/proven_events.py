"""Events proven against a block hash: a node that lies in some answers proves the truth or nothing."""

from __future__ import annotations

from functools import cache

from choices import Choices
from recordings import dialogue

import fl_chain.ledger.node as node_module
from fl_chain.errors import FlChainError
from fl_chain.ledger.node import Node
from fl_chain.ledger.proven_events import ProvenEvents, proven_events
from fuzz_targets.lying_node import LyingTransport

COVERS = ("fl_chain.ledger.proven_events", "fl_chain.ledger.roots")
HONEST = 10**6  # answers that are left as they are


def proven(choices: Choices, truthful: int) -> ProvenEvents:
    told = dialogue()
    node = Node([("liar", LyingTransport(choices, truthful))], None)
    return proven_events(node, told.head, told.ledger, told.deployed_block)


@cache
def truth() -> ProvenEvents:
    return proven(Choices(b""), HONEST)


def fuzz(data: bytes) -> None:
    node_module.FIRST_PAUSE_S = 0.0  # attempts are repeated without waiting
    expected = truth()
    choices = Choices(data)
    try:
        found = proven(choices, choices.below(120))
    except FlChainError:
        return
    assert found == expected, "a lie was proven"


def seeds() -> list[bytes]:
    return [
        bytes([truthful, *edits]) for truthful in (1, 3, 30, 60) for edits in ((1, 2, 3), (9, 0, 5, 7, 1, 2))
    ]
