"""How long a method takes for a step, a prediction and the features of a window, timed on a few, and for a run."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from toolkit.adapt import trainable_share
from toolkit.backbones.weights import Backbone
from toolkit.columns import fit_columns
from toolkit.config import FinetuneSettings
from toolkit.examples import Examples
from toolkit.frozen import computed, feed
from toolkit.methods import built
from toolkit.split import PARTS
from toolkit.task import Task
from toolkit.train import Schedule

CALLS = 3
"""The mean of so many calls is taken, after one that is not counted."""
MOST_WINDOWS = 128
"""Windows that are predicted, and whose features are computed, for the time it takes."""


@dataclass(frozen=True)
class Timed:
    """Seconds: of a training step; of a window that is predicted when its features are there; of its features.

    `parameters` of the model, of which `trainable` are trained.
    """

    step: float
    window: float
    features: float
    parameters: int
    trainable: int


def timed(
    task: Task, settings: FinetuneSettings, method: str, backbone: Backbone | None, train: Examples, device: str
) -> Timed:
    """Time a method on the first of the training windows."""
    parts = built(task, settings, method, backbone, fit_columns(train.table, task.inputs.columns))
    parts = replace(parts, model=parts.model.to(device))
    few = train.subset(np.arange(min(MOST_WINDOWS, len(train))))
    given = feed(parts, few, device, computed(parts, few, device))
    optimizer = torch.optim.AdamW([p for p in parts.model.parameters() if p.requires_grad], lr=0.0)
    every, some = np.arange(len(few)), np.arange(min(settings.batch_size, len(few)))

    def step() -> None:
        targets = task.encode(few.subset(some))
        wanted = {name: torch.from_numpy(target).to(device) for name, target in targets.items()}
        torch.stack(list(task.loss(parts.model(*given(some)), wanted).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    def predict() -> None:
        with torch.no_grad():
            parts.model(*given(every)).cpu()

    trainable, parameters = trainable_share(parts.model)
    features = _seconds(partial(computed, parts, few, device)) / len(few)
    return Timed(_seconds(step), _seconds(predict) / len(few), features, parameters, trainable)


def fine_tuning_seconds(of: Timed, task: Task, schedule: Schedule, windows: Mapping[str, int], uncached: int) -> float:
    """Return what it takes to train a method, to validate it on the way, and to score it on the test part, s.

    step * steps + features * uncached + window * (validations * validation + test), where the last of the validations
    chooses the thresholds; for a task that refits also (step * steps / train + features) * (train + validation), if the
    last weights are the best, and less if others are. `windows`: how many there are of each part; `uncached`: of how
    many of them the features are computed, and not found in files.
    """
    train, validation, test = (windows[part] for part in PARTS)
    validations = -(-schedule.steps // schedule.validate_every) + 1
    seconds = of.step * schedule.steps + of.features * uncached + of.window * (validations * validation + test)
    if not task.refit:
        return seconds
    return seconds + (of.step * schedule.steps / train + of.features) * (train + validation)


def _seconds(work: Callable[[], object]) -> float:
    work()
    began = time.perf_counter()
    for _ in range(CALLS):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / CALLS
