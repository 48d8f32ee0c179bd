"""What transactions offer for gas (EIP-1559), and what a replacement has to offer."""

from __future__ import annotations

from typing import Any

from fl_chain.errors import MalformedResponse, RequestRefused
from fl_chain.ledger.node import Node, quantity
from fl_chain.ledger.signing import Fees

HEADROOM = 2  # times the base fee: enough for five full blocks in a row, each of which adds an eighth
DEFAULT_TIP_WEI = 10**9  # where a node suggests none
BUMP = (9, 8)  # a replacement offers an eighth more; nodes ask for a tenth


def current_fees(node: Node) -> Fees:
    """Return what a transaction should offer now.

    Raises:
        MalformedResponse: the chain has no base fee.
    """
    tip, block = node.batch_with_errors(
        [("eth_maxPriorityFeePerGas", []), ("eth_getBlockByNumber", ["latest", False])]
    )
    tip_wei = DEFAULT_TIP_WEI if isinstance(tip, RequestRefused) else quantity(tip)
    return Fees(HEADROOM * base_fee_wei(block) + tip_wei, tip_wei)


def base_fee_wei(block: Any) -> int:
    """Return a block's base fee per gas.

    Raises:
        MalformedResponse: it has none.
    """
    if isinstance(block, RequestRefused):
        raise block
    if not isinstance(block, dict) or "baseFeePerGas" not in block:
        raise MalformedResponse("the newest block has no base fee: fl_chain needs a chain with EIP-1559")
    return quantity(block["baseFeePerGas"])


def bumped(offered: Fees, current: Fees) -> Fees:
    """Return what replaces an offer: what is asked for now, and at least an eighth more than before."""
    return Fees(
        max(current.max_fee_wei, _more(offered.max_fee_wei)),
        max(current.max_priority_fee_wei, _more(offered.max_priority_fee_wei)),
    )


def _more(amount_wei: int) -> int:
    numerator, denominator = BUMP
    return max(amount_wei + 1, -(-amount_wei * numerator // denominator))
