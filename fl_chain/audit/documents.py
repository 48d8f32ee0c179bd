"""Policy, manifest and first model against what the ledger fixed."""

from __future__ import annotations

from fl_chain.audit.checks import CheckId
from fl_chain.audit.copies import Sought, read_copies
from fl_chain.audit.findings import AuditReport, Kind
from fl_chain.audit.missing import Role
from fl_chain.commitment.canonical import parse_canonical_json
from fl_chain.errors import FlChainError
from fl_chain.learning.manifest import parse_manifest
from fl_chain.ledger.history import History
from fl_chain.masking.groups import Groups
from fl_chain.policy import noise_of, parse_policy_document
from fl_chain.privacy.statement import privacy_statement
from fl_chain.run.documents import differing_constants
from fl_chain.run.protection import protection
from fl_chain.store import Store


def audit_documents(history: History, store: Store, report: AuditReport) -> None:
    """Check each copy of the documents, and what they say."""
    definition = history.definition
    holders = ((Role.OPERATOR, history.operator),)
    policy = read_copies(
        report,
        lambda: store.read_document(definition.policy_hash),
        lambda: store.document_copies(definition.policy_hash),
        Sought("the policy document", Kind.POLICY_MISSING, Kind.POLICY_ALTERED, holders),
        stores=len(store.urls),
    )
    if policy is not None:
        _count_document(report, policy)
        _audit_policy(policy, history, report)
    manifest = read_copies(
        report,
        lambda: store.read_document(definition.manifest_hash),
        lambda: store.document_copies(definition.manifest_hash),
        Sought("the manifest", Kind.MANIFEST_MISSING, Kind.MANIFEST_ALTERED, holders),
        stores=len(store.urls),
    )
    if manifest is not None:
        _count_document(report, manifest)
        _audit_manifest(manifest, history, report)


def _count_document(report: AuditReport, content: bytes) -> None:
    report.blobs.documents += 1
    report.blobs.bytes += len(content)


def _audit_policy(document: bytes, history: History, report: AuditReport) -> None:
    report.count(CheckId.POLICY_DOCUMENT)
    try:
        policy = parse_policy_document(document, history.definition.policy_hash)
    except FlChainError as error:
        report.add(Kind.POLICY_DIFFERS, f"the policy document cannot be read as one: {error}")
        return
    if policy.key_cohort is not None:
        report.run["protection"] = protection(history, policy.key_cohort)
    noise = noise_of(policy.privacy)
    if noise is not None:
        report.run["privacy"] = privacy_statement(noise, history.policy, history.state.latest).to_json()
    drawn = {one.graph.reach for one in history.masks.values() if isinstance(one.graph, Groups)}
    for count in sorted(drawn - {policy.groups}):
        report.add(
            Kind.POLICY_DIFFERS,
            "the policy document and the contract differ in the number of groups",
            expected=str(policy.groups),
            actual=str(count),
        )
    for name in differing_constants(policy.ledger, history.policy):
        report.add(
            Kind.POLICY_DIFFERS,
            f"the policy document and the contract differ in {name}",
            expected=str(getattr(policy.ledger, name)),
            actual=str(getattr(history.policy, name)),
        )


def _audit_manifest(document: bytes, history: History, report: AuditReport) -> None:
    report.count(CheckId.MANIFEST)
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
