"""Whether two tables, or two sets of arrays, say the same, and where they first do not."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.examples import Examples

RELATIVE, ABSOLUTE = 1e-4, 1e-6
"""Sums in another order differ by less, and what is said of other windows by more."""


def difference(first: pd.DataFrame, second: pd.DataFrame) -> str:
    """Return how two tables differ, in words that follow a comma; nothing where they say the same."""
    if list(first.columns) != list(second.columns):
        odd = sorted({*map(str, first.columns)} ^ {*map(str, second.columns)})
        return f"the columns differ ({', '.join(odd) or 'their order'})"
    if len(first) != len(second):
        return f"there are {len(first)} and {len(second)} rows"
    for name in first:
        same = _same(first[name], second[name])
        if not same.all():
            row = int(np.flatnonzero(~same)[0])
            return f"'{name}' differs in {(~same).sum()} rows: {first[name].iloc[row]} and {second[name].iloc[row]}"
    return ""


def difference_of_arrays(first: Mapping[str, NDArray], second: Mapping[str, NDArray]) -> str:
    """Return how two sets of arrays differ, in words that follow a comma; nothing where they are the same."""
    if set(first) != set(second):
        return f"the names differ ({', '.join(sorted(set(first) ^ set(second)))})"
    for name, array in first.items():
        if array.shape != second[name].shape:
            return f"'{name}' has the shapes {array.shape} and {second[name].shape}"
        if not np.allclose(array, second[name], RELATIVE, ABSOLUTE, equal_nan=True):
            return f"'{name}' differs"
    return ""


def stated_of(predictions: pd.DataFrame, index: NDArray[np.integer]) -> pd.DataFrame:
    """Return what is stated of the examples at `index`, numbered as `Examples.subset` numbers them."""
    number = pd.Series(np.arange(len(index)), index)
    mine = predictions[predictions["example"].isin(index)]
    return by_example(mine.assign(example=number[mine["example"]].to_numpy()))


def by_example(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions, those of the first example first."""
    return predictions.reset_index(drop=True).sort_values("example", kind="stable", ignore_index=True)


def not_a_table(predictions: object, examples: Examples) -> str:
    """Return what keeps a table from being predictions of the examples, in words; nothing where it is."""
    if not isinstance(predictions, pd.DataFrame):
        return f"it returns {type(predictions).__name__}, not a pandas table"
    if "example" not in predictions:
        return "its table has no column 'example'"
    numbers = predictions["example"]
    if not pd.api.types.is_integer_dtype(numbers) or not numbers.between(0, len(examples) - 1).all():
        return f"its column 'example' holds other things than the numbers 0 to {len(examples) - 1}"
    if not predictions.columns.is_unique:
        return "two of its columns have the same name"
    return ""


def spread(n: int, most: int) -> NDArray[np.int64]:
    """Return `most` of the numbers below n, evenly spread, or all of them where they are fewer."""
    return np.linspace(0, max(n - 1, 0), min(n, most)).astype(np.int64)


def _same(first: pd.Series, second: pd.Series) -> NDArray[np.bool_]:
    if pd.api.types.is_float_dtype(first) and pd.api.types.is_numeric_dtype(second):
        return np.isclose(first.to_numpy(), second.to_numpy(np.float64), RELATIVE, ABSOLUTE, equal_nan=True)
    both_missing = first.isna().to_numpy() & second.isna().to_numpy()
    return (first.to_numpy() == second.to_numpy()) | both_missing
