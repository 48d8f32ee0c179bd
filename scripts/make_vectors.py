"""Writes the golden vectors, or checks that they are current.

    python scripts/make_vectors.py           write tests/vectors/*.json
    python scripts/make_vectors.py --check   exit 1 if a file is not what would be written

The hashes and sums are written a second time for them, in plain_protocol.py.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import sys
from pathlib import Path
from typing import Any

from challenge_vectors import challenges
from masking_vectors import masking
from plain_protocol import (
    CHUNK_LANES,
    FAN_IN,
    applied,
    chunk_path,
    leaf,
    levels,
    partial_sums,
    sealed_root,
    sha256,
    shown,
    sums_hash,
    u64,
    vector_root,
)

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "vectors"

CHAIN_ID = 31337
LEDGER = bytes.fromhex("11" * 20)
ROUND = 7


# ---------------------------------------------------------------------- a round


def update(number: int, dimension: int) -> list[int]:
    """The lanes of submission ``number``, counted from 1."""
    return [(number * 2654435761 + i * 40503) % 2**32 for i in range(dimension)]


def weight(number: int) -> int:
    """Its declared weight."""
    return 2 * number + 3


def participant(number: int) -> bytes:
    """The address of its author."""
    return sha256(b"participant", bytes([number]))[:20]


def sealed(number: int, root: bytes) -> bytes:
    """Its commitment."""
    salt = bytes([number]) * 32
    return sealed_root(root, salt, chain_id=CHAIN_ID, ledger=LEDGER, round_id=ROUND, who=participant(number))


def sums_of(count: int, excluded: list[int], dimension: int) -> list[list[list[int]]]:
    """Every level of sums of a round; excluded submissions add nothing."""
    zero = [0] * dimension
    included = [zero if index in excluded else update(index + 1, dimension) for index in range(count)]
    return partial_sums(included, dimension)


def listed_roots(count: int, excluded: list[int], dimension: int) -> list[bytes]:
    """The roots of all partial sums, as a posting lists them."""
    return [vector_root(lanes) for level in sums_of(count, excluded, dimension) for lanes in level]


def round_case(count: int, dimension: int, excluded: list[int], shown_participants: int) -> dict[str, Any]:
    """One round; the first ``shown_participants`` are written out."""
    base_model_root = vector_root([0] * dimension)
    digest = sha256(b"\x06", u64(CHAIN_ID), LEDGER, u64(ROUND), base_model_root)
    participants = []
    for number in range(1, count + 1):
        root = vector_root(update(number, dimension))
        submitted = leaf(sealed(number, root), weight(number), participant(number))
        digest = sha256(b"\x07", digest, submitted)
        participants.append(
            {
                "weight": weight(number),
                "address": shown(participant(number)),
                "vector_root": shown(root),
                "sealed_root": shown(sealed(number, root)),
                "leaf": shown(submitted),
            }
        )
    roots = listed_roots(count, excluded, dimension)
    total = sums_of(count, excluded, dimension)[-1][0]
    return {
        "participants_count": count,
        "dimension": dimension,
        "excluded": excluded,
        "participants": participants[:shown_participants],
        "base_model_root": shown(base_model_root),
        "digest": shown(digest),
        "total_weight": sum(weight(i + 1) for i in range(count) if i not in excluded),
        "partial_sum_roots": [shown(root) for root in roots],
        "sums_hash": shown(sums_hash(roots)),
        "sum_first_4": total[:4],
        "sum_last_2": total[-2:],
    }


# ---------------------------------------------------------------------- applying a sum


def apply_case(fraction_bits: int, scale_bits: int, total_weight: int) -> dict[str, Any]:
    """Lanes at the borders and what a sum makes of them."""
    base = [0, 1, 5000000, 2**32 - 5000000, 2**32 - 1, 123456, 2**31 - 1, 2**31 - 5, 2**31]
    total = [1, 2**32 - 1, 2**31 - 1, 2**31, 3, 2**32 - 3, 0, 2**30, 2**32 - 2**30]
    return {
        "fraction_bits": fraction_bits,
        "scale_bits": scale_bits,
        "weight": total_weight,
        "base": base,
        "sum": total,
        "model": applied(base, total, fraction_bits, total_weight * 2**scale_bits),
    }


def canonical_json_case() -> dict[str, Any]:
    """A manifest, spelt by hand."""
    value = [
        {"dtype": "float32", "name": "a.weight", "shape": [2, 3]},
        {"dtype": "float32", "name": "b", "shape": []},
    ]
    entries = (
        f'{{"dtype":"{entry["dtype"]}","name":"{entry["name"]}",'
        f'"shape":[{",".join(str(length) for length in entry["shape"])}]}}'
        for entry in value
    )
    spelling = f"[{','.join(entries)}]"
    return {"value": value, "bytes": spelling, "sha256": shown(sha256(spelling.encode()))}


# ---------------------------------------------------------------------- the files


def commitment() -> dict[str, Any]:
    """What other implementations share with this one."""
    return {
        "note": "update k (1-based) has lanes (k * 2654435761 + i * 40503) mod 2^32; weight 2k + 3; "
        "address k = first 20 bytes of SHA-256('participant' || byte k); salt k = byte k thirty-two times; "
        "base model all zero lanes",
        "lanes_per_chunk": CHUNK_LANES,
        "fan_in": FAN_IN,
        "chain_id": CHAIN_ID,
        "ledger": shown(LEDGER),
        "round": ROUND,
        "cases": [
            round_case(1, 1, [], 1),
            round_case(3, 3000, [], 3),
            round_case(3, 1024, [1], 3),
            round_case(8, 1025, [], 8),
            round_case(11, 3000, [8, 9, 10], 11),
            round_case(70, 100, [0, 69], 2),
        ],
        "apply": [apply_case(22, 20, 23), apply_case(24, 0, 1)],
        "canonical_json": canonical_json_case(),
    }


def proof_case(number: int, dimension: int) -> dict[str, Any]:
    """Every chunk of a vector with its path."""
    lanes = update(number, dimension)
    tree = levels(lanes)
    return {
        "update": number,
        "dimension": dimension,
        "vector_root": shown(tree[-1][0]),
        "chunks": [
            {"chunk_hash": shown(chunk), "path": [shown(sibling) for sibling in chunk_path(lanes, index)]}
            for index, chunk in enumerate(tree[0])
        ],
    }


def grouping_case(count: int, excluded: list[int]) -> dict[str, Any]:
    """The partial sums of a round whose groups are the point."""
    dimension = 5
    sums = sums_of(count, excluded, dimension)
    roots = listed_roots(count, excluded, dimension)
    return {
        "submissions": count,
        "dimension": dimension,
        "excluded": excluded,
        "level_sizes": [len(level) for level in sums],
        "partial_sum_roots": [shown(root) for root in roots],
        "sums_hash": shown(sums_hash(roots)),
        "total": sums[-1][0],
    }


def salt_case(secret: bytes, round_id: int) -> dict[str, Any]:
    """A participant's salt for a round."""
    message = u64(CHAIN_ID) + LEDGER + u64(round_id)
    return {
        "secret": shown(secret),
        "round": round_id,
        "salt": shown(hmac.new(secret, message, hashlib.sha256).digest()),
    }


def proofs() -> dict[str, Any]:
    """More cases of chunk paths, groupings and salts."""
    return {
        "note": "updates, chain and ledger as in commitment.json; a path lists the siblings, lowest first, "
        "for every chunk, padding included",
        "chunk_proofs": [
            proof_case(number, dimension)
            for number, dimension in enumerate([1, 1023, 1024, 1025, 2048, 2049, 3073, 5120, 9000], start=1)
        ],
        "groupings": [
            grouping_case(1, []),
            grouping_case(7, [0, 1, 2, 3, 4, 5]),
            grouping_case(9, [8]),
            grouping_case(16, list(range(8))),
            grouping_case(63, [62]),
            grouping_case(64, []),
            grouping_case(65, [7, 8, 63]),
            grouping_case(73, [64, 65, 66, 67, 68, 69, 70, 71]),
            grouping_case(129, [0, 128]),
        ],
        "salts": [salt_case(bytes(range(32)), 1), salt_case(bytes(range(100, 164)), 2**32)],
    }


def main() -> int:
    """Write the files, or compare them with what would be written."""
    parser = argparse.ArgumentParser(description="Write the golden vectors, or check that they are current.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not current")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are")
    arguments = parser.parse_args()
    stale = []
    made = {
        "commitment.json": commitment(),
        "proofs.json": proofs(),
        "challenges.json": challenges(),
        "masking.json": masking(),
    }
    for name, content in made.items():
        path = arguments.folder / name
        text = json.dumps(content, indent=1) + "\n"
        if not arguments.check:
            path.write_text(text, encoding="ascii")
        elif not path.exists() or path.read_text(encoding="ascii") != text:
            stale.append(name)
    if stale:
        print(f"not current: {', '.join(stale)}; run python scripts/make_vectors.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
