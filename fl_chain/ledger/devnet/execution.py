"""Calls that leave no trace: eth_call and eth_estimateGas on a development chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth.constants import ZERO_ADDRESS
from eth.exceptions import Revert, VMError
from eth.vm.spoof import SpoofTransaction
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.evm import Header, Transaction

ERROR_STRING = bytes.fromhex("08c379a0")  # the selector of Solidity's Error(string)
ESTIMATE_TOLERANCE_GAS = 500


@dataclass(frozen=True, slots=True)
class Call:
    """What is called, by whom."""

    sender: bytes = ZERO_ADDRESS
    to: bytes = b""
    value_wei: int = 0
    data: bytes = b""
    gas: int | None = None


class Reverted(Exception):
    """The contract reverted, or ran into an error of the machine.

    Attributes:
        data: what it returned with the revert, such as an encoded custom error.
    """

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


def call(chain: Chain, header: Header, request: Call) -> bytes:
    """Return a call's output in the context of a block.

    Raises:
        Reverted: the call did not succeed.
    """
    computation = _run(chain, header, request, request.gas or header.gas_limit)
    _raise_if_failed(computation)
    return bytes(computation.output)


def estimate_gas(chain: Chain, header: Header, request: Call) -> int:
    """Return a gas limit with which a call succeeds, at most `ESTIMATE_TOLERANCE_GAS` above the least.

    Raises:
        Reverted: it succeeds with no gas limit.
    """
    ceiling = min(request.gas or header.gas_limit, header.gas_limit)
    computation = _run(chain, header, request, ceiling)
    _raise_if_failed(computation)
    too_little, enough = _gas_used(chain, request, computation), ceiling
    if _succeeds(chain, header, request, too_little):
        return too_little
    while enough - too_little > ESTIMATE_TOLERANCE_GAS:
        # The first guesses stay near the gas that was used: most calls need little more.
        middle = min((too_little + enough) // 2, too_little + too_little // 32 + ESTIMATE_TOLERANCE_GAS)
        if _succeeds(chain, header, request, middle):
            enough = middle
        else:
            too_little = middle
    return int(enough)


def _succeeds(chain: Chain, header: Header, request: Call, gas: int) -> bool:
    try:
        return not _run(chain, header, request, gas).is_error
    except Reverted:
        return False


def _run(chain: Chain, header: Header, request: Call, gas: int) -> Any:
    # Nobody pays for a call, so it runs in a block without a base fee.
    state = chain.state(header.copy(base_fee_per_gas=0))
    transaction = _transaction(
        chain, request, nonce=state.get_nonce(request.sender), gas=min(gas, header.gas_limit)
    )
    try:
        return state.apply_transaction(SpoofTransaction(transaction, from_=request.sender))
    except Exception as error:  # validation errors of several libraries: money, intrinsic gas
        raise Reverted(str(error), b"") from error


def _transaction(chain: Chain, request: Call, *, nonce: int, gas: int) -> Transaction:
    return chain.transaction_builder().new_unsigned_dynamic_fee_transaction(
        chain_id=chain.chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=0,
        gas=gas,
        to=request.to,
        value=request.value_wei,
        data=request.data,
        access_list=(),
    )


def _gas_used(chain: Chain, request: Call, computation: Any) -> int:
    transaction = _transaction(chain, request, nonce=0, gas=0)
    return int(transaction.intrinsic_gas + computation.get_gas_used())


def _raise_if_failed(computation: Any) -> None:
    if not computation.is_error:
        return
    error: VMError = computation.error
    if isinstance(error, Revert):
        data = _revert_data(error)
        raise Reverted(_reason(data), data)
    raise Reverted(f"{type(error).__name__}: {error}", b"")


def _revert_data(error: Revert) -> bytes:
    first: Any = error.args[0] if error.args else b""
    return bytes(first) if isinstance(first, (bytes, bytearray, memoryview)) else b""


def _reason(data: bytes) -> str:
    if data[:4] == ERROR_STRING:
        try:
            return f"execution reverted: {decode(['string'], data[4:])[0]}"
        except DecodingError:
            pass
    return "execution reverted"
