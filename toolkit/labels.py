"""The table of labels as a task hands it over, checked: what is wrong is said, what is left out is counted."""

from pathlib import Path

import numpy as np
import pandas as pd

from toolkit.errors import UserError, unknown
from toolkit.task import Task

LEFT_OUT = "left_out"
PLACE = ("time", "latitude", "longitude")


def labels_path(path: Path) -> Path:
    """Return the path of labels; `UserError` where there is nothing."""
    if not path.exists():
        raise UserError(f"There is no file or folder of labels {path}.")
    return path


def checked_labels(task: Task, path: Path) -> pd.DataFrame:
    """Return the task's labels of `path`, numbered from 0; rows that are there twice are dropped and counted.

    Raises `UserError` where the task's table lacks a column, has no row, or a row without group, time or place.
    """
    table = task.labels(path)
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"The labels of {task.name} are a {type(table).__name__}; they should be a pandas table.")
    left_out = dict(table.attrs.get(LEFT_OUT, {}))
    needed = ("group", *(PLACE if task.sees_fields else ()), *task.inputs.columns)
    for name in needed:
        if name not in table:
            raise unknown(f"column of the labels of {task.name}", name, map(str, table.columns))
    if table.empty:
        raise UserError(f"The labels of {task.name} in {path} have no row.")
    if twice := int(table.duplicated().sum()):
        table = table.drop_duplicates()
        left_out["there twice"] = left_out.get("there twice", 0) + twice
    table = table.reset_index(drop=True)
    _check_values(task, table)
    table["group"] = table["group"].astype(str)
    table.attrs[LEFT_OUT] = left_out
    return table


def _check_values(task: Task, table: pd.DataFrame) -> None:
    if (missing := table["group"].isna()).any():
        raise UserError(f"Row {missing.idxmax()} of the labels of {task.name} has no group: name its station or event.")
    if "time" in table:
        _check_time(task, table["time"])
    if not task.sees_fields:
        return
    for name, limit in (("latitude", 90.0), ("longitude", 360.0)):
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise UserError(f"The {name} of the labels of {task.name} holds text: it should be degrees.")
        wrong = ~(np.abs(table[name]) <= limit)
        if wrong.any():
            row = int(wrong.idxmax())
            raise UserError(
                f"Row {row} of the labels of {task.name}: {name} {table[name].iloc[row]} is not in degrees."
            )


def _check_time(task: Task, time: pd.Series) -> None:
    if not pd.api.types.is_datetime64_any_dtype(time) or time.isna().any():
        raise UserError(f"The time of the labels of {task.name} is not a date in every row: use pandas.to_datetime.")
    if getattr(time.dt, "tz", None) is not None:
        raise UserError(f"The time of the labels of {task.name} has a time zone: convert it to UTC and drop the zone.")
