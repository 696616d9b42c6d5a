"""Where a vortex will be some time later: by its own motion, by the flow that steers it, or by the wind all around it.

Each is a ridge regression of the displacement (east, poleward), km, on climatology and on something more. It learns
from a second place of the true objects: the columns latitude and longitude with a suffix, such as _24h.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from toolkit.baselines.candidates import Array, Candidates, maxima
from toolkit.baselines.detection import SMOOTHING_KM, Describe, Identified
from toolkit.baselines.regression import Sample, nearest_regressor
from toolkit.baselines.surroundings import mean_winds
from toolkit.geodesy import displaced, displacement_km, distance_km

REACH_KM = 450.0
"""How far a vortex may have come since the frame before: 20 m/s over 6 h."""
STEERING_KM = (300.0, 600.0)
"""Radii of the steering flow: the small one is nearer to the vortex, the large one freer of its own circulation."""
PATTERN_KM, PATTERN_RADIUS_KM = tuple(range(-1800, 1801, 600)), 400.0
"""How far poleward and east of the vortex the wind is looked at, and the radius of its mean there."""
VARIANCE_KEPT = 0.99
RIDGES = (10.0, 100.0, 1000.0, 10000.0)

Displace = Callable[[Candidates], tuple[Array, Array]]
"""Candidates -> their later (latitude, longitude), degrees, (k,)."""
Displacement = Callable[[Identified, Identified, str], Displace]
"""(training, validation, suffix of the later place) -> what was learned."""


def persistence(train: Identified, validation: Identified, suffix: str) -> Displace:
    """Learn from climatology and persistence: the motion since the first frame."""

    def describe(found: Candidates) -> Array:
        return np.column_stack([climatology(found), motion(found)])

    return _fitted(train, validation, suffix, describe, _ridges())


def steering_flow(train: Identified, validation: Identified, suffix: str) -> Displace:
    """Learn from the mean wind around a vortex how far it is carried."""

    def describe(found: Candidates) -> Array:
        flows = [mean_winds(found, (0.0,), radius_km).mean(axis=1)[:, :, 0, 0] for radius_km in STEERING_KM]
        return np.column_stack([climatology(found), *flows])

    return _fitted(train, validation, suffix, describe, _ridges())


def wind_patterns(train: Identified, validation: Identified, suffix: str) -> Displace:
    """Learn from the principal components of the wind within 1800 km in every frame.

    They tell which flow the vortex will come into, and how that changes.
    """

    def describe(found: Candidates) -> Array:
        winds = mean_winds(found, PATTERN_KM, PATTERN_RADIUS_KM)
        return np.column_stack([climatology(found), winds.reshape(len(winds), np.prod(winds.shape[1:]))])

    return _fitted(train, validation, suffix, describe, _ridges(PCA(VARIANCE_KEPT, svd_solver="full")))


def climatology(found: Candidates) -> Array:
    """Return what is known of a displacement without a look at the weather (k, 5): powers of latitude, and the peak."""
    latitude, peak = np.abs(found.column("latitude")) / 20, found.column("peak") / 10
    return np.column_stack([latitude, latitude**2, latitude**3, peak, peak * latitude])


def motion(found: Candidates) -> Array:
    """Return the motion since the first frame (k, 3): km east, km poleward, and 1; all 0 where it is not known.

    It starts at the nearest vorticity maximum of that frame. It is not known in a gap of the analysis, where a
    candidate is itself a maximum of another frame.
    """
    before = maxima(found.examples, np.where(found.known[:, 0], found.fields[:, 0, 0], np.nan), SMOOTHING_KM[1])
    y, x = np.rint(found.column("y")).astype(int), np.rint(found.column("x")).astype(int)
    seen = found.table[found.known[found.example, -1, y, x]].rename_axis("row").reset_index()
    pairs = seen.merge(before[["example", "latitude", "longitude"]], on="example", suffixes=("", "_before"))
    ends = [pairs[name].to_numpy() for name in ("latitude_before", "longitude_before", "latitude", "longitude")]
    east, north = displacement_km(*ends)
    moves = pairs[["row"]].assign(km=distance_km(*ends), east=east, poleward=north * pairs["poleward"], found=1.0)
    nearest = moves[moves["km"] <= REACH_KM].sort_values("km", kind="stable").drop_duplicates("row")
    known = np.zeros((len(found), 3))
    known[nearest["row"]] = nearest[["east", "poleward", "found"]]
    return known


def _fitted(
    train: Identified, validation: Identified, suffix: str, describe: Describe, choices: Sequence[Any]
) -> Displace:
    """Fit the choice of regression that suits the validation best; the displacement starts where the candidate is."""
    samples = (_sample(part, suffix, describe) for part in (train, validation))
    regression = nearest_regressor(choices, *samples)

    def displace(found: Candidates) -> tuple[Array, Array]:
        east, poleward = regression.predict(describe(found)).T
        return displaced(found.column("latitude"), found.column("longitude"), east, poleward * found.column("poleward"))

    return displace


def _sample(part: Identified, suffix: str, describe: Describe) -> Sample:
    """Return what is known of the objects among the candidates, and their displacement (east, poleward)."""
    objects = part.objects()
    found = objects.candidates
    later = (objects.truth(f"latitude{suffix}"), objects.truth(f"longitude{suffix}"))
    east, north = displacement_km(found.column("latitude"), found.column("longitude"), *later)
    return Sample(describe(found), np.column_stack([east, north * found.column("poleward")]))


def _ridges(*before: PCA) -> list[Any]:
    """Return the ridge regressions of standardised values, after another step if need be."""
    return [make_pipeline(StandardScaler(), *before, Ridge(ridge)) for ridge in RIDGES]
