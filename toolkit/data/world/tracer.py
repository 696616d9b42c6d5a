"""A tracer carried by the simulated winds on a coarse regular grid, by semi-Lagrangian advection.

Air arriving at a grid point is traced back to where it was a step before, and brings the value from there. Positions
are vectors on the unit sphere, so that the poles are places like any other (Ritchie 1987,
doi:10.1175/1520-0493(1987)115<0608:SLAOAG>2.0.CO;2).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from toolkit.data.world.observe import regular_axes
from toolkit.data.world.season import Plan, Season
from toolkit.data.world.sphere import Sphere
from toolkit.geodesy import EARTH_RADIUS_M

COARSE_ROWS = 65
"""Latitudes from pole to pole: 2.8 degrees apart, which holds total wavenumbers up to 42."""
COARSE_TRUNCATION = 42
_MARGIN = 8
"""Rows and columns repeated beyond the edge: past it a cubic spline's memory of the edge is below 1e-4."""


@dataclass(frozen=True)
class CoarseFields:
    """The large scales of a season, six-hourly: latitude (lat), north to south, and longitude (lon), degrees.

    `geopotential` (time, lat, lon) is in m2 s-2, `wind` (time, 2, lat, lon), eastward and northward, in m s-1.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    geopotential: np.ndarray
    wind: np.ndarray


def coarse_fields(season: Season, plan: Plan) -> CoarseFields:
    """Return the season's flow without observation error, cut to total wavenumber 42 on the 2.8 degree grid."""
    coarse = Sphere(COARSE_TRUNCATION)
    states = Sphere(plan.truncation).changed(season.states, COARSE_TRUNCATION)
    latitude, longitude = regular_axes(COARSE_ROWS)
    return CoarseFields(
        latitude,
        longitude,
        coarse.regular_field(states[:, 2], COARSE_ROWS).numpy(),
        coarse.regular_winds(states[:, :2], COARSE_ROWS).numpy(),
    )


def departure(wind: np.ndarray, seconds: float) -> np.ndarray:
    """Return where the air at each grid point was `seconds` ago, as (row, column) of the grid: (2, lat, lon).

    `wind` (2, lat, lon) holds eastward and northward wind, m s-1, halfway through the step. The midpoint of the path
    is found by two iterations; the point of departure is the point of arrival mirrored in it.
    """
    here, east, north = _frame_of_vectors(wind.shape[-2])
    flow = torch.as_tensor(wind, dtype=torch.float32) / EARTH_RADIUS_M
    velocity = flow[0] * east + flow[1] * north
    padded = _with_margin(velocity)
    middle = here - 0.5 * seconds * velocity
    for _ in range(2):
        middle = here - 0.5 * seconds * _between(padded, _rows_and_columns(middle))
    origin = 2 * (middle * here).sum(0) * middle - (middle * middle).sum(0) * here
    return _rows_and_columns(origin).numpy()


def advected(tracer: np.ndarray, came_from: np.ndarray) -> np.ndarray:
    """Return the tracer (lat, lon) after the step of `departure`: by cubic spline, within the tracer's own range."""
    padded = _with_margin(torch.from_numpy(tracer)).numpy()
    moved = map_coordinates(padded, came_from + _MARGIN, order=3, mode="nearest")
    return np.clip(moved, tracer.min(), tracer.max())


def at_places(fields: np.ndarray, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Return fields (n, lat, lon) at places (k,), degrees, by bilinear interpolation: (n, k)."""
    spacing = 180 / (fields.shape[-2] - 1)
    place = np.stack([(90 - latitude) / spacing, longitude % 360 / spacing])[:, None]
    stack = torch.as_tensor(fields)
    return _between(_with_margin(stack), torch.as_tensor(place, dtype=stack.dtype))[:, 0].numpy()


@lru_cache(maxsize=2)
def _frame_of_vectors(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the places, the eastward and the northward unit vectors of the grid, each (3, lat, lon)."""
    latitude, longitude = np.radians(np.stack(np.meshgrid(*regular_axes(rows), indexing="ij")))
    here = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    east = [-np.sin(longitude), np.cos(longitude), np.zeros_like(longitude)]
    north = [-np.sin(latitude) * np.cos(longitude), -np.sin(latitude) * np.sin(longitude), np.cos(latitude)]
    return _single(here), _single(east), _single(north)


def _single(vector: list[np.ndarray]) -> Tensor:
    return torch.tensor(np.stack(vector), dtype=torch.float32)


def _rows_and_columns(vector: Tensor) -> Tensor:
    """Return where on the grid vectors (3, lat, lon) of any length point to, as (row, column): (2, lat, lon)."""
    per_radian = (vector.shape[-2] - 1) / np.pi
    latitude = torch.atan2(vector[2], torch.hypot(vector[0], vector[1]))
    longitude = torch.atan2(vector[1], vector[0]) % (2 * np.pi)
    return torch.stack([(np.pi / 2 - latitude) * per_radian, longitude * per_radian])


def _between(padded: Tensor, position: Tensor) -> Tensor:
    """Interpolate padded fields (n, lat, lon) bilinearly at (row, column) positions (2, i, j): (n, i, j)."""
    high, wide = padded.shape[-2:]
    row, column = position + _MARGIN
    unit = torch.stack([2 * column / (wide - 1) - 1, 2 * row / (high - 1) - 1], -1)
    return torch.nn.functional.grid_sample(padded[None], unit[None], align_corners=True)[0]


def _with_margin(field: Tensor) -> Tensor:
    """Repeat the grid (..., lat, lon) beyond its edges: over the poles in latitude, round the globe in longitude."""
    across = field.roll(field.shape[-1] // 2, -1)
    north, south = across[..., 1 : _MARGIN + 1, :].flip(-2), across[..., -_MARGIN - 1 : -1, :].flip(-2)
    high = torch.cat([north, field, south], -2)
    return torch.cat([high[..., -_MARGIN:], high, high[..., :_MARGIN]], -1)
