"""The audit: derives a run again from chain and blobs, and compares."""

from fl_chain.audit.findings import AuditReport, Finding, Kind
from fl_chain.audit.run import audit_run

__all__ = ["AuditReport", "Finding", "Kind", "audit_run"]
