"""What transactions offer for gas (EIP-1559), and what a replacement has to offer."""

from __future__ import annotations

from typing import Any

from fl_chain.errors import MalformedResponse, RequestRefused, TransactionRejected
from fl_chain.ledger.node import Node, quantity
from fl_chain.ledger.signing import Fees

HEADROOM = 2  # times the base fee: enough for five full blocks in a row, each of which adds an eighth
DEFAULT_TIP_WEI = 10**9  # where a node suggests none
BUMP = (9, 8)  # a replacement offers an eighth more; nodes ask for a tenth


def current_fees(node: Node, limit_wei: int) -> Fees:
    """Return what a transaction should offer now.

    Args:
        node: asked for base fee and tip.
        limit_wei: per gas; nothing above it is offered, whatever the node says.

    Raises:
        TransactionRejected: the base fee alone is above the limit.
        MalformedResponse: the chain has no base fee.
    """
    tip, block = node.batch_with_errors(
        [("eth_maxPriorityFeePerGas", []), ("eth_getBlockByNumber", ["latest", False])]
    )
    tip_wei = DEFAULT_TIP_WEI if isinstance(tip, RequestRefused) else quantity(tip)
    base_wei = base_fee_wei(block)
    if base_wei > limit_wei:
        raise TransactionRejected(
            f"{node.name} asks for {base_wei} wei per gas, and at most {limit_wei} are offered: "
            "wait until it is cheaper, or raise `max_fee_gwei` in [chain]"
        )
    fee_wei = min(HEADROOM * base_wei + tip_wei, limit_wei)
    return Fees(fee_wei, min(tip_wei, fee_wei))


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


def bumped(offered: Fees, current: Fees, limit_wei: int) -> Fees:
    """Return what replaces an offer: what is asked for now, and at least an eighth more than before.

    Args:
        offered: before.
        current: what a new transaction would offer.
        limit_wei: per gas.

    Returns:
        The offer as it was where the limit leaves no room for another.
    """
    fee_wei = max(current.max_fee_wei, _more(offered.max_fee_wei))
    tip_wei = max(current.max_priority_fee_wei, _more(offered.max_priority_fee_wei))
    return offered if fee_wei > limit_wei else Fees(fee_wei, tip_wei)


def _more(amount_wei: int) -> int:
    numerator, denominator = BUMP
    return max(amount_wei + 1, -(-amount_wei * numerator // denominator))
