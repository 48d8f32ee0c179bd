"""Blobs as an audit reads them: every copy checked, and a finding for each that is not good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.audit.missing import MissingBlob, Role
from fl_chain.errors import FlChainError
from fl_chain.records import Address, Posting, RunId, Submission
from fl_chain.store import Copy, CopyState, Store

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class Sought:
    """A blob that is looked for."""

    what: str  # in words
    missing: Kind  # the finding for no copy at all
    altered: Kind  # and for one that is there but not what was committed to
    holders: tuple[tuple[Role, Address], ...]  # who is to keep it
    round: int | None = None
    participant: Address | None = None


def read_copies(
    notes: Collection,
    read: Callable[[], Content],
    copies: Callable[[], tuple[Copy, ...]],
    sought: Sought,
    *,
    stores: int,
) -> Content | None:
    """Read a blob, and report every copy of it that is not good.

    Args:
        notes: takes the findings.
        read: returns the content of the first good copy.
        copies: checks each copy.
        sought: which blob it is.
        stores: how many places may have a copy.

    Returns:
        The content, or None where no copy is good.
    """
    notes.count(CheckId.BLOB_COPIES)
    try:
        content = read()
    except FlChainError:
        content = None
    # The first copy is the one that was read just now; with more, each is looked at.
    if content is not None and stores == 1:
        return content
    found = copies()
    for copy in found:
        if copy.state in (CopyState.ALTERED, CopyState.MALFORMED):
            _report_altered(notes, copy, sought)
    if content is None and all(copy.state in (CopyState.MISSING, CopyState.UNREACHABLE) for copy in found):
        detail = "; ".join(copy.detail or copy.state.value for copy in found)
        whom = " or ".join(f"the {role.value} {who}" for role, who in sought.holders)
        notes.add(
            sought.missing,
            f"no store has {sought.what} ({detail})",
            round=sought.round,
            participant=sought.participant,
            advice=f"Ask {whom} to publish it again; then audit again.",
        )
        notes.missing.append(MissingBlob(sought.what, found[0].path, sought.round, sought.holders))
    return content


def read_update_copies(
    notes: Collection,
    store: Store,
    submission: Submission,
    posting: Posting,
    *,
    run: RunId,
    lanes: int,
    which: str = "",
    read: Callable[[], Content],
) -> Content | None:
    """Read an update that a posting includes, and report every copy of it that is not good.

    Args:
        notes: takes the findings.
        store: where it is.
        submission: as the ledger has it.
        posting: that includes it.
        run: which chain and ledger.
        lanes: how many it has to have.
        which: which of a submission's updates it is, in words, after a comma.
        read: returns the content of the first good copy.

    Returns:
        The content, or None where no copy is good.
    """
    who, root = submission.participant, submission.sealed_root
    return read_copies(
        notes,
        read,
        lambda: store.update_copies(who, root, lanes, run=run, round=submission.round),
        Sought(
            f"the update of {who} in round {submission.round}{which}",
            Kind.UPDATE_MISSING,
            Kind.UPDATE_ALTERED,
            ((Role.PARTICIPANT, who), (Role.AGGREGATOR, posting.poster)),
            round=submission.round,
            participant=who,
        ),
        stores=len(store.urls),
    )


def _report_altered(notes: Collection, copy: Copy, sought: Sought) -> None:
    form = f" ({copy.detail})" if copy.state is CopyState.MALFORMED else ""
    notes.add(
        sought.altered,
        f"{sought.what} is not what was committed to{form}: {copy.url} {copy.path}",
        round=sought.round,
        participant=sought.participant,
        expected="0x" + copy.expected.hex() if copy.expected else None,
        actual="0x" + copy.actual.hex() if copy.actual else None,
    )
