"""Downloads from a real server on loopback, which serves what is right, wrong, late or elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fl_chain.config import DataPlaces
from fl_chain.data.catalogue import DATASETS
from fl_chain.data.download import download
from fl_chain.data.known import Dataset, DatasetFile, Origin
from fl_chain.data.places import fetched, is_located, located
from fl_chain.errors import DatasetUnavailable, DigestMismatch, DownloadFailed
from fl_chain.records import Digest

CONTENT = b"a,b\n1,2\n" * 500
LIMIT = len(CONTENT)


def sha256(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).digest())


PACKED = gzip.compress(CONTENT, mtime=7)
FILE = DatasetFile("set/x.csv.gz", sha256(PACKED), sha256(CONTENT), LIMIT)
PLAIN = DatasetFile("x.parquet", sha256(CONTENT), sha256(CONTENT), LIMIT)


def archive(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(name, content)
    return packed.getvalue()


class Server(ThreadingHTTPServer):
    """Answers each path as the test says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def serve(self, path: str, content: bytes, *, promised: int | None = None, **headers: str) -> str:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content) if promised is None else promised))
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(content)

        self.answers[path] = answer
        return self.url(path)

    def redirect(self, path: str, target: str) -> str:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", target)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.answers[path] = answer
        return self.url(path)


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(404)
        else:
            answer(self)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def nothing_in(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if path.is_file()]


def test_the_right_file_appears_under_its_name_and_progress_is_told(server: Server, tmp_path: Path) -> None:
    told: list[int] = []
    path = download(FILE, (Origin(server.serve("/x", PACKED)),), tmp_path, told.append)
    assert path == tmp_path / "set" / "x.csv.gz"
    assert path.read_bytes() == PACKED
    assert told[-1] == len(PACKED)
    assert [each.name for each in path.parent.iterdir()] == ["x.csv.gz"]


def test_the_same_content_packed_in_another_way_is_right(server: Server, tmp_path: Path) -> None:
    other = gzip.compress(CONTENT, compresslevel=1, mtime=9)
    assert other != PACKED
    assert download(FILE, (Origin(server.serve("/x", other)),), tmp_path).read_bytes() == other


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_member_of_an_archive_is_packed_anew(server: Server, tmp_path: Path, line_end: bytes) -> None:
    url = server.serve("/x.zip", archive("in/x.csv", CONTENT.replace(b"\n", line_end)))
    limit = DatasetFile(FILE.path, FILE.sha256, FILE.content_sha256, 2 * LIMIT)
    path = download(limit, (Origin(url, "in/x.csv"),), tmp_path)
    assert gzip.decompress(path.read_bytes()) == CONTENT


def test_a_server_that_calls_the_file_an_encoding_does_not_unpack_it(server: Server, tmp_path: Path) -> None:
    url = server.serve("/x", PACKED, Content_Encoding="gzip")
    assert download(FILE, (Origin(url),), tmp_path).read_bytes() == PACKED


def test_another_file_is_refused_and_nothing_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch, match="was not kept") as caught:
        download(PLAIN, (Origin(server.serve("/x", CONTENT[:-1] + b"!")),), tmp_path)
    assert caught.value.expected == PLAIN.sha256
    assert nothing_in(tmp_path)


def test_the_next_origin_is_tried_after_one_that_fails(server: Server, tmp_path: Path) -> None:
    wrong, right = server.serve("/wrong", b"other"), server.serve("/right", CONTENT)
    origins = (Origin(server.url("/nowhere")), Origin(wrong), Origin(right))
    assert download(PLAIN, origins, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["/nowhere", "/wrong", "/right"]


def test_not_found_is_said_with_advice(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"404.*--from"):
        download(PLAIN, (Origin(server.url("/nowhere")),), tmp_path)
    assert nothing_in(tmp_path)


def test_a_file_cut_short_is_refused(server: Server, tmp_path: Path) -> None:
    url = server.serve("/x", CONTENT[:-10], promised=len(CONTENT))
    with pytest.raises(DownloadFailed, match="Try again"):
        download(PLAIN, (Origin(url),), tmp_path)
    assert nothing_in(tmp_path)


def test_the_size_limit_holds_on_both_sides(server: Server, tmp_path: Path) -> None:
    assert download(PLAIN, (Origin(server.serve("/x", CONTENT)),), tmp_path).read_bytes() == CONTENT
    with pytest.raises(DownloadFailed, match=f"more than the {LIMIT:,} bytes"):
        download(PLAIN, (Origin(server.serve("/y", CONTENT + b"!")),), tmp_path / "other")
    assert nothing_in(tmp_path / "other")


def test_what_unpacks_to_more_than_the_limit_is_refused(server: Server, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(LIMIT + 1))
    assert len(bomb) < LIMIT
    with pytest.raises(DownloadFailed, match="unpacks to more"):
        download(FILE, (Origin(server.serve("/x", bomb)),), tmp_path)
    zipped = server.serve("/x.zip", archive("x.csv", bytes(LIMIT + 1)))
    with pytest.raises(DownloadFailed, match="unpacks to more"):
        download(FILE, (Origin(zipped, "x.csv"),), tmp_path)
    assert nothing_in(tmp_path)


def test_what_is_no_archive_or_lacks_the_member_is_refused(server: Server, tmp_path: Path) -> None:
    for url in (server.serve("/a", CONTENT), server.serve("/b", archive("other.csv", CONTENT))):
        with pytest.raises(DownloadFailed, match=r"no zip archive with x\.csv"):
            download(FILE, (Origin(url, "x.csv"),), tmp_path)


def test_a_redirect_is_followed_on_http_and_nowhere_else(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    target = server.serve("/x", CONTENT)
    moved = server.redirect("/moved", target)
    assert download(PLAIN, (Origin(moved),), tmp_path / "a").read_bytes() == CONTENT
    for elsewhere in (secret.as_uri(), f"ftp://127.0.0.1:{server.server_port}/x"):
        with pytest.raises(DownloadFailed):
            download(PLAIN, (Origin(server.redirect("/off", elsewhere)),), tmp_path / "b")
    with pytest.raises(DownloadFailed, match="redirects"):
        download(PLAIN, (Origin(server.redirect("/loop", server.url("/loop"))),), tmp_path / "b")
    assert nothing_in(tmp_path / "b")


def test_an_address_that_is_not_http_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    with pytest.raises(DownloadFailed, match="only http and https"):
        download(PLAIN, (Origin((tmp_path / "x").as_uri()),), tmp_path / "cache")


def test_a_server_that_is_away_is_said(server: Server, tmp_path: Path) -> None:
    url = server.url("/x")
    server.server_close()
    with pytest.raises(DownloadFailed, match="cannot be downloaded"):
        download(PLAIN, (Origin(url),), tmp_path)


def test_a_folder_that_takes_nothing_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file where the folder would be")
    with pytest.raises(DownloadFailed, match="cannot be written"):
        download(FILE, (Origin(server.serve("/x", PACKED)),), tmp_path)


SET = Dataset("x", "X", "500 rows", "CC0", "http://localhost/x", "nobody", "table", (FILE,))


def places(tmp_path: Path) -> DataPlaces:
    return DataPlaces((tmp_path / "first", tmp_path / "second"), tmp_path / "cache")


def test_folders_come_before_the_cache_and_the_cache_before_a_download(
    server: Server, tmp_path: Path
) -> None:
    server.serve("/mirror/set/x.csv.gz", PACKED)
    where = places(tmp_path)
    assert not is_located(SET, where)
    with pytest.raises(DatasetUnavailable, match="fl-chain data fetch x"):
        located(SET, where)
    mirror = server.url("/mirror/")
    assert fetched(SET, where, mirror=mirror) == (where.cache / "set" / "x.csv.gz",)
    assert fetched(SET, where, mirror=mirror) == located(SET, where)
    assert server.asked == ["/mirror/set/x.csv.gz"]
    named = where.folders[1] / "set" / "x.csv.gz"
    named.parent.mkdir(parents=True)
    named.write_bytes(gzip.compress(CONTENT, mtime=1))
    assert located(SET, where) == (named,)


def test_a_file_that_was_changed_on_this_machine_is_refused(tmp_path: Path) -> None:
    where = places(tmp_path)
    path = where.cache / "set" / "x.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(CONTENT + b"3,4\n"))
    with pytest.raises(DigestMismatch, match=r"remove .* and fetch it again"):
        located(SET, where)
    with pytest.raises(DigestMismatch):
        fetched(SET, where, mirror="http://127.0.0.1:9/")


def test_a_set_that_is_published_in_another_form_says_what_was_done_to_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=r"Excel workbook as Parquet.*--from"):
        fetched(DATASETS["online_retail"], places(tmp_path))
    with pytest.raises(DownloadFailed, match="no origin"):
        download(FILE, (), tmp_path)
