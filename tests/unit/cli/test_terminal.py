"""What others wrote does nothing to a terminal."""

import io
import logging

import pytest

from fl_chain.cli.audit_screen import print_finding
from fl_chain.cli.terminal import PrintableFormatter, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as it is: ä, 名前, …", "as it is: ä, 名前, …"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J", "\\u{1b}[2J"),
        ("\x9b31m", "\\u{9b}31m"),
        ("a\rb\x07\x00\x7f", "a\\u{d}b\\u{7}\\u{0}\\u{7f}"),
        ("\u202eSSAP", "\\u{202e}SSAP"),
        ("zero\u200bwidth", "zero\\u{200b}width"),
        ("half of a character: \ud800", "half of a character: \\u{d800}"),
    ],
)
def test_what_a_terminal_would_act_on_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_errors_are_taken_as_they_are() -> None:
    assert printable(ValueError("\x1b]0;title\x07")) == "\\u{1b}]0;title\\u{7}"


def test_logged_lines_are_printable_with_their_tracebacks() -> None:
    formatter = PrintableFormatter("%(message)s")
    error = ValueError("\x1b[2J")
    information = (ValueError, error, None)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "said %s", ("\x1b[H",), information)
    line = formatter.format(record)
    assert "\x1b" not in line
    assert line.startswith("said \\u{1b}[H\nValueError: ")


def test_findings_are_printable() -> None:
    from rich.console import Console

    from fl_chain.audit import Finding, Kind

    shown = io.StringIO()
    print_finding(
        Console(file=shown, width=200), Finding(Kind.UPDATE_MISSING, "\x1b[2Jgone", actual="\x9b1m")
    )
    assert "\\u{1b}[2Jgone" in shown.getvalue()
    assert "\x9b" not in shown.getvalue()
    assert "\x1b" not in shown.getvalue()
