"""Putting the seeds of a masked round together from the shares that participants released."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import combinations, islice

from fl_chain.errors import StoreError, TooFewShares, VerificationError
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import left_with_group
from fl_chain.masking.keys import SEED_BYTES
from fl_chain.masking.setup import KeySetUp, holders
from fl_chain.masking.shares import threshold
from fl_chain.masking.unmasking import SeedKind, reconstructed_seed, seed_to_release
from fl_chain.records import Address, PublishedKeys
from fl_chain.run.masked_rounds import release_blob
from fl_chain.store import Store

log = logging.getLogger(__name__)

MOST_TRIES = 2_000  # of so many shares together, where some of them are wrong


def joined_seeds(history: History, store: Store, round_id: int) -> list[bytes]:
    """Return the seeds that take a round's masks off, in the order in which they are published.

    Zero stands for those of groups of which nobody stays.

    Args:
        history: of the run; the round's survivors are fixed.
        store: where sealed shares and releases are.
        round_id: the round.

    Raises:
        TooFewShares: if a seed cannot be put together; more shares may yet come.
        StoreError, VerificationError: if a participant's sealed shares cannot be read, by which its holders
            are known.
    """
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    survivors = masks.stayed(submissions)
    left = left_with_group(masks, history.vertices, submissions)
    released = dict(_releases(history, store, round_id))
    seeds = []
    for owner in survivors + masks.departed(submissions):
        if owner in left:
            seeds.append(bytes(SEED_BYTES))
            continue
        keys = masks.by_member[owner]
        sealed = store.read_shares(owner, keys.shares_hash)
        kind = seed_to_release(owner, frozenset(survivors))
        holding = holders(owner, sealed)
        shares = {who: released[who][owner] for who in holding if owner in released.get(who, {})}
        seeds.append(_joined(_set_up(keys, sealed), kind, shares, round_id))
    return seeds


def _set_up(keys: PublishedKeys, sealed: Mapping[Address, bytes]) -> KeySetUp:
    return KeySetUp(keys.participant, keys.round_key, keys.key_commitment, keys.mask_commitment, sealed)


def _releases(
    history: History, store: Store, round_id: int
) -> Iterator[tuple[Address, Mapping[Address, bytes]]]:
    """Yield what each participant has released."""
    for holder in sorted(history.identity_keys):
        blob = release_blob(history, round_id, holder)
        try:
            if store.has_release(holder, blob.occasion):
                yield holder, store.read_release(blob).release.shares
        except (StoreError, VerificationError) as error:
            log.warning("round %d: the release of %s is of no use: %s", round_id, holder, error)


def _joined(set_up: KeySetUp, kind: SeedKind, shares: Mapping[Address, bytes], round_id: int) -> bytes:
    """Return a seed from any shares that give it, and say which do not belong to it."""
    needed = threshold(len(set_up.sealed) + 1)
    what = f"the {kind.name.lower()} seed of {set_up.participant}"
    if len(shares) < needed:
        raise TooFewShares(
            f"{what} takes {needed} shares, and {len(shares)} are released: the others have to run their "
            "workers, or the round ends without a model"
        )
    for chosen in islice(combinations(sorted(shares), needed), MOST_TRIES):
        try:
            seed = reconstructed_seed(set_up, kind, {who: shares[who] for who in chosen})
        except VerificationError:
            continue
        wrong = _wrong_shares(set_up, kind, shares, chosen)
        if wrong:
            log.warning("round %d: wrong shares of %s were released by %s", round_id, what, ", ".join(wrong))
        return seed
    raise TooFewShares(
        f"{what} does not follow from the {len(shares)} shares that are released: some are wrong, or "
        f"{set_up.participant} has not shared the seed that it committed to"
    )


def _wrong_shares(
    set_up: KeySetUp, kind: SeedKind, shares: Mapping[Address, bytes], chosen: tuple[Address, ...]
) -> list[Address]:
    """Return whose shares do not belong to a seed that some gave: all the others at once, else one by one."""
    others = tuple(who for who in shares if who not in chosen)
    if not others:
        return []
    together = (*others, *chosen)[: len(chosen)]
    if len(others) <= len(chosen) and _give_the_seed(set_up, kind, shares, together):
        return []
    return [who for who in others if not _give_the_seed(set_up, kind, shares, (*chosen[1:], who))]


def _give_the_seed(
    set_up: KeySetUp,
    kind: SeedKind,
    shares: Mapping[Address, bytes],
    chosen: tuple[Address, ...],
) -> bool:
    """Return whether some shares give the seed that was committed to."""
    try:
        reconstructed_seed(set_up, kind, {one: shares[one] for one in chosen})
    except VerificationError:
        return False
    return True
