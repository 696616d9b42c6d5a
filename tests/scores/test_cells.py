"""Two tables of cells in one order."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import UserError
from toolkit.scores.cells import known_cells, probabilities

Table = pd.DataFrame
EXAMPLES = pd.DataFrame({"group": ["b", "a", "b"]}, index=pd.Index([0, 1, 2], name="example"))


def tables(cells: int = 4) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and truth of three windows; the probability is unlike in each cell, and so tells which it is."""
    example, cell = np.repeat([0, 1, 2], cells), np.tile(np.arange(cells), 3)
    predictions = pd.DataFrame({"example": example, "cell": cell, "heat": np.linspace(0, 1, 3 * cells)})
    truth = pd.DataFrame(
        {"example": example, "cell": cell, "heat": np.arange(3 * cells) % 2.0, "id": np.arange(3 * cells)}
    )
    return predictions, truth


@given(st.permutations(range(12)), st.permutations(range(12)), st.sampled_from(["near", "far", "text"]))
def test_rows_find_each_other_in_any_order(first: list[int], second: list[int], numbering: str) -> None:
    """However both tables are ordered and cells are called, a truth meets the prediction of its own cell."""
    called = {"near": np.arange(4), "far": np.array([-7, 5, 10**12, 3]), "text": np.array(["a", "b", "c", "d"])}[
        numbering
    ]
    predictions, truth = (table.assign(cell=called[table["cell"]]) for table in tables())
    cells = known_cells(predictions.iloc[first], truth.iloc[second], EXAMPLES, "heat")
    stated = probabilities(predictions.iloc[first], "heat", cells.rows_stated)
    own = truth.iloc[second].dropna(subset="heat")["id"].to_numpy()
    np.testing.assert_array_equal(stated, predictions["heat"].to_numpy()[own])
    np.testing.assert_array_equal(cells.true, own % 2 == 1)
    np.testing.assert_array_equal(cells.example, own // 4)
    np.testing.assert_array_equal(cells.groups[cells.group], EXAMPLES["group"].to_numpy()[own // 4])


def test_examples_need_not_be_counted_from_zero() -> None:
    """A chunk of windows keeps their numbers."""
    predictions, truth = (table.assign(example=table["example"] + 40) for table in tables())
    cells = known_cells(predictions, truth, EXAMPLES.set_axis([40, 41, 42]), "heat")
    assert cells.groups[cells.group].tolist() == ["b"] * 4 + ["a"] * 4 + ["b"] * 4


def test_tables_without_cells_have_one_row_for_each_example() -> None:
    """Yes or no of a whole window needs no cell."""
    predictions, truth = (table.drop_duplicates("example").drop(columns="cell") for table in tables())
    cells = known_cells(predictions.iloc[::-1], truth, EXAMPLES, "heat")
    np.testing.assert_array_equal(cells.rows_stated, [2, 1, 0])


def test_what_is_not_known_is_left_out() -> None:
    """A NaN of the truth is no row, whatever is stated there."""
    predictions, truth = tables()
    truth.loc[[0, 5], "heat"] = np.nan
    predictions.loc[[0, 5], "heat"] = np.nan
    cells = known_cells(predictions, truth, EXAMPLES, "heat")
    assert len(cells.true) == 10
    assert np.isfinite(probabilities(predictions, "heat", cells.rows_stated)).all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p, t: (p.iloc[1:], t), r"No row of the predictions is for example 0, cell 0"),
        (lambda p, t: (p, t.iloc[:-1]), r"No row of the truth is for example 2, cell 3"),
        (lambda p, t: (pd.concat([p, p.iloc[[5]]]), t), r"Two rows of the predictions are for example 1, cell 1"),
        (lambda p, t: (p, pd.concat([t, t.iloc[[5]]])), r"Two rows of the truth are for example 1, cell 1"),
        (lambda p, t: (p, t.assign(heat=0.5)), r"The truth of 'heat' holds 0.5"),
        (lambda p, t: (p.drop(columns="cell"), t), r"No column of the predictions 'cell'"),
        (lambda p, t: (p, t.rename(columns={"heat": "heat_72h"})), r"'heat'. Did you mean 'heat_72h'"),
        (lambda p, t: (p.assign(heat=1.5), t), r"A probability of 'heat' is 1.5"),
        (lambda p, t: (p.assign(heat=np.nan), t), r"A probability of 'heat' is nan"),
    ],
)
def test_tables_that_do_not_fit_are_refused(spoil: Callable[..., tuple[Table, Table]], message: str) -> None:
    """The first row that is amiss is named."""
    predictions, truth = spoil(*tables())
    with pytest.raises(UserError, match=message):
        probabilities(predictions, "heat", known_cells(predictions, truth, EXAMPLES, "heat").rows_stated)
