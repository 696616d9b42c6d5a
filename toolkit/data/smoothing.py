"""Smoothing of fields on a latitude-longitude grid over a radius in kilometres."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, rfft

from toolkit.data.grids import Array, unrolled_longitudes
from toolkit.geodesy import KM_PER_DEGREE


def smooth_km(field: ArrayLike, latitude: ArrayLike, longitude: ArrayLike, radius_km: float) -> Array:
    """Return the Gaussian-weighted mean of a field around each point, with standard deviation `radius_km`.

    Rows are averaged along meridians, weighted by area, then each along its own parallel, where a degree is
    cos(latitude) as long as on the equator; the two steps make a round kernel at the poles and wherever cos(latitude)
    changes little within `radius_km`. Missing (NaN) points take no part and stay missing. Longitude wraps on a grid
    that goes round the globe.
    """
    values = np.asarray(field)
    lat, (lon, turn, wraps) = np.asarray(latitude, float), unrolled_longitudes(longitude)
    known = ~np.isnan(values)
    n_lon = len(lon)
    period = n_lon if wraps else 2 * n_lon
    steps = np.arange(period) * (lon[-1] - lon[0]) / (n_lon - 1)
    reach_km = np.minimum(steps, steps[1] * period - steps) * KM_PER_DEGREE * np.cos(np.radians(lat))[:, None]
    along_parallel = rfft(np.exp(-((reach_km / radius_km) ** 2) / 2))
    edges = np.concatenate([[1.5 * lat[0] - lat[1] / 2], (lat[1:] + lat[:-1]) / 2, [1.5 * lat[-1] - lat[-2] / 2]])
    area = np.abs(np.diff(np.sin(np.radians(np.clip(edges, -90, 90)))))
    along_meridian = np.exp(-((np.subtract.outer(lat, lat) * KM_PER_DEGREE / radius_km) ** 2) / 2) * area

    def weighted_sum(x: Array) -> Array:
        columns = np.roll(along_meridian @ x, -turn, axis=-1)
        return np.roll(irfft(rfft(columns, n=period) * along_parallel, n=period)[..., :n_lon], turn, axis=-1)

    weight = weighted_sum(known.astype(float)) if not known.all() else weighted_sum(np.ones(values.shape[-2:]))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = weighted_sum(np.where(known, values, 0)) / weight
    return np.where(known, mean, np.nan).astype(np.result_type(np.float32, values), copy=False)
