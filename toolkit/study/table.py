"""What comes out of a study, as values: curves of every metric against labels, differences, and labels saved."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

COLUMNS = (
    "task", "method", "backbone", "labels", "groups", "seed", "metric", "value", "unit", "seconds", "peak_mb",
)  # fmt: skip
"""Of the tidy table: a row per method, backbone, budget, seed and metric. `labels` counts groups, `groups` says of
what kind they are; seconds and peak_mb are of the cell: fitting, predicting and scoring, and the process's memory."""

Kind = Literal["pretrained", "scratch", "classical"]


@dataclass(frozen=True)
class Line:
    """Whose curve: a method, the backbone it adapts ("" for none), and where its knowledge comes from.

    `method` is probe, lora, full or scratch, one of these with " + " and the name of one of the task's completions, or
    the name of one of its baselines.
    """

    method: str
    backbone: str
    kind: Kind

    @property
    def name(self) -> str:
        """What a line is called in a legend: the method, with the backbone where it has one."""
        return f"{self.method}, {self.backbone}" if self.backbone else self.method


@dataclass(frozen=True)
class Point:
    """The mean over seeds with so many labelled groups, and its 95 % interval over test groups and seeds.

    None is undefined. `seeds` {seed: value}.
    """

    labels: int
    value: float | None
    low: float | None
    high: float | None
    seeds: Mapping[int, float | None]


@dataclass(frozen=True)
class Curve:
    """A line's points, by labels from few to many."""

    line: Line
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Contrast:
    """The paired difference of two lines with the same labels, ours minus theirs, of the seeds that both have.

    `p_holm`: the probability of such a difference by chance, after Holm's correction over all contrasts of the metric.
    """

    ours: Line
    theirs: Line
    labels: int
    value: float | None
    low: float | None
    high: float | None
    p_holm: float | None


@dataclass(frozen=True)
class Saving:
    """How many labels `ours` needs to reach the score that `theirs` has with `full` of them.

    `needed` labels, interpolated on the curve; None where the score is not reached with all labels. `at_least`: ours
    is there with its fewest labels already, so that `needed` is the most it can be. `saved` = full / needed, with its
    95 % interval; low is None where the score may not be reached at all, high None where the fewest labels may be
    more than are needed, both where there is no interval. `words` says all of this in a phrase. `known`: whether
    there were scores to compare at all.
    """

    ours: Line
    theirs: Line
    full: int
    needed: float | None
    at_least: bool
    saved: float | None
    low: float | None
    high: float | None
    words: str
    known: bool = True


@dataclass(frozen=True)
class MetricCurves:
    """One metric: what it is, and what every line reaches."""

    metric: str
    unit: str
    better: Literal["higher", "lower"]
    meaning: str
    curves: tuple[Curve, ...]
    contrasts: tuple[Contrast, ...]
    savings: tuple[Saving, ...]


@dataclass(frozen=True)
class StudyTable:
    """A study: its task, the plural of what is counted, the metrics, the tidy table, and what failed {cell: error}.

    `chosen` says what was tried for each method and budget, {method, backbone, labels, trials: [{settings, validation
    loss}], chosen: the number of the best}; `about` has command, world, seeds, budgets, and other facts of the whole.
    """

    task: str
    primary: str
    groups: str
    test_groups: int
    metrics: Mapping[str, MetricCurves]
    cells: pd.DataFrame
    chosen: tuple[Mapping[str, Any], ...]
    failed: Mapping[str, str]
    about: Mapping[str, Any]

    @property
    def content(self) -> dict[str, Any]:
        """Return everything but the cells in plain values, for JSON."""
        return {
            "task": self.task,
            "primary": self.primary,
            "groups": self.groups,
            "test_groups": self.test_groups,
            "metrics": {name: asdict(curves) for name, curves in self.metrics.items()},
            "chosen": [dict(choice) for choice in self.chosen],
            "failed": dict(self.failed),
            "about": dict(self.about),
        }
