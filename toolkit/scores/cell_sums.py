"""Sums that scores of probabilities are finished from: what is stated of cells and of windows, errors, histograms.

Each is a `Statistic` of `toolkit.metrics`, one for a column whatever the number of metrics that share it.
"""

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.metrics import Array, Statistic
from toolkit.scores.cells import Cells, column_of, known_cells, probabilities

STATED, WINDOW = "_stated", "_window"
BINS = 100
"""Bins of probability, equally wide in arcsin(sqrt(p)): narrow near 0 and 1, as the standard deviation of a share is,
since the probabilities of rare events lie near 0."""


def windows(cells: Cells, truth: pd.DataFrame, column: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the examples of which it is known whether a cell of theirs is true, and whether one is."""
    true = pd.Series(cells.true).groupby(cells.example).any()
    gaps = truth.loc[truth[column].isna(), "example"].unique()
    known = true[true.to_numpy() | ~true.index.isin(gaps)]
    return known.index.to_numpy(np.int64), known.to_numpy(bool)


@cache
def statements(*columns: str) -> Statistic:
    """Return the statistic of what is stated of the cells: hits, misses and false alarms of each column."""

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        tables = []
        for column in columns:
            cells = known_cells(predictions, truth, examples, column)
            stated = cells.stated(predictions, column + STATED).astype(bool)
            tables.append(cells.summed(**_compared(stated, cells.true)).add_prefix(f"{column} "))
        return pd.concat(tables, axis=1)

    return Statistic(f"statements of {', '.join(columns)}", compute)


@cache
def window_statements(column: str) -> Statistic:
    """Return the statistic of what is stated of windows: hits, misses and false alarms."""

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        cells = known_cells(predictions, truth, examples, column)
        example, true = windows(cells, truth, column)
        every = column_of(predictions, column + WINDOW + STATED, "predictions").groupby(predictions["example"]).any()
        stated = every.reindex(example).to_numpy(bool)
        group = cells.groups.get_indexer(pd.Index(examples["group"].reindex(example)))
        return cells.summed_at(group, _compared(stated, true)).add_prefix(f"{column} ")

    return Statistic(f"statements of windows with {column}", compute)


def _compared(stated: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, NDArray]:
    return {"hits": stated & true, "misses": ~stated & true, "false alarms": stated & ~true}


@cache
def probability_sums(column: str) -> Statistic:
    """Return the statistic of probabilities: count, squared error, how many true and false cells are in each bin."""

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        cells = known_cells(predictions, truth, examples, column)
        stated = probabilities(predictions, column, cells.rows_stated)
        sums = cells.summed(count=np.ones(len(stated)), square=(stated - cells.true) ** 2)
        place = (cells.group * 2 + cells.true) * BINS + bin_of(stated)
        counts = np.bincount(place, minlength=len(cells.groups) * 2 * BINS).reshape(len(cells.groups), 2 * BINS)
        names = [f"{truth} {k}" for truth in ("false", "true") for k in range(BINS)]
        return sums.join(pd.DataFrame(counts.astype(np.float64), index=cells.groups, columns=names))

    return Statistic(f"probabilities of {column}", compute)


@cache
def brier_sums(*columns: str) -> Statistic:
    """Return the statistic of squared errors of several columns: count, squared error and events of each."""

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        tables = []
        for column in columns:
            cells = known_cells(predictions, truth, examples, column)
            stated = probabilities(predictions, column, cells.rows_stated)
            values = {"count": np.ones(len(stated)), "square": (stated - cells.true) ** 2, "events": cells.true}
            tables.append(cells.summed(**values).add_prefix(f"{column} "))
        return pd.concat(tables, axis=1)

    return Statistic(f"squared errors of {', '.join(columns)}", compute)


def bin_of(probability: Array) -> NDArray[np.int64]:
    """Return the number of each probability's bin, 0 to 99."""
    share = np.arcsin(np.sqrt(probability)) / (np.pi / 2)
    return np.minimum(share * BINS, BINS - 1).astype(np.int64)
