"""What whoever keeps, or can write to, a store can try."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from arena import Arena, findings_of, noticed
from registry import Outcome, Result, Stopped, Succeeded, Who, attack
from rules import (
    AVAILABLE,
    DERIVED,
    DIRECTIONS,
    EQUAL,
    NAMES,
    NO_WAITING,
    OPENING,
    REPLACED_WHOLE,
    SIZE,
    SUM_ROOT,
    VECTOR_ROOT,
)

from fl_chain.errors import FlChainError
from fl_chain.records import Digest
from fl_chain.store import Store

BY = Who.STORE


def audited(a: Arena, gain: str, store: Store | None = None) -> Result:
    """Audit, and return what is found."""
    try:
        found = noticed(a.audit(store))
    except (ValueError, FlChainError):
        return Succeeded("the audit dies of it")
    return Stopped(found) if found else Succeeded(gain)


def flip(path: Path, at: int) -> None:
    """Alter one bit of a file."""
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(body)


@attack(
    91,
    "altered update",
    BY,
    "flips one bit of a stored update",
    (VECTOR_ROOT, "update_altered"),
    (DERIVED, "partial_sum_differs"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def altered(a: Arena) -> Result:
    flip(a.update_file(0), 103)
    return audited(a, "what is audited is not what was summed")


@attack(
    92,
    "truncated update",
    BY,
    "cuts a stored update short",
    (SIZE, "update_altered"),
    (VECTOR_ROOT, "update_altered"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def truncated(a: Arena) -> Result:
    body = a.update_file(0).read_bytes()
    a.update_file(0).write_bytes(body[:-400])
    return audited(a, "")


@attack(
    93,
    "stale update",
    BY,
    "gives the last round's update under the name of this one's",
    (OPENING, "update_altered"),
    (DERIVED, "partial_sum_differs"),
    (EQUAL, "update_repeated"),
    (DIRECTIONS, "direction_outlier"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def stale(a: Arena) -> Result:
    a.play_round(2)
    a.post(round_id=2)
    shutil.copy(a.update_file(0, 1), a.update_file(0, 2))
    return audited(a, "what is audited is not what was summed")


@attack(
    94,
    "other participant's file under the name",
    BY,
    "gives one participant's update under the name of another's",
    (OPENING, "update_altered"),
    (DERIVED, "partial_sum_differs"),
    (EQUAL, "update_copied"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def other_file(a: Arena) -> Result:
    shutil.copy(a.update_file(1), a.update_file(0))
    return audited(a, "what is audited is not what was summed")


@attack(
    95,
    "altered model",
    BY,
    "flips one bit of a global model, for those who only download it",
    (VECTOR_ROOT, "model_blob_altered"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def altered_model(a: Arena) -> Result:
    flip(a.folder / "store" / "models" / f"0x{a.ledger.model_root(1).hex()}", 40)
    return audited(a, "whoever downloads the model uses another one")


@attack(
    96,
    "altered sum",
    BY,
    "flips one bit of a partial sum's chunk hashes, so that no proof can be made from them",
    (SUM_ROOT, "sum_blob_altered"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def altered_sum(a: Arena) -> Result:
    [root] = a.history.postings[1].partial_sum_roots
    flip(a.folder / "store" / "sums" / f"0x{root.hex()}", 3)
    return audited(a, "what a challenge takes is gone")


@attack(
    97,
    "withheld blobs",
    BY,
    "loses an update once its round is final",
    (AVAILABLE, "update_missing"),
    outcome=Outcome.DETECTED,
    phase="final",
)
def withheld(a: Arena) -> Result:
    a.update_file(2).unlink()
    return audited(a, "nobody can derive the round again")


@attack(
    98,
    "one copy of two altered",
    BY,
    "alters the copy in one of two stores, for those who read there first",
    (VECTOR_ROOT, "update_altered"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def one_copy(a: Arena) -> Result:
    shutil.copytree(a.folder / "store", a.folder / "copy")
    name = a.update_file(0).relative_to(a.folder / "store")
    flip(a.folder / "copy" / name, 103)
    both = Store([str(a.folder / "store"), str(a.folder / "copy")])
    return audited(a, "half of the readers see another update", both)


@attack(
    99,
    "path traversal in a name",
    BY,
    "names a participant so that its blobs lie outside the store",
    (NAMES, "ValueError"),
    phase="posted",
)
def traversal(a: Arena) -> Result:
    root = Digest(b"\x05" * 32)
    (a.folder / "private").mkdir()
    (a.folder / "private" / f"0x{root.hex()}").touch()
    try:
        is_there = a.store.has_update("../../private", root)  # type: ignore[arg-type]
    except ValueError as error:
        return Stopped((type(error).__name__,))
    assert is_there
    return Succeeded("files outside the store are read")


@attack(
    100,
    "symlink in the place of a blob",
    BY,
    "puts a link to a private file where a participant is going to write",
    (REPLACED_WHOLE, "rename"),
    phase="closed",
)
def symlink(a: Arena) -> Result:
    private = a.folder / "private"
    private.write_text("worth keeping")
    place = a.update_file(0)
    place.parent.mkdir(parents=True)
    place.symlink_to(private)
    a.publish(0)
    is_kept = private.read_text(errors="replace") == "worth keeping"
    assert is_kept != place.is_symlink()
    return Stopped(("rename",)) if is_kept else Succeeded("a file outside the store is overwritten")


@attack(
    101,
    "named pipe in the place of a blob",
    BY,
    "puts a pipe where a blob is read, on whose other end nobody ever writes",
    (NO_WAITING, "not waited for"),
    outcome=Outcome.PREVENTED,
    phase="posted",
)
def pipe(a: Arena) -> Result:
    place = a.update_file(0)
    place.unlink()
    os.mkfifo(place)
    patience_s, done, waited = 0.5, threading.Event(), threading.Event()

    def let_go() -> None:
        """Open the other end again and again once patience is over, so that no test waits for ever."""
        while not done.wait(patience_s):
            with contextlib.suppress(OSError):
                os.close(os.open(place, os.O_WRONLY | os.O_NONBLOCK))  # fails while nobody waits
                waited.set()

    lifeline = threading.Thread(target=let_go)
    lifeline.start()
    try:
        found = findings_of(a.audit())
    finally:
        done.set()
        lifeline.join()
    assert "update_altered" in found
    return Stopped(("not waited for",)) if not waited.is_set() else Succeeded("its readers wait for ever")
