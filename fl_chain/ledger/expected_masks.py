"""The whole storage of what holds a masked run's keys, as it follows from the run's events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from eth_abi.abi import encode
from eth_hash.auto import keccak

from fl_chain.ledger.artifact import secure_aggregation
from fl_chain.ledger.expected_storage import ExpectedWord, Part, Subject, packed_words
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import Membership, RoundMasks
from fl_chain.ledger.storage_layout import Key, StorageLayout, Value
from fl_chain.masking.graph import Graph
from fl_chain.records import Address, Submission

_EXCLUSIONS = "(uint16,uint8,uint32,address,bytes32)[]"


@cache
def masks_layout() -> StorageLayout:
    """Return where the state of `SecureAggregation` lies."""
    return StorageLayout(secure_aggregation().storage_layout)


def expected_mask_storage(history: History) -> dict[int, ExpectedWord]:
    """Return every word of the storage of a masked run's second contract, by slot; some are zero.

    Raises:
        MalformedResponse: the events give what no contract can hold.
    """
    return packed_words(masks_layout(), _parts(history))


def stored_survivors(
    masks: RoundMasks, submissions: Sequence[Submission]
) -> tuple[bytes, bytes, int, int, int, int]:
    """Return what the contract keeps of who stays in a round; all zero before that is fixed."""
    if masks.exclusions is None:
        return bytes(32), bytes(32), 0, 0, 0, 0
    excluded = []
    for one in masks.exclusions:
        own = submissions[one.index]
        excluded.append((one.index, int(one.reason), own.weight, own.participant, own.sealed_root))
    return (
        keccak(encode([_EXCLUSIONS], [excluded])),
        keccak(encode(["address[]"], [list(masks.absentees)])),
        len(masks.keys),
        len(submissions),
        masks.survivors,
        masks.terms,
    )


def stored_seeds(masks: RoundMasks, poster: Address) -> bytes:
    """Return what the contract keeps of the seeds that an account published for a round."""
    return keccak(encode(["bytes16[]"], [list(masks.seeds[poster])]))


def _parts(history: History) -> Iterator[Part]:
    for who, key in history.identity_keys.items():
        yield Part(Subject("identity key", participant=who), "_identityKeys", (who,), key)
    vertices = history.vertices
    held: Value = {"count": len(vertices), "newestIn": history.newest_identity_in}
    yield Part(Subject("participants with an identity key"), "_vertices", (), held)
    known = history.identity_keys.keys() | history.memberships.keys()
    for who in sorted(known):
        membership = history.memberships.get(who, Membership())
        held = {
            "keyedIn": membership.keyed_in,
            "submittedTo": membership.submitted_to,
            "isAwaited": membership.is_awaited,
            "hasIdentityKey": who in vertices,
            "vertex": vertices.get(who, 0),
        }
        yield Part(Subject("membership", participant=who), "_memberships", (who,), held)
    for account, round_id in history.fixed_in.items():
        yield Part(Subject(f"newest round fixed by {account}"), "_fixedIn", (account,), round_id)
    for round_id, masks in history.masks.items():
        yield from _round_parts(round_id, masks, history)


def stored_ring(masks: RoundMasks) -> tuple[int, int, bool, int, int, int, bytes]:
    """Return what the contract keeps of a round's set-ups beside their digest."""
    graph = Graph(0, 0, bytes(16)) if masks.graph is None else masks.graph
    joined = (len(masks.keys), masks.joined, masks.is_complete, masks.close_at)
    return *joined, graph.vertices, graph.reach, graph.seed


def stored_vertices(history: History, round_id: int) -> dict[int, int]:
    """Return the words of flags of those who stay in a round with a graph, or may yet."""
    masks, vertices = history.round_masks(round_id), history.vertices
    if masks.graph is None:
        return {}
    gone = masks.departed(history.submissions[round_id])
    words: dict[int, int] = {}
    for who in set(masks.members).difference(gone):
        number = vertices[who]
        words[number >> 8] = words.get(number >> 8, 0) | 1 << (number & 0xFF)
    return words


def _round_parts(round_id: int, masks: RoundMasks, history: History) -> Iterator[Part]:
    submissions = history.submissions[round_id]

    def part(what: str, variable: str, value: Value, *keys: Key) -> Part:
        return Part(Subject(what, round=round_id), variable, (round_id, *keys), value)

    members = ("members", "joined", "isComplete", "closeAt", "vertices", "reach", "seed")
    yield part("ring of keys", "_rings", dict(zip(members, stored_ring(masks), strict=True)))
    for word, flags in stored_vertices(history, round_id).items():
        yield part("who stays in the graph", "_staying", flags, word)
    yield part("digest of the ring", "_ringDigests", masks.ring_digest())
    names = ("exclusionsHash", "absenteesHash", "members", "submissions", "survivors", "terms")
    yield part("survivors", "_survivors", dict(zip(names, stored_survivors(masks, submissions), strict=True)))
    for poster in masks.seeds:
        yield part(f"seeds of {poster}", "_seedsHashes", stored_seeds(masks, poster), poster)
