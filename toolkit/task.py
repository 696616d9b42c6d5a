"""What a task is: a frozen set of values and plain functions. A plug-in is one file that defines TASK."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from toolkit.metrics import Metric

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toolkit.backbones.features import FeatureSpec
    from toolkit.examples import Examples
    from toolkit.report.figure import Figure


@dataclass(frozen=True)
class Inputs:
    """What a task looks at: variables, frames (hours from the analysis time, oldest first), window (h, w) in pixels.

    `also` names variables that only the baselines and the report use.
    """

    variables: tuple[str, ...]
    frames: tuple[int, ...]
    window: tuple[int, int]
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placement:
    """How windows are cut around the labelled rows.

    A row lies at a random place of its window, at least `margin` pixels from the edge. For every window with a row
    there are `background` windows without any, at latitudes of the labelled rows. For training, few rows are cut more
    than once, each time at another place, as long as that makes no more than `most_recut` windows.
    """

    margin: int
    background: float
    most_recut: int = 0


@dataclass(frozen=True)
class Split:
    """How train, validation and test are kept apart: whole years, and `gap_days` between the years' windows."""

    gap_days: float = 5.0


class Baseline(Protocol):
    """A prediction without a backbone: fitted on the training examples, it returns predictions for others."""

    def __call__(self, train: "Examples", validation: "Examples") -> Callable[["Examples"], pd.DataFrame]:
        """Fit on `train` (and choose on `validation`); return the function that predicts."""
        ...


def time_first(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the column time in front."""
    return table[["time", *table.columns.drop("time")]]


@dataclass(frozen=True)
class Task:
    """One downstream task.

    labels(world folder) -> table, one row per labelled object and time: time (datetime64, UTC), latitude, longitude
    (degrees), group (the storm, station or event that must stay on one side of a split), and target columns.
    head(FeatureSpec, readouts {name: channels}) -> module from `toolkit.heads.Features` to the output (b, ...).
    encode(examples) -> dense targets {name: array (n, ...)} in the windows' own orientation.
    loss(output, targets {name: tensor (b, ...)}) -> {part: scalar}.
    decode(output array (n, ...), examples) -> predictions, a table in physical units (see `toolkit.metrics`).
    choose(predictions, truth, examples) -> threshold, chosen on validation; keep(predictions, threshold) -> those that
    are worth stating.
    groups: what a group is called in the plural, such as storms.
    figures: what the report shows of a run, beside what it shows of every task.
    export(predictions with a column time) -> the table that `toolkit predict` writes.
    readouts: names of the pretexts' readouts that the head can use.
    """

    name: str
    summary: str
    inputs: Inputs
    placement: Placement
    labels: Callable[[Path], pd.DataFrame]
    head: Callable[["FeatureSpec", Mapping[str, int]], "nn.Module"]
    encode: Callable[["Examples"], dict[str, np.ndarray]]
    loss: Callable[["Tensor", Mapping[str, "Tensor"]], dict[str, "Tensor"]]
    decode: Callable[[np.ndarray, "Examples"], pd.DataFrame]
    choose: Callable[[pd.DataFrame, pd.DataFrame, pd.DataFrame], float]
    keep: Callable[[pd.DataFrame, float], pd.DataFrame]
    metrics: tuple[Metric, ...]
    primary: str
    baselines: Mapping[str, Baseline]
    split: Split = field(default_factory=Split)
    readouts: tuple[str, ...] = ()
    export: Callable[[pd.DataFrame], pd.DataFrame] = time_first
    figures: tuple["Figure", ...] = ()
    groups: str = "groups"
    defaults: Mapping[str, Any] = field(default_factory=dict)
