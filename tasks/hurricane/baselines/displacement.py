"""Where a cyclone will be in 24 h: by its own motion, by the flow that steers it, or by the wind all around it.

Each is a ridge regression of the displacement (east, poleward), km, on climatology and on something more.
"""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tasks.hurricane.baselines.candidates import Array, Candidates, maxima
from tasks.hurricane.baselines.detection import SMOOTHING_KM, Describe, Identified
from tasks.hurricane.baselines.regression import Regressor, Sample, nearest_regressor
from tasks.hurricane.baselines.surroundings import mean_winds
from toolkit.geodesy import displaced, displacement_km, distance_km

REACH_KM = 450.0
"""How far a cyclone may have come since the frame before: 20 m/s over 6 h."""
STEERING_KM = (300.0, 600.0)
"""Radii of the mean wind: the small one is nearer to the cyclone, the large one freer of its own circulation."""
PATTERN_KM = tuple(range(-1500, 1501, 500))
"""How far poleward and east of the cyclone the wind is sampled, with the small radius."""
PATTERNS = (0.9, 0.97, 0.99)
"""Shares of the variance that the principal components keep."""
RIDGES = (1.0, 30.0, 300.0)

Displace = Callable[[Candidates], tuple[Array, Array]]
"""Candidates -> their (latitude, longitude) in 24 h, degrees, (k,)."""


def persistence(train: Identified, validation: Identified) -> Displace:
    """Learn from climatology and persistence: the motion since the first frame."""
    return _fitted(train, validation, lambda found: np.column_stack([climatology(found), motion(found)]), _ridges())


def steering_flow(train: Identified, validation: Identified) -> Displace:
    """Learn how far the mean wind around a cyclone carries it."""

    def describe(found: Candidates) -> Array:
        flows = [mean_winds(found, (0.0,), radius_km)[:, :, 0, 0] for radius_km in STEERING_KM]
        return np.column_stack([climatology(found), *flows])

    return _fitted(train, validation, describe, _ridges())


def wind_patterns(train: Identified, validation: Identified) -> Displace:
    """Learn from the principal components of the wind out to 1500 km: also the flow that the cyclone will come into."""

    def describe(found: Candidates) -> Array:
        winds = mean_winds(found, PATTERN_KM, STEERING_KM[0])
        return np.column_stack([climatology(found), motion(found), winds.reshape(len(winds), 2 * len(PATTERN_KM) ** 2)])

    components = [make_pipeline(StandardScaler(), PCA(share, svd_solver="full")) for share in PATTERNS]
    return _fitted(train, validation, describe, [make_pipeline(p, ridge) for p in components for ridge in _ridges()])


def climatology(found: Candidates) -> Array:
    """Return what is known of a displacement without a look at the weather (k, 5): powers of latitude, and the peak."""
    latitude, peak = np.abs(found.column("latitude")) / 20, found.column("peak") / 10
    return np.column_stack([latitude, latitude**2, latitude**3, peak, peak * latitude])


def motion(found: Candidates) -> Array:
    """Return the motion since the first frame (k, 3): km east, km poleward, and 1; all 0 where it is not known.

    It starts at the nearest vorticity maximum of that frame. It is not known in a gap of the analysis, where a
    candidate is itself a maximum of another frame.
    """
    n, y, x = found.example, np.rint(found.column("y")).astype(int), np.rint(found.column("x")).astype(int)
    seen = ~np.isnan(found.fields[n, -1, 0, y, x])
    before = maxima(found.examples, found.fields[:, 0, 0], SMOOTHING_KM[1])
    here = found.table[["example", "latitude", "longitude", "poleward"]][seen].rename_axis("row").reset_index()
    pairs = here.merge(before[["example", "latitude", "longitude"]], on="example", suffixes=("", "_before"))
    ends = [pairs[name].to_numpy() for name in ("latitude_before", "longitude_before", "latitude", "longitude")]
    pairs["km"] = distance_km(*ends)
    pairs["east"], pairs["north"] = displacement_km(*ends)
    nearest = pairs[pairs["km"] <= REACH_KM].sort_values("km", kind="stable").drop_duplicates("row")
    known = np.zeros((len(found), 3))
    known[nearest["row"]] = np.column_stack(
        [nearest["east"], nearest["north"] * nearest["poleward"], np.ones(len(nearest))]
    )
    return known


def _fitted(train: Identified, validation: Identified, describe: Describe, choices: Sequence[Regressor]) -> Displace:
    """Fit the choice of regression that suits the validation best; the displacement starts where the candidate is."""
    samples = (_sample(part, describe) for part in (train, validation))
    regression = nearest_regressor(choices, *samples)

    def displace(found: Candidates) -> tuple[Array, Array]:
        east, poleward = regression.predict(describe(found)).T
        return displaced(found.column("latitude"), found.column("longitude"), east, poleward * found.column("poleward"))

    return displace


def _sample(part: Identified, describe: Describe) -> Sample:
    """Return what is known of the cyclones among the candidates, and their displacement (east, poleward)."""
    cyclones = part.cyclones()
    found = cyclones.candidates
    east, north = displacement_km(
        found.column("latitude"),
        found.column("longitude"),
        cyclones.truth("latitude_24h"),
        cyclones.truth("longitude_24h"),
    )
    return Sample(describe(found), np.column_stack([east, north * found.column("poleward")]))


def _ridges() -> list[Regressor]:
    return [make_pipeline(StandardScaler(), Ridge(ridge)) for ridge in RIDGES]
