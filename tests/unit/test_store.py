"""The blob store against real places: folders, memory, a web server and a full disk."""

import hashlib
import logging
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import vector_root, vector_tree
from fl_chain.errors import BlobMissing, ConfigError, DigestMismatch, MalformedBlob, StoreError
from fl_chain.records import Address, Digest, Opening, RunId, address
from fl_chain.store import CopyState, Store, WriteState

RUN = RunId(1337, address("0x" + "ab" * 20))
PARTICIPANT = address("0x" + "cd" * 20)
ROUND = 3


@dataclass(frozen=True)
class Sealed:
    opening: Opening
    lanes: Lanes
    root: Digest

    @property
    def path(self) -> str:
        return f"updates/{PARTICIPANT}/0x{self.root.hex()}"

    def write(self, store: Store):
        return store.write_update(PARTICIPANT, self.root, self.opening, self.lanes, run=RUN, round=ROUND)

    def read(self, store: Store):
        return store.read_update(PARTICIPANT, self.root, self.lanes.size, run=RUN, round=ROUND)

    def copies(self, store: Store):
        return store.update_copies(PARTICIPANT, self.root, self.lanes.size, run=RUN, round=ROUND)


def lanes_of(dimension: int, seed: int = 0) -> Lanes:
    return np.random.default_rng(seed).integers(0, 2**32, dimension, dtype=np.uint32).astype(LANE)


def sealed(dimension: int = 1500, seed: int = 0) -> Sealed:
    lanes = lanes_of(dimension, seed)
    opening = Opening(vector_root(lanes), hashlib.sha256(b"salt%d" % seed).digest())
    root = sealed_root(opening.vector_root, opening.salt, RUN, ROUND, PARTICIPANT)
    return Sealed(opening, lanes, root)


def flip_bit(path: Path, byte: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def web_server(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class RenamingFileSystem(LocalFileSystem):
    """A remote file system whose writes can be seen half done, so that the store has to rename."""

    protocol = "renaming"


@pytest.fixture(params=["folder", "file", "memory", "renaming"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    fsspec.register_implementation("renaming", RenamingFileSystem, clobber=True)
    return {
        "folder": str(tmp_path / "blobs"),
        "file": f"file://{tmp_path}/blobs",
        "memory": f"memory://{tmp_path}/blobs",
        "renaming": f"renaming://{tmp_path}/blobs",
    }[request.param]


# ---------------------------------------------------------------- round trips and layout


@pytest.mark.parametrize("dimension", [1, CHUNK_LANES - 1, CHUNK_LANES, CHUNK_LANES + 1, 5000])
def test_every_kind_of_blob_comes_back_as_it_was(url: str, dimension: int) -> None:
    store = Store([url])
    update, tree = sealed(dimension), vector_tree(lanes_of(dimension))
    document = b'{"a":1}'

    update.write(store)
    store.write_model(tree.root, lanes_of(dimension))
    store.write_sum(tree.root, tree.chunk_hashes)
    sha256 = store.write_document(document)

    again = Store([url])
    opening, lanes = update.read(again)
    assert opening == update.opening
    assert lanes.dtype == LANE
    assert np.array_equal(lanes, update.lanes)
    assert np.array_equal(again.read_model(tree.root, dimension), lanes_of(dimension))
    assert again.read_sum(tree.root, dimension) == tree.chunk_hashes
    assert again.read_document(sha256) == document
    assert sha256 == hashlib.sha256(document).digest()


def test_the_layout_on_disk_is_the_published_one(tmp_path: Path) -> None:
    store = Store([str(tmp_path)])
    update, tree = sealed(), vector_tree(lanes_of(2000))
    update.write(store)
    store.write_model(tree.root, lanes_of(2000))
    store.write_sum(tree.root, tree.chunk_hashes)
    sha256 = store.write_document(b"[1]")

    body = (tmp_path / "updates" / ("0x" + "cd" * 20) / f"0x{update.root.hex()}").read_bytes()
    assert body == update.opening.vector_root + update.opening.salt + update.lanes.tobytes()
    assert (tmp_path / "models" / f"0x{tree.root.hex()}").read_bytes() == lanes_of(2000).tobytes()
    assert (tmp_path / "sums" / f"0x{tree.root.hex()}").read_bytes() == tree.chunk_hashes
    assert (tmp_path / "documents" / f"0x{sha256.hex()}").read_bytes() == b"[1]"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4


def test_what_is_read_cannot_be_written_to(tmp_path: Path) -> None:
    store, update = Store([str(tmp_path)]), sealed()
    update.write(store)
    _, lanes = update.read(store)
    with pytest.raises(ValueError, match="read-only"):
        lanes[0] = 1


def test_has_update_says_whether_any_place_has_one(url: str, tmp_path: Path) -> None:
    update = sealed()
    store = Store([str(tmp_path / "first"), url])
    assert not store.has_update(PARTICIPANT, update.root)
    update.write(Store([url]))
    assert store.has_update(PARTICIPANT, update.root)


# ---------------------------------------------------------------- bad copies


def test_an_altered_lane_is_named_with_url_path_and_digests(tmp_path: Path) -> None:
    store, update = Store([str(tmp_path)]), sealed()
    update.write(store)
    flip_bit(tmp_path / update.path)
    with pytest.raises(DigestMismatch) as caught:
        update.read(store)
    assert f"{tmp_path}/{update.path}" in str(caught.value)
    assert caught.value.expected == update.opening.vector_root
    altered = np.frombuffer((tmp_path / update.path).read_bytes()[64:], LANE)
    assert caught.value.actual == vector_root(altered)


@pytest.mark.parametrize("byte", [0, 31, 32, 63])
def test_an_altered_opening_does_not_open_the_sealed_root(tmp_path: Path, byte: int) -> None:
    store, update = Store([str(tmp_path)]), sealed()
    update.write(store)
    flip_bit(tmp_path / update.path, byte)
    with pytest.raises(DigestMismatch) as caught:
        update.read(store)
    assert caught.value.expected == update.root


def test_an_update_opens_for_its_own_run_round_and_participant_only(tmp_path: Path) -> None:
    store, update = Store([str(tmp_path)]), sealed()
    update.write(store)
    dimension = update.lanes.size
    with pytest.raises(DigestMismatch):
        store.read_update(PARTICIPANT, update.root, dimension, run=RUN, round=ROUND + 1)
    other = RunId(RUN.chain_id + 1, RUN.ledger)
    with pytest.raises(DigestMismatch):
        store.read_update(PARTICIPANT, update.root, dimension, run=other, round=ROUND)
    thief = address("0x" + "ee" * 20)
    (tmp_path / "updates" / thief).mkdir()
    (tmp_path / "updates" / thief / f"0x{update.root.hex()}").write_bytes(
        (tmp_path / update.path).read_bytes()
    )
    with pytest.raises(DigestMismatch):
        store.read_update(thief, update.root, dimension, run=RUN, round=ROUND)


def test_an_opening_that_does_not_open_is_not_published(tmp_path: Path) -> None:
    store, update = Store([str(tmp_path)]), sealed()
    with pytest.raises(DigestMismatch):
        store.write_update(PARTICIPANT, update.root, update.opening, update.lanes, run=RUN, round=ROUND + 1)
    assert not (tmp_path / "updates").exists()


def test_altered_model_sum_and_document_are_refused(tmp_path: Path) -> None:
    store, tree = Store([str(tmp_path)]), vector_tree(lanes_of(3000))
    store.write_model(tree.root, lanes_of(3000))
    store.write_sum(tree.root, tree.chunk_hashes)
    sha256 = store.write_document(b'{"a":1}')
    for path in tmp_path.rglob("0x*"):
        flip_bit(path)
    for read in (
        lambda: store.read_model(tree.root, 3000),
        lambda: store.read_sum(tree.root, 3000),
        lambda: store.read_document(sha256),
    ):
        with pytest.raises(DigestMismatch):
            read()


def test_a_document_that_is_not_canonical_json_is_refused_by_name(tmp_path: Path) -> None:
    content = b'{"a": 1}'
    sha256 = Digest(hashlib.sha256(content).digest())
    Store([str(tmp_path)]).write_document(content)
    with pytest.raises(MalformedBlob, match="documents/0x"):
        Store([str(tmp_path)]).read_document(sha256)


MOST_LANES = 2048  # up to the end of the second chunk


@pytest.mark.parametrize("change", [-64 - 6000, -6000, -4, -1, 4 * (MOST_LANES - 1500) + 1, 3000])
def test_a_wrong_size_is_found_before_the_body_is_read(url: str, tmp_path: Path, change: int) -> None:
    update = sealed()
    body = update.opening.vector_root + update.opening.salt + update.lanes.tobytes()
    wrong = body[:change] if change < 0 else body + bytes(change)
    with fsspec.open(f"{url}/{update.path}", "wb", auto_mkdir=True) as file:
        file.write(wrong)
    with pytest.raises(MalformedBlob, match="truncated" if change < 0 else "oversized") as caught:
        update.read(Store([url]))
    expected = f"expected {len(body)} to {64 + 4 * MOST_LANES} bytes, found {len(wrong)}"
    assert expected in str(caught.value)


@pytest.mark.parametrize("lanes_past", [1, MOST_LANES - 1500])
def test_lanes_past_the_dimension_are_kept_up_to_the_end_of_the_last_chunk(
    url: str, tmp_path: Path, lanes_past: int
) -> None:
    update = sealed(1500 + lanes_past)
    assert update.lanes[-1] != 0
    update.write(Store([url]))
    read = Store([url]).read_update(PARTICIPANT, update.root, 1500, run=RUN, round=ROUND)
    assert np.array_equal(read.lanes, update.lanes)


def test_bytes_that_are_no_whole_lanes_are_refused(tmp_path: Path) -> None:
    update = sealed()
    update.write(Store([str(tmp_path)]))
    path = tmp_path / update.path
    path.write_bytes(path.read_bytes() + b"\x00")
    with pytest.raises(MalformedBlob, match="whole lanes"):
        update.read(Store([str(tmp_path)]))


@pytest.mark.parametrize(("size", "fits"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_a_document_has_at_most_one_mebibyte(tmp_path: Path, size: int, fits: bool) -> None:
    content = b'"' + b"a" * (size - 2) + b'"'
    sha256 = Digest(hashlib.sha256(content).digest())
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / f"0x{sha256.hex()}").write_bytes(content)
    if fits:
        assert Store([str(tmp_path)]).read_document(sha256) == content
    else:
        with pytest.raises(MalformedBlob, match="oversized"):
            Store([str(tmp_path)]).read_document(sha256)
        with pytest.raises(ValueError, match="1048576"):
            Store([str(tmp_path)]).write_document(content)


@given(position=st.integers(0, 64 + 4 * 1030 - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    folder, update = tmp_path_factory.getbasetemp() / "flips", sealed(1030)
    store = Store([str(folder)])
    update.write(store)
    content = bytearray((folder / update.path).read_bytes())
    content[position] ^= 1 << bit
    (folder / update.path).write_bytes(content)
    with pytest.raises(DigestMismatch):
        update.read(store)


# ---------------------------------------------------------------- several places


def test_reads_fall_over_to_a_good_copy_and_remember_the_bad_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    urls = [str(tmp_path / name) for name in ("a", "b", "c")]
    store, update = Store(urls), sealed()
    update.write(store)
    flip_bit(tmp_path / "a" / update.path)
    (tmp_path / "b" / update.path).write_bytes(b"half")

    with caplog.at_level(logging.WARNING, logger="fl_chain.store"):
        _, lanes = update.read(store)

    assert np.array_equal(lanes, update.lanes)
    assert [(copy.url, copy.state) for copy in store.bad_copies] == [
        (urls[0], CopyState.ALTERED),
        (urls[1], CopyState.MALFORMED),
    ]
    assert f"{urls[0]}/{update.path}" in caplog.text


def test_copies_gives_the_verdict_on_each(tmp_path: Path) -> None:
    update = sealed()
    (tmp_path / "e").write_text("a file where a folder should be")
    urls = [str(tmp_path / name) for name in ("a", "b", "c")]
    update.write(Store(urls))
    flip_bit(tmp_path / "b" / update.path)
    with (tmp_path / "c" / update.path).open("ab") as file:
        file.write(b"x")

    copies = update.copies(Store([*urls, str(tmp_path / "d"), str(tmp_path / "e")]))

    assert [copy.state.value for copy in copies] == ["good", "altered", "malformed", "missing", "unreachable"]
    assert {copy.path for copy in copies} == {update.path}
    assert copies[1].expected == update.opening.vector_root
    assert copies[1].actual is not None
    assert copies[1].actual != copies[1].expected
    assert "6065 bytes" in copies[2].detail


def test_copies_of_models_sums_and_documents(tmp_path: Path) -> None:
    store, tree = Store([str(tmp_path)]), vector_tree(lanes_of(2000))
    store.write_model(tree.root, lanes_of(2000))
    store.write_sum(tree.root, tree.chunk_hashes)
    sha256 = store.write_document(b"[]")
    verdicts = (
        store.model_copies(tree.root, 2000),
        store.sum_copies(tree.root, 2000),
        store.document_copies(sha256),
    )
    assert [copies[0].state for copies in verdicts] == [CopyState.GOOD] * 3
    for path in tmp_path.rglob("0x*"):
        flip_bit(path)
    verdicts = (
        store.model_copies(tree.root, 2000),
        store.sum_copies(tree.root, 2000),
        store.document_copies(sha256),
    )
    assert [copies[0].state for copies in verdicts] == [CopyState.ALTERED] * 3


def test_a_blob_that_nobody_has_is_missing_and_each_answer_is_told(tmp_path: Path) -> None:
    urls = [str(tmp_path / "a"), f"memory://{tmp_path}/b"]
    with pytest.raises(BlobMissing) as caught:
        sealed().read(Store(urls))
    for url in urls:
        assert url in str(caught.value)


def test_an_altered_copy_beside_a_missing_one_is_an_altered_copy(tmp_path: Path) -> None:
    update = sealed()
    update.write(Store([str(tmp_path / "b")]))
    flip_bit(tmp_path / "b" / update.path)
    with pytest.raises(DigestMismatch) as caught:
        update.read(Store([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert str(tmp_path / "a") in caught.value.__notes__[0]


def test_writes_go_everywhere_and_one_place_that_fails_does_not_stop_them(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("a file where a folder should be")
    update = sealed()
    outcomes = update.write(Store([str(tmp_path / name) for name in "abc"]))
    assert [outcome.state for outcome in outcomes] == [
        WriteState.WRITTEN,
        WriteState.FAILED,
        WriteState.WRITTEN,
    ]
    assert str(tmp_path / "b") in outcomes[1].detail
    assert np.array_equal(update.read(Store([str(tmp_path / "c")])).lanes, update.lanes)


def test_a_write_fails_if_the_first_place_does_not_take_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder should be")
    update = sealed()
    with pytest.raises(StoreError, match="first store did not take it"):
        update.write(Store([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert np.array_equal(update.read(Store([str(tmp_path / "b")])).lanes, update.lanes)


# ---------------------------------------------------------------- writing again, writing half


def test_writing_again_leaves_a_good_copy_alone(url: str, tmp_path: Path) -> None:
    store, update = Store([url]), sealed()
    assert update.write(store)[0].state is WriteState.WRITTEN
    assert update.write(store)[0].state is WriteState.PRESENT


def test_a_good_file_is_not_even_touched(tmp_path: Path) -> None:
    store, update = Store([str(tmp_path)]), sealed()
    update.write(store)
    before = (tmp_path / update.path).stat()
    update.write(store)
    after = (tmp_path / update.path).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("bad", [b"", b"half a blob", bytes(64 + 4 * 1500)])
def test_a_bad_copy_is_replaced(url: str, bad: bytes) -> None:
    store, update = Store([url]), sealed()
    update.write(store)
    with fsspec.open(f"{url}/{update.path}", "wb") as file:
        file.write(bad)
    assert update.write(store)[0].state is WriteState.WRITTEN
    assert np.array_equal(update.read(store).lanes, update.lanes)


def test_nothing_but_the_blob_is_left_behind(url: str, tmp_path: Path) -> None:
    sealed().write(Store([url]))
    filesystem, root = fsspec.core.url_to_fs(url)
    assert [Path(path).name for path in filesystem.find(root)] == [f"0x{sealed().root.hex()}"]


def test_a_full_disk_leaves_no_half_blob(tmp_path: Path) -> None:
    """The limit on file sizes makes the kernel refuse the write half way, as a full disk does."""
    script = f"""
import resource
import numpy as np
from fl_chain.commitment.tree import vector_root
from fl_chain.errors import StoreError
from fl_chain.store import Store
lanes = np.zeros(100_000, '>u4')
store = Store([{str(tmp_path)!r}])
root = vector_root(lanes)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
try:
    store.write_model(root, lanes)
except StoreError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "File too large" in result.stdout
    assert "Make room" in result.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_half_written_file_of_a_killed_process_is_never_read(tmp_path: Path) -> None:
    store, update = Store([str(tmp_path)]), sealed()
    folder = tmp_path / "updates" / PARTICIPANT
    folder.mkdir(parents=True)
    (folder / f".0x{update.root.hex()}.0123456789abcdef.part").write_bytes(b"half")
    with pytest.raises(BlobMissing):
        update.read(store)
    assert not store.has_update(PARTICIPANT, update.root)
    update.write(store)
    assert np.array_equal(update.read(store).lanes, update.lanes)


def test_many_writers_of_one_blob_leave_one_good_copy(tmp_path: Path) -> None:
    update = sealed(200_000)
    threads = [threading.Thread(target=update.write, args=(Store([str(tmp_path)]),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(update.read(Store([str(tmp_path)])).lanes, update.lanes)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


# ---------------------------------------------------------------- the web


def test_a_web_server_is_read_and_checked_but_not_written(tmp_path: Path) -> None:
    good, bad, cut = sealed(seed=1), sealed(seed=2), sealed(seed=3)
    for update in (good, bad, cut):
        update.write(Store([str(tmp_path / "blobs")]))
    flip_bit(tmp_path / "blobs" / bad.path)
    (tmp_path / "blobs" / cut.path).write_bytes(b"half")
    with web_server(partial(Quiet, directory=str(tmp_path))) as server:
        store = Store([f"{server}/blobs"])
        assert np.array_equal(good.read(store).lanes, good.lanes)
        assert store.has_update(PARTICIPANT, good.root)
        assert not store.has_update(PARTICIPANT, sealed(seed=9).root)
        with pytest.raises(DigestMismatch, match="http://127"):
            bad.read(store)
        with pytest.raises(MalformedBlob, match="truncated"):
            cut.read(store)
        with pytest.raises(BlobMissing):
            sealed(seed=9).read(store)
        with pytest.raises(StoreError, match="read-only"):
            good.write(store)
        both = Store([str(tmp_path / "own"), f"{server}/blobs"])
        assert [each.state for each in good.write(both)] == [WriteState.WRITTEN, WriteState.READ_ONLY]
    assert store.urls == (f"{server}/blobs",)


def test_a_server_that_announces_no_size_is_read_no_further_than_the_blob(tmp_path: Path) -> None:
    update = sealed()
    body = update.opening.vector_root + update.opening.salt + update.lanes.tobytes()

    class Endless(Quiet):
        surplus = 0

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(body + bytes(self.surplus))

    with web_server(Endless) as server:
        store = Store([server])
        assert np.array_equal(update.read(store).lanes, update.lanes)
        Endless.surplus = 4 * (MOST_LANES - 1500) + 1
        with pytest.raises(MalformedBlob, match="oversized"):
            update.read(store)


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with web_server(partial(Quiet, directory=str(tmp_path))) as server:
        pass
    copies = sealed().copies(Store([server]))
    assert copies[0].state is CopyState.UNREACHABLE
    with pytest.raises(StoreError):
        Store([server]).has_update(PARTICIPANT, sealed().root)


def test_a_server_that_refuses_is_not_a_missing_blob(tmp_path: Path) -> None:
    class Refusing(Quiet):
        def do_GET(self) -> None:
            self.send_error(403)

        def do_HEAD(self) -> None:
            self.send_error(403)

    with web_server(Refusing) as server:
        copies = sealed().copies(Store([server]))
    assert copies[0].state is CopyState.UNREACHABLE
    assert "403" in copies[0].detail


# ---------------------------------------------------------------- names and URLs


@pytest.mark.parametrize("name", ["../../etc/passwd", "0x" + "cd" * 19, "0x" + "zz" * 20, "", "/" * 40])
def test_no_name_leads_out_of_the_store(tmp_path: Path, name: str) -> None:
    store, update = Store([str(tmp_path)]), sealed()
    with pytest.raises(ValueError, match="address"):
        store.has_update(Address(name), update.root)
    with pytest.raises(ValueError, match="address"):
        store.read_update(Address(name), update.root, 1500, run=RUN, round=ROUND)


@pytest.mark.parametrize("root", [b"", b"../x", bytes(31), bytes(33)])
def test_a_root_has_32_bytes(tmp_path: Path, root: bytes) -> None:
    store = Store([str(tmp_path)])
    with pytest.raises(ValueError, match="32"):
        store.read_model(Digest(root), 10)
    with pytest.raises(ValueError, match="32"):
        store.read_document(Digest(root))


def test_lanes_of_another_form_are_not_written(tmp_path: Path) -> None:
    store, root = Store([str(tmp_path)]), vector_root(lanes_of(100))
    with pytest.raises(ValueError, match="big-endian"):
        store.write_model(root, np.zeros(100, np.dtype("<u4")))
    with pytest.raises(ValueError, match="contiguous"):
        store.write_model(root, lanes_of(200)[::2])
    with pytest.raises(ValueError, match="bytes"):
        store.write_sum(root, bytes(33))


@pytest.mark.parametrize("url", ["nonsense://bucket", "gopher://host/x"])
def test_a_url_that_nothing_can_reach_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        Store([url])


def test_a_store_has_at_least_one_url() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        Store([])


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    store = Store(["http://reader:secret@127.0.0.1:1/blobs"])
    assert store.urls == ("http://127.0.0.1:1/blobs",)
    with pytest.raises(StoreError) as caught:
        sealed().read(store)
    assert "secret" not in str(caught.value)
