"""The virtual machine of a development chain: eth-tester's, with a clock that is one.

eth-tester gives each block the timestamp of its parent plus one second, because Ethereum asks for timestamps
that grow from block to block. On a chain that mines every transaction at once, such a clock runs as fast as
there are transactions, and stands still when there are none. Here the blocks of one second share a timestamp.

What py-evm would find out about a contract's code in every call again is remembered: where jumps may lead.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, ClassVar, TypeAlias

from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth_tester.backends.pyevm.main import setup_tester_chain

# py-evm's own types describe the first fork and lack the fields of the later ones.
Header: TypeAlias = Any
Block: TypeAlias = Any
Transaction: TypeAlias = Any
Receipt: TypeAlias = Any

DEFAULT_CHAIN_ID = 131277322940537  # eth-tester's
KEPT_CODES = 64  # contracts


class _Computation(PragueComputation):
    """The Prague rules; what was found out about a code holds for all of its calls."""

    def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        stream: Any = self.code
        stream.valid_positions, stream.invalid_positions = _positions(message.code)


class _State(PragueState):
    computation_class = _Computation


class SameSecondVM(PragueVM):
    """The Prague rules, but a block may carry the timestamp of its parent."""

    _state_class: ClassVar[type[PragueState]] = _State  # type: ignore[misc]

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


@lru_cache(KEPT_CODES)
def _positions(_code: bytes) -> tuple[set[int], set[int]]:
    """Return the positions of a code that are instructions and that are none, as far as py-evm added them."""
    return set(), set()
