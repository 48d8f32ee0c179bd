"""Deploying a run's ledger."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from eth_abi.abi import encode

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.abi import ledger_abi, masked_ledger_abi, masks_abi
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.artifact import masked_ledger, secure_aggregation, training_ledger
from fl_chain.ledger.code import created_address, verify_ledger_code
from fl_chain.ledger.gas import DEPLOYMENT_GAS
from fl_chain.ledger.node import Node
from fl_chain.records import ZERO_ADDRESS, Address, LedgerPolicy, RunDefinition


@dataclass(frozen=True, slots=True)
class Deployment:
    """A ledger that was just deployed."""

    address: Address
    block_number: int  # no event of the ledger is older
    receipt: Receipt


def deploy(
    node: Node,
    account: Account,
    definition: RunDefinition,
    policy: LedgerPolicy,
    *,
    aggregator: Address,
    token: Address = ZERO_ADDRESS,
    groups: int = 0,
) -> Deployment:
    """Deploy a run's ledger; for a masked run first what holds its keys, for the address that follows.

    Args:
        node: where.
        account: signs, and is the run's operator.
        definition: what is trained.
        policy: the rules.
        aggregator: who may post first.
        token: the ERC-20 token that amounts are in; zero for the native coin.
        groups: into how many a masked round's participants are drawn; 0 for one sum of all.

    Raises:
        LedgerReverted: a constant is outside its bounds.
        TransactionFailed: it failed otherwise.
        WrongCode: what stands there afterwards is another contract.
    """
    values = (astuple(definition), astuple(policy), aggregator, token)
    if policy.aggregation.is_masked:
        place = created_address(account.address, node.nonce(account.address, "pending") + 1)
        masks, _ = _deployed(
            account, secure_aggregation().bytecode + encode(masks_abi().constructor, (place, groups))
        )
        arguments = encode(masked_ledger_abi().constructor, (*values, masks))
        ledger, receipt = _deployed(account, masked_ledger().bytecode + arguments)
    else:
        arguments = encode(ledger_abi().constructor, values)
        ledger, receipt = _deployed(account, training_ledger().bytecode + arguments)
    verify_ledger_code(node, ledger)
    return Deployment(ledger, receipt.block_number, receipt)


def _deployed(account: Account, code: bytes) -> tuple[Address, Receipt]:
    receipt = account.send(None, code, gas=DEPLOYMENT_GAS)
    if receipt.contract is None:
        raise MalformedResponse("the node's receipt of the deployment names no contract: ask another node")
    return receipt.contract, receipt
