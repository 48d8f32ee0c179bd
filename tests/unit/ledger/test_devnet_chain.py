"""The development chain: its clock, its state on disk, and what a read-only opening leaves alone."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest
from chains import LOGGER_CREATION, RECIPIENT, Clock, ask, dump, signed
from eth_account import Account

from fl_chain.errors import ConfigError, DigestMismatch, StateInUse, TransactionRejected, WrongChain
from fl_chain.ledger.devnet import dev_keys, open_chain
from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.database import DATABASE_NAME


def fill(chain: Chain, transactions: int = 4) -> None:
    """Mine transfers, a contract, and a log."""
    nonce = int(ask(chain, "eth_getTransactionCount", Account.from_key(dev_keys()[0]).address), 16)
    for offset in range(transactions):
        chain.send(signed(chain.chain_id, nonce + offset))
    created = chain.send(
        signed(chain.chain_id, nonce + transactions, to=None, value=0, data=LOGGER_CREATION, gas=100_000)
    )
    contract = ask(chain, "eth_getTransactionReceipt", "0x" + created.hex())["contractAddress"]
    chain.send(
        signed(chain.chain_id, nonce + transactions + 1, to=contract, value=0, data=b"\x07" * 32, gas=50_000)
    )


def digest_of_folder(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_blocks_of_one_second_share_their_timestamp() -> None:
    clock = Clock()
    with open_chain(clock=clock) as chain:
        for nonce in range(20):
            chain.send(signed(chain.chain_id, nonce))
        assert chain.head.block_number == 20
        assert chain.head.timestamp == int(clock.now)


def test_chain_time_follows_the_wall_for_whoever_asks() -> None:
    clock = Clock()
    with open_chain(clock=clock) as chain:
        clock.now += 0.9
        assert ask(chain, "eth_blockNumber") == "0x0"
        clock.now += 0.1
        assert ask(chain, "eth_blockNumber") == "0x1"
        clock.now += 100
        assert ask(chain, "eth_getBlockByNumber", "latest", False)["timestamp"] == hex(int(clock.now))
        assert ask(chain, "eth_blockNumber") == "0x2"


def test_where_the_clock_is_set_back_chain_time_goes_on_from_where_it_was() -> None:
    clock = Clock()
    with open_chain(clock=clock) as chain:
        before = int(clock.now)
        clock.now -= 50
        chain.send(signed(chain.chain_id, 0))
        assert chain.head.timestamp == before
        clock.now += 3
        chain.catch_up()
        assert chain.head.timestamp == before + 3
        clock.now -= 20
        clock.now += 1
        chain.send(signed(chain.chain_id, 1))
        assert chain.head.timestamp == before + 3
        clock.now += 7
        chain.send(signed(chain.chain_id, 2))
        assert chain.head.timestamp == before + 10


def test_a_chain_whose_clock_jumps_forth_and_back_is_not_held_up() -> None:
    clock = Clock()
    with open_chain(clock=clock) as chain:
        clock.now += 3600
        chain.catch_up()
        ahead = chain.head.timestamp
        clock.now -= 3600
        chain.catch_up()
        assert chain.head.timestamp == ahead
        clock.now += 1
        chain.catch_up()
        assert chain.head.timestamp == ahead + 1


def test_a_chain_that_is_opened_with_an_earlier_clock_goes_on_from_its_newest_block(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path, clock=clock) as chain:
        before = chain.head.timestamp
    clock.now -= 1000
    with open_chain(tmp_path, clock=clock) as chain:
        clock.now += 2
        chain.catch_up()
        assert chain.head.timestamp == before + 2


def test_the_first_block_after_a_pause_carries_the_time_of_its_end(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path, clock=clock) as chain:
        fill(chain)
    clock.now += 5000
    with open_chain(tmp_path, clock=clock) as chain:
        chain.send(signed(chain.chain_id, 6))
        assert chain.head.timestamp == int(clock.now)


def test_a_reopened_chain_is_the_same_block_for_block(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        fill(chain)
        before = dump(chain)
    with open_chain(tmp_path) as chain:
        assert dump(chain)[0][: len(before[0])] == before[0]
        assert dump(chain)[1] == before[1]
        fill(chain)
        assert chain.head.block_number >= 12


def test_the_same_transactions_at_the_same_times_make_the_same_chain() -> None:
    heads = []
    for _ in range(2):
        with open_chain(clock=Clock()) as chain:
            fill(chain)
            heads.append(chain.head.hash)
    assert heads[0] == heads[1]


def test_reading_a_finished_chain_changes_no_byte(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        fill(chain)
        head = chain.head.hash
        before = dump(chain)
    files = digest_of_folder(tmp_path)
    assert list(files) == [DATABASE_NAME]
    with open_chain(tmp_path, read_only=True, clock=Clock(9e9)) as chain:
        assert ask(chain, "eth_getBlockByNumber", "latest", False)["hash"] == "0x" + head.hex()
        assert dump(chain) == before
        with pytest.raises(TransactionRejected, match="reading only"):
            chain.send(signed(chain.chain_id, 6))
    assert digest_of_folder(tmp_path) == files


def test_two_readers_may_share_a_folder_and_no_writer_joins_them(tmp_path: Path) -> None:
    open_chain(tmp_path).close()
    with (
        open_chain(tmp_path, read_only=True),
        open_chain(tmp_path, read_only=True),
        pytest.raises(StateInUse),
    ):
        open_chain(tmp_path)


def test_two_devnets_cannot_open_one_folder(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        with pytest.raises(StateInUse, match="another process"):
            open_chain(tmp_path)
        with pytest.raises(StateInUse):
            open_chain(tmp_path, read_only=True)
        chain.send(signed(chain.chain_id, 0))
    open_chain(tmp_path).close()


def test_reading_needs_a_chain(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no chain"):
        open_chain(tmp_path, read_only=True)
    with pytest.raises(ConfigError, match="holds no chain"):
        open_chain(tmp_path / "missing", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(ConfigError, match="holds no chain"):
        open_chain(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    open_chain(tmp_path).close()
    _alter(tmp_path, "UPDATE meta SET value = 2 WHERE name = 'format'")
    with pytest.raises(ConfigError, match="format"):
        open_chain(tmp_path)


def test_a_folder_keeps_its_chain_id(tmp_path: Path) -> None:
    with open_chain(tmp_path, chain_id=77) as chain:
        assert ask(chain, "eth_chainId") == hex(77)
    with open_chain(tmp_path) as chain:
        assert chain.chain_id == 77
    with pytest.raises(WrongChain, match="77"):
        open_chain(tmp_path, chain_id=78)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE logs SET topic0 = zeroblob(32)", ConfigError),
        ("DELETE FROM logs", ConfigError),
        ("UPDATE logs SET block = 999", ConfigError),
        ("UPDATE state SET value = CAST(value || x'00' AS BLOB) WHERE length(key) = 32", DigestMismatch),
        ("DELETE FROM state WHERE CAST(key AS TEXT) LIKE 'transaction-hash-to-block%'", ConfigError),
    ],
)
def test_an_altered_state_file_is_noticed_by_a_reader(
    tmp_path: Path, statement: str, error: type[Exception]
) -> None:
    with open_chain(tmp_path) as chain:
        fill(chain)
    _alter(tmp_path, statement)
    with pytest.raises(error, match="altered"):
        open_chain(tmp_path, read_only=True)


def _alter(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / DATABASE_NAME)
    with connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


def test_what_cannot_be_mined_is_rejected_and_leaves_no_trace() -> None:
    with open_chain() as chain:
        for raw in (
            b"",
            b"\x02nonsense",
            signed(chain.chain_id, 1),
            signed(chain.chain_id + 1, 0),
            signed(chain.chain_id, 0, value=10**30),
            signed(chain.chain_id, 0, gas=20_000),
            signed(chain.chain_id, 0, gas=10**9),
            signed(chain.chain_id, 0, maxFeePerGas=1, maxPriorityFeePerGas=1),
        ):
            with pytest.raises(TransactionRejected):
                chain.send(raw)
        assert chain.head.block_number == 0
        chain.send(signed(chain.chain_id, 0))
        assert ask(chain, "eth_getBalance", RECIPIENT, "latest") == "0x1"


def test_dev_keys_depend_on_their_seed_only() -> None:
    assert dev_keys(3)[2] == (3).to_bytes(32, "big")
    assert dev_keys(2, b"a") == dev_keys(5, b"a")[:2]
    assert len({*dev_keys(5, b"a"), *dev_keys(5, b"b"), *dev_keys(5)}) == 15
    with open_chain(accounts=12, seed=b"a") as chain:
        rich = Account.from_key(dev_keys(12, b"a")[11]).address
        assert int(ask(chain, "eth_getBalance", rich, "latest"), 16) == 10**24
