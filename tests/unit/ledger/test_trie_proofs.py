"""State proven against a block's hash: on both chains, and by a node that lies."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from chains import RECIPIENT, ask
from deployed_runs import Run, deployed_run
from eth_hash.auto import keccak

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.anvil import running_anvil
from fl_chain.ledger.devnet.rpc import Dispatcher
from fl_chain.ledger.node import Head, Node, connect
from fl_chain.ledger.transport import Json, Request
from fl_chain.ledger.trie_proofs import ProofsNotOffered, proven_account, proven_state_root
from fl_chain.records import address

SLOTS = range(40)


@pytest.fixture(scope="module")
def deployed() -> Iterator[Run]:
    with deployed_run() as prepared:
        prepared.start()
        yield prepared


class LyingTransport:
    """The real node's answers, one of them altered on the way."""

    def __init__(self, run: Run, method: str, alter: Any) -> None:
        self._dispatcher = Dispatcher(run.chain)
        self._method, self._alter = method, alter

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        answer = copy.deepcopy(self._dispatcher.answer(body))
        if method == self._method:
            self._alter(answer)
        return answer

    def batch(self, requests: Sequence[Request]) -> Json:
        return [self.request(method, parameters) for method, parameters in requests]

    def close(self) -> None:
        pass


def asked_of_liar(run: Run, method: str, alter: Any) -> Any:
    node = Node([("a liar", LyingTransport(run, method, alter))], None)
    return proven_account(node, run.node.head(), run.ledger.run.ledger, SLOTS)


def test_what_is_proven_is_what_the_chain_holds(deployed: Run) -> None:
    node, ledger, block = deployed.node, deployed.ledger.run.ledger, deployed.node.head()

    proven = proven_account(node, block, ledger, SLOTS)

    assert proven.account.balance_wei == node.balance_wei(ledger) > 0
    assert proven.account.nonce == node.nonce(ledger)
    assert proven.account.code_hash == keccak(node.code(ledger))
    stored = {slot: int(node.request("eth_getStorageAt", ledger, hex(slot), "latest"), 16) for slot in SLOTS}
    assert proven.storage == stored
    assert sum(value != 0 for value in stored.values()) > 3


def test_more_slots_than_one_request_takes_are_proven(deployed: Run) -> None:
    proven = proven_account(deployed.node, deployed.node.head(), deployed.ledger.run.ledger, range(250))
    assert len(proven.storage) == 250


def test_an_older_block_is_proven_too(deployed: Run) -> None:
    block = deployed.node.block(0)
    assert block is not None
    proven = proven_account(deployed.node, block, deployed.ledger.run.ledger, SLOTS)
    assert (proven.account.code_hash, set(proven.storage.values())) == (keccak(b""), {0})


def test_who_holds_nothing_is_proven_to_hold_nothing(deployed: Run) -> None:
    nobody = address(RECIPIENT)
    proven = proven_account(deployed.node, deployed.node.head(), nobody, [0])
    assert (proven.account.balance_wei, proven.account.nonce, proven.storage) == (0, 0, {0: 0})


@pytest.mark.node
def test_anvil_proves_its_state() -> None:
    with running_anvil() as anvil:
        node = connect([anvil.url])
        sender = address(node.request("eth_accounts")[0])
        sent = node.request("eth_sendTransaction", {"from": sender, "to": RECIPIENT, "value": "0x5"})
        while node.request("eth_getTransactionReceipt", sent) is None:  # it answers before it mines
            time.sleep(0.01)
        proven = proven_account(node, node.head(), address(RECIPIENT), [1, 2])
        node.close()
    assert (proven.account.balance_wei, proven.storage) == (5, {1: 0, 2: 0})


def flip(text: str, place: int) -> str:
    digit = format(int(text[place], 16) ^ 1, "x")
    return text[:place] + digit + text[place + 1 :] if place != -1 else text[:-1] + digit


HEADER_FIELDS = [
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("number", "gasLimit", "gasUsed", "timestamp", "mixHash", "nonce", "baseFeePerGas", "withdrawalsRoot"),
    *("parentBeaconBlockRoot", "requestsHash"),
]


@pytest.mark.parametrize("field", HEADER_FIELDS)
def test_an_altered_header_is_refused(deployed: Run, field: str) -> None:
    def alter(answer: Json) -> None:
        answer["result"][field] = flip(answer["result"][field], -1)

    with pytest.raises(MalformedResponse, match="hashes to"):
        asked_of_liar(deployed, "eth_getBlockByHash", alter)


@pytest.mark.parametrize("field", HEADER_FIELDS)
def test_a_header_without_a_field_is_refused(deployed: Run, field: str) -> None:
    with pytest.raises(MalformedResponse):
        asked_of_liar(deployed, "eth_getBlockByHash", lambda answer: answer["result"].pop(field))


def test_a_block_that_is_not_there_is_refused(deployed: Run) -> None:
    with pytest.raises(MalformedResponse, match="no block"):
        asked_of_liar(deployed, "eth_getBlockByHash", lambda answer: answer.update(result=None))


@pytest.mark.parametrize("place", [4, 30, -1])
@pytest.mark.parametrize("node", [0, -1])
def test_an_altered_account_proof_is_refused(deployed: Run, node: int, place: int) -> None:
    def alter(answer: Json) -> None:
        proof = answer["result"]["accountProof"]
        proof[node] = flip(proof[node], place)

    with pytest.raises(MalformedResponse):
        asked_of_liar(deployed, "eth_getProof", alter)


def test_another_accounts_proof_is_refused(deployed: Run) -> None:
    other = ask(deployed.chain, "eth_getProof", deployed.operator.address, [hex(s) for s in SLOTS], "latest")
    with pytest.raises(MalformedResponse):
        asked_of_liar(deployed, "eth_getProof", lambda answer: answer.update(result=other))


@pytest.mark.parametrize(
    "alteration", ["drop a node", "drop the proof", "drop a slot", "swap two slots", "text"]
)
def test_altered_storage_proofs_are_refused(deployed: Run, alteration: str) -> None:
    def alter(answer: Json) -> None:
        proofs = answer["result"]["storageProof"]
        longest = max(range(len(proofs)), key=lambda slot: (proofs[slot]["value"] != "0x0", slot))
        match alteration:
            case "drop a node":
                proofs[longest]["proof"].pop()
            case "drop the proof":
                del proofs[longest]["proof"]
            case "drop a slot":
                proofs.pop()
            case "swap two slots":
                proofs[longest]["proof"], proofs[0]["proof"] = proofs[0]["proof"], proofs[longest]["proof"]
            case "text":
                proofs[longest]["proof"][-1] = "0x00"

    with pytest.raises(MalformedResponse):
        asked_of_liar(deployed, "eth_getProof", alter)


def test_the_values_that_a_node_states_count_for_nothing(deployed: Run) -> None:
    def alter(answer: Json) -> None:
        answer["result"] |= {"balance": "0x1", "nonce": "0x99", "codeHash": "0x00", "storageHash": "0x00"}
        for proof in answer["result"]["storageProof"]:
            proof["value"] = "0x123"

    honest = proven_account(deployed.node, deployed.node.head(), deployed.ledger.run.ledger, SLOTS)
    assert asked_of_liar(deployed, "eth_getProof", alter) == honest


def test_a_node_without_proofs_says_so(deployed: Run) -> None:
    def alter(answer: Json) -> None:
        del answer["result"]
        answer["error"] = {"code": -32601, "message": "the method does not exist"}

    with pytest.raises(ProofsNotOffered, match="does not exist"):
        asked_of_liar(deployed, "eth_getProof", alter)


@pytest.mark.parametrize("answer", [None, [], "0x", {}, {"accountProof": "0x"}, {"accountProof": ["zz"]}])
def test_what_is_no_proof_is_refused(deployed: Run, answer: Json) -> None:
    with pytest.raises(MalformedResponse):
        asked_of_liar(deployed, "eth_getProof", lambda given: given.update(result=answer))


@pytest.mark.parametrize("header", [None, [], {}, {"stateRoot": "0x"}])
def test_what_is_no_header_is_refused(header: Json) -> None:
    with pytest.raises(MalformedResponse):
        proven_state_root(header, Head(1, bytes(32), 0))


@pytest.mark.parametrize("slots", ["0x1", ["0x1"] * 1025, [hex(2**256)], [5]])
def test_the_devnet_refuses_other_slots(deployed: Run, slots: Json) -> None:
    answer = ask(deployed.chain, "eth_getProof", RECIPIENT, slots, "latest")
    assert answer["code"] == -32602
