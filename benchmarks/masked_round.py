"""A round of secure aggregation against the same round in plain, on an MLP of 198,760 parameters.

Both train 16 participants (an epoch of 600 rows in batches of 10, one torch thread), quantise, commit, sum
with all partial sums and apply. The masked one sets up keys and shares, masks each update for 15 peers, puts
16 seeds together from shares, and derives, commits to and adds the terms that take the masks off. Both end in
the same model, bit for bit. The ledger's part is in ``contracts/gas.json``.
"""

from __future__ import annotations

import hashlib

from torch import nn

from benchmarks.harness import Result, interleaved_medians, throughput
from benchmarks.mnist_shaped import Logistic
from benchmarks.sealed_rounds import RUN, people
from fl_chain.aggregation.quantise import model_lanes, model_values, quantise_update
from fl_chain.aggregation.round import Aggregate, aggregate_round
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.native import kernels
from fl_chain.commitment.tree import vector_root
from fl_chain.config import TrainingSettings
from fl_chain.learning import ModelDefinition
from fl_chain.learning.task import Examples
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.keys import public_key
from fl_chain.masking.setup import (
    KeySetUp,
    RoundSecrets,
    key_set_up,
    own_shares,
    received_shares,
    round_secrets,
)
from fl_chain.masking.unmasking import SeedKind, masked, reconstructed_seed, ring_terms, term_lanes
from fl_chain.records import Address, Quantisation

PARTICIPANTS = 16
ROWS = 600
HIDDEN = 250
RUNS = 15
WEIGHT = 600
QUANTISATION = Quantisation(fraction_bits=22, scale_bits=15, clip_lanes=2**15, max_total_weight=10_000)
TRAINING = TrainingSettings(learning_rate=0.01, local_epochs=1, batch_size=10)


class Mlp(Logistic):
    """One hidden layer."""

    def model(self, seed: int) -> nn.Module:
        """Return the untrained model."""
        return nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))


class Masks:
    """The keys of all participants of a round."""

    def __init__(self, base: Lanes) -> None:
        self.context = MaskingContext(RUN, 1, vector_root(base))
        self.people = people(PARTICIPANTS)
        self.identity = {who: hashlib.sha256(who.encode()).digest() for who in self.people}
        self.secrets: dict[Address, RoundSecrets] = {}
        self.set_ups: dict[Address, KeySetUp] = {}

        self.public = {who: public_key(own) for who, own in self.identity.items()}  # once a run

    def set_up(self) -> None:
        """Set up everybody's keys."""
        for who, own in self.identity.items():
            self.secrets[who] = round_secrets(own, self.context, who)
            peers = {peer: key for peer, key in self.public.items() if peer != who}
            self.set_ups[who] = key_set_up(self.secrets[who], own, self.context, who, peers)

    def masked(self, who: Address, lanes: Lanes) -> Lanes:
        """Return an update under its masks."""
        peers = {peer: one for peer, one in self.set_ups.items() if peer != who}
        return masked(lanes, self.secrets[who], self.context, who, peers)

    def released(self, holder: Address) -> dict[Address, bytes]:
        """Return a participant's shares of everybody's mask seeds, by whose seed it is."""
        shares = {}
        for owner, one in self.set_ups.items():
            if owner == holder:
                both = own_shares(self.secrets[owner], self.context, owner, one.sealed)
            else:
                keys = self.identity[holder], self.public[owner]
                both = received_shares(one, *keys, self.context, holder)
            shares[owner] = both[SeedKind.MASK]
        return shares

    def terms(self, dimension: int) -> list[Lanes]:
        """Return what takes the masks off, by seeds that are put together from everybody's shares."""
        releases = {holder: self.released(holder) for holder in self.people}
        terms = []
        for one in ring_terms(self.people, ()):
            shares = {holder: released[one.owner] for holder, released in releases.items()}
            seed = reconstructed_seed(self.set_ups[one.owner], SeedKind.MASK, shares)
            terms.append(term_lanes(one, seed, self.context, self.set_ups, dimension))
        return terms


def results() -> list[Result]:
    """Return the comparison; a ratio of 0.77 is a masked round of 1.3 times the plain one."""
    kernels()
    task = Mlp()
    definition = ModelDefinition(task, seed=0, training=TRAINING)
    base = model_lanes(definition.genesis_values(), QUANTISATION.fraction_bits)
    values = model_values(base, QUANTISATION.fraction_bits)
    shares = {who: task.load(who, None).train for who in people(PARTICIPANTS)}
    rows = {who: Examples(one.inputs[:ROWS], one.targets[:ROWS]) for who, one in shares.items()}
    made: dict[str, Aggregate] = {}

    def plain() -> None:
        updates = []
        for own in rows.values():
            trained = definition.train(values, own, TRAINING, seed=7).values
            updates.append(quantise_update(trained, values, WEIGHT, QUANTISATION))
            vector_root(updates[-1])
        made["plain"] = aggregate_round(base, updates, WEIGHT * PARTICIPANTS, QUANTISATION)

    def secure() -> None:
        masks = Masks(base)
        masks.set_up()
        updates = []
        for who, own in rows.items():
            trained = definition.train(values, own, TRAINING, seed=7).values
            updates.append(masks.masked(who, quantise_update(trained, values, WEIGHT, QUANTISATION)))
            vector_root(updates[-1])
        terms = masks.terms(base.size)
        made["secure"] = aggregate_round(base, updates, WEIGHT * PARTICIPANTS, QUANTISATION, terms=terms)

    seconds = interleaved_medians([secure, plain], RUNS)
    if made["secure"].model_root != made["plain"].model_root:
        raise RuntimeError("the masked round made another model than the plain one")
    return [throughput("masked_round", "the same round in plain", 1, seconds, "rounds/s")]
