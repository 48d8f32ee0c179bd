"""Weighted averaging.

Source: McMahan et al. 2017, *Communication-Efficient Learning of Deep Networks from
Decentralized Data*, https://arxiv.org/abs/1602.05629, algorithm 1.

Proof level: provable on chain. Memory: one vector a level of partial sums; time: one addition a lane.
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_chain.aggregation.rules.rule import ProofLevel, Rule, SumRule
from fl_chain.records import AggregationKind


@dataclass(frozen=True, slots=True)
class FedAvg(SumRule):
    """Every usable update is kept; see `fl_chain.aggregation.apply.apply_sum`."""

    name = "fedavg"
    proof_level = ProofLevel.PROVABLE


@dataclass(frozen=True, slots=True)
class MaskedFedAvg(SumRule):
    """The same sum, of updates under masks and of the terms that take the masks off."""

    name = "fedavg"
    kind = AggregationKind.MASKED_SUMS
    proof_level = ProofLevel.MASKED


@dataclass(frozen=True, slots=True)
class EncryptedFedAvg(Rule):
    """The sum of encrypted updates, each of weight 1, as holders of the cohort's key open it.

    The posted result is the sum of the ciphertexts, which anybody adds up again.
    """

    name = "fedavg"
    kind = AggregationKind.RESULT
    proof_level = ProofLevel.RE_EXECUTABLE
