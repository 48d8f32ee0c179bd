"""The audit: derives a run again from chain and blobs, and compares."""

from fl_chain.audit.explanation import Explanation, explain_rewards
from fl_chain.audit.findings import AuditReport, Finding, Kind, Severity
from fl_chain.audit.following import follow_run
from fl_chain.audit.resumption import AuditMemory
from fl_chain.audit.run import Progress, audit_run

__all__ = [
    "AuditMemory",
    "AuditReport",
    "Explanation",
    "Finding",
    "Kind",
    "Progress",
    "Severity",
    "audit_run",
    "explain_rewards",
    "follow_run",
]
