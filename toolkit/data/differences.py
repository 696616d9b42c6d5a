"""Vorticity and divergence from winds by finite differences, on any latitude-longitude grid, with or without gaps.

Winds are in m s-1, vorticity and divergence in s-1, fields have shape (..., latitude, longitude), coordinates are in
degrees.
"""

import numpy as np
from numpy.typing import ArrayLike

from toolkit.data.grids import Array, Fields, fields_of_one_type, unrolled_longitudes
from toolkit.errors import UserError
from toolkit.geodesy import EARTH_RADIUS_M

POLE = 90 - 1e-6


def finite_difference_vorticity_divergence(
    u: ArrayLike, v: ArrayLike, latitude: ArrayLike, longitude: ArrayLike
) -> Fields:
    """Return (vorticity, divergence) of the wind by centred differences, on any latitude-longitude grid.

    Fourth order where two neighbours are known on each side, second order where one is, one-sided second order at the
    edges of a region. NaN where a neighbour or the point itself is missing. Longitude wraps on a grid that goes round
    the globe, and there differences reach across the poles; a row at a pole gets the circulation and the outflow
    along the row beside it, over the area which that row encloses.
    """
    u, v = fields_of_one_type(u, v)
    lat, (lon, turn, wraps) = np.asarray(latitude, float), unrolled_longitudes(longitude)
    if min(u.shape[-2:]) < 3:
        raise UserError(f"Finite differences need 3 latitudes and 3 longitudes or more, not {u.shape[-2:]}.")
    cosine = np.cos(np.radians(lat))[:, None]
    wind = np.roll(np.stack([u, v]).astype(float), -turn, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        du_dlon, dv_dlon = _slope(*_extended_zonally(wind, lon, wraps))
        du_dlat, dv_dlat = _slope(*_extended_meridionally(wind * cosine, lat, wraps)).swapaxes(-1, -2)
        result = np.stack([dv_dlon - du_dlat, du_dlon + dv_dlat]) / (EARTH_RADIUS_M * cosine)
        for row in np.flatnonzero(np.abs(lat) > POLE):
            result[..., row, :] = _at_pole(wind, lat, int(row)) if wraps else np.nan
    result[:, np.isnan(wind).any(axis=0)] = np.nan
    vorticity, divergence = np.roll(result, turn, axis=-1).astype(u.dtype, copy=False)
    return vorticity, divergence


def _at_pole(wind: Array, latitude: Array, row: int) -> Array:
    """Vorticity and divergence of the cap inside the row beside the pole, (2, ..., 1)."""
    beside = 1 if row == 0 else row - 1
    phi = np.radians(latitude[beside])
    edge_over_area = np.cos(phi) / (EARTH_RADIUS_M * (1 - np.abs(np.sin(phi))))
    u, v = np.sign(latitude[row]) * edge_over_area * wind[..., beside, :].mean(axis=-1, keepdims=True)
    return np.stack([u, -v])


def _extended_zonally(fields: Array, longitude: Array, wraps: bool) -> Fields:
    """Two more columns on each side, of fields and longitudes: from across the seam, or NaN."""
    sides = [fields[..., -2:], fields[..., :2]] if wraps else [np.full_like(fields[..., :2], np.nan)] * 2
    ends = [longitude[-2:] - 360, longitude[:2] + 360] if wraps else [np.full(2, np.nan)] * 2
    return np.concatenate([sides[0], fields, sides[1]], axis=-1), np.concatenate([ends[0], longitude, ends[1]])


def _extended_meridionally(fields: Array, latitude: Array, wraps: bool) -> Fields:
    """Two more rows on each side, of scalar fields and latitudes, latitude last: from across the pole, or NaN."""
    sides, ends = [], []
    for rows in (slice(None, None, 1), slice(None, None, -1)):
        inward = latitude[rows]
        step, half = abs(inward[1] - inward[0]), fields.shape[-1] // 2
        nearest = 1 if abs(inward[0]) > POLE else 0
        if wraps and 2 * half == fields.shape[-1] and abs(inward[0]) + step > 90:
            beyond = fields[..., rows, :][..., nearest : nearest + 2, :]
            side = np.roll(beyond, half, axis=-1)
            end = np.sign(inward[0]) * 180 - inward[nearest : nearest + 2]
        else:
            side, end = np.full_like(fields[..., :2, :], np.nan), np.full(2, np.nan)
        sides.append(side)
        ends.append(end)
    before, after = sides[0][..., ::-1, :], sides[1]
    rows_last = np.concatenate([before, fields, after], axis=-2).swapaxes(-1, -2)
    return rows_last, np.concatenate([ends[0][::-1], latitude, ends[1]])


def _slope(fields: Array, degrees: Array) -> Array:
    """Slope of the fields per radian along the last axis, which holds two more points on each side than the result."""

    def difference(offsets: tuple[int, ...], rows: slice = slice(None)) -> Array:
        places = np.arange(2, len(degrees) - 2)[rows, None] + offsets
        weights = _difference_weights(np.radians(degrees[places] - degrees[places[:, :1] - offsets[0]]))
        values = [fields[..., place[0] : place[-1] + 1] for place in places.T]
        slope = weights[:, 0] * values[0]
        for k in range(1, len(values)):
            slope += weights[:, k] * values[k]
        return slope

    slope = difference((-2, -1, 0, 1, 2))
    unknown = np.isnan(slope)
    if unknown.any():
        slope = np.where(unknown, difference((-1, 0, 1)), slope)
    if np.isnan(degrees[1]):
        slope[..., :1] = difference((0, 1, 2), slice(0, 1))
    if np.isnan(degrees[-2]):
        slope[..., -1:] = difference((-2, -1, 0), slice(-1, None))
    return slope


def _difference_weights(steps: Array) -> Array:
    """Weights (point, k) with which values at distances `steps` (point, k) give the slope at distance 0, exact for
    polynomials up to degree k - 1.
    """
    unit = np.nanmax(np.abs(steps))
    powers = (steps / unit)[:, None, :] ** np.arange(steps.shape[1])[:, None]
    first = np.zeros((*steps.shape, 1))
    first[:, 1] = 1
    return np.linalg.solve(powers, first)[..., 0] / unit
