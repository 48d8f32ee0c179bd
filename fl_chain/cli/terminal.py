"""What others wrote, on a terminal: nodes, stores and files must not move its cursor or colour its text."""

from __future__ import annotations

import logging

_KEPT = "\n\t"


def printable(text: object) -> str:
    """Return text with every character spelled out that a terminal would act on, or that reorders others.

    An error may quote what a node or a store answered: with escape codes in it, it could clear the screen and
    write a verdict of its own.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(one if one.isprintable() or one in _KEPT else f"\\u{{{ord(one):x}}}" for one in shown)


class PrintableFormatter(logging.Formatter):
    """Formats what is logged, printable as a whole."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        return printable(super().format(record))
