"""One run whose updates only participants can read: all there, a spoilt round, liars, one that is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from consortium import Consortium, policy

from fl_chain.config import EncryptionSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.records import RoundStatus

PEOPLE = OWNERS[:3]


class EncryptedConsortium(Consortium):
    """A consortium whose weights are 1."""

    def weight_cap(self) -> int:
        return 1


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedConsortium]:
    folder: Path = tmp_path_factory.mktemp("encrypted")
    run = EncryptedConsortium(folder, policy=policy(rounds=2), privacy=EncryptionSettings(kind="he"))
    run.work_until(lambda history: history.rounds.get(2) is not None)
    yield run
    run.chain.close()


def test_x(run: EncryptedConsortium) -> None:
    assert run.history.rounds[1].status in (RoundStatus.POSTED, RoundStatus.FINAL)
