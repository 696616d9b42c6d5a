"""Examples from which the truth is taken away: what is stated of them cannot have been copied."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from toolkit.data.store import NO_FIELDS
from toolkit.examples import Examples
from toolkit.task import Task

KNOWN = ("example", "time", "group", "latitude", "longitude")
"""Columns of a row that are known before its truth is."""


def as_predicted(task: Task, examples: Examples) -> Examples:
    """Return the examples as `toolkit predict` gives them: no label map, and no truth but the rows that it is asked of.

    Over whole fields there are no rows at all; at the rows of a table what is to be predicted is not known.
    """
    no_rows = pd.DataFrame({"example": np.empty(0, int)})
    truth = _blank(task, examples.truth) if task.inputs.columns else no_rows
    return replace(examples, truth=truth, label_maps=NO_FIELDS)


def as_compared(task: Task, examples: Examples) -> Iterator[Examples]:
    """Yield the examples, where maps are to be predicted those of one time together, without what a baseline states.

    Objects are none, columns that are to be predicted not known; of the maps those are left that are known beforehand.
    """
    truth = examples.truth.iloc[:0] if task.placement.objects else _blank(task, examples.truth)
    blank = replace(examples, truth=truth)
    if task.maps is None:
        yield blank
        return
    times = examples.table["time"].to_numpy("datetime64[s]")
    last = np.timedelta64(3600 * max(task.maps.known, default=0), "s")
    for time in np.unique(times):
        maps = examples.label_maps
        unknown = maps.time > time + last if task.maps.known else np.ones(len(maps.time), bool)
        values = np.where(unknown[:, None, None, None], np.float16(np.nan), maps.values)
        yield replace(blank.subset(np.flatnonzero(times == time)), label_maps=replace(maps, values=values))


def _blank(task: Task, truth: pd.DataFrame) -> pd.DataFrame:
    """Return the table with nothing known in its targets, each in its own type or in one that has a missing value."""
    targets = [str(name) for name in truth if name not in (*KNOWN, *task.inputs.columns)]
    missing = {
        name: np.nan if pd.api.types.is_numeric_dtype(truth[name]) else pd.Series(None, truth.index, truth[name].dtype)
        for name in targets
    }
    return truth.assign(**missing)
