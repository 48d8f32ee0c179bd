"""The development chain as a process: shared over HTTP, killed and started again."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chains import RECIPIENT, dump, signed
from web3 import Web3

from fl_chain.errors import ConfigError, PortInUse
from fl_chain.ledger.devnet import DEFAULT_CHAIN_ID, background_server, open_chain
from fl_chain.ledger.devnet.server import HOST, MAX_REQUEST_BYTES

DEVNET = """
import sys
from pathlib import Path
from fl_chain.ledger.devnet import serve
serve(Path(sys.argv[1]), port=0, announce=lambda url: print(url, flush=True))
print("stopped", flush=True)
"""


@contextlib.contextmanager
def devnet_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen([sys.executable, "-c", DEVNET, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def request(url: str, method: str, *parameters: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)})
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", "/", body)
        return json.loads(connection.getresponse().read())["result"]
    finally:
        connection.close()


def send(url: str, nonce: int) -> str:
    raw = signed(DEFAULT_CHAIN_ID, nonce)
    return str(request(url, "eth_sendRawTransaction", "0x" + raw.hex()))


def test_a_killed_devnet_loses_nothing_that_was_mined(tmp_path: Path) -> None:
    with devnet_process(tmp_path) as (process, url):
        for nonce in range(5):
            send(url, nonce)
        block = request(url, "eth_getBlockByNumber", "0x5", True)
        process.send_signal(signal.SIGKILL)
        process.wait()
    # A reader of the killed chain's folder sees every block, and leaves the write-ahead log where it is.
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert any(name.endswith("-wal") and content for name, content in files.items())
    with open_chain(tmp_path, read_only=True) as chain:
        before = dump(chain)
        assert before[0][5][0] == block
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
    with devnet_process(tmp_path) as (process, url):
        assert request(url, "eth_getBlockByNumber", "0x5", True) == block
        send(url, 5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    with open_chain(tmp_path, read_only=True) as chain:
        after = dump(chain)
        assert after[0][: len(before[0])] == before[0]
        assert len(after[0]) > len(before[0])
    assert [path.name for path in tmp_path.iterdir()] == ["chain.sqlite"]


def test_a_devnet_that_was_down_goes_on_at_wall_time(tmp_path: Path) -> None:
    with devnet_process(tmp_path) as (_process, url):
        before = int(request(url, "eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    time.sleep(2)
    with devnet_process(tmp_path) as (_process, url):
        receipt = request(url, "eth_getTransactionReceipt", send(url, 0))
        block = request(url, "eth_getBlockByHash", receipt["blockHash"], False)
        assert int(block["timestamp"], 16) >= before + 2


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_devnet_stops_cleanly_when_told(tmp_path: Path, stop: signal.Signals) -> None:
    with devnet_process(tmp_path) as (process, url):
        request(url, "eth_chainId")
        process.send_signal(stop)
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "stopped\n"


def test_web3_and_batches_over_http() -> None:
    with open_chain() as chain, background_server(chain) as url:
        web3 = Web3(Web3.HTTPProvider(url))
        sent = web3.eth.send_raw_transaction(signed(chain.chain_id, 0))
        assert web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.01)["status"] == 1
        with web3.batch_requests() as batch:
            batch.add(web3.eth.get_block("earliest"))
            batch.add(web3.eth.get_balance(Web3.to_checksum_address(RECIPIENT)))
            block, balance = batch.execute()
        assert (block["number"], balance) == (0, 1)


def test_a_busy_port_is_named() -> None:
    with open_chain() as first, open_chain() as second, background_server(first) as url:
        port = int(url.rsplit(":", 1)[1])
        with pytest.raises(PortInUse, match=str(port)), background_server(second, port):
            pass
        assert request(url, "eth_chainId") == hex(first.chain_id)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with open_chain() as chain, pytest.raises(ConfigError, match=str(port)), background_server(chain, port):
        pass


def test_a_port_is_free_again_afterwards() -> None:
    with open_chain() as chain:
        with background_server(chain) as url:
            port = int(url.rsplit(":", 1)[1])
        with background_server(chain, port) as again:
            assert again == url


def test_only_the_loopback_interface_is_listened_on() -> None:
    assert HOST == "127.0.0.1"
    with open_chain() as chain, background_server(chain) as url:
        port = int(url.rsplit(":", 1)[1])
        with socket.socket() as probe, pytest.raises(OSError, match="refused"):
            probe.connect(("127.0.0.2", port))


def test_a_request_that_is_too_large_is_refused() -> None:
    with open_chain() as chain, background_server(chain) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        try:
            connection.putrequest("POST", "/")
            connection.putheader("Content-Length", str(MAX_REQUEST_BYTES + 1))
            connection.endheaders()
            with contextlib.suppress(ConnectionError):
                for _ in range(MAX_REQUEST_BYTES // 2**20 + 1):
                    connection.send(b" " * 2**20)
            assert connection.getresponse().status == 413
        finally:
            connection.close()
        assert request(url, "eth_chainId") == hex(chain.chain_id)
