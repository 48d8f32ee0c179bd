from collections.abc import Iterator
from pathlib import Path

import pytest
from consortium import Consortium


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    built = Consortium(tmp_path)
    yield built
    built.chain.close()
