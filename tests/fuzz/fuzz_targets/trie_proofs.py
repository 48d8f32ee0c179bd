"""Headers, accounts and storage proven against a block's hash."""

from __future__ import annotations

import contextlib
import json
from functools import cache

import rlp
from choices import Choices, altered, answer_of
from eth_hash.auto import keccak
from recordings import SLOTS, dialogue, request_key

from fl_chain.errors import FlChainError, MalformedResponse
from fl_chain.ledger.node import Head, Node
from fl_chain.ledger.transport import Json
from fl_chain.ledger.trie_proofs import ProvenAccount, decode_account, proven_account, proven_state_root

COVERS = ("fl_chain.ledger.trie_proofs",)


class Proving:
    """Answers with a header and a proof, whatever is asked."""

    def __init__(self, header: Json, proof: Json) -> None:
        self._answers = {"eth_chainId": "0x1", "eth_getBlockByHash": header, "eth_getProof": proof}

    def request(self, method: str, parameters: object) -> Json:
        return {"id": 1, "result": self._answers[method]}

    def batch(self, requests: object) -> Json:
        raise AssertionError("proofs are asked for one by one")

    def close(self) -> None:
        pass


@cache
def truths() -> tuple[str, str, ProvenAccount]:
    told = dialogue()
    header = told.result("eth_getBlockByHash", "0x" + told.head.hash.hex(), False)
    key = next(key for key in told.answers if json.loads(key)[0] == "eth_getProof")
    proof = json.dumps(json.loads(told.answers[key])["result"])
    assert key == request_key("eth_getProof", json.loads(key)[1])
    honest = proven_account(
        Node([("honest", Proving(json.loads(header), json.loads(proof)))], None),
        told.head,
        told.ledger,
        SLOTS,
    )
    return header, proof, honest


def fuzz(data: bytes) -> None:
    header, proof, honest = truths()
    told = dialogue()
    kind, rest = data[:1], data[1:]
    if kind == b"a":
        _account(rest)
        return
    if kind == b"t":
        _foreign_trie(Choices(rest))
        return
    try:
        if kind == b"h":
            answers = answer_of(rest, header), json.loads(proof)
        else:
            answers = json.loads(header), answer_of(rest, proof)
        node = Node([("liar", Proving(*answers))], None)
        found = proven_account(node, told.head, told.ledger, SLOTS)
    except (FlChainError, ValueError) as error:
        assert isinstance(error, FlChainError) or rest[:1] in (b"{", b"[")
        return
    assert found == honest, "a lie was proven"


def _account(encoded: bytes) -> None:
    try:
        found = decode_account(encoded)
    except MalformedResponse:
        return
    assert len(found.storage_root) == len(found.code_hash) == 32


def _foreign_trie(choices: Choices) -> None:
    """Put a trie of the fuzzer's own under a header that hashes right, to reach what is behind the hash."""
    header, proof, _ = truths()
    told = dialogue()
    answer = json.loads(proof)
    nodes = [_node(choices, 0) for _ in range(1 + choices.below(3))]
    encoded = [rlp.encode(node) for node in nodes]
    if choices.byte() & 1:
        answer["accountProof"] = ["0x" + one.hex() for one in encoded]
    else:
        answer = altered(json.dumps(answer), choices)
    shown = json.loads(header)
    shown["stateRoot"] = "0x" + keccak(encoded[0]).hex()
    block = _resealed(shown, told.head)
    with contextlib.suppress(FlChainError):
        proven_account(Node([("liar", Proving(shown, answer))], None), block, told.ledger, SLOTS)


def _node(choices: Choices, nesting: int) -> list[object]:
    length = choices.pick((17, 2, 2, 17, 0, 1, 3, 16, 18))
    return [
        _node(choices, nesting + 1)
        if nesting < 2 and choices.byte() % 8 == 7
        else choices.take(choices.pick((0, 1, 33, 32, 80, 4)))
        for _ in range(length)
    ]


def _resealed(header: Json, head: Head) -> Head:
    """Return the header's own hash, which the error names."""
    try:
        proven_state_root(header, head)
    except MalformedResponse as error:
        actual = str(error).split("hashes to 0x")[1][:64]
        return Head(head.number, bytes.fromhex(actual), head.timestamp)
    return head


def seeds() -> list[bytes]:
    account = rlp.encode([b"\1", b"\2", bytes(32), bytes(32)])
    return [b"h\0", b"p\0", b"a" + account, b"t" + bytes(20), b"t\x01\x01" + bytes(range(60)), b"a\xc0"]
