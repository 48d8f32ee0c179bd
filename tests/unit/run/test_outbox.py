import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.commitment.chunks import LANE
from fl_chain.commitment.tree import vector_root
from fl_chain.errors import ConfigError, KeyUnavailable, StateUnwritable
from fl_chain.records import Digest, Opening
from fl_chain.run.outbox import Outbox, PreparedUpdate

BASE = Digest(b"b" * 32)


def prepared(round_id: int, lanes: list[int], weight: int = 7, base: Digest = BASE) -> PreparedUpdate:
    content = np.array(lanes, dtype=LANE)
    return PreparedUpdate(
        round=round_id,
        base_model_root=base,
        sealed_root=Digest(b"s" * 32),
        weight=weight,
        opening=Opening(vector_root(content), b"t" * 32),
        lanes=content,
    )


def assert_same(left: PreparedUpdate | None, right: PreparedUpdate) -> None:
    assert left is not None
    assert (left.round, left.base_model_root, left.sealed_root) == (
        right.round,
        right.base_model_root,
        right.sealed_root,
    )
    assert (left.weight, left.opening) == (right.weight, right.opening)
    assert left.lanes.tobytes() == right.lanes.tobytes()
    assert left.lanes.dtype == LANE


@given(lanes=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50), weight=st.integers(1, 2**31 - 1))
def test_an_update_reads_back_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory, lanes: list[int], weight: int
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    update = prepared(3, lanes, weight)
    Outbox(folder).save(update)
    assert_same(Outbox(folder).load(3, BASE), update)


def test_a_round_without_an_update_has_none(tmp_path: Path) -> None:
    assert Outbox(tmp_path).load(1, BASE) is None


def test_a_half_written_update_does_not_count(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    (tmp_path / "updates" / f"4-{BASE.hex()}.part").write_bytes(b"half")
    assert outbox.load(4, BASE) is None
    outbox.save(prepared(4, [1, 2]))
    assert_same(outbox.load(4, BASE), prepared(4, [1, 2]))


def test_an_update_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.save(prepared(4, [1, 2]))
    (path,) = (tmp_path / "updates").iterdir()
    path.unlink()
    path.mkdir()
    with pytest.raises(StateUnwritable, match=r"cannot read .*: .*\. Mend that disk"):
        outbox.load(4, BASE)


def test_the_secret_stays_the_same_and_private(tmp_path: Path) -> None:
    secret = Outbox(tmp_path).secret
    assert Outbox(tmp_path).secret == secret
    assert len(secret) == 32
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_given_secret_is_used_and_not_kept(tmp_path: Path) -> None:
    assert Outbox(tmp_path, secret=b"x" * 32).secret == b"x" * 32
    assert not (tmp_path / "secret").exists()


def test_a_cut_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(KeyUnavailable, match="32"):
        Outbox(tmp_path)


def test_final_rounds_are_dropped(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for round_id in (1, 2, 10):
        outbox.save(prepared(round_id, [round_id]))
    outbox.drop_before(3)
    assert outbox.load(1, BASE) is None
    assert outbox.load(2, BASE) is None
    assert_same(outbox.load(10, BASE), prepared(10, [10]))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot make"):
        Outbox(tmp_path / "file" / "state")


def test_a_disk_that_takes_nothing_is_an_error_and_keeps_the_old_update(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.save(prepared(1, [1]))
    unfinished = tmp_path / "updates" / f"1-{BASE.hex()}.part"
    unfinished.mkdir()  # the temporary file cannot be opened
    with pytest.raises(StateUnwritable, match="cannot write"):
        outbox.save(prepared(1, [2]))
    assert_same(outbox.load(1, BASE), prepared(1, [1]))


def test_updates_of_one_round_on_two_bases_are_both_kept(tmp_path: Path) -> None:
    outbox, other = Outbox(tmp_path), Digest(b"o" * 32)
    outbox.save(prepared(5, [1, 2]))
    outbox.save(prepared(5, [3, 4], base=other))
    assert_same(outbox.load(5, BASE), prepared(5, [1, 2]))
    assert_same(outbox.load(5, other), prepared(5, [3, 4], base=other))
    outbox.drop_before(6)
    assert outbox.load(5, BASE) is None
    assert outbox.load(5, other) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "other base"])
def test_a_damaged_update_does_not_count(tmp_path: Path, damage: str) -> None:
    outbox = Outbox(tmp_path)
    outbox.save(prepared(1, [1, 2, 3]))
    path = tmp_path / "updates" / f"1-{BASE.hex()}"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[-3:]
    else:
        content[-1 if damage == "flipped" else 0] ^= 1
    path.write_bytes(content)
    assert outbox.load(1, BASE) is None
