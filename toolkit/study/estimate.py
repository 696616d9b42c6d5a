"""How long the jobs of a study will take: steps are timed on a few windows, the rest is counted."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from statistics import fmean

import numpy as np
import torch

from toolkit.columns import fit_columns
from toolkit.config import FinetuneSettings
from toolkit.engine import engine
from toolkit.examples import Examples
from toolkit.frozen import computed, feed
from toolkit.methods import built, schedule_of
from toolkit.split import TEST, TRAIN, VALIDATION
from toolkit.study.cells import opened
from toolkit.study.ground import taken
from toolkit.study.plan import Cell, Folders, Study, Trial
from toolkit.study.recorded import finished
from toolkit.study.subsets import Subsets

TIMED = 2
"""Calls whose mean is taken, after one that is not counted."""
MOST_TIMED = 128
"""Windows that are predicted for the time it takes."""


def recorded_seconds(study: Study, folders: Folders) -> dict[str, float]:
    """Return what finished cells and trials took on average, {kind: s}."""
    found: dict[str, list[float]] = {}
    for job, result in finished(study, folders):
        found.setdefault(job.kind, []).append(result["seconds"])
    return {kind: fmean(seconds) for kind, seconds in found.items()}


def expected_seconds(study: Study, subsets: Subsets, jobs: Iterable[Cell | Trial]) -> dict[str, float]:
    """Return what jobs that train a network will take, {kind: s}.

    Not foreseen are classical baselines, and what fails.
    """
    found: dict[str, float] = {}
    timed: dict[tuple[str, str], tuple[float, float]] = {}
    for job in jobs:
        cell = job.cell if isinstance(job, Trial) else job
        if job.kind not in found and cell.method in study.methods:
            with suppress(Exception):  # a task is somebody else's code; the job itself will say what is wrong
                found[job.kind] = _expected(study, subsets, job, cell, timed)
    return found


def _expected(
    study: Study, subsets: Subsets, job: Cell | Trial, cell: Cell, timed: dict[tuple[str, str], tuple[float, float]]
) -> float:
    """Return what a job will take, s, and keep in `timed` what a step and a window of its kind take."""
    settings = study.settings_of(cell, study.ladder[cell.method][job.number if isinstance(job, Trial) else 0])
    on, _ = opened(settings)
    train = taken(on, TRAIN, subsets.train(cell.labels, cell.seed)).examples()
    if (cell.method, cell.backbone) not in timed:
        timed[cell.method, cell.backbone] = _timed(settings, train)
    step, window = timed[cell.method, cell.backbone]
    schedule = schedule_of(settings, cell.method, len(train))
    validated = len(taken(on, VALIDATION, subsets.validation(cell.labels, cell.seed)).index[0])
    scored = 0 if isinstance(job, Trial) else len(on.cut(TEST, 0))
    return step * schedule.steps + window * ((settings.validations + 1) * validated + scored)


def _timed(settings: FinetuneSettings, train: Examples) -> tuple[float, float]:
    """Return the seconds of a training step, and of a window that is predicted."""
    on, backbone = opened(settings)
    device, task = engine(settings), on.task
    parts = built(task, settings, settings.method, backbone, fit_columns(train.table, task.inputs.columns))
    parts = replace(parts, model=parts.model.to(device))
    few = train.subset(np.arange(min(MOST_TIMED, len(train))))
    given = feed(parts, few, device, computed(parts, few, device))
    optimizer = torch.optim.AdamW([p for p in parts.model.parameters() if p.requires_grad], lr=0.0)
    some = np.arange(min(settings.batch_size, len(few)))

    def step() -> None:
        targets = task.encode(few.subset(some))
        wanted = {name: torch.from_numpy(target).to(device) for name, target in targets.items()}
        torch.stack(list(task.loss(parts.model(*given(some)), wanted).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    def predict() -> None:
        with torch.no_grad():
            parts.model(*given(np.arange(len(few)))).cpu()

    return _seconds(step), _seconds(predict) / len(few)


def _seconds(work: Callable[[], None]) -> float:
    work()
    began = time.perf_counter()
    for _ in range(TIMED):
        work()
    return (time.perf_counter() - began) / TIMED
