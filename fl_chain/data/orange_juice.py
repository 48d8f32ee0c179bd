"""The ready task on the embedded set: which of two orange juices a customer buys, in five stores."""

from __future__ import annotations

from fl_chain.config import ModelSettings, NumericColumn, TableTaskSettings, TrainingSettings

SOURCE = "builtin:orange_juice"

OWNERS = ("1", "2", "3", "4", "7")
"""The stores, as the column StoreID names them."""

FEATURES = (
    NumericColumn(name="LoyalCH", mean=0.5658, std=0.3077),
    NumericColumn(name="PriceCH", mean=1.867, std=0.1019),
    NumericColumn(name="PriceMM", mean=2.085, std=0.1343),
    NumericColumn(name="DiscCH", mean=0.05186, std=0.1174),
    NumericColumn(name="DiscMM", mean=0.1234, std=0.2137),
    NumericColumn(name="SpecialCH", mean=0.1477, std=0.3548),
    NumericColumn(name="SpecialMM", mean=0.1617, std=0.3682),
    NumericColumn(name="WeekofPurchase", mean=254.4, std=15.55),
)
"""Inputs with their public means and standard deviations over the whole file, to four digits.

``scripts/column_statistics.py`` prints them. They are constants of the task because stores that standardise
by their own statistics would feed one model differently scaled inputs.
"""

TASK = TableTaskSettings(
    source=SOURCE,
    label="Purchase",
    positive="MM",
    owner_column="StoreID",
    numeric=FEATURES,
    test_fraction=0.3,
)

ROUNDS = 10
TRAINING = TrainingSettings(learning_rate=0.1, local_epochs=5, batch_size=32)


def logistic_regression() -> tuple[TableTaskSettings, ModelSettings, TrainingSettings]:
    """Return the task with logistic regression: 9 parameters."""
    return TASK, ModelSettings(kind="logistic"), TRAINING


def mlp() -> tuple[TableTaskSettings, ModelSettings, TrainingSettings]:
    """Return the task with a perceptron of one hidden layer: 161 parameters."""
    return TASK, ModelSettings(kind="mlp", hidden=(16,)), TRAINING
