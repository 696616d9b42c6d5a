"""What there is to do of a study, in three stages, each of which needs the one before: features, trials, cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from toolkit.config import FinetuneSettings
from toolkit.errors import UserError
from toolkit.fan_out import Call
from toolkit.split import PARTS
from toolkit.study.cells import Groups, baseline_cell, features_cell, network_cell, there_are_features, trial_cell
from toolkit.study.ground import Ground
from toolkit.study.plan import Cell, Folders, Study, Trial
from toolkit.study.recorded import choice
from toolkit.study.subsets import Subsets


@dataclass(frozen=True)
class Stage:
    """Work in pieces that need nothing of each other, by name: what there is to call, of what kind all pieces are, and
    those `kept`, which are finished. Pieces of a kind take about as long.
    """

    title: str
    calls: Mapping[str, Call]
    kinds: Mapping[str, str]
    kept: tuple[str, ...] = ()


def features_stage(study: Study, on: Ground, subsets: Subsets, folders: Folders) -> Stage:
    """Return what computes that which the networks to do will find in the cache."""
    calls: dict[str, Call] = {}
    kinds: dict[str, str] = {}
    kept: list[str] = []
    for cell in cells_to_do(study, folders):
        if not cell.backbone:
            continue
        settings = study.settings_of(cell, study.ladder[cell.method][0])
        for part in PARTS:
            for number in range(on.cuts(part, subsets.train(cell.labels, cell.seed))):
                kind = features_kind(cell)
                name = f"{kind}, {part} {number + 1}"
                if name in kinds:
                    continue
                kinds[name] = kind
                if there_are_features(settings, part, number):
                    kept.append(name)
                else:
                    calls[name] = partial(features_cell, settings, part, number)
    return Stage("features that stay as they are", calls, kinds, tuple(kept))


def features_kind(cell: Cell) -> str:
    """Return of what kind it is to compute the features of a cell."""
    return f"features, {cell.method}, {cell.backbone}"


def trials_stage(study: Study, subsets: Subsets, folders: Folders) -> Stage:
    """Return the trials of settings, for every method and budget of which there are several."""
    trials = trials_to_do(study, folders)
    calls = {
        trial.name: partial(trial_cell, _settings(study, trial), groups_of(subsets, trial.cell), folders.of(trial))
        for trial in trials
    }
    every = {trial.name: trial for cell in study.cells for trial in study.trials(cell)}
    kept = tuple(name for name, trial in every.items() if folders.is_finished(trial))
    return Stage("trying settings", calls, {name: trial.kind for name, trial in every.items()}, kept)


def cells_stage(study: Study, subsets: Subsets, folders: Folders) -> Stage:
    """Return the cells, each with the settings that validated best."""
    calls = {cell.name: _call(study, subsets, folders, cell) for cell in cells_to_do(study, folders)}
    kept = tuple(cell.name for cell in study.cells if folders.is_finished(cell))
    return Stage("cells", calls, {cell.name: cell.kind for cell in study.cells}, kept)


def groups_of(subsets: Subsets, cell: Cell) -> Groups:
    """Return the groups of a cell."""
    train, validation = subsets.train(cell.labels, cell.seed), subsets.validation(cell.labels, cell.seed)
    return Groups(tuple(sorted(train)), tuple(sorted(validation)))


def cells_to_do(study: Study, folders: Folders) -> list[Cell]:
    """Return the cells that are not finished."""
    return [cell for cell in study.cells if not folders.is_finished(cell)]


def trials_to_do(study: Study, folders: Folders) -> list[Trial]:
    """Return what is not tried yet of the settings of cells that are not finished.

    Where one of a kind is finished the choice is made: another would not hold for all seeds.
    """
    chosen = {c.kind for c in study.cells if folders.is_finished(c) and choice(study, folders, c) is not None}
    cells = [cell for cell in cells_to_do(study, folders) if cell.kind not in chosen]
    trials = dict.fromkeys(trial for cell in cells for trial in study.trials(cell))
    return [trial for trial in trials if not folders.is_finished(trial)]


def _settings(study: Study, trial: Trial) -> FinetuneSettings:
    return study.settings_of(trial.cell, study.ladder[trial.cell.method][trial.number])


def _call(study: Study, subsets: Subsets, folders: Folders, cell: Cell) -> Call:
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
    raise UserError(f"None of the settings of {cell.kind} could be tried; their errors say why. Mend that and resume.")
