"""What an interrupted audit has remembered, as somebody may have changed it."""

from __future__ import annotations

import hashlib

from fl_chain.audit.findings import Finding
from fl_chain.audit.kinds import Kind
from fl_chain.audit.missing import MissingBlob, Role
from fl_chain.audit.results import RoundResult
from fl_chain.audit.resumption import AuditMemory
from fl_chain.errors import InputDataError
from fl_chain.records import Address, Digest

COVERS = ("fl_chain.audit.resumption",)

WHO = Address("0x" + "ab" * 20)


def fuzz(data: bytes) -> None:
    """Read a file; where it begins with a D, its lines get the digests that they should have."""
    content = _with_digests(data[1:]) if data[:1] == b"D" else data
    try:
        memory = AuditMemory.parsed(content)
    except InputDataError as error:
        assert str(error)
        return
    again = AuditMemory.parsed(memory.content())
    assert again.rounds == memory.rounds
    assert again.header == memory.header


def _with_digests(content: bytes) -> bytes:
    tip, lines = b"", []
    for body in content.split(b"\n")[:-1]:
        tip = hashlib.sha256(tip + body).digest()
        lines.append(tip.hex().encode() + b" " + body + b"\n")
    return b"".join(lines)


def seeds() -> list[bytes]:
    memory = AuditMemory()
    memory.bind({"chain_id": 1, "ledger": WHO, "from_round": 1, "stores": ["store"]})
    result = RoundResult(round=1, clamped_lanes=0, is_verified=True, has_model=True, founded=[None, True])
    result.take(Finding(Kind.UPDATE_MISSING, "away", 1, WHO, advice="ask"))
    result.take(Finding(Kind.UPDATE_ZERO, "zero", 1, WHO))
    result.missing.append(MissingBlob("an update", "updates/x", 1, ((Role.PARTICIPANT, WHO),)))
    result.checks["models"] = 1
    result.statistics[0] = {"vector_root": "0x" + "cd" * 32, "zero_lanes": 3, "cosine": None}
    memory.add(Digest(b"\x05" * 32), result)
    whole = memory.content()
    bodies = b"".join(line[65:] + b"\n" for line in whole.split(b"\n")[:-1])
    return [b"", whole, whole[:-10], b"D" + bodies, b"D" + bodies.replace(b"update_zero", b"update_odd")]
