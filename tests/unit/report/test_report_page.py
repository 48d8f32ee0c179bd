import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_reports import account, encoded, made_report, made_round, made_summary, root, round_without_model

from fl_chain.audit import AuditReport
from fl_chain.audit.checks import CHECKS
from fl_chain.audit.kinds import Kind
from fl_chain.audit.missing import MissingBlob, Role
from fl_chain.report import parse_report, parse_summary, render_page
from fl_chain.report.page import MOST_STEPS, amount, chain_time, fraction, visible

VOID = {"meta", "br"}
POISON = "</code></style></script><script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7*7 }} &lt;"


class Document(HTMLParser):
    """A page as a strict reader sees it: every element closed where it was opened."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.raw: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.raw[self._open[-1]] = self.raw.get(self._open[-1], "") + data
        else:
            self.text.append(data)

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for found, attributes in self.tags if found == tag)

    @property
    def counts(self) -> Counter[str]:
        return Counter(tag for tag, _ in self.tags)


def page_of(report: AuditReport | bytes, summary: bytes | None = None) -> str:
    source = report if isinstance(report, bytes) else report.to_json().encode()
    parsed = None if summary is None else parse_summary(summary)
    return render_page(parse_report(source), source=source, summary=parsed)


def eventful_report() -> AuditReport:
    """A run in which everything happened that a page can show."""
    report = made_report(rounds=5)
    report.rounds[0].participants[1]["excluded"] = "unreadable"
    report.rounds[2] = round_without_model(3, 3, status="void", void_reason="not_posted")
    report.rounds[3] = made_round(4, 3, base_round=2, verified=False, clamped_lanes=None)
    report.rounds[4] = made_round(5, 3, status="posted", verified=False)
    report.add(Kind.MODEL_DIFFERS, "do not use this model", round=5, expected=root(1), actual=root(2))
    report.add(Kind.BALANCE_SHORT, "ask everyone to compare", participant=account(1))
    report.add(Kind.UPDATE_ZERO, "something to look at", round=1, participant=account(2))
    holders = ((Role.AGGREGATOR, account(0)), (Role.PARTICIPANT, account(1)))
    report.missing.append(MissingBlob("an update", "updates/x", 2, holders))
    return report


def test_the_verdict_comes_first_and_names_what_it_rests_on() -> None:
    document = Document(page_of(made_report(), made_summary()))
    text = " ".join(document.text)
    first_section = next(document.all("section"))
    assert first_section["class"] == "verdict pass"
    for expected in (root("block"), root("code"), root("model", 0), account(99), "31337", "1,234"):
        assert expected in text
    assert "2027-01-15 08:00:00 UTC" in text


def test_a_failed_audit_says_so_before_anything_else() -> None:
    page = page_of(eventful_report())
    document = Document(page)
    assert next(document.all("section"))["class"] == "verdict fail"
    assert page.index("FAIL") < page.index(root("block"))
    text = " ".join(document.text)
    for expected in ("do not use this model", "model differs", root(1), root(2), "excluded: unreadable"):
        assert expected in text
    assert "void: not posted" in re.sub(r"\s+", " ", text)
    assert "could not be derived again" in text
    assert "derived again: not the same" in text


def test_every_digest_is_there_in_full_with_a_button() -> None:
    report = made_report()
    text = Document(page_of(report)).text
    for item in report.rounds:
        assert item.model_root in text
        assert set(item.partial_sum_roots) <= set(text)
        for one in item.participants:
            assert {one["sealed_root"], one["participant"], one["statistics"]["vector_root"]} <= set(text)
    counts = Document(page_of(report)).counts
    other = 20 + len(CHECKS)  # names of calls and checks, and the command to repeat, are code, too
    assert counts["button"] >= counts["code"] - other


def test_the_policy_admits_the_pages_own_style_and_script_alone() -> None:
    document = Document(page_of(made_report()))
    policy = next(one["content"] for one in document.all("meta") if "http-equiv" in one)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        sha256 = base64.b64encode(hashlib.sha256(document.raw[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{sha256}'" in policy
    assert policy.count("sha256-") == 2
    assert "unsafe" not in policy
    assert document.counts["script"] == document.counts["style"] == 1


@pytest.mark.parametrize("report", [made_report(), eventful_report(), made_report(rounds=0, participants=0)])
def test_nothing_is_loaded_and_nothing_runs_from_an_attribute(report: AuditReport) -> None:
    document = Document(page_of(report, made_summary()))
    ids = [attributes["id"] for _, attributes in document.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in document.tags:
        assert not {"src", "srcset", "style", "action", "background", "data", "xlink:href"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        target = attributes.get("href")
        assert target is None or target[1:] in ids
    assert not {"img", "iframe", "object", "embed", "link", "base", "form", "use", "image"} & set(
        document.counts
    )
    for fixed in ("@import", "url(", "http:", "https:"):
        assert fixed not in document.raw["style"] + document.raw["script"]


def test_tables_and_pictures_are_named() -> None:
    document = Document(page_of(eventful_report(), made_summary(5)))
    assert document.counts["caption"] == document.counts["table"] > 0
    assert all(one.get("scope") in ("col", "row") for one in document.all("th"))
    pictures = [one for one in document.all("svg") if one.get("aria-hidden") != "true"]
    assert len(pictures) == 4
    ids = {attributes.get("id") for _, attributes in document.tags}
    for one in pictures:
        assert one["role"] == "img"
        assert set((one["aria-labelledby"] or "").split()) <= ids
    assert next(document.all("html"))["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert document.counts[landmark] == 1


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=200) | st.just(POISON))
def test_whatever_a_text_holds_stays_text(text: str) -> None:
    def filled(with_text: str) -> Document:
        report = eventful_report()
        report.add(Kind.STATE_DIFFERS, with_text, expected=with_text, actual=with_text)
        report.add(Kind.NORM_OUTLIER, with_text, expected=with_text, advice=with_text)
        report.missing.append(MissingBlob(with_text, with_text, None, ((Role.OPERATOR, account(98)),)))
        content = json.loads(report.to_json())
        content["checks"][0] |= {"title": with_text, "proves": with_text}
        content["findings"][0] |= {"rule": with_text, "page": with_text}
        return Document(page_of(json.dumps(content).encode()))

    try:
        text.encode()
    except UnicodeEncodeError:
        return  # no JSON holds it
    poisoned, plain = filled(text), filled("plain")
    assert poisoned.counts == plain.counts
    assert [sorted(attributes) for _, attributes in poisoned.tags] == [
        sorted(attributes) for _, attributes in plain.tags
    ]
    assert poisoned.raw == plain.raw
    joined = "".join(poisoned.text)
    assert joined.count(visible(text)) >= 11


def test_a_poisoned_metric_or_owner_is_refused_or_unseen() -> None:
    summary = made_summary(local={POISON: {"auroc": 0.5}})
    assert "<script>alert" not in page_of(made_report(), summary)


def test_characters_that_hide_or_reorder_are_spelled_out() -> None:
    report = made_report()
    report.add(Kind.UPDATE_ZERO, "a\u202eb\u200bc\x00d\ne \u2066")
    page = page_of(report)
    assert r"a\u{202e}b\u{200b}c\u{0}d\u{a}e \u{2066}" in page
    assert not any(one in page for one in "\u202e\u200b\x00\u2066")


def test_the_same_report_gives_the_same_page() -> None:
    assert page_of(made_report(), made_summary()) == page_of(made_report(), made_summary())


def test_a_page_names_the_report_that_it_was_made_of() -> None:
    source = made_report().to_json().encode()
    assert "0x" + hashlib.sha256(source).hexdigest() in page_of(source)
    assert "0x" + hashlib.sha256(source + b"\n").hexdigest() in page_of(source + b"\n")


def test_scores_of_another_run_are_left_out() -> None:
    page = page_of(made_report(), made_summary(model_root=root("another")))
    assert root("another") in page
    assert "of each round&#39;s model" not in page
    assert "auroc" not in page


def test_scores_are_said_to_be_declared() -> None:
    text = " ".join(Document(page_of(made_report(), made_summary())).text)
    assert "Declared by the run, not audited" in text
    assert "auroc" in text


@pytest.mark.parametrize(("rounds", "folded"), [(MOST_STEPS, False), (MOST_STEPS + 1, True)])
def test_a_long_line_is_folded_and_loses_no_model(rounds: int, folded: bool) -> None:
    page = page_of(made_report(rounds=rounds, participants=1))
    line = page[page.index('id="provenance"') : page.index('id="participants"')]
    assert ("models between" in line) is folded
    for number in range(rounds + 1):
        assert line.count(root("model", number)) == 1


def test_postings_that_fell_are_shown() -> None:
    content = made_report()
    source = encoded(content)
    fallen = {
        "posting_number": 0,
        "poster": account(1),
        "model_root": root("fell"),
        "reason": "sum",
        "challenger": None,
        "objections": 0,
        "bond_lost_wei": 10**16,
        "challenge_reward_wei": 10**15,
        "bonus_wei": 9 * 10**15,
        "block_number": 77,
        "transaction_hash": root("challenge"),
        "founded": True,
    }
    rounds = [item.model_dump() | {"fallen": [fallen]} for item in parse_report(source).rounds]
    text = " ".join(Document(page_of(encoded(content, rounds=rounds))).text)
    assert root("fell") in text
    assert "its submitters" in text
    assert "0.009" in text


def test_a_node_without_receipts_is_said_to_be_one() -> None:
    report = made_report()
    report.gas = None
    assert "its gas is not known" in page_of(report)


@pytest.mark.parametrize(
    ("wei", "shown"),
    [(0, "0"), (1, "0.000000000000000001"), (10**18, "1"), (1234 * 10**18 + 5 * 10**17, "1,234.5")],
)
def test_ether_is_shown_in_full(wei: int, shown: str) -> None:
    assert amount(wei, "0x" + "00" * 20) == shown


def test_tokens_are_shown_in_their_smallest_unit() -> None:
    assert amount(1_234_567, account(1)) == "1,234,567"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0.000"),
        (499, "0.000"),
        (500, "0.001"),
        (-499, "0.000"),
        (-500, "-0.001"),
        (1_234_567_499, "1,234.567"),
    ],
)
def test_fractions_are_rounded_exactly(value: int, shown: str) -> None:
    assert fraction(value, 1_000_000, 3) == shown


def test_times_beyond_the_calendar_are_seconds() -> None:
    assert chain_time(253402300799) == "9999-12-31 23:59:59 UTC"
    assert chain_time(253402300800) == "second 253402300800"


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def schemes() -> dict[str, dict[str, str]]:
    style = Document(page_of(made_report())).raw["style"]
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in blocks[:2])
    return {"light": light, "dark": dark}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_stand_out(scheme: str) -> None:
    colours = schemes()[scheme]
    text_on = {
        "page": ("text", "soft", "link"),
        "card": ("text", "soft", "link", "good", "bad", "warn"),
        "good-back": ("text", "good"),
        "bad-back": ("text", "bad"),
        "warn-back": ("text", "warn"),
    }
    for back, texts in text_on.items():
        for text in texts:
            assert contrast(colours[text], colours[back]) >= 4.5, (text, back)  # WCAG 2.2 AA, 1.4.3
    for mark in ("mark", "bad", "soft", *(f"phase-{letter}" for letter in "abcdef")):
        assert contrast(colours[mark], colours["card"]) >= 3, mark  # 1.4.11
