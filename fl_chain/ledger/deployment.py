"""Deploying a run's ledger."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from eth_abi.abi import encode

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.artifact import training_ledger
from fl_chain.ledger.code import verify_ledger_code
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
) -> Deployment:
    """Deploy a run's ledger.

    Args:
        node: where.
        account: signs, and is the run's operator.
        definition: what is trained.
        policy: the rules.
        aggregator: who may post first.
        token: the ERC-20 token that amounts are in; zero for the native coin.

    Raises:
        LedgerReverted: a constant is outside its bounds.
        TransactionFailed: it failed otherwise.
        WrongCode: what stands there afterwards is another contract.
    """
    arguments = encode(ledger_abi().constructor, (astuple(definition), astuple(policy), aggregator, token))
    receipt = account.send(None, training_ledger().bytecode + arguments, gas=DEPLOYMENT_GAS)
    if receipt.contract is None:
        raise MalformedResponse("the node's receipt of the deployment names no contract: ask another node")
    verify_ledger_code(node, receipt.contract)
    return Deployment(receipt.contract, receipt.block_number, receipt)
