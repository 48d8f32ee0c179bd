"""Reports as the audit writes them, of runs that are made up."""

import hashlib
import json
from typing import Any

from fl_chain.audit import AuditReport
from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import RoundSummary
from fl_chain.commitment.partial_sums import partial_sum_count
from fl_chain.records import Address


def root(*parts: object) -> str:
    return "0x" + hashlib.sha256(repr(parts).encode()).hexdigest()


def account(number: int) -> Address:
    return Address(root("account", number)[:42])


def made_statistics(number: int) -> dict[str, Any]:
    return {
        "vector_root": root("vector", number),
        "norm_billionths": 1_250_000_000 + number,
        "largest_lane_billionths": 30_000_000,
        "zero_lanes": 3,
        "cosine_aggregate_millionths": 912_345,
        "cosine_others_millionths": -4_000,
    }


def made_round(number: int, participants: int, **changes: Any) -> RoundSummary:
    content: dict[str, Any] = {
        "round": number,
        "status": "final",
        "step": number,
        "base_round": number - 1,
        "submissions": participants,
        "included": participants,
        "total_weight": 10 * participants,
        "included_weight": 10 * participants,
        "posting_number": 0,
        "poster": account(0),
        "model_root": root("model", number),
        "void_reason": None,
        "fallen": [],
        "objections": 0,
        "bonus_wei": 0,
        "clamped_lanes": 0,
        "verified": True,
        "participants": [
            {
                "participant": account(index),
                "weight": 10,
                "sealed_root": root("sealed", number, index),
                "excluded": None,
                "statistics": made_statistics(index),
            }
            for index in range(1, participants + 1)
        ],
        "base_model_root": root("model", number - 1),
        "partial_sum_roots": [
            root("sum", number, index)
            for index in range(partial_sum_count(participants) if participants else 0)
        ],
    }
    return RoundSummary(**content | changes)


def round_without_model(number: int, participants: int, **changes: Any) -> RoundSummary:
    nothing: dict[str, Any] = {
        "model_root": None,
        "poster": None,
        "included": None,
        "included_weight": None,
        "clamped_lanes": None,
        "verified": False,
        "partial_sum_roots": [],
    }
    return made_round(number, participants, **nothing | changes)


def made_report(*, rounds: int = 3, participants: int = 3) -> AuditReport:
    report = AuditReport(
        chain={
            "chain_id": 31337,
            "ledger": account(99),
            "block_number": 1234,
            "block_hash": root("block"),
            "block_timestamp": 1_800_000_000,
            "code_hash": root("code"),
            "verifier": account(97),
            "verifier_code_hash": root("verifier code"),
        },
        run={
            "policy_hash": root("policy"),
            "manifest_hash": root("manifest"),
            "genesis_model_root": root("model", 0),
            "dimension": 10,
            "operator": account(98),
            "aggregator": account(0),
            "token": "0x" + "00" * 20,
            "stores": 1,
            "ended": True,
        },
        gas={
            "run": {"submit": {"calls": 9, "gas": 639_000}},
            "rounds": {"1": {"submit": {"calls": 3, "gas": 213_000}}},
        },
    )
    report.rounds = [made_round(number, participants) for number in range(1, rounds + 1)]
    report.participants = [
        {
            "participant": account(index),
            "weight_cap": 1000,
            "caps": [{"block_number": 3, "weight_cap": 1000}],
            "submissions": rounds,
            "final_rounds": rounds,
            "claimed_wei": 2 * 10**16,
            "unclaimed_wei": index,
        }
        for index in range(1, participants + 1)
    ]
    report.count(CheckId.ROUND_DIGESTS, rounds)
    return report


def encoded(report: AuditReport, **changes: Any) -> bytes:
    """Return a report's JSON, with top-level fields replaced."""
    return json.dumps(json.loads(report.to_json()) | changes).encode()


def made_summary(models: int = 3, /, **changes: Any) -> bytes:
    content = {
        "federated": {"auroc": 0.9},
        "local": {"a": {"auroc": 0.7}, "b": {"auroc": 0.8}},
        "pooled": {"auroc": 0.91},
        "rounds": {str(number): {"auroc": 0.8 + number / 100} for number in range(1, models + 1)},
        "seed": 0,
        "model_root": root("model", models),
    }
    return json.dumps(content | changes).encode()
