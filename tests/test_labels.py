"""Bad labels: each is one clear error or a counted exclusion."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.errors import UserError
from toolkit.labels import LEFT_OUT, checked_labels
from toolkit.task import Inputs, Task

Change = Callable[[pd.DataFrame], object]
TABLE = pd.DataFrame(
    {
        "time": pd.to_datetime(["2001-01-01", "2001-01-02", "2001-01-03"]),
        "latitude": [-90.0, 10.0, 90.0],
        "longitude": [-180.0, 0.0, 360.0],
        "group": ["a", "a", "b"],
        "height": [1.0, np.nan, 3.0],
        "ozone_ppb": [30.0, np.nan, 40.0],
    }
)


def task(small_task: Task, table: object, fields: bool = True) -> Task:
    """A task with these labels, which looks at fields and a column, or at the column alone."""
    inputs = replace(small_task.inputs, columns=("height",)) if fields else Inputs(columns=("height",))
    return replace(small_task, name="mine", inputs=inputs, labels=lambda _: table)


def test_sound_labels_are_taken_as_they_are(small_task: Task) -> None:
    """Rows, columns, order and unknown numbers stay, and nothing is left out."""
    found = checked_labels(task(small_task, TABLE), Path("x"))
    pd.testing.assert_frame_equal(found, TABLE, check_dtype=False)
    assert found.attrs[LEFT_OUT] == {}


def test_rows_are_numbered_from_0_and_groups_are_names(small_task: Task) -> None:
    """Whatever index a table has, rows are told by their number; a station's number becomes its name."""
    found = checked_labels(task(small_task, TABLE.assign(group=[7, 7, 8]).set_index(np.array([5, 5, 9]))), Path("x"))
    assert found.index.tolist() == [0, 1, 2]
    assert found["group"].tolist() == ["7", "7", "8"]


def test_rows_that_are_there_twice_are_dropped_and_counted(small_task: Task) -> None:
    """The first of equal rows stays; what the task left out by itself is told beside."""
    table = pd.concat([TABLE, TABLE.iloc[[1, 2, 1]]])
    table.attrs[LEFT_OUT] = {"station not in the list": 4}
    found = checked_labels(task(small_task, table), Path("x"))
    pd.testing.assert_frame_equal(found, TABLE, check_dtype=False)
    assert found.attrs[LEFT_OUT] == {"station not in the list": 4, "there twice": 3}
    assert table.attrs[LEFT_OUT] == {"station not in the list": 4}


def test_rows_that_differ_in_what_is_predicted_both_stay(small_task: Task) -> None:
    """Two values for one station and time are two rows: which is right is not for the toolkit to say."""
    table = pd.concat([TABLE, TABLE.iloc[[2]].assign(ozone_ppb=41.0)])
    assert len(checked_labels(task(small_task, table), Path("x"))) == 4


def test_without_fields_no_time_and_place_are_needed(small_task: Task) -> None:
    """A table of groups and columns is enough; a place that is there need not be known."""
    bare = TABLE[["group", "height", "ozone_ppb"]]
    pd.testing.assert_frame_equal(
        checked_labels(task(small_task, bare, fields=False), Path("x")), bare, check_dtype=False
    )
    unplaced = TABLE.assign(latitude=np.nan)
    assert len(checked_labels(task(small_task, unplaced, fields=False), Path("x"))) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.to_dict(), "The labels of mine are a dict; they should be a pandas table"),
        (lambda t: t.drop(columns="group"), "No column of the labels of mine 'group'"),
        (lambda t: t.rename(columns={"latitude": "lattitude"}), "'latitude'. Did you mean 'lattitude'"),
        (lambda t: t.drop(columns="height"), "No column of the labels of mine 'height'. Known: "),
        (lambda t: t.iloc[:0], "The labels of mine in here have no row"),
        (lambda t: t.assign(group=["a", None, "b"]), "Row 1 of the labels of mine has no group"),
        (lambda t: t.assign(group=["a", "a", np.nan]), "Row 2 of the labels of mine has no group"),
        (lambda t: t.assign(time=["2001-01-01", "soon", "2001-01-03"]), "time of the labels of mine is not a date in"),
        (lambda t: t.assign(time=[20010101, 20010102, 20010103]), "is not a date in every row: use pandas.to_datetime"),
        (lambda t: t.assign(time=t["time"].where(t.index != 1)), "is not a date in every row"),
        (lambda t: t.assign(time=t["time"].dt.tz_localize("CET")), "has a time zone: convert it to UTC"),
        (lambda t: t.assign(latitude=["1.0", "north", "3.0"]), "The latitude of the labels of mine holds text"),
        (lambda t: t.assign(latitude=[0.0, 95.0, 0.0]), "Row 1 of the labels of mine: latitude 95.0 is not in degrees"),
        (lambda t: t.assign(longitude=[0.0, 0.0, np.nan]), "Row 2 of the labels of mine: longitude nan is not in deg"),
        (lambda t: t.assign(longitude=[np.inf, 0.0, 0.0]), "Row 0 of the labels of mine: longitude inf"),
    ],
)
def test_bad_labels_are_one_error(small_task: Task, change: Change, said: str) -> None:
    """What cannot be used is named with its row, its value and the remedy."""
    with pytest.raises(UserError, match=said):
        checked_labels(task(small_task, change(TABLE)), Path("here"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="height"), "No column of the labels of mine 'height'"),
        (lambda t: t.assign(time=["2001", "2002", "2003"]), "is not a date in every row"),
        (lambda t: t.assign(time=t["time"].dt.tz_localize("UTC")), "has a time zone"),
        (lambda t: t.assign(group=None), "Row 0 of the labels of mine has no group"),
    ],
)
def test_bad_tables_without_fields_are_one_error(small_task: Task, change: Change, said: str) -> None:
    """Columns, groups, and a time where there is one are checked where no fields are looked at too."""
    with pytest.raises(UserError, match=said):
        checked_labels(task(small_task, change(TABLE), fields=False), Path("x"))
