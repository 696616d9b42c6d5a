"""When two tables say the same."""

import numpy as np
import pandas as pd
import pytest

from toolkit.conformance.tables import by_example, difference, difference_of_arrays, spread, stated_of

TABLE = pd.DataFrame({"example": [0, 1, 1], "value": [1.0, np.nan, 3.0], "kind": ["a", None, "b"]})


def test_a_table_says_what_it_says() -> None:
    """A table does not differ from itself, NaN and missing words included, nor by the error of a sum."""
    assert difference(TABLE, TABLE) == ""
    assert difference(TABLE, TABLE.assign(value=TABLE["value"] * (1 + 1e-6))) == ""


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (TABLE.drop(columns="kind"), "the columns differ (kind)"),
        (TABLE[["example", "kind", "value"]], "the columns differ (their order)"),
        (TABLE.iloc[:2], "there are 3 and 2 rows"),
        (TABLE.assign(value=[1.0, 2.0, 3.0]), "'value' differs in 1 rows: nan and 2.0"),
        (TABLE.assign(kind=["a", None, "c"]), "'kind' differs in 1 rows: b and c"),
    ],
)
def test_the_first_difference_is_told(other: pd.DataFrame, said: str) -> None:
    """Columns, rows and values that differ are named, in either order."""
    assert difference(TABLE, other) == said
    assert difference(other, TABLE) != ""


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"value": np.ones(3)}, ""),
        ({"val": np.ones(3)}, "the names differ (val, value)"),
        ({"value": np.ones(4)}, "'value' has the shapes (3,) and (4,)"),
        ({"value": np.array([1, 1, 2.0])}, "'value' differs"),
    ],
)
def test_arrays_are_compared_by_name(other: dict[str, np.ndarray], said: str) -> None:
    """Names, shapes and values of arrays that differ are told."""
    assert difference_of_arrays({"value": np.ones(3)}, other) == said


def test_what_is_stated_of_some_examples_is_numbered_anew() -> None:
    """Rows of the chosen examples remain, with the numbers that their subset has, in the subset's order."""
    some = stated_of(TABLE, np.array([1, 0]))
    assert some["example"].tolist() == [0, 0, 1]
    assert some["kind"].fillna("-").tolist() == ["-", "b", "a"]
    assert difference(stated_of(TABLE, np.arange(2)), by_example(TABLE)) == ""
    assert difference(by_example(TABLE.rename_axis("example")), TABLE) == ""


def test_a_spread_goes_from_the_first_to_the_last() -> None:
    """So many numbers as asked for, ends included, all of them where there are fewer."""
    assert spread(5, 8).tolist() == [0, 1, 2, 3, 4]
    assert spread(9, 3).tolist() == [0, 4, 8]
    assert spread(0, 3).tolist() == []
