"""`--dry-run`: what a fine-tuning would take, from a few timed steps of the real model."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from toolkit.adapt import trainable_share
from toolkit.backbones.weights import Backbone
from toolkit.columns import fit_columns
from toolkit.config import FinetuneSettings
from toolkit.engine import engine
from toolkit.examples import Examples
from toolkit.finetune import Data, load_data, opened_backbone
from toolkit.finetune_run import found_origin
from toolkit.frozen import CHUNK, computed, feed
from toolkit.methods import built, schedule_of
from toolkit.parts import Parts
from toolkit.task import Task
from toolkit.told import Told

TIMED_STEPS = 5
COMPARISON = "scratch"


@dataclass(frozen=True)
class Estimate:
    """What a run would take. `windows` by part; seconds and bytes are estimates; baselines are not in `seconds`."""

    windows: dict[str, int]
    groups: dict[str, int]
    steps: dict[str, int]
    parameters: int
    trainable: int
    seconds_per_step: float
    seconds: float
    peak_memory_bytes: int
    device: str


def estimate(task: Task, settings: FinetuneSettings, told: Told) -> Estimate:
    """Cut the windows, build the model, time a few steps and predictions; nothing is written but the cache."""
    device = engine(settings)
    origin = found_origin(task, settings, told)
    told.stage("cutting windows")
    data = load_data(task, origin, settings)
    backbone = opened_backbone(task, settings, data)
    told.stage(f"timing {TIMED_STEPS} steps")
    methods = [settings.method, *([COMPARISON] if settings.compare and settings.method != COMPARISON else [])]
    steps = {method: schedule_of(settings, method, len(data.train)).steps for method in methods}
    timed = [_timed(task, settings, method, backbone, data, device) for method in methods]
    seconds = sum(
        t.step * steps[m] + t.window * _windows_predicted(data, settings) for t, m in zip(timed, methods, strict=True)
    )
    return Estimate(
        windows={name: len(part) for name, part in data.parts.items()},
        groups={name: part["group"].nunique() for name, part in data.rows.items()},
        steps=steps,
        parameters=timed[0].parameters,
        trainable=timed[0].trainable,
        seconds_per_step=timed[0].step,
        seconds=seconds,
        peak_memory_bytes=_peak_memory(device),
        device=device,
    )


@dataclass(frozen=True)
class _Timed:
    parameters: int
    trainable: int
    step: float
    window: float


def _timed(
    task: Task, settings: FinetuneSettings, method: str, backbone: Backbone | None, data: Data, device: str
) -> _Timed:
    parts = built(task, settings, method, backbone, fit_columns(data.train.table, task.inputs.columns))
    parts = replace(parts, model=parts.model.to(device))
    optimizer = torch.optim.AdamW([p for p in parts.model.parameters() if p.requires_grad], lr=0.0)
    few = data.train.subset(np.arange(min(settings.batch_size, len(data.train))))
    wanted = {name: torch.from_numpy(target).to(device) for name, target in task.encode(few).items()}
    batch = feed(parts, few, device, computed(parts, few, device))(np.arange(len(few)))

    def step() -> None:
        losses = task.loss(parts.model(*batch), wanted)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    predicted = min(CHUNK, len(data.train))
    window = _seconds(lambda: _predict(parts, data.train, predicted, device), 1) / predicted
    parameters = trainable_share(parts.model)
    return _Timed(parameters[1], parameters[0], _seconds(step, TIMED_STEPS), window)


@torch.no_grad()
def _predict(parts: Parts, examples: Examples, size: int, device: str) -> None:
    parts.model(*feed(parts, examples, device)(np.arange(size))).cpu()


def _seconds(work: Callable[[], None], repeats: int) -> float:
    """Return the mean time of `work` after one call that is not counted."""
    work()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / repeats


def _windows_predicted(data: Data, settings: FinetuneSettings) -> int:
    """Windows that pass through the model beside the training steps: validations, the readouts, the scoring."""
    return (settings.validations + 1) * len(data.validation) + len(data.test) + len(data.train)


def _peak_memory(device: str) -> int:
    """Return the most memory that was in use so far: on the GPU, or of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
