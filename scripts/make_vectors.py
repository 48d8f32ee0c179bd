"""Writes the golden vectors, or checks that they are current.

    python scripts/make_vectors.py           write tests/vectors/*.json
    python scripts/make_vectors.py --check   exit 1 if a file is not what would be written

The hashes and sums here are written a second time, as plainly as the protocol states them, in Python
integers and bytes: nothing is imported from fl_chain, so that the package is not compared with itself.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "vectors"

CHUNK_LANES = 1024
FAN_IN = 8
CHAIN_ID = 31337
LEDGER = bytes.fromhex("11" * 20)
ROUND = 7


def sha256(*parts: bytes) -> bytes:
    """The digest of all parts, one after the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def u64(value: int) -> bytes:
    """Eight big-endian bytes."""
    return struct.pack(">Q", value)


def shown(value: bytes) -> str:
    """How bytes stand in the files."""
    return "0x" + value.hex()


# ---------------------------------------------------------------------- the chunk tree


def levels(lanes: list[int]) -> list[list[bytes]]:
    """Every level of a vector's tree, padding included, chunk hashes first."""
    chunks = 1
    while chunks * CHUNK_LANES < len(lanes):
        chunks *= 2
    padded = lanes + [0] * (chunks * CHUNK_LANES - len(lanes))
    content = [padded[i : i + CHUNK_LANES] for i in range(0, len(padded), CHUNK_LANES)]
    tree = [[sha256(b"\x00", struct.pack(">1024I", *chunk)) for chunk in content]]
    while len(tree[-1]) > 1:
        below = tree[-1]
        tree.append([sha256(b"\x01", below[i], below[i + 1]) for i in range(0, len(below), 2)])
    return tree


def vector_root(lanes: list[int]) -> bytes:
    """The top of a vector's tree."""
    return levels(lanes)[-1][0]


def chunk_path(lanes: list[int], index: int) -> list[bytes]:
    """The siblings from a chunk up to the root, lowest first."""
    return [level[(index >> height) ^ 1] for height, level in enumerate(levels(lanes)[:-1])]


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


def sealed_root(number: int, root: bytes) -> bytes:
    """Its commitment."""
    salt = bytes([number]) * 32
    return sha256(b"\x04", root, salt, u64(CHAIN_ID), LEDGER, u64(ROUND), participant(number))


def leaf(number: int, sealed: bytes) -> bytes:
    """What the ledger stores for it."""
    return sha256(b"\x02", sealed, u64(weight(number)), participant(number))


def lane_sum(vectors: list[list[int]], dimension: int) -> list[int]:
    """The sum of vectors, lane by lane, modulo 2^32."""
    return [sum(vector[i] for vector in vectors) % 2**32 for i in range(dimension)]


def partial_sums(count: int, excluded: list[int], dimension: int) -> list[list[list[int]]]:
    """Every level of sums, level 1 first; excluded submissions add nothing."""
    below = [[0] * dimension if index in excluded else update(index + 1, dimension) for index in range(count)]
    found = []
    while not found or len(below) > 1:
        below = [lane_sum(below[i : i + FAN_IN], dimension) for i in range(0, len(below), FAN_IN)]
        found.append(below)
    return found


def listed_roots(count: int, excluded: list[int], dimension: int) -> list[bytes]:
    """The roots of all partial sums, as a posting lists them."""
    return [vector_root(lanes) for level in partial_sums(count, excluded, dimension) for lanes in level]


def round_case(count: int, dimension: int, excluded: list[int], shown_participants: int) -> dict[str, Any]:
    """One round; the first ``shown_participants`` are written out."""
    base_model_root = vector_root([0] * dimension)
    digest = sha256(b"\x06", u64(CHAIN_ID), LEDGER, u64(ROUND), base_model_root)
    participants = []
    for number in range(1, count + 1):
        root = vector_root(update(number, dimension))
        sealed = sealed_root(number, root)
        digest = sha256(b"\x07", digest, leaf(number, sealed))
        participants.append(
            {
                "weight": weight(number),
                "address": shown(participant(number)),
                "vector_root": shown(root),
                "sealed_root": shown(sealed),
                "leaf": shown(leaf(number, sealed)),
            }
        )
    roots = listed_roots(count, excluded, dimension)
    total = partial_sums(count, excluded, dimension)[-1][0]
    return {
        "participants_count": count,
        "dimension": dimension,
        "excluded": excluded,
        "participants": participants[:shown_participants],
        "base_model_root": shown(base_model_root),
        "digest": shown(digest),
        "total_weight": sum(weight(i + 1) for i in range(count) if i not in excluded),
        "partial_sum_roots": [shown(root) for root in roots],
        "sums_hash": shown(sha256(b"\x03", *roots)),
        "sum_first_4": total[:4],
        "sum_last_2": total[-2:],
    }


# ---------------------------------------------------------------------- applying a sum


def signed(lane: int) -> int:
    """A lane read as two's complement."""
    return lane - 2**32 if lane >= 2**31 else lane


def apply_case(fraction_bits: int, scale_bits: int, total_weight: int) -> dict[str, Any]:
    """Lanes at the borders and what a sum makes of them."""
    base = [0, 1, 5000000, 2**32 - 5000000, 2**32 - 1, 123456, 2**31 - 1, 2**31 - 5, 2**31]
    total = [1, 2**32 - 1, 2**31 - 1, 2**31, 3, 2**32 - 3, 0, 2**30, 2**32 - 2**30]
    divisor = total_weight * 2**scale_bits
    model = []
    for lane, change in zip(base, total, strict=True):
        moved = signed(lane) + (2 * signed(change) * 2**fraction_bits + divisor) // (2 * divisor)
        model.append(max(-(2**31), min(2**31 - 1, moved)) % 2**32)
    return {
        "fraction_bits": fraction_bits,
        "scale_bits": scale_bits,
        "weight": total_weight,
        "base": base,
        "sum": total,
        "model": model,
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
    sums = partial_sums(count, excluded, dimension)
    roots = listed_roots(count, excluded, dimension)
    return {
        "submissions": count,
        "dimension": dimension,
        "excluded": excluded,
        "level_sizes": [len(level) for level in sums],
        "partial_sum_roots": [shown(root) for root in roots],
        "sums_hash": shown(sha256(b"\x03", *roots)),
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
    for name, content in (("commitment.json", commitment()), ("proofs.json", proofs())):
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
