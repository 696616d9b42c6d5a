"""`toolkit study`: what is not computed, tried or scored yet, stage after stage."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import UserError
from toolkit.fan_out import Workers, run_cells
from toolkit.files import sha256
from toolkit.origin import identity
from toolkit.runfolder import RunFolder, check_settings, open_run, write_environment
from toolkit.study.cells import RUN
from toolkit.study.estimate import foreseen
from toolkit.study.ground import Ground
from toolkit.study.plan import Folders, Study, Trial
from toolkit.study.recorded import choice, finished
from toolkit.study.stages import Stage, cells_stage, features_stage, trials_stage
from toolkit.study.subsets import Subsets, read_subsets, write_subsets
from toolkit.told import Told


def run_study(
    study: Study, on: Ground, subsets: Subsets, folder: RunFolder, workers: Workers, told: Told
) -> dict[str, str]:
    """Run what is not finished and return the errors, {name: error}; what failed is tried again by the next run.

    Raises `UserError` before it writes where the folder holds something else.
    """
    folders = Folders(folder.path)
    if folder.resume:
        check_resumable(study, on, folders)
    _open(study, on, subsets, folder)
    told.stage("timing what there is to do")
    seconds = foreseen(study, on, subsets, folders)

    def run(stage: Stage) -> dict[str, str]:
        if not stage.calls:
            return {}
        told.stage(f"{stage.title}: {len(stage.calls)} to do, {len(stage.kept)} done before")
        return run_cells(
            stage.calls, workers, told, lambda name: stage.kinds[name],
            lambda name: seconds.get(stage.kinds[name]), stage.kept,
        )  # fmt: skip

    failed = run(features_stage(study, on, subsets, folders))
    failed |= run(trials_stage(study, subsets, folders))
    _forget_runs(study, folders)
    return failed | run(cells_stage(study, subsets, folders))


def check_resumable(study: Study, on: Ground, folders: Folders) -> None:
    """Raise `UserError` where what is in the folder has other settings, or began with another backbone of that name."""
    check_settings(folders.root, _recorded(study, identity(on.task, on.origin, on.material.store)), _said)
    _check_sources(study, folders)


def _check_sources(study: Study, folders: Folders) -> None:
    for one, result in finished(study, folders):
        now, before = study.source_of(one), result.get("source_sha256")
        if now != before:
            raise UserError(
                f"{one.name} was made with another backbone: the hash of what it begins with is {before} there, "
                f"{now} now. Name the backbone that it was made with, or study into another folder."
            )


def _open(study: Study, on: Ground, subsets: Subsets, folder: RunFolder) -> None:
    """Open the folder, and keep the subsets in it, with those of seeds that it knows already."""
    about = identity(on.task, on.origin, on.material.store)
    open_run(folder.path, _recorded(study, about), folder.resume, folder.overwrite)
    path = Folders(folder.path).subsets
    if path.exists():
        before = read_subsets(path)
        for seed in before.seeds:
            if seed in subsets.seeds and before.drawn[seed] != subsets.drawn[seed]:
                raise UserError(f"{path} has other groups for seed {seed} than this study. Study into another folder.")
        subsets = Subsets({**before.drawn, **subsets.drawn}, subsets.test)
    write_subsets(path, subsets, {"task": on.task.name} | {name: _portable(of) for name, of in about.items()})
    write_environment(folder.path, folder.command)


def _recorded(study: Study, about: dict[str, Any]) -> dict[str, Any]:
    """Return what config.yaml says: what a study shares with one that goes on with it, the data, and a task's file."""
    task = Path(study.settings.task)
    code = {"task_sha256": sha256(task)} if task.suffix == ".py" else {}
    return study.recorded() | about | code


def _said(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a user says of a recorded study: of the settings to try, how many."""
    rungs = recorded.get("ladder", {}).values()
    return {key: of for key, of in recorded.items() if key != "ladder"} | {"--tries": max(map(len, rungs), default=0)}


def _portable(about: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what a world or data is wherever it lies: its name in place of its path."""
    if about is None:
        return None
    return {key: Path(of).name if key == "path" else of for key, of in about.items()}


def _forget_runs(study: Study, folders: Folders) -> None:
    """Remove the checkpoints of what was tried and not chosen, and those that a kill left of finished cells."""
    for one in study.work:
        cell = one.cell if isinstance(one, Trial) else one
        lost = isinstance(one, Trial) and folders.is_finished(one) and one.number != choice(study, folders, cell)
        if lost or folders.is_finished(cell):
            shutil.rmtree(folders.of(one) / RUN, ignore_errors=True)
