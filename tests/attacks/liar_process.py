"""An aggregator that lies, as a process of its own: ``liar_process.py CONFIG LIE ROUND``."""

import logging
import sys
from pathlib import Path

import liars
from liars import Liar, Lie

from fl_chain.aggregator import AggregatorParts
from fl_chain.cli.connection import open_account, open_ledger, persist, run_actor
from fl_chain.config import load_settings
from fl_chain.store import Store


def main(config: str, lie: str, round_id: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = load_settings(Path(config))
    ledger = open_ledger(settings.chain)
    parts = AggregatorParts(
        ledger, open_account(settings, ledger.node), Store(settings.store.urls), settings.aggregator.state
    )
    liar = persist(lambda: Liar(parts, Lie(getattr(liars, lie)), {int(round_id)}), say=logging.warning)
    run_actor(liar, poll_s=settings.chain.poll_s, say=logging.warning)


if __name__ == "__main__":
    main(*sys.argv[1:])
