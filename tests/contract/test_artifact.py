from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from contract_run import Run

from fl_chain.errors import WrongCode
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.artifact import (
    Artifact,
    challenge_verifier,
    mask_challenges,
    masked_ledger,
    secure_aggregation,
    training_ledger,
)

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "compile_contracts.py"
ARTIFACTS = ROOT / "fl_chain" / "ledger" / "artifacts"


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


@pytest.fixture(scope="module")
def deployed(run: Run) -> bytes:
    return bytes(run.w3.eth.get_code(run.ledger.address))


@pytest.mark.node
@pytest.mark.slow
@pytest.mark.parametrize(
    "contracts",
    [
        ("TrainingLedger", "ChallengeVerifier"),
        # Three quarters of a minute more; what they are made of is compared by hashes all the same.
        pytest.param(("MaskedLedger", "SecureAggregation", "MaskChallenges"), marks=pytest.mark.long),
    ],
    ids=["plain", "masked"],
)
def test_the_committed_artifacts_are_what_the_sources_compile_to(contracts: tuple[str, ...]) -> None:
    assert shutil.which("node"), (
        "node is missing: install Node.js 20 or later, then run `npm ci` in contracts/"
    )
    check = subprocess.run(
        [sys.executable, str(SCRIPT), "--check", "--only", *contracts],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize(
    "contract",
    ["TrainingLedger", "ChallengeVerifier", "MaskedLedger", "SecureAggregation", "MaskChallenges"],
)
def test_an_artifact_names_no_folder_of_this_machine(contract: str) -> None:
    text = (ARTIFACTS / f"{contract}.json").read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert all(not unit.startswith("/") for unit in json.loads(text)["sources"])


def test_a_deployment_is_recognised_whatever_its_policy_is(deployed: bytes) -> None:
    artifact = training_ledger()
    artifact.verify_code(deployed)
    assert deployed != artifact.template


def test_no_code_is_refused() -> None:
    with pytest.raises(WrongCode, match="no contract"):
        training_ledger().verify_code(b"")


def test_other_code_is_refused(deployed: bytes) -> None:
    artifact = training_ledger()
    in_immutables = {start + i for start, length in artifact.immutables for i in range(length)}
    position = next(i for i in range(1000, len(deployed)) if i not in in_immutables)
    altered = bytearray(deployed)
    altered[position] ^= 1
    for code in (bytes(altered), deployed[:-1], deployed + b"\x00", b"\x60"):
        with pytest.raises(WrongCode, match="another contract"):
            artifact.verify_code(code)


def test_only_immutable_values_may_differ(deployed: bytes) -> None:
    artifact = training_ledger()
    altered = bytearray(deployed)
    start, length = artifact.immutables[0]
    altered[start : start + length] = bytes(range(length))
    artifact.verify_code(bytes(altered))
    assert sum(length for _, length in artifact.immutables) < len(deployed) // 5


def test_the_code_leaves_room_below_the_limit_of_eip_170() -> None:
    assert 0 < len(training_ledger().template) <= 24_576


def test_the_creation_code_with_its_arguments_leaves_room_below_the_limit_of_eip_3860() -> None:
    creation = len(training_ledger().bytecode) + 32 * count_words(ledger_abi().constructor)
    assert len(training_ledger().template) < creation <= 49_152


def count_words(types: tuple[str, ...]) -> int:
    """Return how many words static arguments take."""
    assert all(kind not in ",".join(types) for kind in ("[", "string", "bytes,", "bytes)"))
    return ",".join(types).count(",") + 1


def test_the_verifier_is_recognised_where_the_ledger_created_it(run: Run) -> None:
    code = bytes(run.w3.eth.get_code(run.ledger.functions.verifier().call()))
    challenge_verifier().verify_code(code)
    with pytest.raises(WrongCode, match="another contract"):
        challenge_verifier().verify_code(code[:-1])
    with pytest.raises(WrongCode, match="another contract"):
        training_ledger().verify_code(code)


def test_the_deployment_carries_the_verifiers_code() -> None:
    assert challenge_verifier().bytecode in training_ledger().bytecode


def test_the_verifiers_code_leaves_room_below_the_limit() -> None:
    assert 0 < len(challenge_verifier().template) <= 24_576


@pytest.mark.parametrize(
    "artifact",
    [masked_ledger(), secure_aggregation(), mask_challenges()],
    ids=["ledger", "masks", "challenges"],
)
def test_the_masked_contracts_leave_room_below_both_limits(artifact: Artifact) -> None:
    arguments = 32 * 64
    assert 0 < len(artifact.template) <= 24_576
    assert len(artifact.template) < len(artifact.bytecode) + arguments <= 49_152


def test_the_masks_carry_the_code_of_their_challenges_and_could_not_be_one_contract() -> None:
    masks, challenges = secure_aggregation(), mask_challenges()
    assert challenges.bytecode in masks.bytecode
    assert masks.storage_layout == challenges.storage_layout
    assert len(masks.template) + len(challenges.template) > 24_576


def test_one_deployment_could_not_hold_both() -> None:
    """So the ledger does not make its masks, as a plain one makes its verifier, and is given them."""
    assert len(masked_ledger().bytecode) + len(secure_aggregation().bytecode) > 49_152
