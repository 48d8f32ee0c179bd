"""Finding out who spoils masked rounds, by leaving participants out of them: group testing by halves.

A round is spoilt where its sum is noise although every seed is right: somebody has masked with something else
than it said, and no single update tells who. So the next rounds are of some of those who were in it. What
is posted clears whoever was in it; what is spoilt again leaves its own members under suspicion alone.

Nobody is kept out by force: whoever joins out of its turn names itself, and who stops spoiling does no harm.
Somebody is named only once a round with everyone else was posted: whatever the others did before, they can do
without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fl_chain.commitment.encoding import address_bytes
from fl_chain.masking.graph import COMPLETE_UP_TO
from fl_chain.records import Address

LEFT_OUT = 8
"""Of a round of more than 64 one in so many stays out at most."""

_TAG = b"fl_chain/masking/recovery\x00"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Who may have spoilt rounds, after some of them.

    Attributes:
        suspects: one of these did; empty where nothing is open.
        named: who was the only one left, and without whom a round was posted.
    """

    suspects: frozenset[Address] = frozenset()
    named: frozenset[Address] = frozenset()

    def after_spoilt(self, members: Collection[Address]) -> Suspicion:
        """Return what follows from a round of these survivors whose sum is noise."""
        still = self.suspects.intersection(members)
        # Without one of the suspects it was somebody else, so all of its members may have been.
        return Suspicion(still or frozenset(members), self.named)

    def after_posted(self, members: Collection[Address]) -> Suspicion:
        """Return what follows from a round of these survivors that was posted."""
        others = self.suspects.difference(members)
        if self.suspects and len(self.suspects) == 1 and others:
            return Suspicion(frozenset(), self.named | others)
        return Suspicion(others, self.named)

    def after_groups(self, clean: Collection[Address], spoilt: Sequence[Collection[Address]]) -> Suspicion:
        """Return what follows from a round with groups.

        Nobody stays out of the next one: other groups are drawn, and tell who it was. Named is who was the
        only one left and is in a group of noise once more.

        Args:
            clean: the survivors of the groups that have a sum, whether or not the round was posted.
            spoilt: those of each group whose sum is noise.
        """
        again = frozenset[Address]()
        if len(self.suspects) == 1 and any(self.suspects.issubset(one) for one in spoilt):
            again = self.suspects
        left = Suspicion(self.suspects.difference(clean), self.named | again)
        if not spoilt:
            return left
        suspects = frozenset[Address]().union(*(left.after_spoilt(one).suspects for one in spoilt))
        return Suspicion(suspects - again, left.named)


def group(
    suspicion: Suspicion, registered: Iterable[Address], quorum: int, seed: bytes
) -> frozenset[Address]:
    """Return who is to be in the next round.

    Args:
        suspicion: after the rounds before.
        registered: who could be in it.
        quorum: fewer make no sum.
        seed: 32 bytes that nobody chose; another draw for each round.

    Returns:
        All but who was named, where nobody is suspected; else half of the suspects and everyone beside them,
        with more suspects where these are fewer than the quorum, and where there are more than 64 with all
        but an eighth: a graph of which half stays out has gaps. All but the only suspect, where there is one.
        All who were not named, where no choice is left.
    """
    present = frozenset(registered) - suspicion.named
    suspects = sorted(suspicion.suspects & present, key=lambda one: _place(one, seed))
    if not suspects:
        return present
    beside = present.difference(suspects)
    kept = len(suspects) // 2
    if len(present) > COMPLETE_UP_TO:
        kept = max(kept, len(suspects) - len(present) // LEFT_OUT)
    while kept < len(suspects) and len(beside) + kept < quorum:
        kept += 1
    return beside.union(suspects[:kept])


def _place(participant: Address, seed: bytes) -> bytes:
    return hashlib.sha256(_TAG + seed + address_bytes(participant, "a participant")).digest()
