"""`toolkit compare`: the cells that are not finished yet, then the table of all that are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from toolkit.comparison.cells import counted_step, pretrain_cell, probe_cell, random_cell
from toolkit.comparison.plan import (
    NONE,
    REFERENCE,
    Comparison,
    Folders,
    Work,
    probed_task,
    written_work,
)
from toolkit.comparison.settings import check_finished
from toolkit.comparison.table import Table, filled_table
from toolkit.compute import steps_for
from toolkit.config import FinetuneSettings
from toolkit.errors import UserError
from toolkit.fan_out import attempted, run_cells
from toolkit.finetune_run import found_origin
from toolkit.labels import checked_labels
from toolkit.runfolder import RunFolder, check_folder, open_run
from toolkit.split import TRAIN, first_groups
from toolkit.told import Told
from toolkit.workers import OneMachine


@dataclass(frozen=True)
class Plan:
    """How much each pretext is to compute, and which cannot be pretrained at all, with the reason."""

    works: dict[str, Work]
    failed: dict[str, str]


def plan_of(comparison: Comparison, folders: Folders, told: Told) -> Plan:
    """Give every pretext as many operations as the steps of the settings take for the reference.

    Operations are counted (`toolkit.compute`), the steps are those that come nearest. What a finished pretraining
    computed holds for the other seeds of its pretext.
    """
    works, failed, counted = {}, {}, dict[str, int]()

    def count(name: str) -> int:
        if name not in counted:
            told.stage(f"counting the operations of a step of {name}")
            counted[name] = counted_step(comparison.trained(name), name)
        return counted[name]

    def plan(name: str) -> None:
        budget = comparison.pretrain.max_steps * count(REFERENCE)
        works[name] = Work(count(name), steps_for(budget, count(name)))

    for name in comparison.pretexts:
        done = [seed for seed in range(comparison.seeds) if folders.has_features(name, seed)]
        if done:
            works[name] = written_work(folders.features(name, done[0]))[0]
        elif error := attempted(partial(plan, name)):
            failed[name] = error
    return Plan(works, failed)


def run_comparison(comparison: Comparison, folder: RunFolder, jobs: int, told: Told) -> Table:
    """Run what is not finished, `jobs` cells at a time, and return the table; raises `UserError` before it writes.

    The probes of random weights go first: a task that cannot be probed shows before anything is pretrained, and is
    left out. The error of every other cell that fails is in the table; resumed, it is tried again.
    """
    check_folder(folder.path, folder.resume, folder.overwrite)
    folders = Folders(folder.path)
    if folder.resume:
        check_finished(comparison, folders)
    _check_labels(comparison, told)
    open_run(folder.path, comparison.recorded(), folder.resume, folder.overwrite)

    kinds = _kinds(comparison)

    def run(what: str, cells: dict[str, Callable[[], object]]) -> dict[str, str]:
        if not cells:
            return {}
        told.stage(f"{what}, {len(cells)} to do")
        return run_cells(cells, OneMachine(jobs), told, kind=kinds.__getitem__)

    failed = run("random weights", _random_cells(comparison, folders))
    failed |= run(
        "probes of random weights", _probe_cells(comparison, folders, (NONE,), comparison.probes, folder.command)
    )
    seeds = range(comparison.seeds)
    tasks = [task for task in comparison.probes if any(folders.has_probe(NONE, seed, task) for seed in seeds)]
    if not tasks:
        raise UserError("No task can be probed:\n" + _listed(failed))
    plan = plan_of(comparison, folders, told)
    failed |= plan.failed | run("pretraining", _pretrain_cells(comparison, folders, plan, folder.command))
    failed |= run("probes", _probe_cells(comparison, folders, comparison.pretexts, tasks, folder.command))
    told.stage("comparing the scores")
    return filled_table(comparison, folders, failed, folder.command)


def cell_name(pretext: str, seed: int, task: str = "") -> str:
    """Return what a cell is called when it is told of."""
    return f"{pretext}, seed {seed}" + (f", {task}" if task else "")


def _kinds(comparison: Comparison) -> dict[str, str]:
    """Return of what kind each cell is: cells that differ in their seed alone take as long as each other."""
    return {
        cell_name(row, seed, task): f"{row}, {task}" if task else row
        for row, seed, task in product(comparison.rows, range(comparison.seeds), ("", *comparison.probes))
    }


def _check_labels(comparison: Comparison, told: Told) -> None:
    """Raise `UserError` where no task can read its labels, or has as many groups to train on as the probes want."""

    def check(settings: FinetuneSettings) -> None:
        task = probed_task(settings)
        labels = checked_labels(task, found_origin(task, settings, told).labels)
        first_groups(tuple(labels["group"][task.split(labels) == TRAIN].unique()), settings.labels)

    failed = {name: error for name, of in comparison.probes.items() if (error := attempted(partial(check, of)))}
    if len(failed) == len(comparison.probes):
        raise UserError("No task can be probed:\n" + _listed(failed))


def _listed(failed: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {error}" for name, error in failed.items())


def _random_cells(comparison: Comparison, folders: Folders) -> dict[str, Callable[[], object]]:
    return {
        cell_name(NONE, seed): partial(random_cell, comparison.pretraining(NONE, seed, 1), folders.features(NONE, seed))
        for seed in range(comparison.seeds)
        if not folders.has_features(NONE, seed)
    }


def _pretrain_cells(
    comparison: Comparison, folders: Folders, plan: Plan, command: Sequence[str]
) -> dict[str, Callable[[], object]]:
    return {
        cell_name(name, seed): partial(
            pretrain_cell, comparison.pretraining(name, seed, work.steps), folders, work, command
        )
        for seed in range(comparison.seeds)
        for name, work in plan.works.items()
        if not folders.has_features(name, seed)
    }


def _probe_cells(
    comparison: Comparison, folders: Folders, rows: Iterable[str], tasks: Iterable[str], command: Sequence[str]
) -> dict[str, Callable[[], object]]:
    return {
        cell_name(name, seed, task): partial(
            probe_cell,
            comparison.probe(task, seed, folders.features(name, seed)),
            folders.probe(name, seed, task),
            command,
        )
        for seed in range(comparison.seeds)
        for name in rows
        for task in tasks
        if folders.has_features(name, seed) and not folders.has_probe(name, seed, task)
    }
