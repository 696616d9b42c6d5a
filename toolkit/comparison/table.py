"""From the folders of a comparison to its table: means over seeds, intervals over groups and seeds, differences."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.backbones.card import read_card
from toolkit.comparison.plan import NONE, REFERENCE, Comparison, Folders, Work, probed_task, written_work
from toolkit.evaluate import differences, metric_intervals, plain_values
from toolkit.files import write_json, write_text
from toolkit.metrics import Metric
from toolkit.recorded_scores import recorded_scores, recorded_test
from toolkit.runfolder import as_begun
from toolkit.split import TEST, TRAIN
from toolkit.stats import LEVEL, holm
from toolkit.study.draws import OfSeeds
from toolkit.task import Task

COLUMNS = ("pretext", "seed", "task", "metric", "value", "unit", "steps", "operations", "seconds")


@dataclass(frozen=True)
class Against:
    """A paired difference from another row, of the seeds that both have, with its 95 % interval; None is undefined.

    `p_holm`: the probability of such a difference by chance, after Holm's correction over the rows of the metric.
    """

    value: float | None
    low: float | None
    high: float | None
    p_holm: float | None

    @property
    def certain(self) -> bool:
        """Whether it is more than chance."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL


@dataclass(frozen=True)
class Row:
    """A pretext's mean over its seeds, the 95 % interval over groups and seeds, and the differences, this minus that.

    `best` is the row with the best mean; from itself it has no difference, nor has the row of random weights.
    """

    pretext: str
    seeds: int
    value: float | None
    low: float | None
    high: float | None
    against_none: Against | None
    against_best: Against | None


@dataclass(frozen=True)
class MetricTable:
    """One metric of a task, its rows best first, those without a value last."""

    metric: str
    unit: str
    better: str
    meaning: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class TaskTable:
    """A task: its primary metric's name, the groups it was trained on and tested on, and its metrics."""

    task: str
    primary: str
    groups: str
    labels: int
    test_groups: int
    metrics: Mapping[str, MetricTable]


@dataclass(frozen=True)
class Spent:
    """What the pretrainings of a pretext computed, and the mean of their seconds."""

    work: Work
    seconds: float


@dataclass(frozen=True)
class Table:
    """The comparison. `cells` has `COLUMNS`, a row per pretext, seed, task and metric; `failed` the errors by cell."""

    spent: Mapping[str, Spent]
    tasks: Mapping[str, TaskTable]
    cells: pd.DataFrame
    failed: Mapping[str, str]
    about: Mapping[str, Any]

    @property
    def content(self) -> dict[str, Any]:
        """Return everything but the cells in plain values."""
        spent = {
            name: asdict(spent.work) | {"operations": spent.work.operations, "seconds": round(spent.seconds, 1)}
            for name, spent in self.spent.items()
        }
        tasks = {name: asdict(task) for name, task in self.tasks.items()}
        return {**self.about, "pretexts": spent, "tasks": tasks, "failed": dict(self.failed)}


def filled_table(
    comparison: Comparison, folders: Folders, failed: Mapping[str, str], command: Sequence[str] = ()
) -> Table:
    """Score what is finished again from the run folders, and compare; writes comparison.csv and comparison.json."""
    works = {
        name: {
            seed: written_work(folders.features(name, seed))
            for seed in range(comparison.seeds)
            if folders.has_features(name, seed)
        }
        for name in comparison.rows
    }
    tasks, cells = {}, []
    for name, settings in comparison.probes.items():
        runs = _finished(comparison, folders, name)
        if not runs:
            continue
        pretext, of_seeds = next(iter(runs.items()))
        seed, first = next(iter(of_seeds.items()))
        grid = read_card(folders.features(pretext, seed)).spec.grid_degrees
        task = probed_task(settings)
        test = recorded_test(task, first, grid)
        scores = {
            pretext: {seed: recorded_scores(task, run, test) for seed, run in of_seeds.items()}
            for pretext, of_seeds in runs.items()
        }
        parts = json.loads((first / "split.json").read_text())["parts"]
        labels, tested = (len(parts[part]["groups"]) for part in (TRAIN, TEST))
        tasks[name] = TaskTable(name, task.primary, task.groups, labels, tested, metric_tables(task.metrics, scores))
        cells += _cells(task, scores, works)
    spent = {
        name: Spent(next(iter(of_seeds.values()))[0], float(np.mean([seconds for _, seconds in of_seeds.values()])))
        for name, of_seeds in works.items()
        if of_seeds
    }
    table = Table(spent, tasks, pd.DataFrame(cells, columns=list(COLUMNS)), failed, _about(comparison, command))
    write_text(folders.root / "comparison.csv", table.cells.to_csv(index=False))
    write_json(folders.root / "comparison.json", table.content)
    return table


def metric_tables(metrics: Sequence[Metric], scores: Mapping[str, OfSeeds]) -> dict[str, MetricTable]:
    """Compare the scores {row: {seed: scores}} by every metric."""
    return {metric.name: _metric_table(metric, scores) for metric in metrics}


def _metric_table(metric: Metric, scores: Mapping[str, OfSeeds]) -> MetricTable:
    means = {name: metric_intervals((metric,), list(of.values()))[metric.name] for name, of in scores.items()}
    sign = 1 if metric.better == "lower" else -1

    def place(name: str) -> float:
        value = means[name]["value"]
        return np.inf if value is None else sign * value

    ordered = sorted(scores, key=place)
    best = ordered[0]
    from_none, from_best = (_against(metric, scores, other) for other in (NONE, best))
    rows = tuple(
        Row(
            name,
            len(scores[name]),
            means[name]["value"],
            means[name]["low"],
            means[name]["high"],
            from_none.get(name),
            from_best.get(name),
        )
        for name in ordered
    )
    return MetricTable(metric.name, metric.unit, metric.better, metric.meaning, rows)


def _against(metric: Metric, scores: Mapping[str, OfSeeds], other: str) -> dict[str, Against]:
    """Return the difference of every row from `other`, of the seeds that both have."""
    found: dict[str, dict[str, Any]] = {}
    for name, own in scores.items():
        shared = sorted(own.keys() & scores.get(other, {}).keys())
        if name != other and shared:
            ours, theirs = ([of[seed] for seed in shared] for of in (own, scores[other]))
            found[name] = differences((metric,), ours, theirs)[metric.name]
    corrected = holm({name: np.nan if d["p_value"] is None else d["p_value"] for name, d in found.items()})
    return {
        name: Against(d["value"], d["low"], d["high"], None if np.isnan(corrected[name]) else corrected[name])
        for name, d in found.items()
    }


def _finished(comparison: Comparison, folders: Folders, task: str) -> dict[str, dict[int, Path]]:
    """Return the run folders of a task's finished probes, by pretext and seed."""
    found = {
        name: {
            seed: folders.probe(name, seed, task)
            for seed in range(comparison.seeds)
            if folders.has_probe(name, seed, task)
        }
        for name in comparison.rows
    }
    return {name: of_seeds for name, of_seeds in found.items() if of_seeds}


def _cells(
    task: Task, scores: Mapping[str, OfSeeds], works: Mapping[str, Mapping[int, tuple[Work, float]]]
) -> list[tuple[Any, ...]]:
    units = {metric.name: metric.unit for metric in task.metrics}
    rows = []
    for pretext, of_seeds in scores.items():
        for seed, own in of_seeds.items():
            work, seconds = works[pretext][seed]
            spent = (work.steps, work.operations, seconds)
            rows += [
                (pretext, seed, task.name, name, value, units[name], *spent)
                for name, value in plain_values(own).items()
            ]
    return rows


def _about(comparison: Comparison, command: Sequence[str]) -> dict[str, Any]:
    pretrain = comparison.pretrain
    world = next(iter(comparison.probes.values())).world
    return {
        "command": as_begun(command),
        "reference": REFERENCE,
        "steps": pretrain.max_steps,
        "seeds": comparison.seeds,
        "backbone": pretrain.backbone,
        "own": {name: comparison.changed(name) for name in comparison.own},
        "worlds": [path.name for path in pretrain.worlds],
        "task_world": world.name if world else None,
    }
