"""From any grid of parallels and meridians to the regular one, pole to pole, that a backbone was trained on.

Both steps are weights along one axis at a time: result = rows @ field @ columns.T. A finer grid is averaged over the
area of each cell, so that noise and what the cells cannot show average out; a coarser one is interpolated by cubic
splines. Where a value takes part that is missing, the mean is over what is known, and the spline gives way to linear
interpolation; a point is known where at least half of its weight is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from toolkit.data.grids import unrolled_longitudes
from toolkit.errors import UserError

Array = NDArray[np.float64]
LEAST_KNOWN = 0.5
NEGLIGIBLE = 0.01
"""A spline's weights reach over the whole axis; a missing value with less weight than this does no harm."""
ROUNDING = 1e-6
"""Shares of a cell smaller than this are rounding errors of the coordinates."""
FEWEST = 4


@dataclass(frozen=True, eq=False)
class Regridding:
    """The way from one grid to another.

    latitude (h,) from 90 to -90 and longitude (w,) from 0 degrees on: the new grid. rows (h, y) and columns (w, x): the
    weights of complete fields, and the same for fields with gaps. covered (h, w): where the old grid has data at all.
    method: how it is done, in words.
    """

    latitude: Array
    longitude: Array
    rows: Array
    columns: Array
    rows_with_gaps: Array
    columns_with_gaps: Array
    covered: NDArray[np.bool_]
    method: str


def regular_grid(degrees: float) -> tuple[Array, Array]:
    """Return latitude (from pole to pole, both included) and longitude of the regular grid nearest to this spacing."""
    rows = round(180 / degrees)
    return np.linspace(90.0, -90.0, rows + 1), np.arange(2.0 * rows) * (180 / rows)


def regridding(latitude: NDArray[np.floating], longitude: NDArray[np.floating], degrees: float) -> Regridding:
    """Return the way to the regular grid of a spacing in degrees.

    latitude: degrees, descending; longitude: degrees, ascending in [0, 360), all round or a part, which may cross
    Greenwich. Raises `UserError` for fewer than four values of either.
    """
    lat, lon = np.asarray(latitude, float), np.asarray(longitude, float)
    if min(len(lat), len(lon)) < FEWEST:
        raise UserError(
            f"A grid of {len(lat)} latitudes and {len(lon)} longitudes is too small: {FEWEST} of each at least."
        )
    new_lat, new_lon = regular_grid(degrees)
    finer_rows, finer_columns = (np.median(np.abs(np.diff(axis))) <= degrees * (1 + ROUNDING) for axis in (lat, lon))
    rows, rows_with_gaps = _averaged_rows(lat, new_lat) if finer_rows else _interpolated_rows(lat, new_lat)
    unrolled, turn, wraps = unrolled_longitudes(lon)
    along = _averaged_columns if finer_columns else _interpolated_columns
    columns, columns_with_gaps = (np.roll(w, turn, axis=1) for w in along(unrolled, new_lon, wraps))
    covered = np.outer(rows_with_gaps.sum(1), columns_with_gaps.sum(1)) >= LEAST_KNOWN - ROUNDING
    method = _in_words(lat, lon, degrees, (bool(finer_rows), bool(finer_columns)))
    if np.array_equal(rows, np.eye(len(lat))) and np.array_equal(columns, np.eye(len(lon))):
        method = f"fields are on the model's {degrees:g} degree grid"
    return Regridding(new_lat, new_lon, rows, columns, rows_with_gaps, columns_with_gaps, covered, method)


def regridded(field: NDArray[np.floating], way: Regridding) -> NDArray[np.float32]:
    """Return a field (y, x) on the new grid (h, w), NaN where too little of it is known (not finite: not known)."""
    known = np.isfinite(field)
    if known.all():
        weight = np.outer(way.rows_with_gaps.sum(1), way.columns_with_gaps.sum(1))
        return _divided(way.rows @ field.astype(np.float64) @ way.columns.T, weight).astype(np.float32)
    usual = field[known].mean(dtype=np.float64) if known.any() else 0.0
    anomaly = np.where(known, field, usual) - usual
    touched = _reaches(way.rows) @ ~known @ _reaches(way.columns).T > 0
    with_gaps = way.rows_with_gaps @ anomaly @ way.columns_with_gaps.T
    values = np.where(touched, with_gaps, way.rows @ anomaly @ way.columns.T)
    return (_divided(values, way.rows_with_gaps @ known @ way.columns_with_gaps.T) + usual).astype(np.float32)


def _divided(values: Array, weight: Array) -> Array:
    return np.divide(values, weight, out=np.full_like(values, np.nan), where=weight >= LEAST_KNOWN - ROUNDING)


def _reaches(weights: Array) -> Array:
    return (np.abs(weights) > NEGLIGIBLE * np.abs(weights).max()).astype(float)


def _in_words(latitude: Array, longitude: Array, degrees: float, finer: tuple[bool, bool]) -> str:
    spacing = [np.median(np.abs(np.diff(axis))) for axis in (latitude, longitude)]
    apart = " x ".join(f"{step:.4g}" for step in dict.fromkeys(np.round(spacing, 2)))
    said = f"fields on {len(latitude)} latitudes x {len(longitude)} longitudes, {apart} degrees apart, are"
    if all(finer):
        return f"{said} averaged over the cells of the model's {degrees:g} degree grid"
    how = "averaged along one axis and interpolated" if any(finer) else "interpolated by cubic splines"
    return f"{said} {how} to the model's finer {degrees:g} degree grid: vortices that they smooth stay weak"


# Weights along one axis ----------------------------------------------------------------------------------------------


def _averaged_rows(source: Array, target: Array) -> tuple[Array, Array]:
    """Weights by area: shares of each target cell, whose edges are parallels, that the source's cells cover."""
    upper, lower = _cells(source)
    step = abs(source[0] - source[1])
    upper[0], lower[-1] = (np.sign(edge) * 90 if abs(edge) > 90 - step / 2 else edge for edge in (upper[0], lower[-1]))
    above, below = _cells(target)
    sines = [np.sin(np.radians(np.clip(edges, -90, 90))) for edges in (below, above, lower, upper)]
    return (_shares(*sines),) * 2


def _averaged_columns(source: Array, target: Array, wraps: bool) -> tuple[Array, Array]:
    west, east = _cells(source)
    if wraps:
        west[0] = east[-1] - 360
    spacing = target[1] - target[0]
    turns = [
        _shares(target - spacing / 2 + turn, target + spacing / 2 + turn, west, east) for turn in (-360, 0, 360, 720)
    ]
    return (np.sum(turns, axis=0),) * 2


def _interpolated_rows(source: Array, target: Array) -> tuple[Array, Array]:
    step = np.abs(np.diff(source)).max()
    north = 90.0 if source[0] + step >= 90 else source[0] + step / 2
    south = -90.0 if source[-1] - step <= -90 else source[-1] - step / 2
    inside = ((target <= north + ROUNDING) & (target >= south - ROUNDING))[:, None]
    place, known = -np.clip(target, source[-1], source[0]), -source
    return _spline(known, place) * inside, _linear(known, place) * inside


def _interpolated_columns(source: Array, target: Array, wraps: bool) -> tuple[Array, Array]:
    half = np.diff(source).max() / 2
    place = (target - source[0] + half) % 360 + source[0] - half
    if wraps:
        # A few columns from across the seam; a spline feels no farther than that.
        n = min(len(source), 16)
        around = np.concatenate([source[-n:] - 360, source, source[:n] + 360])
        folded = []
        for weights in (_spline(around, place), _linear(around, place)):
            middle = weights[:, n:-n].copy()
            middle[:, -n:] += weights[:, :n]
            middle[:, :n] += weights[:, -n:]
            folded.append(middle)
        return folded[0], folded[1]
    inside = (place <= source[-1] + half + ROUNDING)[:, None]
    place = np.clip(place, source[0], source[-1])
    return _spline(source, place) * inside, _linear(source, place) * inside


def _cells(centres: Array) -> tuple[Array, Array]:
    """First and second edge of each point's cell, halfway to its neighbours; the outermost ones are symmetrical."""
    halfway = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - halfway[0], 2 * centres[-1] - halfway[-1]
    return np.concatenate([[first], halfway]), np.concatenate([halfway, [last]])


def _shares(low: Array, high: Array, source_low: Array, source_high: Array) -> Array:
    """Share (target, source) of each target interval that each source interval covers."""
    overlap = np.minimum(high[:, None], source_high) - np.maximum(low[:, None], source_low)
    share = np.maximum(overlap, 0) / (high - low)[:, None]
    share = np.where(share < ROUNDING, 0, share)
    return np.where(share > 1 - ROUNDING, 1, share)


def _spline(known: Array, place: Array) -> Array:
    return np.asarray(make_interp_spline(known, np.eye(len(known)), k=3)(place))


def _linear(known: Array, place: Array) -> Array:
    return np.asarray(make_interp_spline(known, np.eye(len(known)), k=1)(place))
