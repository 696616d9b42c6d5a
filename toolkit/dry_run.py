"""`--dry-run`: what a fine-tuning would take, from a few timed steps of the real model on random input."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toolkit.adapt import Lora, trainable_share
from toolkit.backbones.weights import Backbone
from toolkit.config import FinetuneSettings
from toolkit.engine import engine
from toolkit.evaluate import CHUNK
from toolkit.finetune import VALIDATIONS, Data, load_data, opened_backbone, schedule_of
from toolkit.finetune_run import found_world
from toolkit.fit import Parts, assemble
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
    world = found_world(settings, told)
    told.stage("cutting windows")
    data = load_data(task, Path(world), settings.labels, settings.seed)
    backbone = opened_backbone(task, settings, data.store)
    told.stage(f"timing {TIMED_STEPS} steps")
    methods = [settings.method, *([COMPARISON] if settings.compare and settings.method != COMPARISON else [])]
    steps = {method: schedule_of(settings, method, len(data.train)).steps for method in methods}
    timed = [_timed(task, settings, method, backbone, data, device) for method in methods]
    seconds = sum(t.step * steps[m] + t.window * _windows_predicted(data) for t, m in zip(timed, methods, strict=True))
    return Estimate(
        windows={name: len(part) for name, part in data.parts.items()},
        groups={name: part.truth["group"].nunique() for name, part in data.parts.items()},
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


def _timed(task: Task, settings: FinetuneSettings, method: str, backbone: Backbone, data: Data, device: str) -> _Timed:
    lora = Lora(settings.lora_rank, settings.lora_alpha, settings.lora_blocks)
    used = None if method == COMPARISON else backbone
    parts = assemble(task, backbone.card, used, method, lora, settings.seed)
    parts = replace(parts, model=parts.model.to(device))
    optimizer = torch.optim.AdamW([p for p in parts.model.parameters() if p.requires_grad], lr=0.0)
    size = min(settings.batch_size, len(data.train))
    shape = (backbone.card.spec.planes, *task.inputs.window)
    targets = task.encode(data.train.subset(np.arange(size)))
    batch = {name: torch.from_numpy(target).to(device) for name, target in targets.items()}
    x = torch.randn(size, *shape)
    read = {name: field.to(device) for name, field in parts.readouts(x).items()}

    def step() -> None:
        losses = task.loss(parts.model(x.to(device), read), batch)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    predicted = min(CHUNK, sum(len(part) for part in data.parts.values()))
    window = _seconds(lambda: _predict(parts, torch.randn(predicted, *shape), device), 1) / predicted
    parameters = trainable_share(parts.model)
    return _Timed(parameters[1], parameters[0], _seconds(step, TIMED_STEPS), window)


@torch.no_grad()
def _predict(parts: Parts, x: Tensor, device: str) -> None:
    read = {name: field.to(device) for name, field in parts.readouts(x).items()}
    parts.model(x.to(device), read).cpu()


def _seconds(work: Callable[[], None], repeats: int) -> float:
    """Return the mean time of `work` after one call that is not counted."""
    work()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / repeats


def _windows_predicted(data: Data) -> int:
    """Windows that pass through the model beside the training steps: validations, the readouts, the scoring."""
    return (VALIDATIONS + 1) * len(data.validation) + len(data.test) + len(data.train)


def _peak_memory(device: str) -> int:
    """Return the most memory that was in use so far: on the GPU, or of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
