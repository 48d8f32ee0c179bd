"""The check that a ledger is this release's contract, and that its challenges are decided by the right one.

A plain ledger's constructor creates the verifier, so its address follows from the ledger's. A masked ledger's
is deployed before it, for the address that the ledger will have, and names that ledger; its constructor
creates what decides its challenges, whose address follows from its own. That code hashes
right is not enough: the few values that a deployment writes into it are looked at as well, since whoever
deploys by other means than the constructor could write others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from eth_hash.auto import keccak
from rlp.codec import encode_raw  # type: ignore[import-untyped]

from fl_chain.errors import MalformedResponse, RequestRefused, WrongCode
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.artifact import (
    Artifact,
    challenge_verifier,
    mask_challenges,
    masked_ledger,
    secure_aggregation,
    training_ledger,
)
from fl_chain.ledger.node import Node
from fl_chain.records import Address, RunId, address


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts of a run."""

    ledger: Artifact
    judge: Artifact  # what decides challenges, and in a masked run holds the keys
    verifier: Address  # where that one is
    deciding: Artifact | None = None  # of a masked run: what the judge has created, and decides by
    groups: int = 0  # into which a masked round is drawn; 0 for one sum of all

    @property
    def is_masked(self) -> bool:
        """Whether nobody sees a single update of the run."""
        return self.deciding is not None

    def judge_immutables(self, run: RunId) -> Mapping[str, int]:
        """Return what a deployment writes into the verifier's code, by the names of its source."""
        if not self.is_masked:
            return {"CHAIN_ID": run.chain_id}
        ledger = int(run.ledger, 16)
        return {
            "CHAIN_ID": run.chain_id,
            "LEDGER": ledger,
            "HEAD": ledger,
            "CHALLENGES": int(self.challenges, 16),
            "GROUPS": self.groups,
        }

    @property
    def challenges(self) -> Address:
        """Where the code is that decides challenges: the verifier's own, or what a masked run's created."""
        return created_address(self.verifier, 1) if self.is_masked else self.verifier

    @property
    def parts(self) -> tuple[tuple[Artifact, Address], ...]:
        """What is there beside the ledger, and where."""
        judge = (self.judge, self.verifier)
        return (judge,) if self.deciding is None else (judge, (self.deciding, self.challenges))


def plain_contracts(ledger: Address) -> Contracts:
    """Return the contracts of a run whose updates everyone can read."""
    return Contracts(training_ledger(), challenge_verifier(), verifier_address(ledger))


def created_address(creator: Address, nonce: int) -> Address:
    """Return where a contract will stand that an account creates: a hash of the RLP of creator and nonce."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    return address(keccak(encode_raw([bytes.fromhex(creator[2:]), number]))[12:])


def verifier_address(ledger: Address) -> Address:
    """Return where the first contract stands that a ledger has created; its nonce was 1 then (EIP-161)."""
    return created_address(ledger, 1)


def verify_ledger_code(node: Node, ledger: Address) -> Contracts:
    """Check the code of a ledger and of its verifier, and return what they are.

    Raises:
        WrongCode: there is no contract, or another one, or another contract decides challenges.
        LedgerUnavailable: no node answers.
    """
    contracts = _contracts(node, ledger)
    run, groups = RunId(node.chain_id, ledger), None
    for artifact, place in contracts.parts:
        code = node.code(place)
        try:
            artifact.verify_code(code)
            written = artifact.named_immutables(code)
        except WrongCode as error:
            raise WrongCode(
                f"what decides this ledger's challenges, {place}, is not what it should be: {error}"
            ) from error
        if groups is None:  # what decides challenges has the same number as what holds the masks
            groups = written.get("GROUPS", 0)
            contracts = replace(contracts, groups=groups)
        for name, value in contracts.judge_immutables(run).items():
            if written.get(name, value) != value:
                raise WrongCode(_made_for_another(name, written[name], node))
    return contracts


def _contracts(node: Node, ledger: Address) -> Contracts:
    code = node.code(ledger)
    if len(code) == len(masked_ledger().template):
        masked_ledger().verify_code(code)
        judge = secure_aggregation()
        return Contracts(masked_ledger(), judge, _named_verifier(node, ledger), mask_challenges())
    training_ledger().verify_code(code)
    plain = plain_contracts(ledger)
    named = _named_verifier(node, ledger)
    if named != plain.verifier:
        raise WrongCode(
            f"{named} decides this ledger's challenges instead of {plain.verifier}, which its constructor "
            "creates: take no part in this run"
        )
    return plain


def _made_for_another(name: str, value: int, node: Node) -> str:
    if name == "CHAIN_ID":
        return (
            f"what decides this ledger's challenges was made for chain {value}, not {node.chain_id}, so "
            "that it refuses every right proof: take no part in this run"
        )
    if name == "CHALLENGES":
        return (
            f"what holds this ledger's masks has its challenges decided by {value:#042x}, which it did not "
            "create: take no part in this run"
        )
    if name == "GROUPS":
        return (
            f"what decides challenges of this ledger's masks was made for {value} groups, what holds them "
            "for another number: take no part in this run"
        )
    return f"what holds this ledger's masks was made for the ledger {value:#042x}: take no part in this run"


def _named_verifier(node: Node, ledger: Address) -> Address:
    function = ledger_abi().functions["verifier"]
    try:
        (verifier,) = function.decode(node.call(ledger, function.encode(())))
    except (RequestRefused, MalformedResponse) as error:
        raise WrongCode(f"the ledger does not say what decides its challenges: {error}") from error
    return address(verifier)
