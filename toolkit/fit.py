"""Fitting one method of one task to its examples: the model, its batches, its loss, its best weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from toolkit.adapt import Adapted, Lora, adapted
from toolkit.backbones.card import Card
from toolkit.backbones.vit import build
from toolkit.backbones.weights import Backbone
from toolkit.data.normalise import Normalisation
from toolkit.evaluate import Readouts, inputs, outputs
from toolkit.examples import Examples
from toolkit.pretexts.known import readout_names, readouts
from toolkit.task import Task
from toolkit.train import Run, Schedule, train

Batch = tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]
CACHE_CHUNK = 256


@dataclass(frozen=True)
class Parts:
    """What is trained for a method: the model, the readouts of the untouched backbone, the inputs' normalisation."""

    model: Adapted
    readouts: Readouts
    normalisation: Normalisation


def assemble(task: Task, card: Card, backbone: Backbone | None, method: str, lora: Lora, seed: int) -> Parts:
    """Build the model of a method. `backbone` None means random weights in the card's shape and no readout: "scratch"."""
    usable = usable_readouts(task, card) if backbone else ()
    module = build(card.spec, card.architecture, seed)
    if backbone:
        module.load_state_dict(backbone.module.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = task.head(card.spec, usable)
    model = adapted(method, module, head, lora, seed)
    read: Readouts = readouts(backbone, usable) if backbone else lambda _: {}
    return Parts(model, read, card.normalisation)


def usable_readouts(task: Task, card: Card) -> tuple[str, ...]:
    """Return the readouts that the task can use and the backbone has."""
    return tuple(name for name in task.readouts if name in readout_names(card.pretexts))


def fit(
    task: Task, parts: Parts, data: Examples, validation: Examples, schedule: Schedule, run: Run
) -> Callable[[Examples], pd.DataFrame]:
    """Train and return the function that predicts."""
    known = _cached_readouts(parts, data)

    def batch(step: int) -> Batch:
        index = batch_index(len(data), schedule.batch_size, schedule.seed, step)
        targets = task.encode(data.subset(index))
        x = inputs(data, parts.normalisation, index).to(run.device)
        read = {name: torch.from_numpy(field[index]).float().to(run.device) for name, field in known.items()}
        return x, read, {name: torch.from_numpy(target).to(run.device) for name, target in targets.items()}

    def losses(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        x, read, targets = batch
        return task.loss(model(x, read), targets)

    def validate(model: nn.Module) -> float:
        return _validation_loss(task, parts, validation)

    train(parts.model, batch, losses, schedule, run, validate if schedule.validate_every else None)
    return lambda examples: task.decode(outputs(parts.model, parts.readouts, examples, parts.normalisation), examples)


def batch_index(examples: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Return which examples make up a step's batch: a new permutation every epoch, from (seed, epoch) alone."""
    size = min(batch_size, examples)
    per_epoch = examples // size
    order = np.random.default_rng([seed, step // per_epoch]).permutation(examples)
    return np.sort(order[step % per_epoch * size :][:size])


@torch.no_grad()
def _cached_readouts(parts: Parts, examples: Examples) -> Mapping[str, np.ndarray]:
    """Read the untouched backbone's fields once for all examples, float16 (n, c, h, w)."""
    chunks: list[dict[str, np.ndarray]] = []
    for first in range(0, len(examples), CACHE_CHUNK):
        index = np.arange(first, min(first + CACHE_CHUNK, len(examples)))
        fields = parts.readouts(inputs(examples, parts.normalisation, index))
        chunks.append({name: field.half().numpy() for name, field in fields.items()})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


@torch.no_grad()
def _validation_loss(task: Task, parts: Parts, examples: Examples) -> float:
    output = torch.from_numpy(outputs(parts.model, parts.readouts, examples, parts.normalisation))
    targets = {name: torch.from_numpy(target) for name, target in task.encode(examples).items()}
    return float(sum(task.loss(output, targets).values()))

