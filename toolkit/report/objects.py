"""What became of the objects of a run and of its predictions: found, missed, false alarm, and by how much wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from toolkit.report.figure import RunTables
from toolkit.scores.matching import Objects, match

STATED = "stated_"
"""Prefix of the columns of an object's own prediction."""


@dataclass(frozen=True)
class Shown:
    """Which objects a task's figures show, and the words and columns in which they do.

    rows: what labelled rows are called in the plural, such as fixes. track: what joins those of a group in time.
    strength: the column by which the strongest is picked and classes are told apart; `missed` counts as stated where
    an object is not found. ahead_h: the second place lies so many hours ahead, in columns such as latitude_24h.
    """

    objects: Objects
    rows: str
    track: str
    strength: str
    missed: float
    ahead_h: int

    @property
    def later(self) -> str:
        """The suffix of the columns of the second place."""
        return f"_{self.ahead_h}h"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of every object and every prediction, by the matching of `toolkit.scores.matching`.

    objects: the rows of the truth with `found` (a prediction within the radius of a hit), the own prediction's columns
    with the prefix `stated_` (NaN where not found), centre_error_km (at most the cap) and strength_error.
    alarms: the predictions that are no object's hit.
    """

    objects: pd.DataFrame
    alarms: pd.DataFrame


def outcome(tables: RunTables, shown: Shown) -> Outcome:
    """Match the run's predictions with its objects."""
    truth, predictions = tables.truth.reset_index(drop=True), tables.predictions.reset_index(drop=True)
    own, km = match(predictions, truth, shown.objects.cap_km)
    found = km <= shown.objects.hit_km
    stated = predictions.reindex(np.where(found, own, -1)).reset_index(drop=True).add_prefix(STATED)
    objects = pd.concat([truth, stated], axis=1).assign(found=found, centre_error_km=np.fmin(km, shown.objects.cap_km))
    strength = objects[STATED + shown.strength].fillna(shown.missed)
    objects["strength_error"] = (strength - objects[shown.strength]).abs()
    return Outcome(objects, predictions[~predictions.index.isin(own[found])])


def places(table: pd.DataFrame, before: str = "", after: str = "") -> tuple[pd.Series, pd.Series]:
    """Return the latitudes and longitudes in the columns with this prefix and suffix."""
    return table[f"{before}latitude{after}"], table[f"{before}longitude{after}"]


def legend_entries(axes: Axes) -> tuple[list[Any], list[str]]:
    """Return the handles and labels of a legend, each label once."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    return list(unique.values()), list(unique)
