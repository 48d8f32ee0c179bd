"""An audit's report and a run's summary, as somebody hands them over to be drawn as a page."""

from __future__ import annotations

from fl_chain.errors import InputDataError
from fl_chain.report.schema import parse_report, parse_summary

COVERS = ("fl_chain.report.schema",)

SUMMARY = (
    b'{"federated": {"auroc": 0.9}, "local": {"a": {"auroc": 0.7}}, "pooled": {"auroc": 0.91}, '
    b'"rounds": {"1": {"auroc": 0.8}}, "seed": 1, "model_root": "0x' + b"ab" * 32 + b'"}'
)


def fuzz(data: bytes) -> None:
    for parse in (parse_report, parse_summary):
        try:
            parse(data)
        except InputDataError as error:
            if not str(error):
                raise AssertionError("an error that says nothing") from error


def seeds() -> list[bytes]:
    return [b"{}", b"[]", b"null", b'{"version": 2, "verdict": "pass"}', SUMMARY, b"[" * 64]
