"""Fitting one method of one task to its examples: its batches, its loss, its best weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.checkpoint import Progress
from toolkit.examples import Examples
from toolkit.frozen import Frozen, chunks, computed, feed
from toolkit.parts import Batch, Parts
from toolkit.task import Task
from toolkit.train import Run, Schedule, train


@dataclass(frozen=True, eq=False)
class Seen:
    """Windows, and what training does not change of them; None where every step is to compute it."""

    examples: Examples
    frozen: Frozen | None


def seen(parts: Parts, examples: Examples, device: str) -> Seen:
    """Return windows as `fit` takes them, with all that training does not change in memory."""
    return Seen(examples, computed(parts, examples, device))


def fit(task: Task, parts: Parts, data: Seen, validation: Seen, schedule: Schedule, run: Run) -> Progress:
    """Train the model of `parts` and return how that went; the weights are those that were best on validation."""
    examples = data.examples
    given = feed(parts, examples, run.device, data.frozen)

    def batch(number: int) -> tuple[Batch, dict[str, Tensor]]:
        index = batch_index(len(examples), schedule.batch_size, schedule.seed, number)
        targets = task.encode(examples.subset(index))
        return given(index), {name: torch.from_numpy(target).to(run.device) for name, target in targets.items()}

    def losses(model: nn.Module, batch: tuple[Batch, dict[str, Tensor]]) -> dict[str, Tensor]:
        given, targets = batch
        return task.loss(model(*given), targets)

    validate = _validation(task, parts, validation, run.device) if schedule.validate_every else None
    return train(parts.model, batch, losses, schedule, run, validate)


def batch_index(examples: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Return which examples make up a step's batch: a new permutation every epoch, from (seed, epoch) alone.

    The examples that are left over where the batches of an epoch do not come out even wait for another epoch.
    """
    size = min(batch_size, examples)
    per_epoch = examples // size
    order = np.random.default_rng([seed, step // per_epoch]).permutation(examples)
    return np.sort(order[step % per_epoch * size :][:size])


def _validation(task: Task, parts: Parts, validation: Seen, device: str) -> Callable[[nn.Module], float]:
    """Return the function from a model to its loss on all examples, whose targets are made once."""
    examples = validation.examples
    given = feed(parts, examples, device, validation.frozen)
    targets: Mapping[str, Tensor] = {name: torch.from_numpy(t).to(device) for name, t in task.encode(examples).items()}

    def validate(model: nn.Module) -> float:
        output = torch.cat([model(*given(index)).float() for index in chunks(len(examples))])
        return float(sum(task.loss(output, targets).values()))

    return validate
