"""Changes that can be taken back, so that a refused call leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Journal:
    """Remembers how to undo each change since the last commit."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def put(self, table: dict[Key, Value], key: Key, value: Value) -> None:
        """Set an entry of a table."""
        if key in table:
            previous = table[key]
            self._undo.append(lambda: table.__setitem__(key, previous))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def drop(self, table: dict[Key, Value], key: Key) -> None:
        """Remove an entry of a table."""
        previous = table.pop(key)
        self._undo.append(lambda: table.__setitem__(key, previous))

    def add(self, members: set[Key], member: Key) -> None:
        """Add a member that is not in a set."""
        members.add(member)
        self._undo.append(lambda: members.remove(member))

    def remove(self, members: set[Key], member: Key) -> None:
        """Remove a member that is in a set."""
        members.remove(member)
        self._undo.append(lambda: members.add(member))

    def assign(self, owner: object, name: str, value: object) -> None:
        """Set an attribute."""
        previous = getattr(owner, name)
        self._undo.append(lambda: setattr(owner, name, previous))
        setattr(owner, name, value)

    def commit(self) -> None:
        """Let every change stand."""
        self._undo.clear()

    def roll_back(self) -> None:
        """Undo every change since the last commit, the newest first."""
        while self._undo:
            self._undo.pop()()
