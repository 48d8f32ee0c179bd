"""The sizes and prices in docs/challenges.md, from the encoding itself."""

import re
from dataclasses import astuple
from pathlib import Path

import pytest

from fl_chain.commitment.chunks import depth
from fl_chain.commitment.partial_sums import partial_sum_count
from fl_chain.commitment.proofs import ApplyProof, Proof, RangeProof, SubmissionOpening, SumProof
from fl_chain.ledger.abi import ledger_abi
from fl_chain.records import Digest, address

PAGE = Path(__file__).parents[3] / "docs" / "challenges.md"
CHUNK, ROOT = b"\x01" * 4096, Digest(b"\x01" * 32)
PATH = (ROOT,) * depth(1_000_000)
OPENING = SubmissionOpening(ROOT, ROOT, 1, address("0x" + "01" * 20))


def listed(participants: int) -> tuple[Digest, ...]:
    return (ROOT,) * partial_sum_count(participants)


def sum_proof(participants: int) -> Proof:
    return SumProof(0, 0, ROOT, PATH, listed(participants), (OPENING,) * 8, CHUNK * 8, PATH * 8)


def apply_proof(participants: int) -> Proof:
    return ApplyProof(0, listed(participants), CHUNK, PATH, CHUNK, PATH, ROOT, PATH)


PROOFS = {
    "sum, 8 participants": sum_proof(8),
    "sum, 64": sum_proof(64),
    "sum, 512": sum_proof(512),
    "range": RangeProof(0, OPENING, 0, 0, CHUNK, PATH),
    "apply, 8 participants": apply_proof(8),
    "apply, 512": apply_proof(512),
}


@pytest.mark.parametrize("name", PROOFS)
def test_the_page_states_what_the_encoding_gives(name: str) -> None:
    [row] = re.findall(rf"^\| {name} \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE.read_text(), re.MULTILINE)
    proof = PROOFS[name]
    size = len(ledger_abi().functions[proof.function].encode((1, astuple(proof))))
    stated = [int(number.replace(",", "")) for number in row]
    assert stated == [size, 21_000 + 40 * size, 21_000 + 60 * size]
