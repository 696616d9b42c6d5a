"""What a task is: a frozen set of values and plain functions. A plug-in is one file that defines TASK."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from toolkit.metrics import Metric
from toolkit.split import ByYear, Split, Strata

if TYPE_CHECKING:
    from torch import Tensor, nn
    from xarray import Dataset

    from toolkit.examples import Examples
    from toolkit.heads.features import Given
    from toolkit.report.figure import Figure

Thresholds = Mapping[str, float]


@dataclass(frozen=True)
class Inputs:
    """What a task looks at: variables, frames (hours from the analysis time, oldest first), window (h, w) in pixels.

    `also` names variables that only the baselines and the report use. `columns` names columns of the labels that are
    known beforehand and seen beside the fields, numbers or words. A task without `variables` looks at columns alone.
    """

    variables: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()
    window: tuple[int, int] = (0, 0)
    also: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placement:
    """How windows are cut around the labelled rows.

    A row lies in the middle of its window or, with a `margin`, at a random place at least so many pixels from the edge.
    Where rows are `objects`, a window shows all of them that lie in it and none that is not among
    the labels given, since what is not labelled would be learned as absent; else every row is an example by itself.
    For every window with an object there are `background` windows without any, at latitudes of the labelled rows. For
    training, few rows are cut more than once, each time at another place, as long as that makes no more than
    `most_recut` windows.
    """

    margin: int | None = None
    objects: bool = False
    background: float = 0.0
    most_recut: int = 0


@dataclass(frozen=True)
class Maps:
    """Fields that are to be predicted: `variables` at `frames`, hours from the analysis time.

    open(path of the labels) -> canonical dataset (time, latitude, longitude) of the variables on any regular grid, NaN
    where nothing is known; the examples then have `maps`, on the pixels of their windows. `known` are frames up to the
    analysis time that are known beforehand: the head sees them too, as `Features.known`.
    """

    variables: tuple[str, ...]
    frames: tuple[int, ...]
    open: Callable[[Path], "Dataset"]
    known: tuple[int, ...] = ()

    @property
    def planes(self) -> int:
        """How many planes are known beforehand: one for each frame and variable."""
        return len(self.known) * len(self.variables)


class Baseline(Protocol):
    """A prediction without a backbone: fitted on the training examples, it returns predictions for others."""

    def __call__(self, train: "Examples", validation: "Examples") -> Callable[["Examples"], pd.DataFrame]:
        """Fit on `train` (and choose on `validation`); return the function that predicts."""
        ...


class Completion(Protocol):
    """What a classical method says, in the model's place, of what the model has found.

    Fitted on the same examples as the model, it takes a model's predictions and returns them with the same rows and
    columns, in some of which the values are its own.
    """

    def __call__(self, train: "Examples", validation: "Examples") -> Callable[[pd.DataFrame, "Examples"], pd.DataFrame]:
        """Fit on `train` (and choose on `validation`); return the function from (predictions, their examples)."""
        ...


def time_first(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the column time in front, where it has one."""
    return table[sorted(table.columns, key=lambda name: name != "time")]


def own_truth(examples: "Examples") -> pd.DataFrame:
    """Return the labelled rows of the windows as they are."""
    return examples.truth


def no_threshold(_predictions: pd.DataFrame, _truth: pd.DataFrame, _examples: pd.DataFrame) -> Thresholds:
    """Return no threshold, for a task whose every prediction is worth stating."""
    return {}


def keep_all(predictions: pd.DataFrame, _thresholds: Thresholds) -> pd.DataFrame:
    """Return all predictions."""
    return predictions


@dataclass(frozen=True)
class Task:
    """One downstream task.

    labels(path) -> table, one row per labelled thing: time (datetime64, UTC), latitude, longitude (degrees), group (the
    storm, station or event), input columns and target columns. `path` is the world folder, or what `--data` names.
    Rows that are left out are counted in `table.attrs["left_out"]`, {why: how many}. Without input variables a table
    needs no time and place.
    head(Given) -> module from `toolkit.heads.features.Features` to the output (b, ...).
    encode(examples) -> targets {name: array (n, ...)}, dense ones in the windows' own orientation.
    loss(output, targets {name: tensor (b, ...)}) -> {part: scalar}.
    decode(output array (n, ...), examples) -> predictions, a table in physical units (see `toolkit.metrics`).
    truth(examples) -> the true table that metrics compare with.
    choose(predictions, truth, examples' table) -> {name: threshold}, chosen on validation; keep(predictions,
    thresholds) -> what is worth stating, with what the thresholds make of it.
    threshold_limits: between which a threshold lies that a user names; 0 and 1 for a probability.
    groups: what a group is called in the plural, such as storms; a budget of labels counts them.
    strata(labels) -> a word or number for each row: a budget of groups has of every kind in proportion.
    completions: classical methods that answer part of the task for whatever the model has found, such as where it goes.
    needs: which label files it reads, in a phrase.
    apart_km: what two windows state nearer to each other than this is one object; 0 where places are stated, not
    objects.
    figures: what the report shows of a run, beside what it shows of every task.
    export(predictions, with time and place) -> the table that `toolkit predict` writes.
    readouts: names of the pretexts' readouts that the head can use.
    refit: whether the model, once validation has chosen its steps and thresholds, is trained again for as long on
    training and validation rows together; the task's baselines should then do likewise.
    sample(world folder): writes made-up labels beside the fields of a small world, for `toolkit tasks check`; a task
    that can read the tables of every world needs none.
    """

    name: str
    summary: str
    inputs: Inputs
    labels: Callable[[Path], pd.DataFrame]
    head: Callable[["Given"], "nn.Module"]
    encode: Callable[["Examples"], dict[str, np.ndarray]]
    loss: Callable[["Tensor", Mapping[str, "Tensor"]], dict[str, "Tensor"]]
    decode: Callable[[np.ndarray, "Examples"], pd.DataFrame]
    metrics: tuple[Metric, ...]
    primary: str
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    completions: Mapping[str, Completion] = field(default_factory=dict)
    placement: Placement = field(default_factory=Placement)
    maps: Maps | None = None
    truth: Callable[["Examples"], pd.DataFrame] = own_truth
    choose: Callable[[pd.DataFrame, pd.DataFrame, pd.DataFrame], Thresholds] = no_threshold
    keep: Callable[[pd.DataFrame, Thresholds], pd.DataFrame] = keep_all
    threshold_limits: tuple[float, float] = (-math.inf, math.inf)
    split: Split = field(default_factory=ByYear)
    strata: Strata | None = None
    readouts: tuple[str, ...] = ()
    export: Callable[[pd.DataFrame], pd.DataFrame] = time_first
    apart_km: float = 0.0
    figures: tuple["Figure", ...] = ()
    refit: bool = False
    groups: str = "groups"
    needs: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    sample: Callable[[Path], None] | None = None

    @property
    def sees_fields(self) -> bool:
        """Whether the task looks at fields at all."""
        return bool(self.inputs.variables)
