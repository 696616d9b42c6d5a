"""`toolkit study`: what is not computed, tried or scored yet, stage after stage."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from toolkit.config import FinetuneSettings
from toolkit.errors import UserError
from toolkit.fan_out import Cell as Job
from toolkit.fan_out import Workers, run_cells
from toolkit.origin import identity
from toolkit.runfolder import RunFolder, open_run, write_environment
from toolkit.split import PARTS
from toolkit.study.cells import RUN, Groups, baseline_cell, features_cell, network_cell, trial_cell
from toolkit.study.estimate import expected_seconds, recorded_seconds
from toolkit.study.ground import Ground
from toolkit.study.plan import Cell, Folders, Study, Trial
from toolkit.study.recorded import choice, finished
from toolkit.study.subsets import Subsets, read_subsets, write_subsets
from toolkit.told import Told


@dataclass(frozen=True)
class Stage:
    """Jobs that need nothing of each other; those `kept` are finished. `kinds` has those that take about as long."""

    title: str
    jobs: Mapping[str, Job]
    kinds: Mapping[str, str]
    kept: tuple[str, ...] = ()


def run_study(
    study: Study, on: Ground, subsets: Subsets, folder: RunFolder, workers: Workers, told: Told
) -> dict[str, str]:
    """Run what is not finished and return the errors, {job: error}; those jobs are tried again by the next run.

    Raises `UserError` before it writes where the folder holds something else.
    """
    folders = Folders(folder.path)
    if folder.resume:
        _check_sources(study, folders)
    _open(study, on, subsets, folder)
    told.stage("timing what there is to do")
    seconds = foreseen(study, subsets, folders)

    def run(stage: Stage) -> dict[str, str]:
        if not stage.jobs:
            return {}
        told.stage(f"{stage.title}: {len(stage.jobs)} to do, {len(stage.kept)} done before")
        return run_cells(
            stage.jobs, workers, told, lambda name: stage.kinds[name],
            lambda name: seconds.get(stage.kinds[name]), stage.kept,
        )  # fmt: skip

    failed = run(features_stage(study, on, subsets, folders))
    failed |= run(trials_stage(study, subsets, folders))
    _forget_runs(study, folders)
    return failed | run(cells_stage(study, subsets, folders))


def foreseen(study: Study, subsets: Subsets, folders: Folders) -> dict[str, float]:
    """Return what the jobs that are not finished will take, {kind: s}, by those that are, or else by a trial step."""
    known = recorded_seconds(study, folders)
    jobs: list[Cell | Trial] = [*_trials_to_do(study, folders), *_cells_to_do(study, folders)]
    return expected_seconds(study, subsets, [job for job in jobs if job.kind not in known]) | known


def features_stage(study: Study, on: Ground, subsets: Subsets, folders: Folders) -> Stage:
    """Return the jobs that compute what the networks to do will find in the cache."""
    jobs: dict[str, Job] = {}
    kinds: dict[str, str] = {}
    for cell in _cells_to_do(study, folders):
        if not cell.backbone:
            continue
        settings = study.settings_of(cell, study.ladder[cell.method][0])
        kind = f"features, {cell.method}, {cell.backbone}"
        for part in PARTS:
            for number in range(on.cuts(part, subsets.train(cell.labels, cell.seed))):
                name = f"{kind}, {part} {number + 1}"
                jobs.setdefault(name, partial(features_cell, settings, part, number))
                kinds[name] = kind
    return Stage("features that stay as they are", jobs, kinds)


def trials_stage(study: Study, subsets: Subsets, folders: Folders) -> Stage:
    """Return the jobs that try settings, for every method and budget of which there are several."""
    trials = _trials_to_do(study, folders)
    jobs = {
        trial.name: partial(trial_cell, _settings(study, trial), groups_of(subsets, trial.cell), folders.of(trial))
        for trial in trials
    }
    every = {trial.name: trial for cell in study.cells for trial in study.trials(cell)}
    kept = tuple(name for name, trial in every.items() if folders.is_finished(trial))
    return Stage("trying settings", jobs, {name: trial.kind for name, trial in every.items()}, kept)


def cells_stage(study: Study, subsets: Subsets, folders: Folders) -> Stage:
    """Return the jobs of the cells, each with the settings that validated best."""
    jobs = {cell.name: _job(study, subsets, folders, cell) for cell in _cells_to_do(study, folders)}
    kept = tuple(cell.name for cell in study.cells if folders.is_finished(cell))
    return Stage("cells", jobs, {cell.name: cell.kind for cell in study.cells}, kept)


def groups_of(subsets: Subsets, cell: Cell) -> Groups:
    """Return the groups of a cell."""
    train, validation = subsets.train(cell.labels, cell.seed), subsets.validation(cell.labels, cell.seed)
    return Groups(tuple(sorted(train)), tuple(sorted(validation)))


def _check_sources(study: Study, folders: Folders) -> None:
    """Raise `UserError` where a network was finished that began with another backbone of the same name."""
    for job, result in finished(study, folders):
        now, before = study.source_of(job), result.get("source_sha256")
        if now != before:
            raise UserError(
                f"{job.name} was made with another backbone: the hash of what it begins with is {before} there, "
                f"{now} now. Name the backbone that it was made with, or study into another folder."
            )


def _open(study: Study, on: Ground, subsets: Subsets, folder: RunFolder) -> None:
    """Open the folder, and keep the subsets in it, with those of seeds that it knows already."""
    settings = study.settings
    about = identity(on.task, on.origin, on.material.store)
    open_run(folder.path, study.recorded() | about, folder.resume, folder.overwrite)
    path = Folders(folder.path).subsets
    if path.exists():
        before = read_subsets(path)
        for seed in before.seeds:
            if seed in subsets.seeds and before.drawn[seed] != subsets.drawn[seed]:
                raise UserError(f"{path} has other groups for seed {seed} than this study. Study into another folder.")
        subsets = Subsets({**before.drawn, **subsets.drawn}, subsets.test)
    write_subsets(path, subsets, {"task": settings.task} | about)
    write_environment(folder.path, folder.command)


def _cells_to_do(study: Study, folders: Folders) -> list[Cell]:
    return [cell for cell in study.cells if not folders.is_finished(cell)]


def _trials_to_do(study: Study, folders: Folders) -> list[Trial]:
    """Return what is not tried yet of the settings of cells that are not finished.

    Where one of a kind is finished the choice is made: another would not hold for all seeds.
    """
    chosen = {c.kind for c in study.cells if folders.is_finished(c) and choice(study, folders, c) is not None}
    cells = [cell for cell in _cells_to_do(study, folders) if cell.kind not in chosen]
    trials = dict.fromkeys(trial for cell in cells for trial in study.trials(cell))
    return [trial for trial in trials if not folders.is_finished(trial)]


def _settings(study: Study, trial: Trial) -> FinetuneSettings:
    return study.settings_of(trial.cell, study.ladder[trial.cell.method][trial.number])


def _job(study: Study, subsets: Subsets, folders: Folders, cell: Cell) -> Job:
    groups, folder = groups_of(subsets, cell), folders.of(cell)
    if cell.method in study.baselines:
        settings = study.settings.model_copy(update={"labels": cell.labels, "seed": cell.seed})
        return partial(baseline_cell, settings, cell.method, groups, folder)
    if (number := choice(study, folders, cell)) is None:
        return partial(_no_choice, cell)
    same = [trial for trial in study.trials(cell) if trial.cell == cell and trial.number == number]
    settings = study.settings_of(cell, study.ladder[cell.method][number])
    return partial(network_cell, settings, groups, folder, folders.of(same[0]) if same else None)


def _no_choice(cell: Cell) -> None:
    raise UserError(f"None of the settings of {cell.kind} could be tried.")


def _forget_runs(study: Study, folders: Folders) -> None:
    """Remove the checkpoints of what was tried and not chosen, and those that a kill left of finished cells."""
    for job in study.jobs:
        cell = job.cell if isinstance(job, Trial) else job
        lost = isinstance(job, Trial) and folders.is_finished(job) and job.number != choice(study, folders, cell)
        if lost or folders.is_finished(cell):
            shutil.rmtree(folders.of(job) / RUN, ignore_errors=True)
