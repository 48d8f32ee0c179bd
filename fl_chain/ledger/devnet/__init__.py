"""A development chain: eth-tester's machine with its state on disk, a clock, and a JSON-RPC server."""

from fl_chain.ledger.devnet.chain import Chain, open_chain
from fl_chain.ledger.devnet.evm import DEFAULT_CHAIN_ID
from fl_chain.ledger.devnet.keys import dev_keys
from fl_chain.ledger.devnet.server import background_server, serve

__all__ = ["DEFAULT_CHAIN_ID", "Chain", "background_server", "dev_keys", "open_chain", "serve"]
