"""The compiled contracts that the package carries, and the check that an address holds this very code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from fl_chain.errors import WrongCode
from fl_chain.records import Digest


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract.

    Attributes:
        abi: the contract's interface as the compiler describes it.
        bytecode: what a deployment sends, before the encoded constructor arguments.
        template: the runtime code with zeros where a deployment writes its immutable values.
        immutables: start and length of each of those places, ascending.
        immutable_names: of the variable whose value stands in each of those places.
        storage_layout: where the contract's state lies, as the compiler describes it.
        code_hash: SHA-256 of ``template``; equal for every deployment of the same contract.
    """

    abi: list[dict[str, Any]]
    bytecode: bytes
    template: bytes
    immutables: tuple[tuple[int, int], ...]
    immutable_names: tuple[str, ...]
    storage_layout: dict[str, Any]
    code_hash: Digest

    def immutable_values(self, deployed: bytes) -> list[int]:
        """Return what a deployment wrote into runtime code that `verify_code` has accepted."""
        return [int.from_bytes(deployed[start : start + length], "big") for start, length in self.immutables]

    def named_immutables(self, deployed: bytes) -> dict[str, int]:
        """Return the immutable values in runtime code that `verify_code` has accepted, by name.

        Raises:
            WrongCode: a variable has one value here and another one there.
        """
        named: dict[str, int] = {}
        for name, value in zip(self.immutable_names, self.immutable_values(deployed), strict=True):
            if named.setdefault(name, value) != value:
                raise WrongCode(
                    f"the code at this address has two values for {name}: take no part in this run"
                )
        return named

    def verify_code(self, deployed: bytes) -> None:
        """Check that runtime code is this contract's, whatever a deployment's immutable values are.

        Args:
            deployed: what the node returns as the code at the address.

        Raises:
            WrongCode: if there is no code, or it differs anywhere but in its immutable values.
        """
        if not deployed:
            raise WrongCode(
                "there is no contract at this address; check the ledger's address and that the node serves "
                "the chain the run was deployed on"
            )
        blanked = bytearray(deployed)
        if len(deployed) == len(self.template):
            for start, length in self.immutables:
                blanked[start : start + length] = bytes(length)
        actual = hashlib.sha256(blanked).digest()
        if actual != self.code_hash:
            raise WrongCode(
                f"another contract is at this address: its code hash is 0x{actual.hex()}, expected "
                f"0x{self.code_hash.hex()}; check the address, or use the fl-chain release that deployed it"
            )


@cache
def training_ledger() -> Artifact:
    """Return the artifact of ``contracts/TrainingLedger.sol``."""
    return _artifact("TrainingLedger")


@cache
def challenge_verifier() -> Artifact:
    """Return the artifact of ``contracts/ChallengeVerifier.sol``, which the ledger's constructor creates."""
    return _artifact("ChallengeVerifier")


@cache
def masked_ledger() -> Artifact:
    """Return the artifact of ``contracts/MaskedLedger.sol``, the ledger of masked updates."""
    return _artifact("MaskedLedger")


@cache
def secure_aggregation() -> Artifact:
    """Return the artifact of ``contracts/SecureAggregation.sol``, which holds a masked run's keys."""
    return _artifact("SecureAggregation")


@cache
def mask_challenges() -> Artifact:
    """Return the artifact of ``contracts/MaskChallenges.sol``, which `SecureAggregation` creates and runs."""
    return _artifact("MaskChallenges")


def _artifact(contract: str) -> Artifact:
    folder = resources.files("fl_chain.ledger") / "artifacts"
    return parse_artifact(json.loads((folder / f"{contract}.json").read_text(encoding="utf-8")))


def parse_artifact(content: dict[str, Any]) -> Artifact:
    """Return an artifact from the content of its file."""
    template = bytes.fromhex(content["deployedBytecode"].removeprefix("0x"))
    return Artifact(
        abi=content["abi"],
        bytecode=bytes.fromhex(content["bytecode"].removeprefix("0x")),
        template=template,
        immutables=tuple((spot["start"], spot["length"]) for spot in content["immutableReferences"]),
        immutable_names=tuple(spot["name"] for spot in content["immutableReferences"]),
        storage_layout=content["storageLayout"],
        code_hash=Digest(hashlib.sha256(template).digest()),
    )
