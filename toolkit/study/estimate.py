"""How long the jobs of a study will take: steps are timed on a few windows, the rest is counted."""

from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean

from toolkit.engine import engine
from toolkit.methods import schedule_of
from toolkit.split import PARTS, TEST, TRAIN, VALIDATION
from toolkit.study.cells import opened
from toolkit.study.ground import Ground, taken
from toolkit.study.plan import Cell, Folders, Study, Trial
from toolkit.study.recorded import finished
from toolkit.study.stages import cells_stage, cells_to_do, features_kind, features_stage, trials_stage, trials_to_do
from toolkit.study.subsets import Subsets
from toolkit.timing import Timed, fine_tuning_seconds, timed


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
            to_do, done = (sum(stage.kinds[name] == kind for name in names) for names in (stage.calls, stage.kept))
            each = seconds.get(kind, None if to_do else 0.0)
            rows.append(Outlook(kind, to_do, done, None if each is None else each * to_do))
    return rows


def recorded_seconds(study: Study, folders: Folders) -> dict[str, float]:
    """Return what finished cells and trials took on average, {kind: s}."""
    found: dict[str, list[float]] = {}
    for job, result in finished(study, folders):
        found.setdefault(job.kind, []).append(result["seconds"])
    return {kind: fmean(seconds) for kind, seconds in found.items()}


def foreseen(study: Study, on: Ground, subsets: Subsets, folders: Folders) -> dict[str, float]:
    """Return what a job that is not finished will take, {kind: s}: by those that are, or else by a step that is timed.

    Not foreseen are classical baselines of which none is finished, and what fails.
    """
    found = recorded_seconds(study, folders)
    times: dict[tuple[str, str], Timed] = {}
    jobs: list[Cell | Trial] = [*trials_to_do(study, folders), *cells_to_do(study, folders)]
    for job in jobs:
        cell = job.cell if isinstance(job, Trial) else job
        if job.kind not in found and cell.method in study.methods:
            with suppress(Exception):  # a task is somebody else's code; the job itself will say what is wrong
                found[job.kind] = _expected(study, subsets, job, cell, times)
                if cell.backbone:
                    each = times[cell.method, cell.backbone].features
                    found.setdefault(features_kind(cell), each * fmean(len(on.cut(part, 0)) for part in PARTS))
    return found


def _expected(
    study: Study, subsets: Subsets, job: Cell | Trial, cell: Cell, times: dict[tuple[str, str], Timed]
) -> float:
    """Return what a job will take, s, and keep in `times` what a step and a window of its kind take.

    The features of its windows are jobs of their own.
    """
    settings = study.settings_of(cell, study.ladder[cell.method][job.number if isinstance(job, Trial) else 0])
    on, backbone = opened(settings)
    train = taken(on, TRAIN, subsets.train(cell.labels, cell.seed)).examples()
    if (which := (cell.method, cell.backbone)) not in times:
        times[which] = timed(on.task, settings, cell.method, backbone, train, engine(settings))
    of = times[which]
    schedule = schedule_of(settings, cell.method, len(train))
    validated = len(taken(on, VALIDATION, subsets.validation(cell.labels, cell.seed)).index[0])
    scored = 0 if isinstance(job, Trial) else len(on.cut(TEST, 0))
    windows = {TRAIN: len(train), VALIDATION: validated, TEST: scored}
    return fine_tuning_seconds(of, on.task, schedule, windows, uncached=0)
