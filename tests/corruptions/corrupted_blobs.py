"""Random corruptions of a run's blobs, and whether anything that the ledger names rests on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from finished_run import FinishedRun

from fl_chain.ledger.transport import Json
from fl_chain.records import ExclusionReason

MOST_EXTRA_BYTES = 64


@dataclass(frozen=True)
class Corruption:
    """What is other than in the true run.

    Attributes:
        kind: the class it belongs to.
        what: what was altered, for whoever looks into a miss.
        changes_meaning: decided from the true run and the bytes that are altered, never by an audit.
        files: content by path; None: the file is gone.
        answers: of the node, by request.
    """

    kind: str
    what: str
    changes_meaning: bool
    files: Mapping[Path, bytes | None] = field(default_factory=dict)
    answers: Mapping[str, Json] = field(default_factory=dict)


Corrupt = Callable[[FinishedRun, Random], Corruption]


def needed_blobs(run: FinishedRun) -> set[str]:
    """Return the paths of the blobs that a standing posting, an exclusion or the deployment rests on.

    The rest is what an aggregator wrote for a posting that fell, what belongs to a void round, and what was
    excluded because it could not be read.
    """
    history, definition = run.history, run.history.definition
    needed = {f"documents/0x{one.hex()}" for one in (definition.policy_hash, definition.manifest_hash)}
    needed.add(f"models/0x{definition.genesis_model_root.hex()}")
    for round_id, posting in history.postings.items():
        needed.add(f"models/0x{posting.model_root.hex()}")
        needed |= {f"sums/0x{root.hex()}" for root in posting.partial_sum_roots}
        unread = {one.index for one in posting.exclusions if one.reason is ExclusionReason.UNREADABLE}
        needed |= {
            f"updates/{one.participant}/0x{one.sealed_root.hex()}"
            for one in history.submissions[round_id]
            if one.index not in unread
        }
    return needed


def _corruption(run: FinishedRun, kind: str, path: Path, content: bytes | None, detail: str) -> Corruption:
    name = path.relative_to(run.folder).as_posix()
    is_other = content != path.read_bytes()
    return Corruption(
        f"blob: {kind}", f"{name}: {detail}", is_other and name in needed_blobs(run), files={path: content}
    )


def altered(run: FinishedRun, chance: Random) -> Corruption:
    """Alter one byte."""
    path = chance.choice(run.blobs())
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    content[place] ^= chance.randrange(1, 256)
    return _corruption(run, "a byte altered", path, bytes(content), f"byte {place}")


def truncated(run: FinishedRun, chance: Random) -> Corruption:
    """Cut the end off."""
    path = chance.choice(run.blobs())
    content = path.read_bytes()
    length = chance.randrange(len(content))
    return _corruption(run, "truncated", path, content[:length], f"{length} of {len(content)} bytes")


def extended(run: FinishedRun, chance: Random) -> Corruption:
    """Append bytes."""
    path = chance.choice(run.blobs())
    more = chance.randbytes(chance.randint(1, MOST_EXTRA_BYTES))
    return _corruption(run, "extended", path, path.read_bytes() + more, f"{len(more)} bytes more")


def swapped(run: FinishedRun, chance: Random) -> Corruption:
    """Put another blob in its place."""
    path, other = chance.sample(run.blobs(), 2)
    return _corruption(run, "swapped for another", path, other.read_bytes(), f"by {other.name}")


def removed(run: FinishedRun, chance: Random) -> Corruption:
    """Remove it."""
    return _corruption(run, "removed", chance.choice(run.blobs()), None, "gone")


BLOB_KINDS: tuple[Corrupt, ...] = (altered, altered, altered, truncated, extended, swapped, removed)
