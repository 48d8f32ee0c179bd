"""A participant's own model: the run's newest global one, fine-tuned on its own rows."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fl_chain.aggregation.quantise import model_values
from fl_chain.errors import ConfigError
from fl_chain.learning import LocalLearner
from fl_chain.ledger.history import History
from fl_chain.records import Address
from fl_chain.run.durable import write_durably
from fl_chain.run.kept import KeptState
from fl_chain.run.models import ModelChain
from fl_chain.run.rounds import RoundReader
from fl_chain.store import Store

MODEL_NAME = "personal-model.npz"


@dataclass(frozen=True, slots=True)
class Personalised:
    """What fine-tuning was worth to one participant, on its held-out rows."""

    round: int  # whose global model it started from
    global_metrics: dict[str, float]
    personal_metrics: dict[str, float]
    path: Path  # the tensors by name, in NumPy's format without pickle


def personalise(
    learner: LocalLearner, history: History, store: Store, *, identity: Address, folder: Path, epochs: int
) -> Personalised:
    """Fine-tune the newest global model, and write the result into the participant's folder.

    The global model is verified first, as before training. Nothing is published.

    Args:
        learner: the participant's rows.
        history: of the run.
        store: where its blobs are.
        identity: of the participant, whose kept tensors are used.
        folder: the worker's state.
        epochs: over the participant's rows, at least 1.

    Raises:
        ConfigError: if no round has made a model yet.
        StoreError: if the model cannot be read.
        VerificationError: if it is not what its inputs give.
        StateUnwritable: if the disk does not take the result.
    """
    tip = history.state.tip
    if tip == 0:
        raise ConfigError("no round has made a model yet: wait for the first posting")
    lanes = ModelChain(RoundReader(history, store)).model(tip)
    values = model_values(lanes, history.policy.fraction_bits)
    kept = None
    if not learner.definition.keeps_nothing:
        kept = KeptState(folder).before(tip, history, identity)
    update = learner.personalised(values, epochs=epochs, kept=kept)
    content = io.BytesIO()
    tensors = learner.definition.named_tensors(update.values, kept=update.kept)
    np.savez(content, allow_pickle=False, **tensors)
    path = folder / MODEL_NAME
    write_durably(path, content.getvalue())
    return Personalised(
        round=tip,
        global_metrics=learner.evaluate(values, kept=kept),
        personal_metrics=learner.evaluate(update.values, kept=update.kept),
        path=path,
    )
