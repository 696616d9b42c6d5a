"""Scores of numbers: one or several stated of each example, over all examples or over those of one kind.

Truth and predictions have a row per example, with the same columns of numbers. A true NaN is a declared gap and left
out. A number that is stated is its mean, which is rarely as extreme as the truth: from which stated value on it is said
to exceed a limit is chosen on validation, and `keep_exceedances` adds it as the column `<column>_exceeds`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.errors import UserError, unknown
from toolkit.metrics import Array, Finish, Metric, Statistic, critical_success, ratio, sum_by_group, totals

EXCEEDS = "_exceeds"


@dataclass(frozen=True)
class Stated:
    """Which numbers are scored: columns, their unit, and in words what they are.

    `where` (column, value) keeps the examples that have that value in a column of the truth or of the examples.
    """

    columns: tuple[str, ...]
    unit: str
    words: str
    where: tuple[str, str] | None = None


def root_mean_square_error(name: str, stated: Stated) -> Metric:
    """Return the metric sqrt(mean(error^2))."""
    meaning = f"root of the mean squared error of {stated.words}"
    return _metric(name, stated, meaning, lambda s: np.sqrt(ratio(s["square"], s["count"])))


def mean_absolute_error(name: str, stated: Stated) -> Metric:
    """Return the metric mean(|error|)."""
    return _metric(name, stated, f"mean size of the error of {stated.words}", _mean("absolute"))


def absolute_bias(name: str, stated: Stated) -> Metric:
    """Return the metric |mean(error)|: how far predictions are too high, or too low, on the whole.

    In draws of groups it is the mean error in the direction of the whole sample's, negative where a draw has the other
    sign: so the interval reaches down to 0 where the sign is not certain. A size taken in each draw would never be 0.
    """

    def weighed(sums: pd.DataFrame, weights: Array) -> Array:
        whole, drawn = (_mean("error")(totals(sums, of)) for of in (np.ones((1, len(sums))), weights))
        return np.where(whole < 0, -drawn, drawn)

    meaning = f"size of the mean error of {stated.words}"
    metric = _metric(name, stated, meaning, lambda s: np.abs(_mean("error")(s)))
    return replace(metric, weighed=weighed)


def explained_variance(name: str, stated: Stated) -> Metric:
    """Return the metric R^2 = 1 - sum(error^2) / sum((truth - mean truth)^2)."""

    def finish(sums: Mapping[str, Array]) -> Array:
        spread = sums["truth_square"] - sums["truth"] * ratio(sums["truth"], sums["count"])
        return 1.0 - ratio(sums["square"], spread)

    meaning = f"share of the variance of {stated.words} that is explained; 0 for always stating the mean"
    return Metric(name, "1", "higher", meaning, errors(stated), finish, (-np.inf, 1.0))


def exceedance_csi(name: str, stated: Stated, limit: float) -> Metric:
    """Return the metric critical success index of exceeding a limit: hits / (hits + misses + false alarms)."""
    meaning = f"of {stated.words} over {limit:g} {stated.unit}, share that is found among found, missed and false ones"
    return Metric(
        name,
        "1",
        "higher",
        meaning,
        exceedances(stated, limit),
        finish=lambda sums: critical_success(sums["hits"], sums["misses"], sums["alarms"]),
        limits=(0.0, 1.0),
    )


def choose_exceedance(
    predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame, columns: Sequence[str], limit: float
) -> dict[str, float]:
    """Return for each column the value from which on it is said to exceed the limit: that of the highest CSI.

    The limit itself where no true number exceeds it, and where no other value has a higher CSI.
    """
    thresholds = {}
    for column in columns:
        pairs = _pairs(Stated((column,), "", column), predictions, truth, examples).sort_values("stated")
        true = (pairs["true"] > limit).to_numpy()
        thresholds[column + EXCEEDS] = _best_from(pairs["stated"].to_numpy(), true, limit) if true.any() else limit
    return thresholds


def keep_exceedances(predictions: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Return the predictions with what is said to exceed the limit, by the thresholds."""
    said = {name: predictions[name.removesuffix(EXCEEDS)] >= threshold for name, threshold in thresholds.items()}
    return predictions.assign(**said)


def _best_from(stated: Array, true: NDArray[np.bool_], limit: float) -> float:
    """Return the limit, or the value of `stated`, in rising order, from which on stating all has a higher CSI."""
    hits = np.append(np.cumsum(true[::-1])[::-1], 0)
    csi = critical_success(hits, true.sum() - hits, np.arange(len(true), -1, -1) - hits)
    best = np.argmax(np.where(np.diff(stated, prepend=-np.inf) > 0, csi[:-1], -1.0))
    return float(stated[best]) if csi[best] > csi[np.searchsorted(stated, limit)] else limit


@cache
def errors(stated: Stated) -> Statistic:
    """Return the statistic of errors: count, error, its size and square, truth and its square.

    It raises `UserError` for a missing, double or NaN prediction.
    """

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        pairs = _pairs(stated, predictions, truth, examples)
        error, value = pairs["stated"] - pairs["true"], pairs["true"]
        sums = {"example": pairs["example"], "count": 1.0, "error": error, "absolute": error.abs(), "square": error**2}
        return sum_by_group(pd.DataFrame(sums | {"truth": value, "truth_square": value**2}), examples)

    return Statistic(f"errors of {stated.words}{_at(stated)}", compute)


@cache
def exceedances(stated: Stated, limit: float) -> Statistic:
    """Return the statistic of numbers over a limit: hits, misses and alarms, which are stated in vain."""

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        pairs = _pairs(stated, predictions, truth, examples, EXCEEDS)
        said, true = pairs["stated"] > 0, pairs["true"] > limit
        sums = {"example": pairs["example"], "hits": said & true, "misses": ~said & true, "alarms": said & ~true}
        return sum_by_group(pd.DataFrame(sums), examples)

    return Statistic(f"{stated.words} over {limit:g}{_at(stated)}", compute)


def _pairs(
    stated: Stated, predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame, suffix: str = ""
) -> pd.DataFrame:
    """Return a row for every true number: example, true, and what the column with the suffix states of it."""
    mine = _chosen(stated, truth, examples)
    return pd.concat([_of_column(column, suffix, predictions, mine) for column in stated.columns], ignore_index=True)


def _chosen(stated: Stated, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    if stated.where is None:
        return truth
    name, value = stated.where
    if name in truth:
        return truth[truth[name].astype(str) == value]
    if name not in examples:
        raise unknown("column of the truth or of the examples", name, map(str, (*truth.columns, *examples.columns)))
    return truth[(examples[name].astype(str) == value).reindex(truth["example"]).to_numpy(bool)]


def _of_column(column: str, suffix: str, predictions: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    for name, table, wanted in (("truth", truth, column), ("predictions", predictions, column + suffix)):
        if wanted not in table:
            raise unknown(f"column of the {name}", wanted, map(str, table.columns))
        if (twice := table["example"].duplicated()).any():
            first = table["example"][twice].iloc[0]
            raise UserError(f"The {name} hold '{column}' twice for example {first}. One number each, please.")
    true = truth.set_index("example")[column].dropna()
    said = predictions.set_index("example")[column + suffix].reindex(true.index)
    if said.isna().any():
        raise UserError(f"No prediction of '{column}' for example {said.index[said.isna()][0]}, or it is NaN.")
    numbers = {"true": true.to_numpy(np.float64), "stated": said.to_numpy(np.float64)}
    return pd.DataFrame({"example": true.index} | numbers)


def _metric(name: str, stated: Stated, meaning: str, finish: Finish) -> Metric:
    return Metric(name, stated.unit, "lower", meaning + _at(stated), errors(stated), finish, (0.0, np.inf))


def _mean(column: str) -> Finish:
    return lambda sums: ratio(sums[column], sums["count"])


def _at(stated: Stated) -> str:
    return f" where {stated.where[0]} is {stated.where[1]}" if stated.where else ""
