"""The last posting number, which no run of calls reaches: 65,535 postings of one round would have to fall."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deployed_runs import DEFINITION, POLICY, digest_of

from fl_chain.errors import LedgerReverted
from fl_chain.ledger.memory import MemoryLedger, Message, NativeCoin
from fl_chain.ledger.memory.posting import LAST_POSTING_NUMBER
from fl_chain.records import Address, RoundStatus, RunId, address

OPERATOR, AGGREGATOR, WORKER = (address(bytes([number]) * 20) for number in (1, 2, 3))


def closed_round(posting_number: int) -> MemoryLedger:
    policy = replace(POLICY, quorum=1, bond_wei=0, deposit_wei=0, reward_wei=0, aggregator_reward_wei=0)
    policy = replace(policy, challenge_reward_wei=0)
    run = RunId(1, Address("0x" + "22" * 20))
    operator, worker = Message(OPERATOR, 1), Message(WORKER, 1)
    ledger = MemoryLedger(run, operator, DEFINITION, policy, aggregator=AGGREGATOR, coin=NativeCoin({}))
    ledger.admit(operator, WORKER, 1)
    ledger.register(worker, WORKER)
    ledger.open_round(operator)
    root = DEFINITION.genesis_model_root
    ledger.submit(worker, round=1, base_model_root=root, sealed_root=digest_of("sealed"), weight=1)
    ledger._state.begin()
    ledger._state.update_round(1, posting_number=posting_number)
    ledger._state.commit()
    return ledger


def post(ledger: MemoryLedger) -> None:
    ledger.post(
        Message(AGGREGATOR, 1),
        round=1,
        digest=ledger.round(1).digest,
        exclusions=(),
        partial_sum_roots=(digest_of("sum"),),
        model_root=digest_of("model"),
    )


def test_the_last_but_one_number_is_posted_under() -> None:
    ledger = closed_round(LAST_POSTING_NUMBER - 1)
    post(ledger)
    assert ledger.round(1).status is RoundStatus.POSTED


def test_nobody_posts_under_the_last_number() -> None:
    ledger = closed_round(LAST_POSTING_NUMBER)
    with pytest.raises(LedgerReverted) as refused:
        post(ledger)
    assert refused.value.name == "Barred"
    assert ledger.round(1).status is RoundStatus.CLOSED
