"""A federated run in one process, through every step of the protocol but the network.

Each participant trains, quantises and seals; an in-memory ledger, the contract's rules in Python, takes the
submissions, closes the round and takes the posting; the model of the next round is the one that the
posting's root stands for. So a result has what a result on a chain has: clipping, rounding, declared weights,
and a root that the same settings give again, bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.quantise import declared_weight, model_lanes, model_values, quantise_update
from fl_chain.aggregation.round import aggregate_round
from fl_chain.commitment.canonical import document_hash
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.seals import salt, sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.learning import LocalLearner
from fl_chain.ledger.memory import MemoryLedger, Message, NativeCoin
from fl_chain.policy import RunPolicy, policy_document
from fl_chain.records import Address, Digest, RoundStatus, RunDefinition, RunId, address

MONEY_WEI = 10**24
RUN = RunId(1, Address("0x" + "11" * 20))


@dataclass(frozen=True, slots=True)
class RoundModel:
    """What a round made.

    Attributes:
        round: from 1.
        values: the float32 image of the global model, shape (dimension,).
        model_root: what the ledger has of it.
        loss: the participants' mean training loss.
    """

    round: int
    values: npt.NDArray[np.float32]
    model_root: Digest
    loss: float


def federated_rounds(policy: RunPolicy, learners: Mapping[str, LocalLearner]) -> Iterator[RoundModel]:
    """Yield the global model of each round.

    Args:
        policy: of the run; nobody is capped, so ``max_total_weight`` bounds the sum of the weights.
        learners: the participants by name.

    Raises:
        LedgerReverted: if the ledger refuses a submission or a posting.
        ModelError: if a model cannot be represented.
    """
    names = list(learners)
    people = {name: _account(f"participant {name}") for name in names}
    bits = policy.ledger.fraction_bits
    first = learners[names[0]]
    model = model_lanes(first.genesis_values(), bits)
    ledger, now = _open_ledger(policy, first, vector_root(model), people)
    operator = _account("operator")
    for round_id in range(1, policy.ledger.max_rounds + 1):
        base = model_values(model, bits)
        updates: list[Lanes] = []
        losses = []
        for name in names:
            local = learners[name].train(base, round_id=round_id)
            weight = declared_weight(
                local.n_examples, policy.examples_per_weight, policy.ledger.max_total_weight
            )
            lanes = quantise_update(local.values, base, weight, policy.ledger.quantisation)
            sealed = sealed_root(
                vector_root(lanes), salt(_secret(name), RUN, round_id), RUN, round_id, people[name]
            )
            ledger.submit(
                Message(people[name], now),
                round=round_id,
                base_model_root=vector_root(model),
                sealed_root=sealed,
                weight=weight,
            )
            updates.append(lanes)
            losses.append(local.loss)
        closed = ledger.round(round_id)
        if closed.status is not RoundStatus.CLOSED:
            raise RuntimeError(f"round {round_id} is {closed.status.name} after everybody submitted")
        made = aggregate_round(model, updates, closed.total_weight, policy.ledger.quantisation)
        ledger.post(
            Message(operator, now),
            round=round_id,
            digest=closed.digest,
            exclusions=(),
            partial_sum_roots=made.partial_sum_roots,
            model_root=made.model_root,
        )
        now += policy.ledger.challenge_s
        ledger.finalize(Message(operator, now))
        model = made.model
        yield RoundModel(round_id, model_values(model, bits), made.model_root, float(np.mean(losses)))


def _open_ledger(
    policy: RunPolicy, learner: LocalLearner, genesis: Digest, people: Mapping[str, Address]
) -> tuple[MemoryLedger, int]:
    operator, now = _account("operator"), 1
    definition = RunDefinition(
        policy_hash=document_hash(policy_document(policy)),
        manifest_hash=document_hash(learner.manifest.to_json()),
        genesis_model_root=genesis,
        dimension=learner.manifest.dimension,
    )
    coin = NativeCoin(dict.fromkeys([operator, *people.values()], MONEY_WEI))
    ledger = MemoryLedger(
        RUN, Message(operator, now), definition, policy.ledger, aggregator=operator, coin=coin
    )
    rules = policy.ledger
    pool_wei = rules.max_rounds * (rules.reward_wei + rules.aggregator_reward_wei)
    bonds_wei = rules.bond_wei * (rules.max_unfinal_rounds + 1)
    ledger.fund(Message(operator, now, pool_wei), pool_wei)
    ledger.deposit_bond(Message(operator, now, bonds_wei), bonds_wei)
    for person in people.values():
        ledger.admit(Message(operator, now), person, rules.max_total_weight)
        ledger.register(Message(person, now, rules.deposit_wei), person)
    if ledger.state().active == 0:
        ledger.open_round(Message(operator, now))
    return ledger, now


def _account(role: str) -> Address:
    return address(hashlib.sha256(f"fl_chain example {role}".encode()).digest()[:20])


def _secret(name: str) -> bytes:
    return hashlib.sha256(f"fl_chain example secret {name}".encode()).digest()
