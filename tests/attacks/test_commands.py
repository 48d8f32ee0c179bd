"""``fl-chain challenge``, ``object`` and ``watch`` against a posting on a served chain."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from chain_round import ChainRound, chain_round
from command_line import called
from lies import told, withheld
from rounds import random_world

from fl_chain.config import PRIVATE_KEY_VARIABLE
from fl_chain.ledger.devnet import background_server, dev_keys

PARTICIPANTS = 3
KEYS = dev_keys(PARTICIPANTS + 5)
STRANGER, FIRST_PARTICIPANT = KEYS[1], KEYS[2]


@contextmanager
def served(tmp_path: Path, posters: int = 3) -> Iterator[tuple[ChainRound, Path]]:
    """Serve a chain with a closed round, and write settings for it."""
    world = random_world(np.random.default_rng(1), PARTICIPANTS, 1500)
    with chain_round(world, tmp_path, posters) as on_chain, background_server(on_chain.chain) as url:
        config = tmp_path / "fl_chain.toml"
        config.write_text(
            f'[chain]\nrpc = ["{url}"]\nledger = "{on_chain.ledger.run.ledger}"\n'
            f'[store]\nurls = ["{tmp_path / "store"}"]\n'
        )
        yield on_chain, config


def lie(on_chain: ChainRound, name: str = "sum and all above"):
    case = told(on_chain.world, name, np.random.default_rng(2))
    assert case is not None
    return case


def command(*arguments: str, config: Path, key: bytes | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != PRIVATE_KEY_VARIABLE}
    if key is not None:
        environment[PRIVATE_KEY_VARIABLE] = key.hex()
    return called(*arguments, "--config", str(config), environment=environment)


def test_a_challenge_by_hand(tmp_path: Path) -> None:
    with served(tmp_path) as (on_chain, config):
        on_chain.post(lie(on_chain))

        dry = command("challenge", "--round", "1", "--dry-run", config=config)
        assert dry.returncode == 0, dry.stderr
        shown = dict(line.split(maxsplit=1) for line in dry.stdout.splitlines())
        assert shown["challenge"] == "challengeSum"
        assert int(shown["gas"]) > 100_000
        assert on_chain.ledger.round(1).posting_number == 0

        without_key = command("challenge", "--round", "1", config=config)
        assert without_key.returncode == 2
        assert "no signing key" in without_key.stderr

        sent = command("challenge", "--round", "1", config=config, key=STRANGER)
        assert sent.returncode == 0, sent.stderr
        assert on_chain.ledger.round(1).posting_number == 1

        again = command("challenge", "--round", "1", config=config)
        assert again.returncode == 2
        assert "only a posted round" in again.stderr

        on_chain.post(on_chain.world.posted())
        honest = command("challenge", "--round", "1", "--dry-run", config=config)
        assert honest.returncode == 1
        assert "nothing is wrong" in honest.stdout


def test_objections_by_hand(tmp_path: Path) -> None:
    with served(tmp_path) as (on_chain, config):
        on_chain.post(withheld(lie(on_chain, "model lane"), models={}))

        unproven = command("challenge", "--round", "1", "--dry-run", config=config)
        assert unproven.returncode == 1
        assert "fl-chain object" in unproven.stdout

        stranger = command("object", "--round", "1", config=config, key=STRANGER)
        assert stranger.returncode == 2
        assert "signs for nobody" in stranger.stderr

        dry = command("object", "--round", "1", "--dry-run", config=config, key=FIRST_PARTICIPANT)
        assert dry.returncode == 0, dry.stderr
        assert on_chain.ledger.objections_to(1) == 0

        first = command("object", "--round", "1", config=config, key=FIRST_PARTICIPANT)
        assert first.returncode == 0, first.stderr
        assert "1 of 3" in first.stdout
        second = command("object", "--round", "1", config=config, key=KEYS[3])
        assert second.returncode == 0, second.stderr
        assert on_chain.ledger.round(1).posting_number == 1


def test_looking_on_sends_nothing(tmp_path: Path) -> None:
    with served(tmp_path) as (on_chain, config):
        on_chain.post(lie(on_chain))
        process = subprocess.Popen(
            [sys.executable, "-m", "fl_chain", "watch", "--dry-run", "--config", str(config)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {PRIVATE_KEY_VARIABLE: STRANGER.hex()},
        )
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "is wrong, which can be proven" in line:
                    break
            else:
                raise AssertionError("the watcher said nothing")
        finally:
            process.terminate()
            process.wait()
            process.stderr.close()
        assert on_chain.ledger.round(1).posting_number == 0
