"""Scores in two steps: a Statistic adds up per group, a Metric finishes the sums once.

A model, a baseline and a perfect oracle all hand over the same three tables, in physical units:

- `examples`: one row per window; index `example` (int), column `group` (the storm, station or event it belongs to).
- `truth`: one row per object that is there; column `example`, then the task's own columns.
- `predictions`: one row per object that is stated; column `example`, then the task's own columns.

Sums add: over windows, over chunks of windows, and over groups drawn at random (`toolkit.stats`). So a root mean
square or a median is the same however the windows were cut into chunks, and its interval is cheap.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from toolkit.errors import UserError

Array = NDArray[np.float64]
Compute = Callable[[pd.DataFrame, pd.DataFrame, pd.DataFrame], pd.DataFrame]
Finish = Callable[[Mapping[str, Array]], Array]


@dataclass(frozen=True)
class Statistic:
    """A named function (predictions, truth, examples) -> sums: one float row per group of `examples`, none left out."""

    name: str
    compute: Compute


@dataclass(frozen=True)
class Metric:
    """What to make of a statistic's sums, in which unit, which way is better, and what that means.

    `meaning` says it to a reader in a short plain phrase: "share of storms that are found". `finish` takes the totals
    by column, each of any one shape (...), and returns the scores (...), NaN where the score is undefined. `limits`
    are the lowest and the highest value it can take; intervals are kept within them. `weighed` (sums, weights) is for
    scores that take more than the totals of what is drawn: from sums by group and weights (draws, groups) it returns
    the scores (draws,), equal to `finish` where each group counts once.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"]
    meaning: str
    statistic: Statistic
    finish: Finish
    limits: tuple[float, float] = (-np.inf, np.inf)
    weighed: Callable[[pd.DataFrame, Array], Array] | None = None

    def __post_init__(self) -> None:
        """Refuse a direction that is neither of the two."""
        if self.better not in ("higher", "lower"):
            raise UserError(f"Metric '{self.name}': better is '{self.better}'. Write 'higher' or 'lower'.")

    @property
    def perfect(self) -> float:
        """The score of a flawless prediction: the limit on the better side, infinite where none is declared."""
        return self.limits[self.better == "higher"]

    def values(self, sums: pd.DataFrame, weights: Array) -> Array:
        """Return one score per row of weights (draws, groups): the score of the groups counted that often."""
        if self.weighed is not None:
            return self.weighed(sums, weights)
        return self.finish(totals(sums, weights))

    def value(self, sums: pd.DataFrame) -> float:
        """Return the score of all groups together."""
        return float(self.values(sums, np.ones((1, len(sums))))[0])


@dataclass(frozen=True)
class Scores:
    """The sums of each statistic by its name, and the metrics that finish them. Scores of chunks add."""

    metrics: tuple[Metric, ...]
    sums: Mapping[str, pd.DataFrame]

    def sums_of(self, metric: Metric) -> pd.DataFrame:
        """Return the sums per group that `metric` finishes: what `toolkit.stats` resamples."""
        return self.sums[metric.statistic.name]

    def values(self) -> dict[str, float]:
        """Return each metric's score by its name."""
        return {metric.name: metric.value(self.sums_of(metric)) for metric in self.metrics}

    def __add__(self, other: "Scores") -> "Scores":
        """Return the scores of both sets of windows together; a group may have windows in both."""
        if [metric.name for metric in self.metrics] != [metric.name for metric in other.metrics]:
            raise UserError("Scores of different metrics do not add. Evaluate both chunks with the same metrics.")
        sums = {name: mine.add(other.sums[name], fill_value=0.0) for name, mine in self.sums.items()}
        return Scores(self.metrics, sums)


def evaluate_metrics(
    metrics: Iterable[Metric], predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame
) -> Scores:
    """Return the scores of `predictions`; a statistic that several metrics share is computed once.

    Raises UserError where the tables do not fit together, or where a statistic leaves out a group or sums to NaN.
    """
    metrics = tuple(metrics)
    check_tables(predictions, truth, examples)
    statistics: dict[str, Statistic] = {}
    for metric in metrics:
        if statistics.setdefault(metric.statistic.name, metric.statistic) != metric.statistic:
            raise UserError(f"Two different statistics are called '{metric.statistic.name}'. Rename one of them.")
    sums = {name: statistic.compute(predictions, truth, examples) for name, statistic in statistics.items()}
    groups = set(examples["group"])
    for name, table in sums.items():
        if set(table.index) != groups or not table.index.is_unique:
            raise UserError(f"Statistic '{name}' must return one row per group of the examples; use `sum_by_group`.")
        finite = np.isfinite(table.to_numpy(np.float64)).all(axis=0)
        if not finite.all():
            first = table.columns[~finite][0]
            raise UserError(f"Statistic '{name}' sums to NaN or infinity in '{first}'. Check the predictions.")
    return Scores(metrics, sums)


def check_tables(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> None:
    """Raise UserError unless the examples are unique and grouped and both other tables speak of them only."""
    if "group" not in examples or examples["group"].isna().any():
        raise UserError("The examples need a column 'group' without gaps: the storm, station or event of each window.")
    if not examples.index.is_unique:
        raise UserError(
            f"Example {examples.index[examples.index.duplicated()][0]} occurs twice. Number them once each."
        )
    for name, table in (("predictions", predictions), ("truth", truth)):
        if "example" not in table:
            raise UserError(f"The {name} need a column 'example': the window each row belongs to.")
        strangers = ~table["example"].isin(examples.index)
        if strangers.any():
            raise UserError(f"The {name} speak of example {table['example'][strangers].iloc[0]}, which does not exist.")


def sum_by_group(rows: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `rows` (one of them `example`) summed per group, zero for a group without rows."""
    group = examples["group"].reindex(rows["example"]).to_numpy()
    sums = rows.drop(columns="example").astype(np.float64).groupby(group).sum()
    return sums.reindex(pd.Index(sorted(examples["group"].unique()), name="group"), fill_value=0.0)


def totals(sums: pd.DataFrame, weights: Array) -> dict[str, Array]:
    """Return the sums by column, (draws,), of the groups counted that often, one for each row of weights."""
    summed = weights @ sums.to_numpy(np.float64)
    return {str(column): summed[:, k] for k, column in enumerate(sums.columns)}


def critical_success(hits: Array, misses: Array, alarms: Array) -> Array:
    """Return the critical success index, hits / (hits + misses + false alarms), NaN where there are none of them."""
    return ratio(hits, hits + misses + alarms)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Array:
    """Return numerator / denominator, NaN where the denominator is zero."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)


def histogram_by_group(values: Array, example: ArrayLike, examples: pd.DataFrame, highest: int) -> pd.DataFrame:
    """Return how many values round to 0, 1, ..., `highest` in each group: sums a median can be finished from."""
    groups = pd.Index(sorted(examples["group"].unique()), name="group")
    row = groups.get_indexer(examples["group"].reindex(np.asarray(example)))
    bins = highest + 1
    cell = row * bins + np.clip(np.rint(values), 0, highest).astype(np.int64)
    counts = np.bincount(cell, minlength=len(groups) * bins).reshape(len(groups), bins)
    return pd.DataFrame(counts.astype(np.float64), index=groups, columns=[str(k) for k in range(bins)])


def median_of_histogram(sums: Mapping[str, Array]) -> Array:
    """Return the median of the values counted by `histogram_by_group`, to half a unit, NaN where there are none.

    Bin k holds k - 1/2 to k + 1/2 and is taken as evenly filled: linear interpolation between its edges. Never
    negative: where bin 0 holds the median it holds at least half of all values.
    """
    counts = np.stack(list(sums.values()), axis=-1)
    running = np.cumsum(counts, axis=-1)
    half = running[..., -1:] / 2
    k = np.argmax(running >= half, axis=-1)[..., None]
    inside = np.take_along_axis(counts, k, -1)
    below = np.take_along_axis(running, k, -1) - inside
    return (k - 0.5 + ratio(half - below, inside))[..., 0]


def weighed_median(histogram: pd.DataFrame, weights: Array) -> Array:
    """Return `median_of_histogram` of the groups counted that often, one for each row of weights (draws, groups).

    A thousand bins are too many to be totalled in every draw of every run of a study: by bisection ten are enough.
    """
    counts = np.ascontiguousarray(histogram.to_numpy(np.float64).T)
    running = np.cumsum(counts, axis=0)

    def total(of_bins: Array) -> Array:
        return np.einsum("dg,dg->d", weights, of_bins)

    half = weights @ running[-1] / 2
    first, last = np.zeros(len(weights), np.int64), np.full(len(weights), len(counts) - 1)
    while (first < last).any():
        middle = (first + last) // 2
        reached = total(running[middle]) >= half
        first, last = np.where(reached, first, middle + 1), np.where(reached, middle, last)
    inside = total(counts[first])
    return first - 0.5 + ratio(half - (total(running[first]) - inside), inside)
