"""The graph of a masked round of many participants: who draws it when, and who shares seeds with whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fl_chain.ledger.history import History
from fl_chain.ledger.masks import KEYS_SHARE, is_graph_needed, left_with_group, neighbours
from fl_chain.masking.graph import least_holders
from fl_chain.masking.groups import Groups
from fl_chain.records import Address, PublishedKeys, Round, RoundStatus


def is_graph_due(history: History, current: Round) -> bool:
    """Return whether nobody can join a round's masks before its graph is drawn."""
    masks = history.round_masks(current.id)
    is_open = current.status is RoundStatus.OPEN
    is_needed = is_graph_needed(history.policy.aggregation, len(history.identity_keys))
    return is_open and masks.graph is None and not masks.keys and is_needed


def may_draw(history: History, current: Round, now: int) -> bool:
    """Return whether the contract draws a graph that is due at a chain time.

    Args:
        history: of the run.
        current: an open round.
        now: chain time.
    """
    window_s = history.policy.submission_s // KEYS_SHARE
    are_all_there = len(history.identity_keys) >= current.remaining
    is_over = now >= current.since + window_s
    return not is_over and (are_all_there or now + window_s // 2 >= current.since + window_s)


def draws_at(history: History, current: Round, identity: Address) -> int:
    """Return the chain time from which on a participant draws a graph that the aggregator has not drawn.

    One after the other in the second half of the time for keys, since one of them is enough.
    """
    window_s, vertices = history.policy.submission_s // KEYS_SHARE, history.vertices
    place = vertices.get(identity, len(vertices))
    return current.since + window_s // 2 + window_s // 4 * place // max(1, len(vertices))


def receivers_among(
    history: History, current: Round, identity: Address, known: Mapping[Address, bytes]
) -> tuple[dict[Address, bytes], int]:
    """Return to whom a participant seals shares, with their keys, and how many it takes at least.

    Args:
        history: of the run.
        current: the round.
        identity: the participant, which is in the round's graph where there is one.
        known: the keys of the others whom the round expects.
    """
    graph, vertices = history.round_masks(current.id).graph, history.vertices
    if graph is None:
        return dict(known), 0
    around = frozenset(graph.neighbours(vertices[identity]))
    # In a group nobody chooses who opens its seeds by leaving few there: of three holders all are needed.
    least = 0 if isinstance(graph, Groups) else least_holders(len(known) + 1)
    return {who: key for who, key in known.items() if vertices[who] in around}, least


def possible_owners(history: History, round_id: int, identity: Address) -> Sequence[PublishedKeys]:
    """Return the keys of those of whose seeds a participant may hold shares, itself among them.

    Nobody where its group does not stay: nothing of it is released.
    """
    masks, vertices = history.round_masks(round_id), history.vertices
    if masks.graph is None:
        return masks.keys
    if vertices[identity] >= masks.graph.vertices:
        return ()
    around = {identity, *neighbours(masks, vertices, identity)}
    around -= left_with_group(masks, vertices, history.submissions[round_id])
    return [keys for keys in masks.keys if keys.participant in around]
