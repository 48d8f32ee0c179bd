"""A worker's own folder: its secret, and each update from before its submission until its round is final.

secret                              32 random bytes, readable by the owner only
updates/<round>-<base model root>   base model root, sealed root, weight, vector root, salt, lanes
updates/<round>-<base>-<ring>       the same of an update under the masks of one ring of keys

A round has one base and so one update, which is submitted whatever happens in between. Only where the chain
is reorganised can a round come to have another base; the update on the old one is kept beside the new one,
as the chain may change its mind again.
"""

from __future__ import annotations

import logging
import re
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fl_chain.commitment.chunks import LANE, Lanes, lane_bytes
from fl_chain.commitment.tree import vector_root
from fl_chain.errors import KeyUnavailable
from fl_chain.records import Digest, Opening
from fl_chain.run.durable import make_folder, read_if_there, write_durably

log = logging.getLogger(__name__)

_HEADER = struct.Struct(">32s32sQ32s32s")
SECRET_BYTES = 32
_BASE_ROOT = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PreparedUpdate:
    """Everything that a submission and its later publication need."""

    round: int
    base_model_root: Digest
    sealed_root: Digest
    weight: int
    opening: Opening
    lanes: Lanes  # big-endian, shape (dimension,)


class Outbox:
    """What a worker keeps on its own disk.

    Attributes:
        folder: for this worker alone.
        secret: what the salts of its commitments follow from.
    """

    def __init__(self, folder: Path, *, secret: bytes | None = None) -> None:
        """Open a worker's folder, made where it is missing.

        Args:
            folder: for this worker alone.
            secret: 32 bytes to use instead of those in the folder.

        Raises:
            ConfigError: if the folder cannot be made.
            KeyUnavailable: if the secret there is not 32 bytes.
            StateUnwritable: if the disk does not take a new secret.
        """
        self.folder = folder
        self._updates = folder / "updates"
        make_folder(self._updates)
        self.secret = secret if secret is not None else self._kept_secret(folder / "secret")

    def save(self, prepared: PreparedUpdate, *, ring: Digest | None = None) -> None:
        """Write an update to disk, flushed, before its submission is sent.

        Args:
            prepared: the update.
            ring: of the round's masks, where it is under masks.

        Raises:
            StateUnwritable: if the disk does not take it; nothing may be submitted then.
        """
        header = _HEADER.pack(
            prepared.base_model_root,
            prepared.sealed_root,
            prepared.weight,
            prepared.opening.vector_root,
            prepared.opening.salt,
        )
        path = self._path(prepared.round, prepared.base_model_root, ring)
        write_durably(path, header, lane_bytes(prepared.lanes))

    def load(
        self, round_id: int, base_model_root: Digest, *, ring: Digest | None = None
    ) -> PreparedUpdate | None:
        """Return the update that was saved for a round on a base; None where there is none that is whole.

        Raises:
            StateUnwritable: if it is there and cannot be read.
        """
        content = read_if_there(self._path(round_id, base_model_root, ring))
        if content is None:
            return None
        prepared = _decoded(round_id, content)
        if prepared is None or prepared.base_model_root != base_model_root:
            log.warning("round %d: the saved update is damaged", round_id)
            return None
        return prepared

    def saved_rounds(self, first: int, last: int) -> list[tuple[int, Digest]]:
        """Return round and base of what is saved for the rounds ``first`` to ``last``, the newest first."""
        found = []
        for path in self._updates.iterdir():
            number, _, root = path.name.partition("-")
            is_name = number.isdecimal() and _BASE_ROOT.fullmatch(root)
            if is_name and first <= int(number) <= last:
                found.append((int(number), Digest(bytes.fromhex(root))))
        return sorted(found, reverse=True)

    def drop_before(self, round_id: int) -> None:
        """Remove the updates of rounds that are final."""
        for path in self._updates.iterdir():
            number = path.name.partition("-")[0]
            if number.isdecimal() and int(number) < round_id:
                path.unlink(missing_ok=True)

    def _path(self, round_id: int, base_model_root: Digest, ring: Digest | None = None) -> Path:
        name = f"{round_id}-{base_model_root.hex()}"
        return self._updates / (name if ring is None else f"{name}-{ring.hex()}")

    def _kept_secret(self, path: Path) -> bytes:
        if not path.exists():
            write_durably(path, secrets.token_bytes(SECRET_BYTES))
        secret = path.read_bytes()
        if len(secret) != SECRET_BYTES:
            raise KeyUnavailable(f"{path} holds {len(secret)} bytes instead of {SECRET_BYTES}: restore it")
        return secret


def _decoded(round_id: int, content: bytes) -> PreparedUpdate | None:
    """Return the update that a file holds; None if the file is not what was written."""
    if len(content) <= _HEADER.size or (len(content) - _HEADER.size) % LANE.itemsize:
        return None
    base, sealed, weight, root, salt = _HEADER.unpack_from(content)
    lanes = np.frombuffer(content, dtype=LANE, offset=_HEADER.size)
    if vector_root(lanes) != root:
        return None
    return PreparedUpdate(
        round=round_id,
        base_model_root=Digest(base),
        sealed_root=Digest(sealed),
        weight=weight,
        opening=Opening(Digest(root), salt),
        lanes=lanes,
    )
