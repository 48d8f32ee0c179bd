"""Policy, manifest and first model against what the ledger fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fl_chain.audit.findings import AuditReport, Kind
from fl_chain.commitment.canonical import parse_canonical_json
from fl_chain.errors import FlChainError
from fl_chain.learning.manifest import parse_manifest
from fl_chain.ledger.history import History
from fl_chain.policy import parse_policy_document
from fl_chain.run.documents import differing_constants
from fl_chain.store import Copy, CopyState, Store

Content = TypeVar("Content")


def audit_documents(history: History, store: Store, report: AuditReport) -> None:
    """Check each copy of the documents and of the genesis model, and what the documents say."""
    definition = history.definition
    policy = read_copies(
        report,
        lambda: store.read_document(definition.policy_hash),
        lambda: store.document_copies(definition.policy_hash),
        kinds=(Kind.POLICY_MISSING, Kind.POLICY_ALTERED),
        what="the policy document",
        held_by="the operator",
    )
    if policy is not None:
        _count_document(report, policy)
        _audit_policy(policy, history, report)
    manifest = read_copies(
        report,
        lambda: store.read_document(definition.manifest_hash),
        lambda: store.document_copies(definition.manifest_hash),
        kinds=(Kind.MANIFEST_MISSING, Kind.MANIFEST_ALTERED),
        what="the manifest",
        held_by="the operator",
    )
    if manifest is not None:
        _count_document(report, manifest)
        _audit_manifest(manifest, history, report)


def _count_document(report: AuditReport, content: bytes) -> None:
    report.blobs.documents += 1
    report.blobs.bytes += len(content)


def _audit_policy(document: bytes, history: History, report: AuditReport) -> None:
    report.count("policy document against the contract's constants")
    try:
        policy = parse_policy_document(document, history.definition.policy_hash)
    except FlChainError as error:
        report.add(Kind.POLICY_DIFFERS, f"the policy document cannot be read as one: {error}")
        return
    for name in differing_constants(policy.ledger, history.policy):
        report.add(
            Kind.POLICY_DIFFERS,
            f"the policy document and the contract differ in {name}: the contract's rules are in force",
            expected=str(getattr(policy.ledger, name)),
            actual=str(getattr(history.policy, name)),
        )


def _audit_manifest(document: bytes, history: History, report: AuditReport) -> None:
    report.count("manifest against the contract's dimension")
    try:
        dimension = parse_manifest(parse_canonical_json(document)).dimension
    except FlChainError as error:
        report.add(Kind.DIMENSION_DIFFERS, f"the manifest cannot be read as one: {error}")
        return
    if dimension != history.definition.dimension:
        report.add(
            Kind.DIMENSION_DIFFERS,
            "the manifest's tensors do not fill the contract's vectors",
            expected=str(history.definition.dimension),
            actual=str(dimension),
        )


def read_copies(
    report: AuditReport,
    read: Callable[[], Content],
    copies: Callable[[], tuple[Copy, ...]],
    *,
    kinds: tuple[Kind, Kind],
    what: str,
    held_by: str,
    **where: object,
) -> Content | None:
    """Read a blob, and report every copy of it that is not good.

    Args:
        report: takes the findings.
        read: returns the content of the first good copy.
        copies: checks each copy.
        kinds: the finding for no copy at all, and for one that is there but not what was committed to.
        what: the blob, in words.
        held_by: who is to keep it.
        where: round and participant, where it has them.

    Returns:
        The content, or None where no copy is good.
    """
    report.count("copies of blobs against their commitments")
    try:
        content = read()
    except FlChainError:
        content = None
    # The first copy is the one that was read just now; with more, each is looked at.
    if content is not None and report.run["stores"] == 1:
        return content
    found = copies()
    for copy in found:
        if copy.state in (CopyState.ALTERED, CopyState.MALFORMED):
            form = f" ({copy.detail})" if copy.state is CopyState.MALFORMED else ""
            report.add(
                kinds[1],
                f"{what} is not what was committed to{form}: {copy.url} {copy.path}. "
                f"Replace it by a good copy; {held_by} should hold one.",
                expected="0x" + copy.expected.hex() if copy.expected else None,
                actual="0x" + copy.actual.hex() if copy.actual else None,
                **where,
            )
    if content is None and all(copy.state in (CopyState.MISSING, CopyState.UNREACHABLE) for copy in found):
        detail = "; ".join(copy.detail or copy.state.value for copy in found)
        report.add(kinds[0], f"no store has {what} ({detail}). Ask {held_by} to publish it again.", **where)
    return content
