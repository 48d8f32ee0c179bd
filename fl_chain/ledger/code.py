"""The check that a ledger is this release's contract, and that its challenges are decided by the right one.

The ledger's constructor creates the verifier, so its address follows from the ledger's. That code hashes
right is not enough: the few values that a deployment writes into it are looked at as well, since whoever
deploys by other means than the constructor could write others.
"""

from __future__ import annotations

from eth_hash.auto import keccak

from fl_chain.errors import MalformedResponse, RequestRefused, WrongCode
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.artifact import challenge_verifier, training_ledger
from fl_chain.ledger.node import Node
from fl_chain.records import Address, address


def verifier_address(ledger: Address) -> Address:
    """Return where the first contract stands that a ledger has created.

    That is the hash of the RLP list of creator and nonce; a contract's first nonce is 1 (EIP-161).
    """
    rlp = bytes([0xC0 + 22, 0x80 + 20]) + bytes.fromhex(ledger[2:]) + bytes([1])
    return address(keccak(rlp)[12:])


def verify_ledger_code(node: Node, ledger: Address) -> None:
    """Check the code of a ledger and of its verifier.

    Raises:
        WrongCode: there is no contract, or another one, or another contract decides challenges.
        LedgerUnavailable: no node answers.
    """
    training_ledger().verify_code(node.code(ledger))
    verifier, expected = _named_verifier(node, ledger), verifier_address(ledger)
    if verifier != expected:
        raise WrongCode(
            f"{verifier} decides this ledger's challenges instead of {expected}, which its constructor "
            "creates: take no part in this run"
        )
    code = node.code(verifier)
    try:
        challenge_verifier().verify_code(code)
    except WrongCode as error:
        raise WrongCode(
            f"what decides this ledger's challenges, {verifier}, is not what it should be: {error}"
        ) from error
    for value in challenge_verifier().immutable_values(code):
        if value != node.chain_id:
            raise WrongCode(
                f"what decides this ledger's challenges was made for chain {value}, not {node.chain_id}, so "
                "that it refuses every right proof: take no part in this run"
            )


def _named_verifier(node: Node, ledger: Address) -> Address:
    function = ledger_abi().functions["verifier"]
    try:
        (verifier,) = function.decode(node.call(ledger, function.encode(())))
    except (RequestRefused, MalformedResponse) as error:
        raise WrongCode(f"the ledger does not say what decides its challenges: {error}") from error
    return address(verifier)
