"""`--dry-run`: what a fine-tuning would take, from a few timed steps of the real model."""

from dataclasses import dataclass

import torch

from toolkit.config import FinetuneSettings
from toolkit.engine import engine
from toolkit.finetune import load_data, opened_backbone
from toolkit.finetune_run import found_origin
from toolkit.memory import peak_bytes
from toolkit.methods import schedule_of
from toolkit.task import Task
from toolkit.timing import fine_tuning_seconds, timed
from toolkit.told import Told

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
    told.stage("timing a few steps")
    methods = [settings.method, *([COMPARISON] if settings.compare and settings.method != COMPARISON else [])]
    schedules = {method: schedule_of(settings, method, len(data.train)) for method in methods}
    times = {method: timed(task, settings, method, backbone, data.train, device) for method in methods}
    windows = {name: len(part) for name, part in data.parts.items()}
    own, every = times[settings.method], sum(windows.values())
    return Estimate(
        windows=windows,
        groups={name: part["group"].nunique() for name, part in data.rows.items()},
        steps={method: schedule.steps for method, schedule in schedules.items()},
        parameters=own.parameters,
        trainable=own.trainable,
        seconds_per_step=own.step,
        seconds=sum(fine_tuning_seconds(times[m], task, schedules[m], windows, every) for m in methods),
        peak_memory_bytes=torch.cuda.max_memory_allocated() if device == "cuda" else peak_bytes(),
        device=device,
    )
