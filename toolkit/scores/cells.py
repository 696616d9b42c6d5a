"""Tables of probabilities and of what came true, brought into one order: one row for each cell of each window.

Rows belong together by `example` and, where the tables have it, `cell`; both hold the same ones, once each, in any
order. A column is a kind of event, or a kind at a lead time such as `heat_72h`. Its truth is 0, 1, or NaN where it is
not known; rows that are not known are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.errors import UserError, unknown

KEYS = ("example", "cell")
SPARSE = 8
"""Whole numbers are looked up in a table of their range where that is no longer than this many times their count."""
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Cells:
    """What is known of one column, all (n,): the example of each row, and whether it is true.

    `rows_stated` are the places of the rows in the predictions, `group` the number of each row's group in `groups`.
    """

    example: NDArray[np.int64]
    true: Bools
    rows_stated: NDArray[np.intp]
    group: NDArray[np.intp]
    groups: pd.Index

    def stated(self, predictions: pd.DataFrame, column: str) -> NDArray:
        """Return a column of the predictions at these rows."""
        return column_of(predictions, column, "predictions").to_numpy()[self.rows_stated]

    def summed(self, **values: NDArray) -> pd.DataFrame:
        """Return the sums of values (n,) in each group."""
        return self.summed_at(self.group, values)

    def summed_at(self, group: NDArray[np.intp], values: dict[str, NDArray]) -> pd.DataFrame:
        """Return the sums of values (m,) in the groups of these numbers (m,)."""
        sums = {name: np.bincount(group, value, len(self.groups)) for name, value in values.items()}
        return pd.DataFrame(sums, index=self.groups)


def known_cells(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame, column: str) -> Cells:
    """Return the rows in which the truth of `column` is known, beside the predictions of the same cells.

    Raises UserError where the two tables do not hold the same cells once each, and for a truth that is neither 0 nor 1.
    """
    place = _places(predictions, truth)
    values = column_of(truth, column, "truth").to_numpy(np.float64)
    known = ~np.isnan(values)
    rows = np.flatnonzero(known)
    strange = (values[rows] != 0) & (values[rows] != 1)
    if strange.any():
        raise UserError(
            f"The truth of '{column}' holds {values[rows][strange][0]:g}; it should be 0, 1 or NaN (not known). Make "
            f"shares of annotators one or the other."
        )
    example = truth["example"].to_numpy(np.int64)[rows]
    groups = pd.Index(sorted(examples["group"].unique()), name="group")
    counted = np.array_equal(examples.index, np.arange(len(examples)))
    position = example if counted else examples.index.get_indexer(pd.Index(example))
    group = groups.get_indexer(pd.Index(examples["group"]))[position]
    return Cells(example, values[rows] == 1, place[rows], group, groups)


def probabilities(predictions: pd.DataFrame, column: str, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the probabilities at these rows; UserError for one that is not within 0 and 1."""
    values = column_of(predictions, column, "predictions").to_numpy(np.float64)[rows]
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise UserError(f"A probability of '{column}' is {values[wrong][0]:g}; it should be within 0 and 1.")
    return values


def column_of(table: pd.DataFrame, column: str, name: str) -> pd.Series:
    """Return a column of the table that is called `name`; UserError with the near miss where it has none."""
    if column not in table:
        raise unknown(f"column of the {name}", column, map(str, table.columns))
    return table[column]


def _places(predictions: pd.DataFrame, truth: pd.DataFrame) -> NDArray[np.intp]:
    """Return where in the predictions each row of the truth is."""
    keys = [key for key in KEYS if key in truth]
    stated, true, count = _numbers(predictions, truth, keys)
    places = []
    for name, table, numbers in (("predictions", predictions, stated), ("truth", truth, true)):
        own, place = np.arange(len(numbers)), np.full(count, -1, np.intp)
        place[numbers] = own
        twice = place[numbers] != own
        if twice.any():
            said = _said(table, keys, int(np.argmax(twice)))
            raise UserError(f"Two rows of the {name} are for {said}. There should be one for each cell.")
        places.append(place)
    for name, table, alone in (
        ("truth", predictions, places[1][stated] < 0),
        ("predictions", truth, places[0][true] < 0),
    ):
        if alone.any():
            raise UserError(f"No row of the {name} is for {_said(table, keys, int(np.argmax(alone)))}.")
    return places[0][true]


def _numbers(
    predictions: pd.DataFrame, truth: pd.DataFrame, keys: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return a number for the keys of each row of both tables, the same for the same keys, and their greatest count."""
    total, count = np.zeros(len(predictions) + len(truth), np.int64), 1
    for key in keys:
        columns = column_of(predictions, key, "predictions"), column_of(truth, key, "truth")
        codes, kinds = _codes(np.concatenate([column.to_numpy() for column in columns]))
        total, count = total * kinds + codes, count * kinds
    if count > SPARSE * len(total):
        total, count = _codes(total)
    return total[: len(predictions)], total[len(predictions) :], count


def _codes(values: NDArray) -> tuple[NDArray[np.int64], int]:
    """Return whole numbers from 0 on, the same for the same values, and how many there can be."""
    if values.dtype.kind in "iu" and values.size:
        lowest, highest = int(values.min()), int(values.max())
        if highest - lowest < SPARSE * values.size:
            return values.astype(np.int64) - lowest, highest - lowest + 1
    codes, kinds = pd.factorize(values)
    return codes.astype(np.int64), len(kinds)


def _said(table: pd.DataFrame, keys: Sequence[str], row: int) -> str:
    return ", ".join(f"{key} {table[key].iloc[row]}" for key in keys)
