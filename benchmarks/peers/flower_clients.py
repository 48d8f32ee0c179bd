"""The clients of Flower's side, in a module of their own so that Ray's processes import it once.

What a client can keep between rounds, its rows and its module, it keeps.
"""

from __future__ import annotations

from functools import cache

import mnist_shape
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import nn

BATCH_ROWS = 10
LEARNING_RATE = 0.01


@cache
def model(kind: str) -> nn.Module:
    """Return a network by its name in `benchmarks.mnist_shaped`."""
    torch.manual_seed(0)
    return mnist_shape.logistic() if kind.endswith("Logistic") else mnist_shape.cnn()


@cache
def rows(client: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a client's rows."""
    return mnist_shape.rows(count, torch.Generator().manual_seed(client + 1))


def client_app(kind: str, count: int) -> ClientApp:
    """Return a client that trains for one epoch by SGD, in one thread."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        torch.set_num_threads(1)
        network = model(kind)
        network.load_state_dict(message.content["arrays"].to_torch_state_dict())
        inputs, targets = rows(int(context.node_config["partition-id"]), count)
        optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
        network.train()
        total_loss = 0.0
        for chosen in torch.split(torch.randperm(count), BATCH_ROWS):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(inputs[chosen]), targets[chosen])
            loss.backward()
            optimizer.step()
            total_loss += loss.item() * len(chosen)
        metrics = MetricRecord({"num-examples": count, "train_loss": total_loss / count})
        content = RecordDict({"arrays": ArrayRecord(network.state_dict()), "metrics": metrics})
        return Message(content=content, reply_to=message)

    return app
