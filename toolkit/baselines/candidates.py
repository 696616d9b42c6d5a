"""Candidates: the maxima of smoothed cyclonic vorticity in a window, to a fraction of a pixel, or places given."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from toolkit.data.normalise import Normalisation
from toolkit.examples import Examples, kilometres_per_pixel
from toolkit.placement import well_inside

FIELDS = Normalisation(
    names=("vorticity", "divergence", "eastward_wind", "northward_wind"),
    units=("s-1", "s-1", "m s-1", "m s-1"),
    mean=(0.0, 0.0, 0.0, 0.0),
    standard_deviation=(1e-5, 1e-5, 1.0, 1.0),
)
"""Physical fields, vorticity and divergence in 1e-5 s-1. The mean is 0, so that a sign means a sense of turning."""
APART_KM = 150.0
"""No two candidates of a window are as near as this, along a row or a column."""
MOST = 8
"""Candidates per window, the strongest."""

Array = NDArray[np.float64]
Fields = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Places in windows where a vortex is.

    fields (n, t, c, h, w): what the windows show, by `FIELDS`, the analysis time last; gaps are filled from the other
    frames, NaN where none knows. known (n, t, h, w): where vorticity was not a gap.
    table, one row per candidate: example; latitude, longitude; y, x (pixels); peak, the smoothed cyclonic vorticity
    there, 1e-5 s-1; orientation, -1 where the picture must be reflected top to bottom to have the nearer pole above,
    else 1: times this, cyclonic vorticity is positive; poleward, 1 where the nearer pole is in the north, else -1.
    """

    examples: Examples
    fields: Fields
    known: NDArray[np.bool_]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> Array:
        """Return a column of the table as float64 (k,)."""
        return self.table[name].to_numpy(np.float64)

    @property
    def example(self) -> NDArray[np.intp]:
        """The window each candidate lies in, (k,)."""
        return self.table["example"].to_numpy(np.intp)


def find_candidates(examples: Examples, smoothing_km: float) -> Candidates:
    """Return the maxima of vorticity at the analysis time, gaps filled.

    smoothing_km: standard deviation of the Gaussian that smooths it. UserError where the store lacks a field.
    """
    fields, known = _seen(examples)
    return Candidates(examples, fields, known, maxima(examples, fields[:, -1, 0], smoothing_km))


def given_candidates(examples: Examples, places: pd.DataFrame, smoothing_km: float) -> Candidates:
    """Return places (example, latitude, longitude) as candidates, row by row, whether vorticity has a maximum or not.

    `peak` is that of the nearest pixel; a place beyond the window's edge is looked at on the edge. A maximum that
    `find_candidates` has found is the same candidate here.
    """
    fields, known = _seen(examples)
    smooth, orientation = _cyclonic(examples, fields[:, -1, 0], smoothing_km)
    example = places["example"].to_numpy(np.intp)
    latitude, longitude = places["latitude"].to_numpy(np.float64), places["longitude"].to_numpy(np.float64)
    y, x = examples.pixels(example, latitude, longitude)
    y, x = y.clip(0, smooth.shape[1] - 1), x.clip(0, smooth.shape[2] - 1)
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    table = {"example": example, "latitude": latitude, "longitude": longitude, "y": y, "x": x}
    table |= {"peak": smooth[example, row, column]} | _turning(examples, example, orientation[example, row])
    return Candidates(examples, fields, known, pd.DataFrame(table))


def maxima(examples: Examples, vorticity: Fields, smoothing_km: float) -> pd.DataFrame:
    """Return the maxima of vorticity (n, h, w) as the table of `Candidates`.

    Vorticity turns its sign at the equator, so that each hemisphere's cyclones are maxima. A maximum at the window's
    edge is none for certain, and what lies there does not count as in the window: it is left out.
    """
    smooth, orientation = _cyclonic(examples, vorticity, smoothing_km)
    reach = max(1, round(APART_KM / kilometres_per_pixel(examples.store)))
    is_peak = (smooth == maximum_filter(smooth, (1, 2 * reach + 1, 2 * reach + 1))) & (smooth > 0)
    is_peak &= ~np.isnan(vorticity)
    example, y, x = np.nonzero(is_peak)
    peak = smooth[example, y, x]
    strongest = pd.Series(peak).groupby(example).rank(ascending=False, method="first").to_numpy() <= MOST
    example, y, x, peak = example[strongest], y[strongest], x[strongest], peak[strongest]
    around = np.pad(smooth, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    sub_y = y + _vertex(around[example, y, x + 1], peak, around[example, y + 2, x + 1])
    sub_x = x + _vertex(around[example, y + 1, x], peak, around[example, y + 1, x + 2])
    latitude, longitude = examples.degrees(example, sub_y, sub_x)
    table = {"example": example, "latitude": latitude, "longitude": longitude, "y": sub_y, "x": sub_x, "peak": peak}
    table |= _turning(examples, example, orientation[example, y])
    inside = well_inside(sub_y, smooth.shape[1]) & well_inside(sub_x, smooth.shape[2])
    return pd.DataFrame(table)[inside].reset_index(drop=True)


def _seen(examples: Examples) -> tuple[Fields, NDArray[np.bool_]]:
    """Return the fields with gaps filled, and where vorticity was not a gap, as `Candidates` has them."""
    fields = examples.fields(FIELDS)
    known = ~np.isnan(fields)
    return _filled(fields, known), known[:, :, 0]


def _cyclonic(examples: Examples, vorticity: Fields, smoothing_km: float) -> tuple[Fields, NDArray[np.int64]]:
    """Return smoothed vorticity (n, h, w), positive where it is cyclonic, and the orientation of every row (n, h)."""
    orientation = np.where(examples.latitudes() >= 0, 1, -1)
    turned = vorticity * orientation[:, :, None]
    return _smoothed(turned, smoothing_km / kilometres_per_pixel(examples.store)), orientation


def _turning(examples: Examples, example: NDArray[np.intp], orientation: NDArray[np.int64]) -> dict[str, NDArray]:
    """Return the columns orientation and poleward of candidates."""
    return {"orientation": orientation, "poleward": np.where(examples.mirrored(example), -1, 1) * orientation}


def _filled(fields: Fields, known: NDArray[np.bool_]) -> Fields:
    """Return fields (n, t, ...) with gaps filled by the mean of the frames that are known there, NaN where none is."""
    total, count = np.where(known, fields, 0).sum(axis=1), known.sum(axis=1, dtype=np.float32)
    with np.errstate(invalid="ignore"):
        return np.where(known, fields, (total / count)[:, None])


def _smoothed(values: Fields, pixels: float) -> Fields:
    """Return the Gaussian-weighted mean of the known values (n, h, w); less where little nearby is known."""
    known = ~np.isnan(values)
    width = (0, pixels, pixels)
    weight = gaussian_filter(known.astype(np.float32), width, mode="constant")
    return gaussian_filter(np.where(known, values, 0), width, mode="constant") / np.maximum(weight, 0.2)


def _vertex(before: Fields, at: Fields, after: Fields) -> Array:
    """Return where the parabola through three neighbours is highest, in pixels from the middle one, at most a half."""
    curvature = (before - 2 * at + after).astype(np.float64)
    curved = curvature < 0
    return np.where(curved, np.clip((before - after) / 2 / np.where(curved, curvature, 1), -0.5, 0.5), 0)
