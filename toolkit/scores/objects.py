"""Scores of point objects: are they found, how far off, and what is said of those that are found.

Truth columns: example, latitude, longitude, and others of the task's; NaN where such a column is not known.
Prediction columns: example, latitude, longitude, probability, and the same others, NaN where the method makes no such
statement, which counts as a miss. Whose prediction is whose says `toolkit.scores.matching`.

**Misses count.** Errors are means over all true objects, not over hits: otherwise a method would gain by finding only
the easy ones.
"""

from functools import cache

import numpy as np
import pandas as pd

from toolkit.geodesy import distance_km
from toolkit.metrics import (
    Array,
    Finish,
    Metric,
    Statistic,
    critical_success,
    histogram_by_group,
    median_of_histogram,
    ratio,
    sum_by_group,
    weighed_median,
)
from toolkit.scores.matching import PLACE, Matched, Objects, matched


def detection_metrics(objects: Objects) -> tuple[Metric, ...]:
    """Return the metrics that need nothing but places: pod, far, csi, hit rate, mean and median centre error."""
    metrics = (pod, far, csi, hit_rate, mean_centre_error, median_centre_error)
    return tuple(metric(objects) for metric in metrics)


def pod(objects: Objects) -> Metric:
    """Return the probability of detection: hits / objects."""
    return Metric(
        name="pod",
        unit="1",
        better="higher",
        meaning=f"share of {objects.many} that are found within {objects.hit_km:.0f} km",
        statistic=detection(objects),
        finish=share("hits", "objects"),
        limits=(0.0, 1.0),
    )


def far(objects: Objects) -> Metric:
    """Return the false alarm ratio: 1 - hits / predictions; undefined without predictions."""
    return Metric(
        name="far",
        unit="1",
        better="lower",
        meaning=f"share of predictions without {objects.one} of their own within {objects.hit_km:.0f} km",
        statistic=detection(objects),
        finish=lambda s: ratio(s["alarms"] - s["hits"], s["alarms"]),
        limits=(0.0, 1.0),
    )


def csi(objects: Objects) -> Metric:
    """Return the critical success index: hits / (hits + misses + false alarms)."""
    return Metric(
        name="csi",
        unit="1",
        better="higher",
        meaning=f"share of {objects.many} found among {objects.many} found, {objects.many} missed and false alarms",
        statistic=detection(objects),
        finish=lambda s: critical_success(s["hits"], s["objects"] - s["hits"], s["alarms"] - s["hits"]),
        limits=(0.0, 1.0),
    )


def hit_rate(objects: Objects) -> Metric:
    """Return the share of objects alone in their window that lie near the window's most probable prediction.

    One guess per window, and a tighter radius: unlike pod it cannot be bought with many or vague predictions, and where
    objects are alone it asks only whether the method's best idea is a good one. No prediction is no hit.
    """
    alone = f"share of {objects.many} alone in their window that the most probable prediction finds"
    return Metric(
        name="hit_rate",
        unit="1",
        better="higher",
        meaning=f"{alone} within {objects.near_km:.0f} km",
        statistic=detection(objects),
        finish=share("alone_near", "alone"),
        limits=(0.0, 1.0),
    )


def mean_centre_error(objects: Objects) -> Metric:
    """Return the mean distance of an object from its own prediction, over all objects; the cap where it has none."""
    return Metric(
        name="mean_centre_error",
        unit="km",
        better="lower",
        meaning=f"mean distance of {objects.many} from their predictions, {objects.cap_km:.0f} km where there is none",
        statistic=detection(objects),
        finish=share("centre_error_km", "objects"),
        limits=(0.0, objects.cap_km),
    )


def median_centre_error(objects: Objects) -> Metric:
    """Return the median of the same distances, to half a kilometre."""
    return Metric(
        name="median_centre_error",
        unit="km",
        better="lower",
        meaning=f"distance from their predictions within which half of the {objects.many} are",
        statistic=centre_errors(objects),
        finish=median_of_histogram,
        limits=(0.0, objects.cap_km),
        weighed=weighed_median,
    )


def share(part: str, whole: str) -> Finish:
    """Return the function sums -> part / whole."""
    return lambda sums: ratio(sums[part], sums[whole])


@cache
def detection(objects: Objects) -> Statistic:
    """Return the statistic of objects, hits, alarms and centre errors; and of objects alone, and how many are near."""

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        found = matched(predictions, truth, objects)
        alone = ~found.true["example"].duplicated(keep=False)
        rows = {
            "example": found.example,
            "objects": 1.0,
            "hits": found.km <= objects.hit_km,
            "alone": alone,
            "alone_near": alone & (_km_to_likeliest(found) <= objects.near_km),
            "centre_error_km": np.fmin(found.km, objects.cap_km),
        }
        alarms = {"example": found.stated["example"].astype(np.int64), "alarms": 1.0}
        return sum_by_group(pd.DataFrame(rows), examples).join(sum_by_group(pd.DataFrame(alarms), examples))

    return Statistic(f"detection of {objects.many}", compute)


@cache
def centre_errors(objects: Objects) -> Statistic:
    """Return the statistic of how many objects have a centre error of 0, 1, ... km, up to the cap."""

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        found = matched(predictions, truth, objects)
        return histogram_by_group(np.fmin(found.km, objects.cap_km), found.example, examples, int(objects.cap_km))

    return Statistic(f"centre errors of {objects.many}", compute)


@cache
def column_errors(objects: Objects, column: str, missed: float) -> Statistic:
    """Return the statistic of objects whose `column` is known, count, and |stated - true| over them, error.

    Where an object is not hit, or its prediction says nothing, `missed` counts as stated.
    """

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        found = matched(predictions, truth, objects, (column,))
        true, own = found.true[column].to_numpy(), found.of_own(column)
        known = np.isfinite(true)
        stated = np.where((found.km <= objects.hit_km) & ~np.isnan(own), own, missed)
        rows = {"example": found.example, "count": known, "error": np.where(known, np.abs(stated - true), 0.0)}
        return sum_by_group(pd.DataFrame(rows), examples)

    return Statistic(f"errors of {column} of {objects.many}", compute)


@cache
def place_errors(objects: Objects, suffix: str) -> Statistic:
    """Return the statistic of objects with a second place, count, and their distance from the stated one, error, km.

    The place is in the columns latitude and longitude with this suffix. An object without an own prediction, or one
    that does not say it, has the cap as error, and no error is greater.
    """
    columns = tuple(name + suffix for name in PLACE)

    def compute(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        found = matched(predictions, truth, objects, columns)
        true = [found.true[name].to_numpy() for name in columns]
        known = np.isfinite(true).all(axis=0)
        km = np.fmin(distance_km(*(found.of_own(name) for name in columns), *true), objects.cap_km)
        rows = {"example": found.example, "count": known, "error": np.where(known, km, 0.0)}
        return sum_by_group(pd.DataFrame(rows), examples)

    return Statistic(f"errors of the place{suffix} of {objects.many}", compute)


def _km_to_likeliest(found: Matched) -> Array:
    """Return the distance of each object from the most probable prediction in its window, NaN where there is none."""
    best = found.stated.sort_values("probability", ascending=False, kind="stable").drop_duplicates("example")
    best = best.set_index("example").reindex(found.true["example"])
    place, true_place = best[list(PLACE)].to_numpy().T, found.true[list(PLACE)].to_numpy().T
    return distance_km(*place, *true_place)
