"""Fitting one method of one task to its examples: its batches, its loss, its best weights."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.evaluate import CHUNK
from toolkit.examples import Examples
from toolkit.parts import Batch, Parts, inputs
from toolkit.task import Task
from toolkit.train import Run, Schedule, train


def fit(task: Task, parts: Parts, data: Examples, validation: Examples, schedule: Schedule, run: Run) -> int:
    """Train the model of `parts` and return the number of steps after which it was best on validation, or the last."""
    feed = _feed(parts, data, run.device)

    def batch(number: int) -> tuple[Batch, dict[str, Tensor]]:
        index = batch_index(len(data), schedule.batch_size, schedule.seed, number)
        targets = task.encode(data.subset(index))
        return feed(index), {name: torch.from_numpy(target).to(run.device) for name, target in targets.items()}

    def losses(model: nn.Module, batch: tuple[Batch, dict[str, Tensor]]) -> dict[str, Tensor]:
        given, targets = batch
        return task.loss(model(*given), targets)

    validate = _validation(task, parts, validation, run.device) if schedule.validate_every else None
    return train(parts.model, batch, losses, schedule, run, validate).best_step or schedule.steps


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
def _feed(parts: Parts, examples: Examples, device: str) -> Callable[[np.ndarray], Batch]:
    """Read the untouched backbone's fields once for all examples; return the function that gives a model its inputs."""
    chunks: list[dict[str, np.ndarray]] = []
    for index in _chunks(examples):
        fields = parts.readouts(inputs(parts, examples, index)[0].to(device))
        chunks.append({name: field.half().cpu().numpy() for name, field in fields.items()})
    known = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def feed(index: np.ndarray) -> Batch:
        x, columns = (t.to(device) for t in inputs(parts, examples, index))
        return x, {name: torch.from_numpy(field[index]).float().to(device) for name, field in known.items()}, columns

    return feed


def _validation(task: Task, parts: Parts, examples: Examples, device: str) -> Callable[[nn.Module], float]:
    """Return the function from a model to its loss on all examples, whose readouts and targets are made once."""
    feed = _feed(parts, examples, device)
    targets: Mapping[str, Tensor] = {name: torch.from_numpy(t).to(device) for name, t in task.encode(examples).items()}

    def validate(model: nn.Module) -> float:
        output = torch.cat([model(*feed(index)).float() for index in _chunks(examples)])
        return float(sum(task.loss(output, targets).values()))

    return validate
