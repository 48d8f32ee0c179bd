"""The page: one HTML file that needs nothing else, the same bytes for the same report.

Every value of the report reaches the page through the template engine's escaping. Script and style are the
package's own, fixed text; the page's Content-Security-Policy admits those two by their hash and nothing else,
so even a value that got around the escaping could not run or load anything.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fl_chain.records import ZERO_ADDRESS
from fl_chain.report import charts, frame
from fl_chain.report.curves import learning_curves
from fl_chain.report.panels import CURVE_KEY, summary_panels, update_norms
from fl_chain.report.reading import Reading, partial_sums
from fl_chain.report.schema import Report, Summary, report_sha256

MOST_STEPS = 40  # models that the line of provenance shows at once; the middle of a longer one is folded
WEI_PER_ETHER = 10**18
LAST_SECOND = 253402300799  # of the year 9999


def render_page(report: Report, *, source: bytes, summary: Summary | None = None) -> str:
    """Return a report as a page.

    Args:
        report: parsed.
        source: the JSON that it was parsed from; the page names its SHA-256.
        summary: the scores that the run declares, where it does.
    """
    reading = Reading.of(report)
    style, script = asset("page.css") + asset("charts.css"), asset("page.js")
    is_same_run = summary is not None and summary.model_root == reading.last_model_root
    return (
        environment()
        .get_template("page.html.jinja")
        .render(
            report=report,
            reading=reading,
            style=Markup(style),  # noqa: S704 - the package's own file
            script=Markup(script),  # noqa: S704
            policy=content_security_policy(style, script),
            report_sha256=report_sha256(source),
            summary=summary,
            is_same_run=is_same_run,
            curves=learning_curves(summary) if summary is not None and is_same_run else (),
            panels=summary_panels(summary) if summary is not None and is_same_run else (),
            norms=update_norms(reading),
            curve_key=CURVE_KEY,
            participation=charts.participation(reading),
            rewards=charts.rewards(reading),
            chart=charts,
            frame=frame,
            most_steps=MOST_STEPS,
        )
    )


def content_security_policy(style: str, script: str) -> str:
    """Return a policy that admits one style and one script, by their hashes."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_source_hash(style)}'",
            f"script-src '{_source_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def visible(value: Any) -> Any:
    """Return text with every character that would not show, or would reorder others, spelled out.

    A name with a right-to-left override, or a digest with a zero-width space in it, would read as another.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(one if one.isprintable() else f"\\u{{{ord(one):x}}}" for one in value)


def amount(value_wei: int, token: str) -> str:
    """Return an amount in full: in ether for the native coin, in the smallest unit for a token."""
    if token != ZERO_ADDRESS:
        return f"{value_wei:,}"
    whole, rest = divmod(value_wei, WEI_PER_ETHER)
    return f"{whole:,}" + (f".{rest:018d}".rstrip("0") if rest else "")


def chain_time(timestamp: int) -> str:
    """Return a block's time, which is in seconds since 1970, as UTC."""
    if timestamp > LAST_SECOND:
        return f"second {timestamp}"
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def fraction(value: int, per_unit: int, digits: int) -> str:
    """Return ``value / per_unit`` in decimal, rounded half away from zero, without a float between."""
    scaled = (abs(value) * 10**digits * 2 + per_unit) // (2 * per_unit)
    whole, rest = divmod(scaled, 10**digits)
    return f"{'-' if value < 0 and scaled else ''}{whole:,}.{rest:0{digits}d}"


def words(name: str) -> str:
    """Return a stable name as words."""
    return name.replace("_", " ")


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def asset(name: str) -> str:
    """Return a fixed text of this package."""
    return files("fl_chain.report").joinpath(name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Return the template engine: every value is escaped."""
    environment = Environment(
        loader=PackageLoader("fl_chain.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        amount=amount,
        chain_time=chain_time,
        fraction=fraction,
        words=words,
        partial_sums=partial_sums,
    )
    return environment
