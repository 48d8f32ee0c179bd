import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.round import aggregate_round
from fl_chain.commitment.canonical import canonical_json, document_hash, parse_canonical_json
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes
from fl_chain.commitment.partial_sums import FAN_IN, level_sizes, sums_hash
from fl_chain.commitment.seals import leaf, round_digest, salt, sealed_root
from fl_chain.commitment.tree import chunk_path, vector_root, vector_tree, verify_chunk_path
from fl_chain.records import Address, Quantisation, RunId, address, digest

ROOT = Path(__file__).parents[3]
GENERATOR = ROOT / "scripts" / "make_vectors.py"
VECTORS = ROOT / "tests" / "vectors"
COMMITMENT = json.loads((VECTORS / "commitment.json").read_text())
PROOFS = json.loads((VECTORS / "proofs.json").read_text())
CHALLENGES = json.loads((VECTORS / "challenges.json").read_text())
RUN = RunId(COMMITMENT["chain_id"], address(COMMITMENT["ledger"]))
WIDE = Quantisation(fraction_bits=22, scale_bits=20, clip_lanes=100, max_total_weight=2**20)


def update(number: int, dimension: int) -> Lanes:
    lanes = np.arange(dimension, dtype=np.uint64) * np.uint64(40503) + np.uint64(number * 2654435761)
    return (lanes % 2**32).astype(LANE)


def updates(count: int, excluded: list[int], dimension: int) -> list[Lanes | None]:
    return [None if i in excluded else update(i + 1, dimension) for i in range(count)]


def case_id(case: dict[str, Any]) -> str:
    return "-".join(
        str(case[key]) for key in ("participants_count", "submissions", "dimension") if key in case
    )


def test_constants() -> None:
    assert COMMITMENT["lanes_per_chunk"] == CHUNK_LANES
    assert COMMITMENT["fan_in"] == FAN_IN


@pytest.mark.parametrize("case", COMMITMENT["cases"], ids=case_id)
def test_seals(case: dict[str, Any]) -> None:
    for number, expected in enumerate(case["participants"], start=1):
        who = Address(expected["address"])
        root = vector_root(update(number, case["dimension"]))
        sealed = sealed_root(root, bytes([number]) * 32, RUN, COMMITMENT["round"], who)
        assert root == digest(expected["vector_root"])
        assert sealed == digest(expected["sealed_root"])
        assert leaf(sealed, expected["weight"], who) == digest(expected["leaf"])


@pytest.mark.parametrize("case", COMMITMENT["cases"], ids=case_id)
def test_round_digest(case: dict[str, Any]) -> None:
    base_model_root = vector_root(np.zeros(case["dimension"], dtype=LANE))
    assert base_model_root == digest(case["base_model_root"])
    if len(case["participants"]) == case["participants_count"]:
        leaves = [digest(participant["leaf"]) for participant in case["participants"]]
        assert round_digest(RUN, COMMITMENT["round"], base_model_root, leaves) == digest(case["digest"])


@pytest.mark.parametrize("case", COMMITMENT["cases"], ids=case_id)
def test_partial_sums(case: dict[str, Any]) -> None:
    dimension = case["dimension"]
    submitted = updates(case["participants_count"], case["excluded"], dimension)
    aggregate = aggregate_round(np.zeros(dimension, dtype=LANE), submitted, case["total_weight"], WIDE)
    assert [digest(root) for root in case["partial_sum_roots"]] == list(aggregate.partial_sum_roots)
    assert digest(case["sums_hash"]) == sums_hash(aggregate.partial_sum_roots)
    assert case["sum_first_4"] == aggregate.total[:4].tolist()
    assert case["sum_last_2"] == aggregate.total[-2:].tolist()


@pytest.mark.parametrize("case", PROOFS["groupings"], ids=case_id)
def test_groupings(case: dict[str, Any]) -> None:
    dimension = case["dimension"]
    submitted = updates(case["submissions"], case["excluded"], dimension)
    aggregate = aggregate_round(np.zeros(dimension, dtype=LANE), submitted, 1, WIDE)
    assert level_sizes(case["submissions"]) == tuple(case["level_sizes"])
    assert [digest(root) for root in case["partial_sum_roots"]] == list(aggregate.partial_sum_roots)
    assert digest(case["sums_hash"]) == sums_hash(aggregate.partial_sum_roots)
    assert case["total"] == aggregate.total.tolist()


@pytest.mark.parametrize("case", COMMITMENT["apply"])
def test_apply(case: dict[str, Any]) -> None:
    quantisation = Quantisation(case["fraction_bits"], case["scale_bits"], 1, case["weight"])
    base, total = np.array(case["base"], dtype=LANE), np.array(case["sum"], dtype=LANE)
    model, _ = apply_sum(base, total, case["weight"], quantisation)
    assert model.tolist() == case["model"]


def test_canonical_json() -> None:
    case = COMMITMENT["canonical_json"]
    assert canonical_json(case["value"]).decode() == case["bytes"]
    assert parse_canonical_json(case["bytes"].encode()) == case["value"]
    assert document_hash(case["value"]) == digest(case["sha256"])


@pytest.mark.parametrize("case", PROOFS["chunk_proofs"], ids=case_id)
def test_chunk_proofs(case: dict[str, Any]) -> None:
    dimension = case["dimension"]
    tree = vector_tree(update(case["update"], dimension))
    assert tree.root == digest(case["vector_root"])
    for index, chunk in enumerate(case["chunks"]):
        path = tuple(digest(sibling) for sibling in chunk["path"])
        assert chunk_path(tree.chunk_hashes, index, dimension) == path
        verify_chunk_path(tree.root, digest(chunk["chunk_hash"]), index, path, dimension)


@pytest.mark.parametrize("case", CHALLENGES["rounds"], ids=case_id)
def test_honest_rounds_of_the_challenges(case: dict[str, Any]) -> None:
    dimension, count = case["dimension"], case["submissions"]
    lanes = np.arange(dimension, dtype=np.int64)
    base = ((lanes * 2246822519 + 374761393) % 2**32).astype(LANE)
    weights = [2 * number + 3 for number in range(1, count + 1)]
    submitted = []
    for number, weight in enumerate(weights, start=1):
        clip = CHALLENGES["clip_lanes"] * weight
        drawn = (lanes * 40503 + number * 2654435761) % 2**32
        submitted.append((drawn % (2 * clip + 1) - clip).astype(np.int32).view(np.uint32).astype(LANE))
    run = RunId(CHALLENGES["chain_id"], address(CHALLENGES["ledger"]))
    leaves = []
    for number, (lanes_of, weight) in enumerate(zip(submitted, weights, strict=True), start=1):
        who = address("0x" + hashlib.sha256(b"participant" + bytes([number])).hexdigest()[:40])
        sealed = sealed_root(vector_root(lanes_of), bytes([number]) * 32, run, CHALLENGES["round"], who)
        leaves.append(leaf(sealed, weight, who))
    assert round_digest(run, CHALLENGES["round"], vector_root(base), leaves) == digest(case["digest"])

    included = [None if k in case["excluded"] else update for k, update in enumerate(submitted)]
    total_weight = sum(weight for k, weight in enumerate(weights) if k not in case["excluded"])
    rules = Quantisation(
        CHALLENGES["fraction_bits"], CHALLENGES["scale_bits"], CHALLENGES["clip_lanes"], total_weight
    )
    aggregate = aggregate_round(base, included, total_weight, rules)
    assert vector_root(base) == digest(case["base_model_root"])
    assert sums_hash(aggregate.partial_sum_roots) == digest(case["sums_hash"])
    assert vector_root(aggregate.model) == digest(case["model_root"])


@pytest.mark.parametrize("case", PROOFS["salts"])
def test_salts(case: dict[str, Any]) -> None:
    assert salt(bytes.fromhex(case["secret"][2:]), RUN, case["round"]) == digest(case["salt"])


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(GENERATOR), *arguments], capture_output=True, text=True, check=False
    )


def test_the_files_are_what_the_generator_gives() -> None:
    done = generate("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_is_not_current_is_noticed(tmp_path: Path) -> None:
    assert generate("--check", "--folder", str(tmp_path)).returncode == 1
    assert generate("--folder", str(tmp_path)).returncode == 0
    assert generate("--check", "--folder", str(tmp_path)).returncode == 0
    altered = tmp_path / "proofs.json"
    altered.write_text(altered.read_text().replace("65", "66", 1))
    done = generate("--check", "--folder", str(tmp_path))
    assert done.returncode == 1
    assert "proofs.json" in done.stderr
    assert "commitment.json" not in done.stderr
