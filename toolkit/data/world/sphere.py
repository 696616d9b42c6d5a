"""Fields on the sphere and their spherical-harmonic coefficients, by torch-harmonics."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.geodesy import EARTH_RADIUS_M

ROTATION_RATE = 7.292e-5
"""Angular velocity of the Earth, s-1."""


@dataclass(frozen=True)
class Sphere:
    """Triangular truncation `truncation` on its Gaussian grid (quadratic products are free of aliasing).

    Grid fields are (..., latitude, longitude), north to south; coefficients are complex (..., degree, order).
    """

    truncation: int

    @property
    def rows(self) -> int:
        """Number of Gaussian latitudes, even and at least (3 truncation + 1) / 2."""
        return 2 * int(np.ceil((3 * self.truncation + 1) / 4))

    @property
    def columns(self) -> int:
        """Number of longitudes."""
        return 2 * self.rows

    @cached_property
    def latitude(self) -> np.ndarray:
        """Gaussian latitudes, degrees, north to south."""
        nodes, _ = np.polynomial.legendre.leggauss(self.rows)
        return np.degrees(np.arcsin(nodes[::-1]))

    @cached_property
    def longitude(self) -> np.ndarray:
        """Longitudes, degrees in [0, 360)."""
        return np.arange(self.columns) * 360 / self.columns

    @cached_property
    def latitude_weights(self) -> Tensor:
        """Gaussian weights per row divided by 2 x columns: the area mean of a field is the weighted sum."""
        _, weights = np.polynomial.legendre.leggauss(self.rows)
        return torch.tensor(weights / 2 / self.columns, dtype=torch.float32)[:, None]

    @cached_property
    def coriolis(self) -> Tensor:
        """Coriolis parameter 2 Omega sin(latitude), s-1, shape (latitude, 1)."""
        return torch.tensor(2 * ROTATION_RATE * np.sin(np.radians(self.latitude)), dtype=torch.float32)[:, None]

    @cached_property
    def laplacian(self) -> Tensor:
        """Eigenvalues -l (l + 1) / a^2 of the Laplacian, m-2, shape (degree, 1)."""
        degree = torch.arange(self.truncation + 1, dtype=torch.float64)
        return (-degree * (degree + 1) / EARTH_RADIUS_M**2).float()[:, None]

    @cached_property
    def inverse_laplacian(self) -> Tensor:
        """1 / laplacian, with 0 for the mean, m2, shape (degree, 1)."""
        inverse = 1 / self.laplacian
        inverse[0] = 0
        return inverse

    def coefficients(self, field: Tensor) -> Tensor:
        """Return the spherical-harmonic coefficients of a scalar field."""
        return _transform("RealSHT", self.truncation, self.rows, "legendre-gauss")(field)

    def field(self, coefficients: Tensor) -> Tensor:
        """Return the scalar field of coefficients, the inverse of `coefficients`."""
        return _transform("InverseRealSHT", self.truncation, self.rows, "legendre-gauss")(coefficients)

    def rotation_and_divergence(self, vector: Tensor) -> Tensor:
        """Return coefficients (..., 2, l, m) of the vertical curl and the divergence of a vector (..., 2, lat, lon)."""
        spectral = _transform("RealVectorSHT", self.truncation, self.rows, "legendre-gauss")(vector)
        return spectral * self.laplacian * EARTH_RADIUS_M

    def winds(self, rotation_and_divergence: Tensor) -> Tensor:
        """Return (eastward, northward) wind (..., 2, lat, lon), m s-1: the inverse of `rotation_and_divergence`."""
        potentials = rotation_and_divergence * self.inverse_laplacian / EARTH_RADIUS_M
        return _transform("InverseRealVectorSHT", self.truncation, self.rows, "legendre-gauss")(potentials)

    def regular_field(self, coefficients: Tensor, rows: int) -> Tensor:
        """Return a scalar on the regular grid of `rows` latitudes from pole to pole and 2 (rows - 1) longitudes."""
        return _transform("InverseRealSHT", self.truncation, rows, "equiangular")(coefficients)

    def regular_winds(self, rotation_and_divergence: Tensor, rows: int) -> Tensor:
        """Return the wind on the regular grid of `rows` latitudes from pole to pole."""
        potentials = rotation_and_divergence * self.inverse_laplacian / EARTH_RADIUS_M
        return _transform("InverseRealVectorSHT", self.truncation, rows, "equiangular")(potentials)

    def mean(self, field: Tensor) -> Tensor:
        """Return the area mean of grid fields, shape (...)."""
        return (field * self.latitude_weights).sum((-2, -1))

    def changed(self, coefficients: Tensor, truncation: int) -> Tensor:
        """Return the coefficients cut, or padded with zeros, to another truncation."""
        kept = min(self.truncation, truncation) + 1
        out = coefficients.new_zeros(*coefficients.shape[:-2], truncation + 1, truncation + 1)
        out[..., :kept, :kept] = coefficients[..., :kept, :kept]
        return out


@lru_cache(maxsize=16)
def _transform(kind: str, truncation: int, rows: int, grid: str) -> Any:
    import torch_harmonics

    columns = 2 * rows if grid == "legendre-gauss" else 2 * (rows - 1)
    size = truncation + 1
    return getattr(torch_harmonics, kind)(rows, columns, lmax=size, mmax=size, grid=grid).float()
