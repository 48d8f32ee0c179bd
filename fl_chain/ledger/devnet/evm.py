"""The virtual machine of a development chain: eth-tester's, with a clock that is one.

eth-tester gives each block the timestamp of its parent plus one second, because Ethereum asks for timestamps
that grow from block to block. On a chain that mines every transaction at once, such a clock runs as fast as
there are transactions, and stands still when there are none. Here the blocks of one second share a timestamp.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

from eth.vm.forks.prague import PragueVM
from eth_tester.backends.pyevm.main import setup_tester_chain

# py-evm's own types describe the first fork and lack the fields of the later ones.
Header: TypeAlias = Any
Block: TypeAlias = Any
Transaction: TypeAlias = Any
Receipt: TypeAlias = Any

DEFAULT_CHAIN_ID = 131277322940537  # eth-tester's


class SameSecondVM(PragueVM):
    """The Prague rules, but a block may carry the timestamp of its parent."""

    @classmethod
    def validate_header(cls, header: Header, parent_header: Header) -> None:
        """Check a header against its parent."""
        if header.timestamp == parent_header.timestamp:
            header = header.copy(timestamp=header.timestamp + 1)
        super().validate_header(header, parent_header)


@cache
def chain_class(chain_id: int) -> Any:
    """Return eth-tester's chain class under another chain id and with `SameSecondVM`."""
    _keys, template = setup_tester_chain(genesis_state={}, vm_configuration=((0, SameSecondVM),))
    return type(template).configure(__name__=f"Devnet{chain_id}", chain_id=chain_id)
