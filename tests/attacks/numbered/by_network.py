"""What nodes, the chain, tokens and receivers of money can try."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from arena import (
    CAP,
    CHALLENGE_S,
    POSTING_S,
    UNBONDING_S,
    Arena,
    findings_of,
    forked,
    ledger_call,
)
from eth_hash.auto import keccak
from registry import Outcome, Result, Stopped, Succeeded, Who, attack, attempt, attempt_audit, audited
from rules import (
    BALANCE,
    CHAIN_ID,
    CLOSING,
    FIELDS,
    OTHER_NODE,
    OWN_PAYOUT,
    PROVEN_EVENTS,
    PROVEN_STATE,
    REORGANISED,
    STATE,
    contract,
)

from fl_chain.audit import audit_run
from fl_chain.errors import LedgerReverted
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet.rpc import Dispatcher
from fl_chain.ledger.events import RoundClosed
from fl_chain.ledger.node import Node
from fl_chain.records import ZERO_DIGEST, RoundStatus
from fl_chain.run.claims import StoredBlobs, posting_claim
from fl_chain.run.prover import examine
from fl_chain.run.verdicts import Proven

BY = Who.NETWORK
SENDING = "send(address,uint256,bytes)"
Lie = Callable[[str, Sequence[Any], Any], Any]


class LyingTransport:
    """A node that answers as it likes: what a chain says, changed on the way."""

    def __init__(self, chain: Any, lie: Lie, refused: Collection[str] = ()) -> None:
        self.dispatcher = Dispatcher(chain)
        self._lie = lie
        self._refused = refused

    def request(self, method: str, parameters: Sequence[Any]) -> Any:
        if method in self._refused:
            error = {"code": -32601, "message": f"the method {method} does not exist"}
            return {"jsonrpc": "2.0", "id": 0, "error": error}
        answer = self.dispatcher.answer(
            {"jsonrpc": "2.0", "id": 0, "method": method, "params": list(parameters)}
        )
        if "result" in answer:
            answer["result"] = self._lie(method, parameters, answer["result"])
        return answer

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> Any:
        return [self.request(*request) for request in requests]

    def close(self) -> None:
        pass


def lying(a: Arena, lie: Lie, refused: Collection[str] = ()) -> Node:
    """Return a node that lies, and refuses some methods."""
    return Node([("a node that lies", LyingTransport(a.chain, lie, refused))], None)


def topic_of(event: str) -> str:
    """Return the topic of an event."""
    return "0x" + keccak(event.encode()).hex()


def replaced(words: str, old: int, new: int) -> str:
    """Return ABI-encoded words, as hexadecimal digits, with another value in the place of one."""
    body = words.removeprefix("0x")
    parts = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "0x" + "".join(f"{new:064x}" if part == f"{old:064x}" else part for part in parts)


def audited_by(a: Arena, node: Node, gain: str) -> Result:
    """Audit against a node."""
    return attempt_audit(lambda: audit_run(a.opened(node), a.store), gain)


# ---------------------------------------------------------------------- nodes that lie

PROOF_METHODS = ("eth_getProof", "eth_getBlockReceipts", "eth_getRawTransactionByHash")


@attack(
    111,
    "false answer about an event",
    BY,
    "a node shows a submission with another weight than the ledger has",
    (CLOSING, "MalformedResponse"),
    (FIELDS, "event_differs"),
    (STATE, "state_differs"),
    (PROVEN_EVENTS, "proven_events_differ"),
    (PROVEN_STATE, "proven_state_differs"),
    phase="closed",
)
def false_event(a: Arena) -> Result:
    topic = "0x" + keccak(b"UpdateSubmitted(uint32,address,uint16,uint32,bytes32)").hex()

    def lie(method: str, parameters: Sequence[Any], result: Any) -> Any:
        for log in result if method == "eth_getLogs" else ():
            if log["topics"][0] == topic and int(log["data"][2:66], 16) == 0:
                log["data"] = log["data"][:66] + f"{99:064x}" + log["data"][130:]
        return result

    return audited_by(a, lying(a, lie), "the auditor sees weights that nobody declared")


@attack(
    112,
    "withheld event",
    BY,
    "a node shows nobody that a reward was paid",
    (STATE, "state_differs"),
    (PROVEN_EVENTS, "proven_events_differ"),
    (PROVEN_STATE, "proven_state_differs"),
    (BALANCE, "balance_short"),
    outcome=Outcome.DETECTED,
    phase="final",
)
def withheld_event(a: Arena) -> Result:
    a.ledger.claim(a.stranger, a.who(0), [a.submission(0)])
    topic = "0x" + keccak(b"RewardClaimed(uint32,address,address,uint256)").hex()

    def lie(method: str, parameters: Sequence[Any], result: Any) -> Any:
        return [log for log in result if log["topics"][0] != topic] if method == "eth_getLogs" else result

    return audited_by(a, lying(a, lie), "a payment is not in the report")


@attack(
    113,
    "false answer about the state",
    BY,
    "a node that offers no proofs says of the contract's state what does not follow from its events",
    (STATE, "state_differs"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def false_state(a: Arena) -> Result:
    selector = "0x" + keccak(b"bonusOf(uint32)")[:4].hex()

    def lie(method: str, parameters: Sequence[Any], result: Any) -> Any:
        is_asked = method == "eth_call" and str(parameters[0].get("data", "")).startswith(selector)
        return "0x" + f"{10**18:064x}" if is_asked else result

    report = audit_run(a.opened(lying(a, lie, PROOF_METHODS)), a.store)
    return audited(report, "the auditor believes in money that is not there")


@attack(
    114,
    "whole false chain from one node",
    BY,
    "a node serves a branch of its own, consistent in everything",
    (OTHER_NODE, "node_block_differs"),
    outcome=Outcome.DETECTED,
    phase="published",
)
def false_chain(a: Arena) -> Result:
    branch = forked(a.chain, a.clock)
    a.resources.callback(branch.close)
    a.post()  # on the chain that everybody else sees
    false_node = Node([("a node that lies", LyingTransport(branch, lambda _m, _p, result: result))], None)
    a.wait(1)
    branch.catch_up()
    branch.catch_up()
    alone = audit_run(a.opened(false_node), a.store)
    assert findings_of(alone) == []
    report = audit_run(a.opened(false_node), a.store, others=[a.node])
    return audited(report, "the auditor signs for a chain that nobody has")


@attack(
    115,
    "whole false chain, and no second node",
    BY,
    "the same, for an auditor that asks one node alone",
    outcome=Outcome.UNDETECTED,
    phase="published",
    why="one node that lies consistently is the chain, for who has no other. The report names block and "
    "hash: compare them with somebody else's, or audit with `--compare-rpc`.",
)
def one_node(a: Arena) -> Result:
    branch = forked(a.chain, a.clock)
    a.resources.callback(branch.close)
    a.post()
    node = Node([("a node that lies", LyingTransport(branch, lambda _m, _p, result: result))], None)
    return audited_by(a, node, "the auditor signs for a chain that nobody has")


def other_caps(method: str, parameters: Sequence[Any], result: Any) -> Any:
    """Say of every participant, in event and state, that it may weigh five times as much."""
    topic = topic_of("ParticipantAdmitted(address,uint32)")
    selector = "0x" + keccak(b"participantOf(address)")[:4].hex()
    for log in result if method == "eth_getLogs" else ():
        if log["topics"][0] == topic:
            log["data"] = replaced(log["data"], CAP, 5 * CAP)
    is_asked = method == "eth_call" and str(parameters[0].get("data", "")).startswith(selector)
    return replaced(result, CAP, 5 * CAP) if is_asked else result


@attack(
    126,
    "false caps, in events and state alike",
    BY,
    "the one node that is asked shows other weight caps, and makes the contract's answers fit",
    (PROVEN_EVENTS, "proven_events_differ"),
    (PROVEN_STATE, "proven_state_differs"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def false_caps(a: Arena) -> Result:
    return audited_by(a, lying(a, other_caps), "weights look small beside what was allowed")


@attack(
    127,
    "false funder",
    BY,
    "the one node that is asked shows another account as the one that funded the run",
    (PROVEN_EVENTS, "proven_events_differ"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def false_funder(a: Arena) -> Result:
    topic, other = topic_of("PoolFunded(address,uint256)"), f"0x{int(a.stranger.address, 16):064x}"

    def lie(method: str, parameters: Sequence[Any], result: Any) -> Any:
        for log in result if method == "eth_getLogs" else ():
            if log["topics"][0] == topic:
                log["topics"][1] = other
        return result

    return audited_by(a, lying(a, lie), "others have the credit for the money")


@attack(
    128,
    "false recipient",
    BY,
    "the one node that is asked shows another account as the one that a payment went to",
    (FIELDS, "event_differs"),
    (PROVEN_EVENTS, "proven_events_differ"),
    outcome=Outcome.DETECTED,
    phase="final",
)
def false_recipient(a: Arena) -> Result:
    a.ledger.claim(a.stranger, a.who(0), [a.submission(0)])
    topic = topic_of("RewardClaimed(uint32,address,address,uint256)")
    paid, other = int(a.who(0), 16), int(a.stranger.address, 16)

    def lie(method: str, parameters: Sequence[Any], result: Any) -> Any:
        for log in result if method == "eth_getLogs" else ():
            if log["topics"][0] == topic:
                log["data"] = replaced(log["data"], paid, other)
        return result

    return audited_by(a, lying(a, lie), "who was paid does not stand in the report")


@attack(
    129,
    "false seed, and a block to fit",
    BY,
    "the one node that is asked shows another seed of a round, and randomness of its block that gives it",
    (PROVEN_EVENTS, "event_proof_fails"),
    outcome=Outcome.DETECTED,
    phase="posted",
)
def false_seed(a: Arena) -> Result:
    topic = topic_of("RoundClosed(uint32,bytes32,bytes32,uint16,uint32,uint16)")
    digest, own = a.ledger.round(1).digest.hex(), a.history.seeds[1].hex()
    randomness = bytes(31) + b"\x01"
    seed = hashlib.sha256(randomness + bytes.fromhex(digest)).hexdigest()
    number = next(log.place.block_number for log in a.ledger.all_events() if isinstance(log, RoundClosed))

    def lie(method: str, parameters: Sequence[Any], result: Any) -> Any:
        for log in result if method == "eth_getLogs" else ():
            if log["topics"][0] == topic:
                log["data"] = log["data"].replace(own, seed)
        if method == "eth_getBlockByNumber" and result["number"] == hex(number):
            result["mixHash"] = "0x" + randomness.hex()
        return result

    return audited_by(a, lying(a, lie), "a seed that somebody chose looks like chance")


@attack(
    130,
    "refused proofs",
    BY,
    "the one node that is asked lies about caps as in 126, and has no method that a proof could come from",
    outcome=Outcome.UNDETECTED,
    phase="posted",
    why="many honest nodes refuse proofs as well, so a refusal shows nothing. The report says under "
    "`proofs` that none was offered: ask a node that offers them, or compare two with `--compare-rpc`.",
)
def refused_proofs(a: Arena) -> Result:
    report = audit_run(a.opened(lying(a, other_caps, PROOF_METHODS)), a.store)
    assert report.proofs is not None
    assert {part["outcome"] for part in report.proofs.values()} == {"not_offered"}
    return audited(report, "weights look small beside what was allowed")


@attack(
    116,
    "wrong chain",
    BY,
    "a node serves another chain with a contract at the same address",
    (CHAIN_ID, "WrongChain"),
)
def wrong_chain(a: Arena) -> Result:
    wanted = a.node.chain_id + 1
    opened: list[Ledger] = []
    return attempt(
        lambda: opened.append(Ledger.open(a.node, a.address, chain_id=wanted)),
        "what is signed counts elsewhere",
        holds=lambda: opened[0].run.chain_id != wanted,
    )


@attack(
    117,
    "reorganisation",
    BY,
    "the newest blocks are replaced by others, with other submissions in them",
    (REORGANISED, "built anew"),
    phase="open",
)
def reorganisation(a: Arena) -> Result:
    branch = forked(a.chain, a.clock)
    a.resources.callback(branch.close)
    served = LyingTransport(a.chain, lambda _m, _p, result: result)
    ledger = a.opened(Node([("a node", served)], None))
    a.submit(0)
    assert [one.participant for one in ledger.sync().submissions[1]] == [a.who(0)]

    other = LyingTransport(branch, lambda _m, _p, result: result)
    ours, a.node = a.node, Node([("a node", other)], None)
    on_branch = a.opened(a.node)
    from fl_chain.ledger.account import Account
    from fl_chain.ledger.devnet.keys import dev_keys

    for number in (1, 2):
        lanes = a.lanes(number, 1)
        on_branch.submit(
            Account(a.node, dev_keys(number + 1)[number]),
            round=1,
            base_model_root=on_branch.model_root(0),
            sealed_root=a.seal(number, 1, lanes),
            weight=100,
        )
    a.node = ours
    served.dispatcher = other.dispatcher
    seen = [one.participant for one in ledger.sync().submissions[1]]
    if seen == [a.who(1), a.who(2)]:
        return Stopped(("built anew",))
    return Succeeded("work goes on with submissions that the chain does not have")


# ---------------------------------------------------------------------- who is first


@attack(
    118,
    "claim sent ahead of its owner's",
    BY,
    "sees a claim on its way, and sends the same one first",
    (OWN_PAYOUT, "own payout"),
    phase="final",
)
def claim_ahead(a: Arena) -> Result:
    before_wei = a.node.balance_wei(a.who(0))
    own = a.submission(0)
    a.ledger.claim(a.stranger, a.who(0), [own])
    with pytest.raises(LedgerReverted, match="AlreadyClaimed"):
        a.ledger.claim(a.second, a.who(0), [own])
    is_paid = a.node.balance_wei(a.who(0)) > before_wei
    return Stopped(("own payout",)) if is_paid else Succeeded("the reward is the front-runner's")


@attack(
    119,
    "challenge sent ahead of its author's",
    BY,
    "sees a challenge on its way, and sends the same proof first",
    outcome=Outcome.UNDETECTED,
    phase="published",
    why="a proof is a proof, whoever brings it. It gains the fixed challenge reward, at most a tenth of the "
    "bond; the rest goes to the round's submitters, and the wrong posting falls all the same.",
)
def challenge_ahead(a: Arena) -> Result:
    a.post(a.aggregate(updates=[None, *a.updates(1)[1:]]))
    blobs = StoredBlobs(a.history, a.store, lambda: a.model(0))
    outcome = examine(posting_claim(a.history, 1), blobs)
    assert isinstance(outcome, Proven)
    a.ledger.challenge(a.stranger, 1, outcome.proof)
    with pytest.raises(LedgerReverted, match="WrongStatus"):
        a.ledger.challenge(a.second, 1, outcome.proof)
    reward_wei = a.ledger.account(a.stranger.address).credit_wei
    assert reward_wei == a.policy.ledger.challenge_reward_wei <= a.policy.ledger.bond_wei // 10
    return audited(a.audit(), "the challenge reward is the front-runner's")


# ---------------------------------------------------------------------- money


@attack(
    120,
    "token that keeps a fee",
    BY,
    "the run's token takes something of every transfer for itself",
    (contract("token-received", "what an amount says has arrived", "`_receive`"), "WrongPayment"),
    token="HostileToken",
)
def fee_token(a: Arena) -> Result:
    a.call(a.ledger.token(), "keep(uint256)", 1)
    return attempt(
        lambda: a.ledger.fund(a.operator, 1000),
        "the contract owes more than it has",
        holds=lambda: a.ledger.balance() < a.history.owed_wei,
    )


@attack(
    121,
    "token that moves nothing",
    BY,
    "the run's token answers false where others revert",
    (
        contract("safe-transfer", "a transfer that answers false has failed", "`_receive`"),
        "SafeERC20FailedOperation",
    ),
    (contract("token-received", "what an amount says has arrived", "`_receive`"), "WrongPayment"),
    token="HostileToken",
)
def sulking_token(a: Arena) -> Result:
    a.call(a.ledger.token(), "sulk()")
    bond_wei = a.policy.ledger.bond_wei
    return attempt(
        lambda: a.ledger.deposit_bond(a.second, bond_wei),
        "a bond of nothing",
        holds=lambda: a.ledger.account(a.second.address).free_bond_wei == bond_wei,
    )


@attack(
    122,
    "token that takes money away",
    BY,
    "the run's token burns what the ledger holds",
    (BALANCE, "balance_short"),
    outcome=Outcome.DETECTED,
    token="HostileToken",
)
def burning_token(a: Arena) -> Result:
    a.call(a.ledger.token(), "burn(address,uint256)", a.address, 10**17)
    return audited_by(a, a.node, "rewards are promised that nobody can pay")


@attack(
    123,
    "bond out of nothing",
    BY,
    "deposits a bond and sends no money along",
    (contract("exact-payment", "exactly what an amount says is sent along", "`_receive`"), "WrongPayment"),
)
def free_bond(a: Arena) -> Result:
    return attempt(
        lambda: a.stranger.send(a.address, ledger_call("depositBond", 10**18), gas=300_000),
        "others' money is its bond",
        holds=lambda: a.ledger.account(a.stranger.address).free_bond_wei == 10**18,
    )


@attack(
    124,
    "receiver that calls again",
    BY,
    "a payout address is a contract that withdraws once more while it is being paid",
    (
        contract("no-reentrancy", "nothing that pays is entered while it pays", "`withdraw`, `claim`"),
        "TransferFailed",
    ),
    (contract("effects-first", "a credit is gone before it is paid", "`withdraw`"), "TransferFailed"),
)
def calling_again(a: Arena) -> Result:
    receiver = a.hostile("HostileAccount")
    a.ledger.change_payout(a.accounts[0], receiver)
    a.ledger.leave(a.accounts[0])
    a.wait(UNBONDING_S)
    again = ledger_call("withdraw", a.who(0))
    a.call(receiver, "onReceipt(address,bytes,uint256)", a.address, again, 1)
    deposit_wei = a.policy.ledger.deposit_wei
    return attempt(
        lambda: a.ledger.withdraw(a.stranger, a.who(0)),
        "others' money",
        holds=lambda: a.node.balance_wei(receiver) == 2 * deposit_wei,
    )


@attack(
    125,
    "receiver that takes no money",
    BY,
    "posts from a contract that refuses its reward, so that no round after it settles",
    (contract("pull-payments", "settling pays nobody: what is due is credited", "`finalize`"), "credited"),
    phase="published",
)
def no_money(a: Arena) -> Result:
    poster, bond_wei = a.hostile("HostileAccount"), a.policy.ledger.bond_wei
    aggregate = a.aggregate()
    a.show(aggregate)
    a.wait(POSTING_S)
    roots = list(aggregate.partial_sum_roots)
    arguments = (1, a.ledger.round(1).digest, [], roots, ZERO_DIGEST, ZERO_DIGEST, aggregate.model_root)
    deposit = ledger_call("depositBond", bond_wei)
    a.call(poster, SENDING, a.address, bond_wei, deposit, value_wei=bond_wei)
    a.call(poster, SENDING, a.address, 0, ledger_call("post", *arguments))
    a.call(poster, "refuse()")
    a.wait(CHALLENGE_S)
    try:
        a.ledger.finalize(a.second)
    except LedgerReverted:
        return Succeeded("the run stands still for ever")
    assert a.ledger.round(1).status is RoundStatus.FINAL
    return Stopped(("credited",))
