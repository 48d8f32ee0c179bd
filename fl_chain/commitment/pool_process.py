"""What a hashing process runs, and the words that it and its pool exchange.

It needs the standard library alone and holds no state but its mappings of shared memory.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple

from fl_chain.commitment.merkle import hash_block

_COMMAND = struct.Struct(">BQQQ")


class Verb(IntEnum):
    """What a pool asks of a process."""

    MAP = 1  # take the attached memory, ``length`` bytes, as this segment
    UNMAP = 2  # give it up
    HASH = 3  # answer with the chunk hashes of ``length`` bytes at ``offset``, then the root of their block


class Command(NamedTuple):
    """One request; `Verb` says what the numbers mean."""

    verb: Verb
    segment: int
    offset: int = 0
    length: int = 0

    def pack(self) -> bytes:
        """Return the request as bytes."""
        return _COMMAND.pack(*self)

    @classmethod
    def unpack(cls, message: bytes) -> Command:
        """Return the request that bytes stand for."""
        verb, segment, offset, length = _COMMAND.unpack(message)
        return cls(Verb(verb), segment, offset, length)


def receive_exactly(connection: socket.socket, length: int) -> bytes:
    """Return the next bytes of a connection.

    Raises:
        EOFError: if the other end is gone before they have come.
    """
    received = bytearray()
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            raise EOFError
        received += piece
    return bytes(received)


def serve() -> None:
    """Answer requests on the socket that the first argument names, until the pool is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pool's end is the signal that counts
    segments: dict[int, mmap.mmap] = {}
    # The pool may end with answers unread: that is no error of this process.
    with socket.socket(fileno=int(sys.argv[1])) as connection, suppress(ConnectionError, EOFError):
        while True:
            # A file travels with the first byte of its request, so one read never spans two requests.
            message, files, _, _ = socket.recv_fds(connection, _COMMAND.size, 1)
            if not message:
                return
            command = Command.unpack(message + receive_exactly(connection, _COMMAND.size - len(message)))
            if command.verb is Verb.MAP:
                segments[command.segment] = mmap.mmap(files[0], command.length, access=mmap.ACCESS_READ)
                os.close(files[0])
            elif command.verb is Verb.UNMAP:
                segments.pop(command.segment).close()
            else:
                connection.sendall(_hashed(segments[command.segment], command))


def _hashed(segment: mmap.mmap, command: Command) -> bytes:
    with memoryview(segment) as whole, whole[command.offset : command.offset + command.length] as block:
        hashes, root = hash_block(block)
    return hashes + root
