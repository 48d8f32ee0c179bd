"""A worker's own folder: its secret, and each update from before its submission until its round is final.

secret              32 random bytes, readable by the owner only
updates/<round>     base model root, sealed root, weight, vector root, salt, lanes
"""

from __future__ import annotations

import os
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fl_chain.commitment.chunks import LANE, Lanes, lane_bytes
from fl_chain.errors import ConfigError, KeyUnavailable
from fl_chain.records import Digest, Opening

_HEADER = struct.Struct(">32s32sQ32s32s")
SECRET_BYTES = 32


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
    """Durable before it returns: a file is complete under its name or not there at all."""

    def __init__(self, folder: Path, *, secret: bytes | None = None) -> None:
        """Open a worker's folder, made where it is missing.

        Args:
            folder: for this worker alone.
            secret: 32 bytes to use instead of those in the folder.

        Raises:
            ConfigError: if the folder cannot be made.
            KeyUnavailable: if the secret there is not 32 bytes.
        """
        self._updates = folder / "updates"
        try:
            self._updates.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the worker's folder {folder}: {error.strerror}") from error
        self.secret = secret if secret is not None else self._kept_secret(folder / "secret")

    def save(self, prepared: PreparedUpdate) -> None:
        """Write an update to disk, flushed, before its submission is sent.

        Raises:
            ConfigError: if the disk does not take it; nothing was submitted then.
        """
        header = _HEADER.pack(
            prepared.base_model_root,
            prepared.sealed_root,
            prepared.weight,
            prepared.opening.vector_root,
            prepared.opening.salt,
        )
        self._write(self._updates / str(prepared.round), header, lane_bytes(prepared.lanes))

    def load(self, round_id: int) -> PreparedUpdate | None:
        """Return the update that was saved for a round; None where there is none."""
        try:
            content = (self._updates / str(round_id)).read_bytes()
        except FileNotFoundError:
            return None
        base, sealed, weight, root, salt = _HEADER.unpack_from(content)
        return PreparedUpdate(
            round=round_id,
            base_model_root=Digest(base),
            sealed_root=Digest(sealed),
            weight=weight,
            opening=Opening(Digest(root), salt),
            lanes=np.frombuffer(content, dtype=LANE, offset=_HEADER.size),
        )

    def drop_before(self, round_id: int) -> None:
        """Remove the updates of rounds that are final."""
        for path in self._updates.iterdir():
            if path.name.isdecimal() and int(path.name) < round_id:
                path.unlink(missing_ok=True)

    def _kept_secret(self, path: Path) -> bytes:
        if not path.exists():
            self._write(path, secrets.token_bytes(SECRET_BYTES))
        secret = path.read_bytes()
        if len(secret) != SECRET_BYTES:
            raise KeyUnavailable(f"{path} holds {len(secret)} bytes instead of {SECRET_BYTES}: restore it")
        return secret

    def _write(self, path: Path, *parts: bytes | memoryview) -> None:
        temporary = path.with_name(path.name + ".part")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise ConfigError(
                f"cannot write {path}: {error.strerror}. Free some space and start again."
            ) from error
