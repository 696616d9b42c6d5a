"""Global grids and flows whose vorticity is known, for the tests of derivation and smoothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.geodesy import EARTH_RADIUS_M

Array = NDArray[Any]
Grid = tuple[Array, Array]


def _grid(kind: str, n_lat: int) -> Grid:
    steps = n_lat - 1 if kind == "with poles" else n_lat
    latitude = {
        "with poles": np.linspace(90, -90, n_lat),
        "off poles": 90 - (np.arange(n_lat) + 0.5) * 180 / n_lat,
        "gaussian": np.degrees(np.arcsin(np.polynomial.legendre.leggauss(n_lat)[0][::-1])),
    }[kind]
    return latitude, np.arange(2 * steps) * 180 / steps


@pytest.fixture(scope="session")
def make_grid() -> Callable[[str, int], Grid]:
    """Latitudes, north first, "with poles", half a step "off poles" or "gaussian", and longitudes from 0."""
    return _grid


GRIDS = {
    "with poles": _grid("with poles", 37),
    "more longitudes": (np.linspace(90, -90, 37), np.arange(90) * 4.0),
    "off poles": _grid("off poles", 36),
    "gaussian": _grid("gaussian", 36),
}


@pytest.fixture(scope="session", params=GRIDS.values(), ids=GRIDS)
def grid(request: pytest.FixtureRequest) -> Grid:
    """Each kind of global grid in its turn, on which harmonics up to degree 35 are resolved."""
    return request.param


@pytest.fixture(scope="session")
def rossby_haurwitz() -> Callable[[Array, Array], tuple[Array, Array, Array]]:
    """Winds and vorticity of the Rossby-Haurwitz wave 4 (Williamson et al. 1992, test 6): no divergence."""

    def flow(latitude: Array, longitude: Array) -> tuple[Array, Array, Array]:
        rate, order = 7.848e-6, 4
        sine, cosine = np.sin(np.radians(latitude))[:, None], np.cos(np.radians(latitude))[:, None]
        east, north = np.cos(order * np.radians(longitude)), np.sin(order * np.radians(longitude))
        wave = order * sine**2 - cosine**2
        u = EARTH_RADIUS_M * rate * (cosine + cosine ** (order - 1) * wave * east)
        v = -EARTH_RADIUS_M * rate * order * cosine ** (order - 1) * sine * north
        vorticity = rate * (2 * sine - sine * cosine**order * (order**2 + 3 * order + 2) * east)
        return u, v, vorticity

    return flow


@pytest.fixture(scope="session")
def harmonic_flow() -> Callable[[Array, Array, int, int], tuple[Array, Array, Array]]:
    """Gradient (east, north) and Laplacian of a spherical harmonic scaled to winds of some m s-1."""
    from scipy.special import sph_harm_y

    def flow(latitude: Array, longitude: Array, degree: int, order: int) -> tuple[Array, Array, Array]:
        scale = EARTH_RADIUS_M / degree * 10
        theta, phi = np.meshgrid(np.radians(90 - latitude), np.radians(longitude), indexing="ij")
        inner = np.clip(theta, 1e-9, np.pi - 1e-9)
        values, slopes = sph_harm_y(degree, order, inner, phi, diff_n=1)
        east = scale * slopes[..., 1].real / (EARTH_RADIUS_M * np.sin(inner))
        north = -scale * slopes[..., 0].real / EARTH_RADIUS_M
        return east, north, -scale * degree * (degree + 1) / EARTH_RADIUS_M**2 * values.real

    return flow


@pytest.fixture(scope="session")
def relative_error() -> Callable[..., float]:
    """Largest difference over the largest value wanted, of one array or of several fields on one scale."""

    def error(found: Any, wanted: Any) -> float:
        largest = max(np.abs(field).max() for field in wanted)
        return float(max(np.abs(one - other).max() for one, other in zip(found, wanted, strict=True)) / largest)

    return error
