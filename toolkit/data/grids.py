"""Latitude-longitude grids and the fields on them: which grid suits harmonics, and how its longitudes run.

Coordinates are in degrees, fields have shape (..., latitude, longitude). Latitudes run either way, longitudes eastward.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import roots_legendre

Array = NDArray[Any]
Fields = tuple[Array, Array]
SAME_SPACING = 0.02
"""Grid spacings that differ by less than this share are the same."""


def is_spectral_grid(latitude: ArrayLike, longitude: ArrayLike) -> bool:
    """Say whether harmonics can be used: evenly spaced longitudes all round the globe, on latitudes that are evenly
    spaced with both poles, evenly spaced and half a step off them, or Gaussian.
    """
    lat, lon = np.sort(np.asarray(latitude, float)), np.asarray(longitude, float)
    if len(lat) < 3 or len(lon) < 4 or not np.allclose(np.diff(lon), 360 / len(lon), atol=0.36 / len(lon), rtol=0):
        return False
    half_step = 90 / len(lat)
    off_poles = np.linspace(half_step - 90, 90 - half_step, len(lat))
    gaussian = np.degrees(np.arcsin(gaussian_nodes(len(lat))[0]))
    grids = (np.linspace(-90, 90, len(lat)), off_poles, gaussian)
    return any(np.allclose(lat, grid, atol=2e-3 * half_step, rtol=0) for grid in grids)


@lru_cache(maxsize=4)
def gaussian_nodes(n_lat: int) -> Fields:
    """Return the sines of `n_lat` Gaussian latitudes, south to north, and their weights, which sum to 2."""
    nodes, weights = roots_legendre(n_lat)
    return nodes, weights


def unrolled_longitudes(longitude: ArrayLike) -> tuple[Array, int, bool]:
    """Return longitudes that start east of the widest gap and run on past 360, the turn to get there, and whether the
    grid goes round the globe.
    """
    lon = np.asarray(longitude, float)
    gaps = np.diff(lon, append=lon[0] + 360)
    turn = (int(np.argmax(gaps)) + 1) % len(lon)
    return np.unwrap(np.roll(lon, -turn), period=360), turn, bool(gaps.max() < 1.5 * np.median(gaps))


def fields_of_one_type(first: ArrayLike, second: ArrayLike) -> Fields:
    """Return two arrays in one shape and one floating type, single precision at least."""
    a, b = np.broadcast_arrays(first, second)
    kind = np.result_type(np.float32, a, b)
    return a.astype(kind, copy=False), b.astype(kind, copy=False)
