"""Open an audit's page in headless Chromium, honest and poisoned, and check what a reader would meet.

Needs Chromium or Chrome (``CHROMIUM`` names it where it is not on the path) and a finished run. Nothing is
loaded from a network; pictures and PDFs go to ``--out``.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from fl_chain.report import Summary, parse_report, parse_summary, render_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
START_LIMIT_S = 30.0
POISON = (
    "</code></style></script><script>window.poisoned = 1</script>"
    "<img src=x onerror='window.poisoned = 2'><svg onload='window.poisoned = 3'>"
    "\"' onmouseover='window.poisoned = 4' {{ 7 * 7 }} {% raw %} javascript:alert(1) \u202e\u200b &lt;b&gt;"
)
TEXT = "document.body.innerText"
WIDE, PHONE = (1280, 900), (360, 740)


class Page:
    """One tab, spoken to in the DevTools protocol; remembers everything that it complains about."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._last = socket, 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method and return its result."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._last:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        what = message.get("params", {})
        match message.get("method"):
            case "Log.entryAdded":
                self.complaints.append(f"{what['entry']['level']}: {what['entry']['text']}")
            case "Runtime.exceptionThrown":
                self.complaints.append(f"exception: {what['exceptionDetails']['text']}")
            case "Runtime.consoleAPICalled":
                self.complaints.append(f"console: {what['args']}")
            case "Page.javascriptDialogOpening":
                self.complaints.append(f"dialog: {what['message']}")
            case "Network.requestWillBeSent":
                self.requests.append(what["request"]["url"])
            case "Page.loadEventFired":
                self._loaded = True

    def evaluate(self, expression: str) -> Any:
        """Return what an expression gives in the page."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']['text']}")
        return found["result"].get("value")

    def open(self, path: Path, *, size: tuple[int, int] = WIDE, scheme: str = "light") -> None:
        """Load a file and wait until it is there."""
        self.view(size, scheme)
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._note(json.loads(self._socket.recv(timeout=60)))
        time.sleep(0.2)
        self.evaluate("0")  # takes in what came meanwhile

    def view(self, size: tuple[int, int], scheme: str) -> None:
        """Set the window's size and the colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size[0] < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, target: Path, *, whole: bool = False) -> None:
        """Save what the page looks like, or all of it."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        target.write_bytes(base64.b64decode(found["data"]))

    def pdf(self, target: Path) -> None:
        """Print the page on A4."""
        found = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True)
        target.write_bytes(base64.b64decode(found["data"]))


class Checks:
    """Counts what was checked and prints what failed."""

    def __init__(self) -> None:
        self.failed = 0

    def that(self, what: str, holds: object, found: object = None) -> None:
        """Check one thing."""
        self.failed += not holds
        detail = "" if holds or found is None else f": {found}"
        print(f"{'ok    ' if holds else 'FAILED'}  {what}{detail}")


def find_chromium() -> str:
    """Return the browser's path.

    Raises:
        SystemExit: saying what to install.
    """
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise SystemExit(
            "check_report needs Chromium or Chrome and finds "
            + (f"nothing at CHROMIUM={named}" if named else "none on the path")
            + ": install it (Debian: apt-get install chromium), or name it in the variable CHROMIUM"
        )
    return found


@contextmanager
def open_tab(browser: str) -> Iterator[Page]:
    """Start the browser with an empty profile and give one tab; stop it at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        command += ["--no-first-run", "--disable-gpu", "--disable-background-networking", "about:blank"]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium has no sandbox for root
        process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            port_file, deadline = Path(profile) / "DevToolsActivePort", time.monotonic() + START_LIMIT_S
            while not (port_file.exists() and port_file.read_text().count("\n")):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{browser} did not start; run it by hand to see why")
                time.sleep(0.05)
            port, path = port_file.read_text().split()
            with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as whole:
                whole.send('{"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}')
                tab = json.loads(whole.recv(timeout=30))["result"]["targetId"]
            with connect(f"ws://127.0.0.1:{port}/devtools/page/{tab}", max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def check_quiet(page: Page, checks: Checks, path: Path, what: str) -> None:
    """Check that a page has complained of nothing and asked for nothing but itself."""
    checks.that(f"{what}: no message on the console", not page.complaints, page.complaints)
    others = sorted(set(page.requests) - {path.resolve().as_uri()})
    checks.that(f"{what}: no request but for the page itself", not others, others)
    page.complaints.clear()
    page.requests.clear()


def check_structure(page: Page, checks: Checks) -> None:
    """Check what a screen reader is told."""
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles: dict[str, list[str]] = {}
    for node in nodes:
        if not node["ignored"]:
            roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", "").strip())
    for landmark in ("banner", "main", "navigation", "contentinfo"):
        checks.that(f"one {landmark}", len(roles.get(landmark, [])) == 1, roles.get(landmark))
    for role in ("button", "image", "region", "table", "link", "heading"):
        named = roles.get(role, [])
        checks.that(f"every {role} has a name ({len(named)})", named and all(named), named)
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(one => +one.tagName[1])")
    checks.that(
        "headings skip no level",
        levels[0] == 1 and all(b - a <= 1 for a, b in pairwise(levels)),
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    checks.that("no id is there twice", len(ids) == len(set(ids)))
    dead = page.evaluate(
        "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
        ".filter(to => !to.startsWith('#') || !document.getElementById(to.slice(1)))"
    )
    checks.that("every link leads somewhere on the page", not dead, dead)
    bare = page.evaluate("document.querySelectorAll('th:not([scope])').length")
    checks.that("every table header has a scope", bare == 0)


def check_keyboard(page: Page, checks: Checks) -> None:
    """Check that the page can be used without a mouse."""
    page.press("Tab", 9)
    checks.that(
        "the first stop skips to the verdict", page.evaluate("document.activeElement.className") == "skip"
    )
    page.evaluate("document.querySelector('details.round summary').focus()")
    page.press("Enter", 13, "\r")
    checks.that("Enter opens a round", page.evaluate("document.querySelector('details.round').open"))
    page.evaluate("document.querySelector('[data-rounds=close]').click()")
    checks.that(
        "all rounds close", page.evaluate("document.querySelectorAll('details.round[open]').length") == 0
    )
    page.evaluate("location.hash = '#round-1'")
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    checks.that("a link to a round opens it", page.evaluate("document.getElementById('round-1').open"))


def check_copying(page: Page, checks: Checks) -> None:
    """Check that a digest reaches the clipboard whole, by either way."""
    page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    page.call("Page.bringToFront")
    expected = page.evaluate("document.querySelectorAll('#basis ~ dl code')[2].textContent")
    press = "document.querySelectorAll('#basis ~ dl .copy')[2].click()"
    for way, before in (
        ("clipboard", ""),
        ("selection", "Object.defineProperty(navigator, 'clipboard', {value: null});"),
    ):
        page.evaluate(
            "window.copied = null; addEventListener('copy', () => { copied = getSelection().toString(); })"
        )
        page.evaluate(before + press)
        page.evaluate("new Promise(done => setTimeout(done, 150))")
        said = page.evaluate("document.getElementById('said').textContent")
        checks.that(f"a digest is copied by {way}", said == "Copied.", said)
        if way == "clipboard":
            held = page.evaluate("navigator.clipboard.readText()")
        else:
            held = page.evaluate("copied")
        checks.that(f"the {way} holds all of it", held == expected, held)


def check_widths(page: Page, checks: Checks, path: Path, out: Path) -> None:
    """Check that nothing runs over the edge of a phone, and take the pictures."""
    for name, size, scheme in (
        ("light", WIDE, "light"),
        ("dark", WIDE, "dark"),
        ("phone", PHONE, "light"),
        ("phone-dark", PHONE, "dark"),
    ):
        page.open(path, size=size, scheme=scheme)
        if name == "dark":
            page.evaluate("location.hash = '#round-2'")
            time.sleep(1.0)  # it scrolls there
        page.picture(out / f"{name}.png")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        checks.that(f"{name}: nothing runs over the edge", over <= 0, f"{over} px")
        page.evaluate("document.querySelectorAll('details').forEach((one, at) => { one.open = at === 2; })")
        page.picture(out / f"{name}-whole.png", whole=True)
    page.pdf(out / "report.pdf")


def check_without_script(page: Page, checks: Checks, path: Path) -> None:
    """Check that the page reads without its script."""
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(path)
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    shown = page.evaluate("getComputedStyle(document.querySelector('.copy')).display")
    checks.that("without script no button is there that does nothing", shown == "none", shown)
    kept = page.evaluate("getComputedStyle(document.querySelector('.hash code')).userSelect")
    checks.that("without script digests can be selected", kept == "auto", kept)


def check_poisoned(page: Page, checks: Checks, path: Path) -> None:
    """Check that what was put into every string is there as text, and nothing else came of it."""
    page.open(path)
    page.evaluate(
        "for (const one of document.querySelectorAll('*')) one.dispatchEvent(new Event('mouseover'))"
    )
    checks.that("poisoned: no script ran", page.evaluate("window.poisoned") is None)
    checks.that("poisoned: one script element", page.evaluate("document.scripts.length") == 1)
    checks.that("poisoned: no image", page.evaluate("document.images.length") == 0)
    handlers = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(one => [...one.attributes])"
        ".filter(one => one.name.startsWith('on') || one.name === 'style').length"
    )
    checks.that("poisoned: no handler and no style attribute", handlers == 0, handlers)
    text = page.evaluate(TEXT)
    checks.that("poisoned: the script is text", "<script>window.poisoned = 1</script>" in text)
    checks.that("poisoned: nothing was calculated", "{{ 7 * 7 }}" in text)
    checks.that(
        "poisoned: characters that reorder or hide are spelled out",
        r"\u{202e}" in text and "\u202e" not in text,
    )
    check_quiet(page, checks, path, "poisoned")
    page.evaluate(
        "document.body.appendChild(document.createElement('script')).textContent = 'window.forced = 1'"
    )
    checks.that("an added script is refused by the page's policy", page.evaluate("window.forced") is None)


def poisoned(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report with a poison in every string that may be any text."""
    participant = report["participants"][0]["participant"] if report["participants"] else None
    finding = {
        "kind": "update_altered",
        "severity": "error",
        "rule": POISON,
        "page": POISON,
        "round": 1,
        "participant": participant,
        "expected": POISON,
        "actual": POISON,
        "detail": POISON,
        "advice": POISON,
    }
    nowhere = {"kind": "state_differs", "round": None, "participant": None, "expected": None, "actual": None}
    check = {"id": "poisoned", "title": POISON, "proves": POISON, "times": 1, "not_made_because": None}
    left_out = {"id": "skipped", "title": POISON, "proves": POISON, "times": 0, "not_made_because": POISON}
    missing = {"what": POISON, "path": POISON, "round": None}
    return report | {
        "verdict": "fail",
        "findings": [finding, finding | nowhere],
        "warnings": [finding | {"severity": "warning"}],
        "missing": [{"holder": report["run"]["operator"], "role": "operator", "blobs": [missing]}],
        "checks": [check, left_out],
    }


def main() -> int:
    """Check the page of a run; exit 1 where something is not right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "run", type=Path, nargs="?", default=Path("runs/demo"), help="a run's folder with audit.json"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/report-check"), help="for pictures and PDF")
    options = parser.parse_args()
    browser, source = find_chromium(), options.run / "audit.json"
    if not source.exists():
        raise SystemExit(f"there is no {source}: run `make demo` first, or name another run's folder")
    options.out.mkdir(parents=True, exist_ok=True)
    content, summary_path = source.read_bytes(), options.run / "summary.json"
    summary: Summary | None = parse_summary(summary_path.read_bytes()) if summary_path.exists() else None
    honest, bad = options.out / "honest.html", options.out / "poisoned.html"
    honest.write_text(render_page(parse_report(content), source=content, summary=summary), encoding="utf-8")
    poison = json.dumps(poisoned(json.loads(content))).encode()
    bad.write_text(render_page(parse_report(poison), source=poison, summary=summary), encoding="utf-8")
    checks = Checks()
    steps: tuple[Callable[[Page], None], ...] = (
        lambda page: check_structure(page, checks),
        lambda page: check_keyboard(page, checks),
        lambda page: check_copying(page, checks),
    )
    with open_tab(browser) as page:
        for step in steps:
            page.open(honest)
            step(page)
        check_widths(page, checks, honest, options.out)
        check_without_script(page, checks, honest)
        check_quiet(page, checks, honest, "honest")
        check_poisoned(page, checks, bad)
    print(f"{checks.failed} failed; pictures and report.pdf are in {options.out}")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
