"""Columns of a table as the numbers a network sees: numbers by value and by rank, gaps told, words one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from toolkit.errors import UserError, unknown

KNOTS = 65
"""Quantiles that a column's ranks are read from."""
FARTHEST = 6.0
"""Standardised values beyond this are brought to it: a table's largest city must not be all that is heard."""
FEWEST_ROWS = 3
"""A word of fewer training rows is as good as unknown."""


@dataclass(frozen=True)
class Number:
    """A column of numbers: mean and standard deviation of the training rows, and their quantiles, evenly spaced."""

    name: str
    mean: float
    deviation: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class Word:
    """A column of words, and those that are known."""

    name: str
    known: tuple[str, ...]


@dataclass(frozen=True)
class ColumnCode:
    """How columns become numbers. A number is three: standardised, its rank as a normal score, and whether it is known.

    A word is as many as are known, 1 for its own.
    """

    numbers: tuple[Number, ...] = ()
    words: tuple[Word, ...] = ()

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return 3 * len(self.numbers) + sum(len(word.known) for word in self.words)


NO_COLUMNS = ColumnCode()


def fit_columns(table: pd.DataFrame, names: Sequence[str]) -> ColumnCode:
    """Return the code of the columns `names`, by the rows of `table`.

    Raises `UserError` for a column that is not there, and for text where at least half of the cells are numbers.
    """
    kinds = {name: _holds_numbers(_column(table, name)) for name in names}
    return ColumnCode(
        tuple(_fitted_number(name, table[name]) for name, is_number in kinds.items() if is_number),
        tuple(_fitted_word(name, table[name]) for name, is_number in kinds.items() if not is_number),
    )


def encode_columns(code: ColumnCode, table: pd.DataFrame) -> NDArray[np.float32]:
    """Return the numbers (n, width) of the rows of a table.

    Raises `UserError` for a column that is not there, and for text in a column of numbers.
    """
    parts = [_encoded_number(number, table) for number in code.numbers]
    parts += [_encoded_word(word, table) for word in code.words]
    return np.concatenate([np.empty((len(table), 0)), *parts], axis=1).astype(np.float32)


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table:
        raise unknown("column", name, map(str, table.columns))
    return table[name]


def _holds_numbers(column: pd.Series) -> bool:
    """Tell numbers from words; words of which half can be read as numbers are numbers with a mistake among them."""
    if pd.api.types.is_numeric_dtype(column):
        return True
    read = pd.to_numeric(column, errors="coerce")
    if column.notna().sum() > read.notna().sum() >= column.notna().sum() / 2:
        _refuse_text(column, read)
    return False


def _refuse_text(column: pd.Series, read: pd.Series) -> None:
    """Refuse a column with a cell that holds something, but nothing that could be `read` as a number."""
    wrong = (read.isna() & column.notna()).to_numpy()
    if wrong.any():
        first = int(wrong.argmax())
        row, value = column.index[first], column.iloc[first]
        raise UserError(f"'{column.name}' is '{value}' in row {row}: it should be a number, or empty.")


def _fitted_number(name: str, column: pd.Series) -> Number:
    values = column.to_numpy(np.float64, na_value=np.nan)
    known = values[np.isfinite(values)]
    if not known.size:
        return Number(name, 0.0, 1.0, (0.0,) * KNOTS)
    quantiles = np.quantile(known, np.linspace(0, 1, KNOTS))
    return Number(name, float(known.mean()), float(known.std()) or 1.0, tuple(quantiles.tolist()))


def _fitted_word(name: str, column: pd.Series) -> Word:
    counts = column.dropna().astype(str).value_counts()
    return Word(name, tuple(sorted(counts[counts >= FEWEST_ROWS].index)))


def _encoded_number(number: Number, table: pd.DataFrame) -> NDArray[np.float64]:
    column = _column(table, number.name)
    read = pd.to_numeric(column, errors="coerce")
    _refuse_text(column, read)
    values = read.to_numpy(np.float64, na_value=np.nan)
    known = np.isfinite(values)
    filled = np.where(known, values, number.mean)
    standard = np.clip((filled - number.mean) / number.deviation, -FARTHEST, FARTHEST)
    return np.stack([standard * known, _normal_score(filled, number.quantiles) * known, known], axis=1)


def _normal_score(values: NDArray[np.float64], quantiles: Sequence[float]) -> NDArray[np.float64]:
    """Return the normal score of the share of training rows below; of equal quantiles the middle one counts."""
    knots, share = np.array(quantiles), np.linspace(0, 1, len(quantiles))
    low = np.interp(values, knots, share)
    high = 1 - np.interp(-values, -knots[::-1], share)
    inside = 0.5 / len(quantiles)
    return ndtri(np.clip((low + high) / 2, inside, 1 - inside))


def _encoded_word(word: Word, table: pd.DataFrame) -> NDArray[np.float64]:
    column = _column(table, word.name)
    said = column.astype(object).where(column.notna(), "").astype(str).to_numpy()
    return (said[:, None] == np.array(word.known, dtype=object)[None]).astype(np.float64)
