"""The tokens of ``contracts/test/Tokens.sol`` on a chain, and a consortium that pays in one of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from consortium import MONEY_WEI, Consortium
from eth_abi.abi import encode

from fl_chain.ledger.account import Account
from fl_chain.ledger.token import Token
from fl_chain.records import Address

UNIT = "test/Tokens.sol"
CONTRACTS = ("PlainToken", "FeeToken", "StrictToken")
GAS = 3_000_000
MINT = bytes.fromhex("40c10f19")  # mint(address,uint256)
BURN = bytes.fromhex("9dc29fac")  # burn(address,uint256)


@cache
def creation_codes() -> dict[str, bytes]:
    """Compile the tokens with the project's own compiler, once for all tests."""
    compiler = _compiler()
    wanted = {UNIT: {name: ["evm.bytecode"] for name in CONTRACTS}}
    output = compiler.compile_sources(compiler.read_sources(UNIT), wanted)
    compiled = output["contracts"][UNIT]
    return {name: bytes.fromhex(compiled[name]["evm"]["bytecode"]["object"]) for name in CONTRACTS}


def _compiler() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / "compile_contracts.py"
    spec = importlib.util.spec_from_file_location("compile_contracts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def deploy_token(account: Account, name: str) -> Token:
    """Deploy one of the tokens."""
    receipt = account.send(None, creation_codes()[name], gas=GAS)
    assert receipt.contract is not None
    return Token(account.node, receipt.contract)


def mint(token: Token, account: Account, holder: Address, amount: int) -> None:
    """Give a holder some of the token."""
    account.send(token.address, MINT + encode(["address", "uint256"], [holder, amount]), gas=GAS)


def burn(token: Token, account: Account, holder: Address, amount: int) -> None:
    """Take some of the token away from a holder."""
    account.send(token.address, BURN + encode(["address", "uint256"], [holder, amount]), gas=GAS)


@dataclass
class TokenConsortium(Consortium):
    """A consortium whose amounts are in a token; every account has some, and native coin for the gas."""

    def __post_init__(self) -> None:
        self.token: Token | None = None
        super().__post_init__()

    def coin(self) -> Address:
        return self.own_token().address

    def own_token(self) -> Token:
        """Return the token, deployed where it is not yet."""
        if self.token is None:
            self.token = deploy_token(self.bank, "PlainToken")
        return self.token

    def account(self, role: str) -> Account:
        account = super().account(role)
        mint(self.own_token(), self.bank, account.address, MONEY_WEI)
        return account
