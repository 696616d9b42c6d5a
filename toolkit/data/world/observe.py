"""How the simulated atmosphere is seen: on a regular grid, with the errors of an analysis, with gaps."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toolkit.data.world.sphere import Sphere

VARIABLES = ("vorticity", "divergence", "u_component_of_wind", "v_component_of_wind", "geopotential")
"""Names of the ARCO-ERA5 archive; s-1, s-1, m s-1, m s-1, m2 s-2."""


@dataclass(frozen=True)
class Errors:
    """Standard deviations of the analysis error and the gaps' mean number per frame and size in degrees.

    Half the variance of each error is white down to the truncation, half is correlated over about 300 km; both are
    independent from one frame to the next, and the winds carry exactly the error of their vorticity and divergence.
    """

    vorticity: float = 1.4e-5
    divergence: float = 5e-6
    geopotential: float = 60.0
    gaps: float = 34.0
    gap_degrees: tuple[float, float] = (5.0, 16.0)


def regular_axes(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return latitude (north to south, both poles) and longitude of a regular grid with `rows` latitudes, degrees."""
    return np.linspace(90, -90, rows), np.arange(2 * (rows - 1)) * 180 / (rows - 1)


def observe(sphere: Sphere, state: Tensor, errors: Errors, rng: np.random.Generator) -> np.ndarray:
    """Return what is seen of a state (3, degree, order): (variable, lat, lon) float32, NaN in the gaps."""
    amplitudes = torch.tensor([errors.vorticity, errors.divergence, errors.geopotential])
    return _blank_gaps(sphere, exact(sphere, state + _error(sphere, rng) * amplitudes[:, None, None]), errors, rng)


def exact(sphere: Sphere, state: Tensor) -> np.ndarray:
    """Return a state (3, degree, order) on the regular grid without error: (variable, lat, lon) float32."""
    scalars = sphere.regular_field(state, sphere.rows + 1)
    winds = sphere.regular_winds(state[:2], sphere.rows + 1)
    return torch.cat([scalars[:2], winds, scalars[2:]]).numpy()


def _error(sphere: Sphere, rng: np.random.Generator) -> Tensor:
    """Return error coefficients (3, degree, order) of unit variance on the grid, nothing below total wavenumber 6."""
    size = sphere.truncation + 1
    parts = rng.standard_normal((2, 3, size, size)).astype(np.float32)
    noise = torch.tril(torch.complex(torch.from_numpy(parts[0]), torch.from_numpy(parts[1])))
    degree = torch.arange(size)[:, None]
    white = (degree >= 6).float()
    correlated = white * torch.exp(-((degree / 34) ** 2))
    # Coefficients with unit real and imaginary parts give the field a variance of sum_l (4 l + 1) / 4 pi.
    variance = [part.square() / (part.square() * (4 * degree + 1) / (4 * np.pi)).sum() for part in (white, correlated)]
    shape = (0.5 * (variance[0] + variance[1])).sqrt()
    return noise * shape


def _blank_gaps(sphere: Sphere, fields: np.ndarray, errors: Errors, rng: np.random.Generator) -> np.ndarray:
    latitude, _ = regular_axes(sphere.rows + 1)
    spacing = 180 / sphere.rows
    for _ in range(rng.poisson(errors.gaps)):
        north = np.degrees(np.arcsin(rng.uniform(-0.9, 0.9)))
        tall, wide = rng.uniform(*errors.gap_degrees, size=2)
        rows = slice(int((90 - north) / spacing), int((90 - north + tall) / spacing) + 1)
        wide /= np.cos(np.radians(latitude[rows].mean()))
        first = int(rng.uniform(0, 360) / spacing)
        columns = np.arange(first, first + int(wide / spacing) + 1) % fields.shape[-1]
        fields[:, rows, columns] = np.nan
    return fields
