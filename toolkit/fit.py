"""Fitting one method of one task to its examples: the model, its batches, its loss, its best weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from toolkit.adapt import Adapted, Lora, adapted
from toolkit.backbones.card import Card, check_fits
from toolkit.backbones.vit import build
from toolkit.backbones.weights import Backbone
from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.evaluate import CHUNK, Readouts, inputs, outputs
from toolkit.examples import Examples
from toolkit.pretexts.known import readout_channels, readout_names, readouts
from toolkit.task import Task
from toolkit.train import Run, Schedule, train

Inputs = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class Parts:
    """What is trained for a method: the model, the readouts of the untouched backbone, the inputs' normalisation."""

    model: Adapted
    readouts: Readouts
    normalisation: Normalisation


def assemble(task: Task, card: Card, backbone: Backbone | None, method: str, lora: Lora, seed: int) -> Parts:
    """Build the model of a method. `backbone` None means random weights in the card's shape and no readout: "scratch".

    `UserError` for an unknown method, and where the task does not look at the frames that the backbone is made for.
    """
    if task.inputs.frames != card.spec.frames:
        looks, knows = (
            ", ".join(f"{hours:+d}" for hours in frames) for frames in (task.inputs.frames, card.spec.frames)
        )
        raise UserError(
            f"The task {task.name} looks at the frames {looks} h, the backbone {card.name} was trained on {knows} h."
        )
    usable = usable_readouts(task, card) if backbone else {}
    module = build(card.spec, card.architecture, seed)
    if backbone:
        module.load_state_dict(backbone.module.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = task.head(card.spec, usable)
    model = adapted(method, module, head, lora, seed)
    read: Readouts = readouts(backbone, usable) if backbone else lambda _: {}
    return Parts(model, read, card.normalisation)


def check_store(task: Task, card: Card, store: Store) -> None:
    """Refuse a store whose variables, units or grid spacing the backbone was not made for, naming all that differs."""
    units = {channel.name: channel.units for channel in store.channels}
    variables = task.inputs.variables
    check_fits(card, variables, tuple(units[name] for name in variables), store.latitude_spacing)


def usable_readouts(task: Task, card: Card) -> dict[str, int]:
    """Return the readouts that the task can use and the backbone has, and their numbers of channels."""
    names = [name for name in task.readouts if name in readout_names(card.pretexts)]
    return readout_channels(names, card.spec)


def fit(
    task: Task, parts: Parts, data: Examples, validation: Examples, schedule: Schedule, run: Run
) -> Callable[[Examples], pd.DataFrame]:
    """Train and return the function that predicts."""
    feed = _feed(parts, data, run.device)

    def batch(number: int) -> tuple[Inputs, dict[str, Tensor]]:
        index = batch_index(len(data), schedule.batch_size, schedule.seed, number)
        targets = task.encode(data.subset(index))
        return feed(index), {name: torch.from_numpy(target).to(run.device) for name, target in targets.items()}

    def losses(model: nn.Module, batch: tuple[Inputs, dict[str, Tensor]]) -> dict[str, Tensor]:
        given, targets = batch
        return task.loss(model(*given), targets)

    validate = _validation(task, parts, validation, run.device) if schedule.validate_every else None
    train(parts.model, batch, losses, schedule, run, validate)
    return lambda examples: task.decode(outputs(parts.model, parts.readouts, examples, parts.normalisation), examples)


def batch_index(examples: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Return which examples make up a step's batch: a new permutation every epoch, from (seed, epoch) alone.

    The examples that are left over where the batches of an epoch do not come out even wait for another epoch.
    """
    size = min(batch_size, examples)
    per_epoch = examples // size
    order = np.random.default_rng([seed, step // per_epoch]).permutation(examples)
    return np.sort(order[step % per_epoch * size :][:size])


def _chunks(examples: Examples) -> list[np.ndarray]:
    return [np.arange(first, min(first + CHUNK, len(examples))) for first in range(0, len(examples), CHUNK)]


@torch.no_grad()
def _feed(parts: Parts, examples: Examples, device: str) -> Callable[[np.ndarray], Inputs]:
    """Read the untouched backbone's fields once for all examples; return the function that gives a model its inputs."""
    chunks: list[dict[str, np.ndarray]] = []
    for index in _chunks(examples):
        fields = parts.readouts(inputs(examples, parts.normalisation, index).to(device))
        chunks.append({name: field.half().cpu().numpy() for name, field in fields.items()})
    known = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def feed(index: np.ndarray) -> Inputs:
        x = inputs(examples, parts.normalisation, index).to(device)
        return x, {name: torch.from_numpy(field[index]).float().to(device) for name, field in known.items()}

    return feed


def _validation(task: Task, parts: Parts, examples: Examples, device: str) -> Callable[[nn.Module], float]:
    """Return the function from a model to its loss on all examples, whose readouts and targets are made once."""
    feed = _feed(parts, examples, device)
    targets: Mapping[str, Tensor] = {name: torch.from_numpy(t).to(device) for name, t in task.encode(examples).items()}

    def validate(model: nn.Module) -> float:
        output = torch.cat([model(*feed(index)).float() for index in _chunks(examples)])
        return float(sum(task.loss(output, targets).values()))

    return validate
