"""The audit: derives a run again from chain and blobs, and compares."""

from fl_chain.audit.explanation import Explanation, explain_rewards
from fl_chain.audit.findings import AuditReport, Finding, Kind
from fl_chain.audit.run import audit_run

__all__ = ["AuditReport", "Explanation", "Finding", "Kind", "audit_run", "explain_rewards"]
