"""An ERC-20 token that a run's amounts are in (EIP-20)."""

from __future__ import annotations

from eth_abi.abi import encode

from fl_chain.errors import ConfigError, MalformedResponse, RequestRefused, TransactionRejected
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.node import Node
from fl_chain.ledger.transport import Json
from fl_chain.records import Address

TOKEN_GAS = 150_000  # tokens behind a proxy with checks of their own stay below

_BALANCE_OF = bytes.fromhex("70a08231")  # balanceOf(address)
_ALLOWANCE = bytes.fromhex("dd62ed3e")  # allowance(address,address)
_APPROVE = bytes.fromhex("095ea7b3")  # approve(address,uint256)
_TRANSFER = bytes.fromhex("a9059cbb")  # transfer(address,uint256)


class Token:
    """One token on one node. Amounts are in its smallest unit."""

    def __init__(self, node: Node, address: Address) -> None:
        self.node = node
        self.address = address

    def verify_token(self) -> None:
        """Check that the address holds a contract that tells balances.

        Raises:
            ConfigError: it does not.
        """
        if not self.node.code(self.address):
            raise ConfigError(f"no contract is at {self.address}, so it is no token: check the address")
        try:
            self.balance(self.address)
        except (RequestRefused, MalformedResponse) as error:
            raise ConfigError(
                f"the contract at {self.address} tells no balances, so it is no ERC-20 token: "
                f"check the address ({error})"
            ) from error

    def balance(self, holder: Address, *, block: Json = "latest") -> int:
        """Return what an account holds.

        Args:
            holder: the account.
            block: when, as a parameter of requests.

        Raises:
            MalformedResponse: the contract is no token.
        """
        return self._number(_BALANCE_OF + encode(["address"], [holder]), block)

    def allowance(self, holder: Address, spender: Address) -> int:
        """Return what a spender may still take of a holder's balance."""
        return self._number(_ALLOWANCE + encode(["address", "address"], [holder, spender]))

    def transfer(self, account: Account, receiver: Address, amount: int) -> Receipt:
        """Pay from the account's own balance."""
        data = _TRANSFER + encode(["address", "uint256"], [receiver, amount])
        return account.send(self.address, data, gas=TOKEN_GAS)

    def approve(self, account: Account, spender: Address, amount: int) -> Receipt:
        """Let a spender take an amount of the account's balance, instead of what it could take before."""
        data = _APPROVE + encode(["address", "uint256"], [spender, amount])
        return account.send(self.address, data, gas=TOKEN_GAS)

    def allow(self, account: Account, spender: Address, amount: int) -> None:
        """Approve an amount for the spender's next call, unless so much is approved already.

        The approval is for the amount and no more, so nothing is left once the spender has taken it.

        Raises:
            TransactionRejected: the account holds less; nothing is sent then.
            TransactionFailed: the token refuses.
        """
        held = self.balance(account.address)
        if held < amount:
            raise TransactionRejected(
                f"{account.address} holds {held} of the token {self.address}, and {amount} are to be paid: "
                "send it the difference first"
            )
        approved = self.allowance(account.address, spender)
        if approved >= amount:
            return
        if approved:  # some tokens change an allowance only by way of zero
            self.approve(account, spender, 0)
        self.approve(account, spender, amount)

    def _number(self, data: bytes, block: Json = "latest") -> int:
        output = self.node.call(self.address, data, block=block)
        if len(output) != 32:
            raise MalformedResponse(f"the token {self.address} returned {len(output)} bytes instead of 32")
        return int.from_bytes(output, "big")
