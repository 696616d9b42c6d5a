"""How long the jobs of a study will take: steps are timed on a few windows, the rest is counted."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

import numpy as np
import torch

from toolkit.columns import fit_columns
from toolkit.config import FinetuneSettings
from toolkit.engine import engine
from toolkit.examples import Examples
from toolkit.frozen import computed, feed
from toolkit.methods import built, schedule_of
from toolkit.split import PARTS, TEST, TRAIN, VALIDATION
from toolkit.study.cells import opened
from toolkit.study.ground import Ground, taken
from toolkit.study.plan import Cell, Folders, Study, Trial
from toolkit.study.recorded import finished
from toolkit.study.stages import cells_stage, cells_to_do, features_kind, features_stage, trials_stage, trials_to_do
from toolkit.study.subsets import Subsets

TIMED = 2
"""Calls whose mean is taken, after one that is not counted."""
MOST_TIMED = 128
"""Windows that are predicted for the time it takes."""


@dataclass(frozen=True)
class Outlook:
    """How many jobs of a kind there are to do and done; `seconds` is what those to do will take, None if not known."""

    kind: str
    to_do: int
    done: int
    seconds: float | None


def outlook(study: Study, on: Ground, subsets: Subsets, folders: Folders) -> list[Outlook]:
    """Return what there is to do of a study, kind by kind, in its order."""
    seconds = foreseen(study, on, subsets, folders)
    rows = []
    for stage in (
        features_stage(study, on, subsets, folders),
        trials_stage(study, subsets, folders),
        cells_stage(study, subsets, folders),
    ):
        for kind in dict.fromkeys(stage.kinds.values()):
            to_do, done = (sum(stage.kinds[name] == kind for name in names) for names in (stage.jobs, stage.kept))
            each = seconds.get(kind, None if to_do else 0.0)
            rows.append(Outlook(kind, to_do, done, None if each is None else each * to_do))
    return rows


def recorded_seconds(study: Study, folders: Folders) -> dict[str, float]:
    """Return what finished cells and trials took on average, {kind: s}."""
    found: dict[str, list[float]] = {}
    for job, result in finished(study, folders):
        found.setdefault(job.kind, []).append(result["seconds"])
    return {kind: fmean(seconds) for kind, seconds in found.items()}


@dataclass(frozen=True)
class Timed:
    """The seconds that a training step takes, a window that is predicted, and one whose features are computed."""

    step: float
    window: float
    features: float


def foreseen(study: Study, on: Ground, subsets: Subsets, folders: Folders) -> dict[str, float]:
    """Return what a job that is not finished will take, {kind: s}: by those that are, or else by a step that is timed.

    Not foreseen are classical baselines of which none is finished, and what fails.
    """
    found = recorded_seconds(study, folders)
    timed: dict[tuple[str, str], Timed] = {}
    jobs: list[Cell | Trial] = [*trials_to_do(study, folders), *cells_to_do(study, folders)]
    for job in jobs:
        cell = job.cell if isinstance(job, Trial) else job
        if job.kind not in found and cell.method in study.methods:
            with suppress(Exception):  # a task is somebody else's code; the job itself will say what is wrong
                found[job.kind] = _expected(study, subsets, job, cell, timed)
                if cell.backbone:
                    each = timed[cell.method, cell.backbone].features
                    found.setdefault(features_kind(cell), each * fmean(len(on.cut(part, 0)) for part in PARTS))
    return found


def _expected(
    study: Study, subsets: Subsets, job: Cell | Trial, cell: Cell, timed: dict[tuple[str, str], Timed]
) -> float:
    """Return what a job will take, s, and keep in `timed` what a step and a window of its kind take."""
    settings = study.settings_of(cell, study.ladder[cell.method][job.number if isinstance(job, Trial) else 0])
    on, _ = opened(settings)
    train = taken(on, TRAIN, subsets.train(cell.labels, cell.seed)).examples()
    if (cell.method, cell.backbone) not in timed:
        timed[cell.method, cell.backbone] = _timed(settings, train)
    of = timed[cell.method, cell.backbone]
    schedule = schedule_of(settings, cell.method, len(train))
    validated = len(taken(on, VALIDATION, subsets.validation(cell.labels, cell.seed)).index[0])
    scored = 0 if isinstance(job, Trial) else len(on.cut(TEST, 0))
    return of.step * schedule.steps + of.window * ((settings.validations + 1) * validated + scored)


def _timed(settings: FinetuneSettings, train: Examples) -> Timed:
    """Time a step, a prediction and the features on a few windows."""
    on, backbone = opened(settings)
    device, task = engine(settings), on.task
    parts = built(task, settings, settings.method, backbone, fit_columns(train.table, task.inputs.columns))
    parts = replace(parts, model=parts.model.to(device))
    few = train.subset(np.arange(min(MOST_TIMED, len(train))))
    frozen = computed(parts, few, device)
    given = feed(parts, few, device, frozen)
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

    features = _seconds(partial(computed, parts, few, device)) / len(few)
    return Timed(_seconds(step), _seconds(predict) / len(few), features)


def _seconds(work: Callable[[], object]) -> float:
    work()
    began = time.perf_counter()
    for _ in range(TIMED):
        work()
    return (time.perf_counter() - began) / TIMED
