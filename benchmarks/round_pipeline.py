"""What recording a round costs beside training it, on the 1,663,370-parameter CNN of McMahan et al. 2017.

Ours is everything that a round adds to plain training, for the same participants: quantise, commit, sum with
all partial sums' commitments, apply, commit to the model. The peer is their local training: one epoch of 600
rows in batches of 10, in one torch thread. A ratio of 10 is a tenth of the round.
"""

from __future__ import annotations

from benchmarks.harness import Result, interleaved_medians, throughput
from benchmarks.mnist_shaped import Cnn
from fl_chain.aggregation.quantise import committed_update, model_lanes, model_values
from fl_chain.aggregation.round import aggregate_round
from fl_chain.commitment.native import kernels
from fl_chain.config import TrainingSettings
from fl_chain.learning import ModelDefinition
from fl_chain.learning.task import Examples
from fl_chain.records import Quantisation

PARTICIPANTS = 2
ROWS = 600
RUNS = 5
WEIGHT = 600
QUANTISATION = Quantisation(fraction_bits=22, scale_bits=17, clip_lanes=2**17, max_total_weight=10_000)
TRAINING = TrainingSettings(learning_rate=0.01, local_epochs=1, batch_size=10)


def results() -> list[Result]:
    """Return the comparison."""
    kernels()  # a run loads them once
    task = Cnn()
    definition = ModelDefinition(task, seed=0, training=TRAINING)
    base = model_lanes(definition.genesis_values(), QUANTISATION.fraction_bits)
    values = model_values(base, QUANTISATION.fraction_bits)
    shares = [task.load(str(number), None).train for number in range(PARTICIPANTS)]
    rows = [Examples(share.inputs[:ROWS], share.targets[:ROWS]) for share in shares]

    def train() -> list[object]:
        return [definition.train(values, one, TRAINING, seed=7).values for one in rows]

    trained = [definition.train(values, one, TRAINING, seed=7).values for one in rows]

    def record() -> None:
        updates = [committed_update(local, values, WEIGHT, QUANTISATION)[0] for local in trained]
        aggregate_round(base, updates, WEIGHT * PARTICIPANTS, QUANTISATION)

    seconds = interleaved_medians([record, train], RUNS)
    peer = "local training of the same participants, CNN of 1.66 M parameters"
    return [throughput("round_pipeline", peer, PARTICIPANTS, seconds, "participants/s")]
