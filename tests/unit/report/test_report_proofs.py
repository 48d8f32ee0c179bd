"""What a report says of proofs: its form, and the page's line about it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from made_reports import encoded, made_report, root

from fl_chain.errors import InputDataError
from fl_chain.report import parse_report, render_page

EVENTS = {
    "outcome": "proven",
    "events": 1058,
    "linked_blocks": 1096,
    "opened_blocks": 48,
    "same": True,
}
STATE = {
    "outcome": "proven",
    "state_root": root("state"),
    "storage_root": root("storage"),
    "code_keccak": root("code"),
    "verifier_code_keccak": root("verifier"),
    "balance_wei": 10**16,
    "slots": 82,
    "whole_storage": True,
}
REFUSED = {"outcome": "not_offered", "reason": "<b>the method does not exist</b>"}
FAILED = {"outcome": "failed", "reason": "it does not lead to its root"}


def page_of(content: bytes) -> str:
    return render_page(parse_report(content), source=content, summary=None)


def line(events: dict[str, Any], state: dict[str, Any]) -> str:
    """Return the page's line about proofs as text."""
    page = page_of(encoded(made_report(), proofs={"events": events, "state": state}))
    (shown,) = re.findall(r"proven against that hash</dt>\s*<dd>(.*?)</dd>", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", shown).strip()


@pytest.mark.parametrize(
    ("events", "state", "expected"),
    [
        (
            EVENTS,
            STATE,
            "1,058 events, over 1,096 linked headers; the contract's code and all 82 words of its state",
        ),
        (
            EVENTS,
            STATE | {"whole_storage": False},
            "1,058 events, over 1,096 linked headers; the contract's code and 82 words of its state",
        ),
        (REFUSED, REFUSED, "no events: the node does not offer it; no state: the node does not offer it"),
        (FAILED, FAILED, "no events: the proof does not hold; no state: the proof does not hold"),
    ],
)
def test_the_page_has_one_line_about_proofs(
    events: dict[str, Any], state: dict[str, Any], expected: str
) -> None:
    assert line(events, state) == expected


def test_a_report_without_proofs_has_no_line() -> None:
    report = made_report()
    assert report.proofs is None
    assert "proven against that hash" not in page_of(encoded(report))


@pytest.mark.parametrize(
    "proofs",
    [
        {"events": EVENTS},
        {"events": EVENTS, "state": STATE | {"outcome": "perhaps"}},
        {"events": EVENTS, "state": STATE | {"slots": -1}},
        {"events": EVENTS | {"more": 1}, "state": STATE},
        {"events": EVENTS, "state": STATE | {"state_root": "0x12"}},
    ],
)
def test_proofs_of_another_form_are_refused(proofs: dict[str, Any]) -> None:
    with pytest.raises(InputDataError, match="proofs"):
        parse_report(encoded(made_report(), proofs=proofs))
