"""What whoever hands an auditor a folder, a report or an answer can try."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr
from dataclasses import replace
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from arena import Arena
from registry import Outcome, Result, Stopped, Succeeded, Who, attack, attempt, attempt_audit, audited
from rich.console import Console
from rules import (
    AUDITOR_KEY,
    CLOSING,
    DERIVED,
    ESCAPED,
    FIELDS,
    FINGERPRINTS,
    INSIDE,
    MARKUP,
    MEMORY_BOUND,
    MEMORY_WHOLE,
    NESTING,
    PRINTABLE,
    PROVEN_EVENTS,
    PROVEN_STATE,
    SAVED_CHAIN,
    SCRIPT_BY_HASH,
    SIGNED,
    STATE,
    TOTALS,
    VISIBLE,
)

from fl_chain.audit import AuditReport, audit_run
from fl_chain.audit.attestation import Attestation, attest, parse_attestation, verify_attestation
from fl_chain.audit.findings import Finding, Kind
from fl_chain.audit.resumption import AuditMemory
from fl_chain.cli.audit_screen import print_finding
from fl_chain.errors import FlChainError
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet.database import open_database
from fl_chain.ledger.devnet.keys import dev_keys
from fl_chain.ledger.keys import address_of
from fl_chain.records import Digest
from fl_chain.report import parse_report, render_page
from fl_chain.run.folder import MARKER, RunFolder, read_run_folder
from fl_chain.store import Store

BY = Who.INPUT
SCRIPT = "<script>document.title = 'PASS'</script>"


# ---------------------------------------------------------------------- run folders


def saved(a: Arena) -> Path:
    """Save the arena's chain as a run's folder has it; return the folder."""
    database = open_database(a.folder / "chain")
    a.chain._database._connection.backup(database._connection)
    database._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    RunFolder(a.folder, a.node.chain_id, a.address, a.deployed_block).write()
    (a.folder / MARKER).touch()
    return a.folder


@attack(
    151,
    "forged run folder",
    BY,
    "alters a weight in the saved chain of a run's folder",
    (SAVED_CHAIN, "ConfigError"),
    (CLOSING, "MalformedResponse"),
    (FIELDS, "event_differs"),
    (TOTALS, "total_weight_differs"),
    (DERIVED, "model_differs"),
    (STATE, "state_differs"),
    (PROVEN_EVENTS, "proven_events_differ"),
    (PROVEN_STATE, "proven_state_differs"),
    phase="posted",
)
def forged_folder(a: Arena) -> Result:
    topic = hashlib_keccak(b"UpdateSubmitted(uint32,address,uint16,uint32,bytes32)")
    folder = saved(a)
    with closing(sqlite3.connect(folder / "chain" / "chain.sqlite")) as connection, connection:
        [(data, block)] = connection.execute(
            "SELECT data, block FROM logs WHERE topic0 = ? ORDER BY block LIMIT 1", (topic,)
        ).fetchall()
        forged = data[:32] + (99).to_bytes(32, "big") + data[64:]
        connection.execute("UPDATE logs SET data = ? WHERE block = ? AND topic0 = ?", (forged, block, topic))

    def audit() -> AuditReport:
        with read_run_folder(folder).open_chain() as node:
            return audit_run(Ledger.open(node, a.address), a.store)

    return attempt_audit(audit, "the auditor sees weights that nobody declared")


def hashlib_keccak(text: bytes) -> bytes:
    """Return the topic of an event."""
    from eth_hash.auto import keccak

    return bytes(keccak(text))


@attack(
    152,
    "run folder that leads outside",
    BY,
    "names a store outside the folder in `run.json`, so that the auditor's own files are read",
    (INSIDE, "ConfigError"),
)
def outside(a: Arena) -> Result:
    RunFolder(a.folder, 1, a.address, 0, store=("../../private",)).write()
    return attempt(
        lambda: read_run_folder(a.folder),
        "files outside the folder are read",
        holds=lambda: ".." in read_run_folder(a.folder).store_urls[0],
    )


@attack(
    153,
    "JSON nested without end",
    BY,
    "gives a `run.json` of a hundred thousand brackets, so that its reader dies",
    (NESTING, "ConfigError"),
)
def nested(a: Arena) -> Result:
    (a.folder / "run.json").write_bytes(b"[" * 100_000)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # py-evm's is so high that the process would die instead
    try:
        read_run_folder(a.folder)
    except FlChainError as error:
        return Stopped((type(error).__name__,))
    except RecursionError:
        return Succeeded("the program dies with a traceback")
    finally:
        sys.setrecursionlimit(limit)
    raise AssertionError("it was read")


@attack(
    154,
    "run that one party made up",
    BY,
    "plays all participants of a run by itself, on a chain of its own, and hands over the folder",
    outcome=Outcome.UNDETECTED,
    phase="posted",
    why="an audit shows that a ledger and its blobs follow the rules, not who is behind the keys, nor that "
    "it is the ledger that was meant. Compare chain id, ledger and the participants' addresses with what the "
    "consortium agreed on.",
)
def made_up(a: Arena) -> Result:
    with read_run_folder(saved(a)).open_chain() as node:
        report = audit_run(Ledger.open(node, a.address), a.store)
    return audited(report, "a consortium that never was passes its audit")


# ---------------------------------------------------------------------- what an audit remembers


def remembered(a: Arena, store: Store | None = None) -> Path:
    """Audit, and return the file of what that is to be resumed from."""
    file = a.folder / "audit.resume"
    audit_run(a.opened(), store or a.store, memory=AuditMemory.opened(file))
    return file


def resumed(a: Arena, file: Path, gain: str) -> Result:
    """Resume an audit from a file."""
    return attempt_audit(lambda: a.audit(memory=AuditMemory.opened(file)), gain)


def altered_sum(a: Arena) -> None:
    """Flip a bit of what is stored of a partial sum, for the audit to find; no later round needs it."""
    [file] = (a.folder / "store" / "sums").iterdir()
    body = bytearray(file.read_bytes())
    body[3] ^= 1
    file.write_bytes(body)


@attack(
    163,
    "damaged memory of an audit",
    BY,
    "takes the findings out of the file that an audit is resumed from",
    (MEMORY_WHOLE, "InputDataError"),
    phase="posted",
)
def damaged_memory(a: Arena) -> Result:
    altered_sum(a)
    file = remembered(a)
    header, entry, *rest = file.read_bytes().splitlines(keepends=True)
    digest, _, body = entry.partition(b" ")
    content = json.loads(body)
    assert content["findings"]
    content["findings"] = []
    forged = json.dumps(content, separators=(",", ":")).encode()
    file.write_bytes(header + digest + b" " + forged + b"\n" + b"".join(rest))
    return resumed(a, file, "what an audit had found is forgotten")


@attack(
    164,
    "memory of another audit",
    BY,
    "resumes an audit of one store from a file that was made of another, better one",
    (MEMORY_BOUND, "InputDataError"),
    phase="posted",
)
def other_memory(a: Arena) -> Result:
    shutil.copytree(a.folder / "store", a.folder / "better")
    file = remembered(a, Store([str(a.folder / "better")]))
    altered_sum(a)
    return resumed(a, file, "nobody looks at the store that is audited")


@attack(
    165,
    "memory of another ledger's rounds",
    BY,
    "puts results about the rounds of another ledger into the file that an audit is resumed from",
    (FINGERPRINTS, "sum_blob_altered"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def foreign_results(a: Arena) -> Result:
    file = remembered(a)
    memory = AuditMemory.opened(file)
    memory.rounds[:] = [replace(one, fingerprint=Digest(bytes(32))) for one in memory.rounds]
    file.write_bytes(memory.content())
    altered_sum(a)
    return resumed(a, file, "a round passes by another's result")


@attack(
    166,
    "memory that was made up",
    BY,
    "writes the file that an audit is resumed from by itself, without findings and with digests that fit",
    outcome=Outcome.UNDETECTED,
    phase="posted",
    why="the file's digests show damage, not forgery: it is the auditor's own, and is worth as much as the "
    "folder that it lies in. Take none from others, and audit without `--resume` before signing.",
)
def made_up_memory(a: Arena) -> Result:
    altered_sum(a)
    file = remembered(a)
    memory = AuditMemory.opened(file)
    one = memory.rounds[0]
    assert [finding.kind for finding in one.result.findings] == [Kind.SUM_BLOB_ALTERED]
    one.result.findings.clear()
    file.write_bytes(memory.content())
    return resumed(a, file, "what an audit had found is forgotten")


# ---------------------------------------------------------------------- reports


class Scripts(HTMLParser):
    """Collects what a browser would run, and the page's policy about it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.policy = ""
        self._is_open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script":
            self._is_open = True
            self.texts.append("")
        elif tag == "meta" and values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values.get("content") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._is_open = False

    def handle_data(self, data: str) -> None:
        if self._is_open:
            self.texts[-1] += data

    def run_by_browser(self, text: str) -> bool:
        """Return whether the policy lets a script run."""
        own = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        return "'unsafe-inline'" in self.policy or own in self.policy


def page_of(a: Arena, poison: str) -> str:
    """Return the page of a report in which somebody put text of its own."""
    report = json.loads(a.audit().to_json())
    report["checks"][0]["title"] = poison
    source = json.dumps(report).encode()
    return render_page(parse_report(source), source=source)


@attack(
    155,
    "script in a report",
    BY,
    "puts a script into a report's text, for whoever opens its page",
    (ESCAPED, "escaped"),
    (SCRIPT_BY_HASH, "policy"),
    phase="posted",
)
def script(a: Arena) -> Result:
    scripts = Scripts(page_of(a, SCRIPT))
    poisoned = [text for text in scripts.texts if "document.title = 'PASS'" in text]
    if not poisoned:
        return Stopped(("escaped",))
    runs = scripts.run_by_browser(poisoned[0])
    return Succeeded("the page shows what its sender likes") if runs else Stopped(("policy",))


@attack(
    156,
    "text that reads as another",
    BY,
    "turns the order of characters round in a report's text, so that FAIL reads as PASS",
    (VISIBLE, "spelled out"),
    phase="posted",
)
def reordered(a: Arena) -> Result:
    page = page_of(a, "verdict: \u202eSSAP")
    if "\u202e" in page:
        return Succeeded("a reader sees another verdict")
    assert "\\u{202e}" in page
    return Stopped(("spelled out",))


@attack(
    157,
    "report altered under its signature",
    BY,
    "turns the verdict of a signed report, and keeps the signature",
    (SIGNED, "VerificationError"),
    phase="posted",
)
def under_signature(a: Arena) -> Result:
    report = a.audit().to_json().encode()
    signed = attest(report, AUDITOR_KEY)
    altered = report.replace(b'"weight": 100', b'"weight": 101')
    assert altered != report
    auditor = address_of(AUDITOR_KEY)
    return attempt(lambda: verify_attestation(altered, signed, by=auditor), "the auditor vouches for a lie")


@attack(
    158,
    "signature in an auditor's name",
    BY,
    "signs a report with its own key, and writes the auditor's address beside it",
    (SIGNED, "VerificationError"),
    phase="posted",
)
def in_their_name(a: Arena) -> Result:
    report = a.audit().to_json().encode()
    own, auditor = attest(report, dev_keys(1)[0]), address_of(AUDITOR_KEY)
    forged = parse_attestation(Attestation(auditor, own.signature).to_json().encode())
    return attempt(lambda: verify_attestation(report, forged, by=auditor), "the auditor vouches for a lie")


@attack(
    159,
    "signature of nobody in particular",
    BY,
    "signs a report with a key of its own, and hopes that nobody asks whose it is",
    outcome=Outcome.UNDETECTED,
    phase="posted",
    why="a signature shows which key signed, and anyone can make a key. Name the auditor whom you expect: "
    "`fl-chain verify-report --by ADDRESS`.",
)
def anybody(a: Arena) -> Result:
    report = a.audit().to_json().encode()
    signed = attest(report, dev_keys(1)[0])
    return attempt(lambda: verify_attestation(report, signed), "a report that no auditor has seen is signed")


@attack(
    160,
    "report that was never made by an audit",
    BY,
    "writes a report with the verdict pass about a run that fails, and makes the page of it",
    outcome=Outcome.UNDETECTED,
    phase="published",
    why="a page shows what its report says, and a report without a signature is anyone's word. Audit again: "
    "the report names ledger and block, and comes out the same byte for byte where it is right.",
)
def written_by_hand(a: Arena) -> Result:
    honest = a.audit().to_json()
    a.post(a.aggregate(updates=[None, *a.updates(1)[1:]]))
    assert a.audit().verdict == "fail"
    source = honest.encode()
    page = render_page(parse_report(source), source=source)
    assert re.search(r"<title>PASS", page)
    return Succeeded("a page says PASS of a run that fails")


# ---------------------------------------------------------------------- terminals


@contextmanager
def answering(body: dict[str, Any]) -> Iterator[str]:
    """Serve a node that answers every request the same way."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@attack(
    161,
    "escape codes in a node's error",
    BY,
    "answers with an error whose text clears the terminal and writes a verdict of its own",
    (PRINTABLE, "spelled out"),
)
def escape_codes(a: Arena) -> Result:
    from fl_chain.cli import main

    error = {"code": -32000, "message": "\x1b[2J\x1b[H\x1b[1;32mPASS\x1b[0m everything follows"}
    shown = io.StringIO()
    with answering({"jsonrpc": "2.0", "id": 1, "error": error}) as url:
        arguments = ["fl-chain", "audit", "--rpc", url, "--ledger", a.address, "--store", str(a.folder)]
        with (
            patch("sys.argv", arguments),
            redirect_stderr(shown),
            pytest.raises(SystemExit, match="2"),
        ):
            main()
    text = shown.getvalue()
    assert "PASS" in text
    return (
        Succeeded("the terminal shows what the node likes") if "\x1b" in text else Stopped(("spelled out",))
    )


@attack(
    162,
    "markup in a finding",
    BY,
    "has a store answer with words that the terminal's markup turns into a verdict",
    (MARKUP, "as it is"),
)
def markup(a: Arena) -> Result:
    shown = io.StringIO()
    detail = "no store has it ([bold green]PASS[/bold green])"
    print_finding(Console(file=shown, width=200), Finding(Kind.UPDATE_MISSING, detail))
    is_there = "[bold green]PASS[/bold green]" in shown.getvalue()
    return Stopped(("as it is",)) if is_there else Succeeded("a finding looks like a verdict")
