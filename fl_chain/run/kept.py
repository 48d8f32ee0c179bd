"""What a participant keeps from round to round: its control variate, its local tensors.

kept/<round>-<base model root>      SHA-256 of the rest (32 bytes), then float32 values, little-endian

A round's values are written before its update, so there is no update without them. Those that count for a
round are of the newest round below it, on the chain of bases, whose standing posting includes this
participant's update: where a posting falls, what was kept for it is passed over with it.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fl_chain.ledger.history import History
from fl_chain.records import Address, Digest, RoundStatus
from fl_chain.run.durable import make_folder, read_if_there, write_durably, write_whole

log = logging.getLogger(__name__)

_FLOAT = np.dtype("<f4")
_DIGEST_BYTES = 32

Values = npt.NDArray[np.float32]


class KeptState:
    """One participant's own values by round, in its folder; nothing of it is published."""

    def __init__(self, folder: Path, *, is_durable: bool = True) -> None:
        """Open the folder, made where it is missing.

        Args:
            folder: for this participant alone.
            is_durable: whether what is kept has to outlive a power cut.

        Raises:
            ConfigError: if it cannot be made.
        """
        self._folder = folder / "kept"
        self._write = write_durably if is_durable else write_whole
        make_folder(self._folder)

    def save(self, round_id: int, base_model_root: Digest, values: Values) -> None:
        """Write what follows from a round's training, before its update is written.

        Raises:
            StateUnwritable: if the disk does not take it.
        """
        content = np.ascontiguousarray(values, dtype=_FLOAT).tobytes()
        self._write(self._path(round_id, base_model_root), hashlib.sha256(content).digest() + content)

    def load(self, round_id: int, base_model_root: Digest) -> Values | None:
        """Return what was kept for a round; None where there is nothing that is whole.

        Raises:
            StateUnwritable: if it is there and cannot be read.
        """
        content = read_if_there(self._path(round_id, base_model_root))
        if content is None:
            return None
        digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest or len(body) % _FLOAT.itemsize:
            log.warning("round %d: what was kept locally is damaged", round_id)
            return None
        return np.frombuffer(body, dtype=_FLOAT).astype(np.float32)

    def before(self, base_round: int, history: History, identity: Address) -> Values | None:
        """Return what counts for a round that starts from a base; None for the participant's first."""
        newest = last_included(history, base_round, identity)
        if newest is None:
            return None
        values = self.load(newest, history.base_model_roots[newest])
        if values is None:
            log.warning(
                "what was kept locally of round %d is lost: starting anew. Keep `state` in [worker] for the "
                "whole run.",
                newest,
            )
        return values

    def drop_unneeded(self, history: History, identity: Address) -> None:
        """Remove what no round can start from any more: all that is older than the newest that is final."""
        final = [
            round_id
            for round_id in range(1, history.state.settled + 1)
            if history.rounds[round_id].status is RoundStatus.FINAL
        ]
        newest = last_included(history, final[-1], identity) if final else None
        if newest is None:
            return
        for path in self._folder.iterdir():
            number = path.name.partition("-")[0]
            if number.isdecimal() and int(number) < newest:
                path.unlink(missing_ok=True)

    def _path(self, round_id: int, base_model_root: Digest) -> Path:
        return self._folder / f"{round_id}-{base_model_root.hex()}"


def last_included(history: History, base_round: int, identity: Address) -> int | None:
    """Return the newest round from a base downwards whose standing posting includes a participant."""
    while base_round:
        posting = history.postings.get(base_round)
        excluded = {exclusion.index for exclusion in posting.exclusions} if posting else set()
        for submission in history.submissions[base_round]:
            if submission.participant == identity and submission.index not in excluded and posting:
                return base_round
        base_round = history.rounds[base_round].base_round
    return None
