"""Ledgers put on the chain by other means than their constructor, with another judge of challenges."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import rlp
from deployed_runs import Run, deployed_run
from eth_hash.auto import keccak

from fl_chain.errors import WrongCode
from fl_chain.ledger.artifact import challenge_verifier
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.code import verifier_address
from fl_chain.records import Address, AggregationKind, address


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with deployed_run() as deployed:
        yield deployed


def created(sender: Address, nonce: int) -> Address:
    return address(keccak(rlp.encode([bytes.fromhex(sender[2:]), nonce]))[12:])


def word(value: int) -> bytes:
    return b"\x63" + value.to_bytes(4, "big")  # PUSH4


def returning(runtime: bytes) -> bytes:
    """Return creation code whose contract is this runtime code."""
    return word(len(runtime)) + bytes.fromhex("80600c5f395ff3") + runtime


def creating(inner: bytes, runtime: bytes) -> bytes:
    """Return creation code that creates another contract first."""
    copy_inner = word(len(inner)) + word(36 + len(runtime)) + bytes.fromhex("5f39")
    create = word(len(inner)) + bytes.fromhex("5f5ff050")
    copy_runtime = word(len(runtime)) + b"\x80" + word(36) + bytes.fromhex("5f395ff3")
    return copy_inner + create + copy_runtime + runtime + inner


def forged(run: Run, judge: Callable[[Address], Address], verifier_code: bytes | None) -> Address:
    """Put the ledger's runtime code on the chain with another verifier, and return where."""
    runtime = run.node.code(run.ledger.run.ledger)
    ledger = created(run.stranger.address, run.node.nonce(run.stranger.address))
    own, other = run.ledger.verifier, judge(ledger)
    runtime = runtime.replace(bytes.fromhex(own[2:]), bytes.fromhex(other[2:]))
    creation = returning(runtime) if verifier_code is None else creating(returning(verifier_code), runtime)
    receipt = run.stranger.send(None, creation, gas=12_000_000)
    assert receipt.contract == ledger
    return ledger


def verifier_code(run: Run) -> bytes:
    return run.node.code(run.ledger.verifier)


def test_the_verifier_stands_where_the_constructor_creates_it(run: Run) -> None:
    assert run.ledger.verifier == verifier_address(run.ledger.run.ledger)
    assert run.ledger.verifier == created(run.ledger.run.ledger, 1)
    assert run.ledger.verifier_code_hash == challenge_verifier().code_hash
    challenge_verifier().verify_code(verifier_code(run))


def test_a_forgery_without_a_difference_is_accepted(run: Run) -> None:
    Ledger.open(run.node, forged(run, verifier_address, verifier_code(run)))


def test_another_judge_is_refused(run: Run) -> None:
    ledger = forged(run, lambda _: run.ledger.verifier, verifier_code(run))
    with pytest.raises(WrongCode, match="instead of"):
        Ledger.open(run.node, ledger)


def test_no_judge_is_refused(run: Run) -> None:
    with pytest.raises(WrongCode, match="no contract"):
        Ledger.open(run.node, forged(run, verifier_address, None))


def test_a_judge_with_other_code_is_refused(run: Run) -> None:
    code = bytearray(verifier_code(run))
    code[-1] ^= 1
    with pytest.raises(WrongCode, match="another contract"):
        Ledger.open(run.node, forged(run, verifier_address, bytes(code)))


def test_a_judge_for_another_chain_is_refused(run: Run) -> None:
    code, chain_id = verifier_code(run), run.node.chain_id
    other = code.replace(chain_id.to_bytes(32, "big"), (chain_id + 1).to_bytes(32, "big"))
    assert other != code
    with pytest.raises(WrongCode, match=f"for chain {chain_id + 1}"):
        Ledger.open(run.node, forged(run, verifier_address, other))


@pytest.fixture(scope="module")
def masked() -> Iterator[Run]:
    with deployed_run(aggregation=AggregationKind.MASKED_SUMS, quorum=3) as deployed:
        yield deployed


def with_masks(run: Run, change: Callable[[bytes], bytes]) -> Address:
    """Put a masked ledger on the chain whose masks have other code, and return where."""
    stranger = run.stranger
    nonce = run.node.nonce(stranger.address)
    masks, ledger = created(stranger.address, nonce), created(stranger.address, nonce + 1)
    own = run.ledger.run.ledger
    code = run.node.code(run.ledger.verifier).replace(bytes.fromhex(own[2:]), bytes.fromhex(ledger[2:]))
    assert stranger.send(None, returning(change(code)), gas=12_000_000).contract == masks
    code = run.node.code(own).replace(bytes.fromhex(run.ledger.verifier[2:]), bytes.fromhex(masks[2:]))
    assert stranger.send(None, returning(code), gas=12_000_000).contract == ledger
    return ledger


def test_masks_whose_challenges_others_decide_are_refused(masked: Run) -> None:
    ledger = with_masks(masked, lambda code: code)
    with pytest.raises(WrongCode, match="which it did not create"):
        Ledger.open(masked.node, ledger)


def test_masks_that_have_created_nothing_are_refused(masked: Run) -> None:
    challenges = masked.ledger.contracts.challenges
    stranger = masked.stranger.address
    place = created(created(stranger, masked.node.nonce(stranger)), 1)
    ledger = with_masks(
        masked, lambda code: code.replace(bytes.fromhex(challenges[2:]), bytes.fromhex(place[2:]))
    )
    with pytest.raises(WrongCode, match="no contract at this address"):
        Ledger.open(masked.node, ledger)


def test_masks_of_another_ledger_are_refused(masked: Run) -> None:
    other = bytes.fromhex(masked.stranger.address[2:])
    nonce = masked.node.nonce(masked.stranger.address)
    own = bytes.fromhex(created(masked.stranger.address, nonce + 1)[2:])
    ledger = with_masks(masked, lambda code: code.replace(own, other))
    with pytest.raises(WrongCode, match="was made for the ledger"):
        Ledger.open(masked.node, ledger)
