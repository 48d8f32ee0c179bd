"""The registries of kinds and checks are whole, and the pages that they name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fl_chain.audit.checks import CHECKS, CheckId
from fl_chain.audit.coverage import (
    BLOBS,
    ENCRYPTION_BLOBS,
    EVENTS,
    MASK_BLOBS,
    MASK_EVENTS,
    MASK_VIEWS,
    VIEWS,
)
from fl_chain.audit.findings import AuditReport, Finding
from fl_chain.audit.kinds import RULES, Kind, Severity

DOCS = Path(__file__).parents[3] / "docs"


def anchors(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_kind_has_a_rule_and_a_check() -> None:
    assert set(RULES) == set(Kind)
    assert {kind for check in CHECKS for kind in check.kinds} == set(Kind)
    assert [check.id for check in CHECKS] == list(CheckId)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_rule_says_what_has_to_be_so_and_what_to_do(kind: Kind) -> None:
    rule = RULES[kind]
    assert rule.text.endswith(".")
    assert rule.advice.endswith(".")
    page, _, heading = rule.page.partition("#")
    assert heading in anchors(DOCS / page)


def test_only_errors_fail_the_verdict() -> None:
    for kind in Kind:
        report = AuditReport(chain={}, run={})
        report.take(Finding(kind, "so"))
        is_error = RULES[kind].severity is Severity.ERROR
        assert report.verdict == ("fail" if is_error else "pass")
        assert len(report.findings) == is_error
        assert len(report.warnings) == (not is_error)


def test_the_page_lists_every_kind_every_check_and_every_fact() -> None:
    page = (DOCS / "audit.md").read_text()
    names = {*Kind, *CheckId, *EVENTS, *VIEWS, *BLOBS, *MASK_EVENTS, *MASK_VIEWS, *MASK_BLOBS}
    names |= {*ENCRYPTION_BLOBS}
    assert not {name for name in names if f"`{name}`" not in page and f"`{name}/" not in page}
