"""Rounds that are posted wrongly, and the proofs of it, as plainly as the protocol states them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plain_protocol import (
    CHUNK_LANES,
    FAN_IN,
    applied,
    chunk_bytes,
    chunk_path,
    levels,
    partial_sums,
    sha256,
    vector_root,
)

CHAIN_ID = 31337
LEDGER = bytes.fromhex("22" * 20)
ROUND = 1
CLIP_LANES = 1000
FRACTION_BITS = 22
SCALE_BITS = 20

Opening = tuple[bytes, bytes, int, bytes]


# ---------------------------------------------------------------------- who and what


def participant(number: int) -> bytes:
    """The address of submission ``number``, counted from 1."""
    return sha256(b"participant", bytes([number]))[:20]


def weight(number: int) -> int:
    """Its declared weight."""
    return 2 * number + 3


def update(number: int, dimension: int) -> list[int]:
    """Its lanes, within their bounds."""
    clip = CLIP_LANES * weight(number)
    numbers = ((number * 2654435761 + lane * 40503) % 2**32 for lane in range(dimension))
    return padded([(value % (2 * clip + 1) - clip) % 2**32 for value in numbers], dimension)


def base_model(dimension: int) -> list[int]:
    """The model that the round starts from."""
    return padded([(lane * 2246822519 + 374761393) % 2**32 for lane in range(dimension)], dimension)


def padded(lanes: list[int], dimension: int) -> list[int]:
    """A vector with the lanes of its padding."""
    return lanes + [0] * (CHUNK_LANES * 2 ** depth(dimension) - len(lanes))


def depth(dimension: int) -> int:
    """Levels above the chunks."""
    found = 0
    while CHUNK_LANES * 2**found < dimension:
        found += 1
    return found


# ---------------------------------------------------------------------- proofs


@dataclass(frozen=True)
class Proof:
    """A challenge's arguments; what its kind has no use for stays empty.

    A sum's ``chunk_hashes`` and ``paths`` are (its own, those of the summands), an application's those of
    base, total and model.
    """

    kind: str
    index: int = 0
    chunk: int = 0
    lane: int = 0
    chunk_hash: bytes = b""
    roots: tuple[bytes, ...] = ()
    openings: tuple[Opening, ...] = ()
    contents: tuple[bytes, ...] = ()
    paths: tuple[tuple[bytes, ...], ...] = ()
    tail: bytes = b""

    def encoded(self) -> bytes:
        """The arguments of the call after the round, as the ABI encodes them."""
        opened = [word(root) + word(salt) + number(w) + address(who) for root, salt, w, who in self.openings]
        if self.kind == "sum":
            head = [number(self.index), number(self.chunk), self.chunk_hash, None, None, None, None, None]
            tails = [
                words(self.paths[0]),
                words(self.roots),
                number(len(opened)) + b"".join(opened),
                content(b"".join(self.contents)),
                words([sibling for path in self.paths[1:] for sibling in path]),
            ]
        elif self.kind == "range":
            head = [number(self.index), *split(opened[0]), number(self.chunk), number(self.lane), None, None]
            tails = [content(self.contents[0]), words(self.paths[0])]
        else:
            head = [number(self.chunk), None, None, None, None, None, self.chunk_hash, None]
            tails = [words(self.roots)]
            for stuff, path in zip(self.contents, self.paths[:2], strict=True):
                tails += [content(stuff), words(path)]
            tails.append(words(self.paths[2]))
        return number(ROUND) + number(64) + tuple_encoding(head, tails) + self.tail


def word(value: bytes) -> bytes:
    """32 bytes."""
    return value.ljust(32, b"\0")


def number(value: int) -> bytes:
    """An integer as the ABI encodes it."""
    return value.to_bytes(32, "big")


def address(value: bytes) -> bytes:
    """An address as the ABI encodes it."""
    return value.rjust(32, b"\0")


def words(values: list[bytes] | tuple[bytes, ...]) -> bytes:
    """A list of 32-byte words with its length."""
    return number(len(values)) + b"".join(values)


def content(value: bytes) -> bytes:
    """Bytes with their length, padded to whole words."""
    return number(len(value)) + value + bytes(-len(value) % 32)


def split(value: bytes) -> list[bytes | None]:
    """The words of what stands in the head."""
    return [value[i : i + 32] for i in range(0, len(value), 32)]


def tuple_encoding(head: list[bytes | None], tails: list[bytes]) -> bytes:
    """A struct: its words, None for the offset of the next tail, then the tails."""
    offset = 32 * len(head)
    placed, rest = [], iter(tails)
    for entry in head:
        if entry is None:
            placed.append(number(offset))
            offset += len(next(rest))
        else:
            placed.append(entry)
    return b"".join(placed) + b"".join(tails)


# ---------------------------------------------------------------------- a round


@dataclass(frozen=True)
class Lie:
    """One wrong lane.

    ``what`` is "sum" (``place`` in the list), "update" (``place`` among the submissions), "model" or
    "nothing"; ``number`` is the update's lane, or what is added to the sum's or the model's.
    """

    what: str
    place: int
    lane: int
    number: int


NO_LIE = Lie("nothing", 0, 0, 0)


class Posting:
    """A round and what a poster made of it.

    Args:
        dimension: lanes of the model.
        count: submissions.
        excluded: their positions.
        lie: what is wrong with it.
    """

    def __init__(self, dimension: int, count: int, excluded: list[int], lie: Lie) -> None:
        """Sum and apply, wrongly where the lie says so."""
        self.dimension, self.count, self.excluded, self.lie = dimension, count, excluded, lie
        self.updates = [update(k + 1, dimension) for k in range(count)]
        if lie.what == "update":
            self.updates[lie.place][lie.lane] = lie.number % 2**32
        self.sums = [lanes for level in self._levels() for lanes in level]
        self.base = base_model(dimension)
        total_weight = sum(weight(k + 1) for k in range(count) if k not in excluded)
        self.model = applied(self.base, self.sums[-1], FRACTION_BITS, total_weight << SCALE_BITS)
        if lie.what == "model":
            self.model[lie.lane] = (self.model[lie.lane] + lie.number) % 2**32
        self.roots = tuple(vector_root(lanes) for lanes in self.sums)

    def _levels(self) -> Iterator[list[list[int]]]:
        """Level by level, so that what is wrong in one sum is carried on into those above."""
        lanes = len(self.updates[0])
        below = [[0] * lanes if k in self.excluded else self.updates[k] for k in range(self.count)]
        listed = 0
        while listed == 0 or len(below) > 1:
            below = partial_sums(below, lanes)[0]
            for position, total in enumerate(below):
                if self.lie.what == "sum" and self.lie.place == listed + position:
                    total[self.lie.lane] = (total[self.lie.lane] + self.lie.number) % 2**32
            listed += len(below)
            yield below

    def opening(self, k: int, other_round: bool = False) -> Opening:
        """What opens the leaf of submission ``k``, counted from 0."""
        salt = bytes([k + 1 + 128 * other_round]) * 32
        return vector_root(self.updates[k]), salt, weight(k + 1), participant(k + 1)

    def summands(self, index: int) -> tuple[bool, range]:
        """Whether a listed sum adds up submissions, and where its summands stand."""
        start, size, below_start, below = 0, -(-self.count // FAN_IN), 0, self.count
        is_first = True
        while index >= start + size:
            below_start, below = start, size
            start, size, is_first = start + size, -(-size // FAN_IN), False
        first = FAN_IN * (index - start)
        return is_first, range(below_start + first, below_start + min(first + FAN_IN, below))

    def sum_proof(self, index: int, chunk: int, excluded: list[int]) -> Proof:
        """That a listed sum is wrong in a chunk."""
        is_first, places = self.summands(index)
        places_used = [k for k in places if not is_first or k not in excluded]
        vectors = [(self.updates if is_first else self.sums)[k] for k in places_used]
        return Proof(
            "sum",
            index=index,
            chunk=chunk,
            chunk_hash=levels(self.sums[index])[0][chunk],
            roots=self.roots,
            openings=tuple(self.opening(k) for k in places_used) if is_first else (),
            contents=tuple(chunk_bytes(lanes, chunk) for lanes in vectors),
            paths=tuple(tuple(chunk_path(lanes, chunk)) for lanes in (self.sums[index], *vectors)),
        )

    def range_proof(self, k: int, lane: int) -> Proof:
        """That a lane of an included update is outside its bounds."""
        chunk = lane // CHUNK_LANES
        return Proof(
            "range",
            index=k,
            chunk=chunk,
            lane=lane % CHUNK_LANES,
            openings=(self.opening(k),),
            contents=(chunk_bytes(self.updates[k], chunk),),
            paths=(tuple(chunk_path(self.updates[k], chunk)),),
        )

    def apply_proof(self, chunk: int) -> Proof:
        """That a chunk of the model does not follow from base and total."""
        return Proof(
            "apply",
            chunk=chunk,
            chunk_hash=levels(self.model)[0][chunk],
            roots=self.roots,
            contents=(chunk_bytes(self.base, chunk), chunk_bytes(self.sums[-1], chunk)),
            paths=tuple(tuple(chunk_path(v, chunk)) for v in (self.base, self.sums[-1], self.model)),
        )

    def proof(self) -> Proof:
        """The proof of its lie."""
        if self.lie.what == "sum":
            return self.sum_proof(self.lie.place, self.lie.lane // CHUNK_LANES, self.excluded)
        if self.lie.what == "update":
            return self.range_proof(self.lie.place, self.lie.lane)
        return self.apply_proof(self.lie.lane // CHUNK_LANES)
