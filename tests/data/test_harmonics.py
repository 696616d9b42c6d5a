"""Derivation by spherical harmonics against analytic flows, other codes' references, and its own inverse."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from toolkit.data.harmonics import spectral_vorticity_divergence, winds_from_vorticity_divergence
from toolkit.errors import UserError
from toolkit.geodesy import EARTH_RADIUS_M

Array = NDArray[np.float64]
MakeGrid = Callable[[str, int], tuple[Array, Array]]
Flow = Callable[..., tuple[Array, Array, Array]]
RelativeError = Callable[..., float]
NCL_RADIUS_M = 6.37122e6


@pytest.mark.parametrize(("degree", "order"), [(1, 0), (1, 1), (5, 2), (12, 12), (35, 0), (35, 1), (35, 18), (35, 35)])
def test_gradient_and_rotational_flows(
    grid: tuple[Array, Array], degree: int, order: int, harmonic_flow: Flow, relative_error: RelativeError
) -> None:
    """The gradient of a harmonic has no vorticity and its Laplacian for divergence; turned by a right angle it has
    the Laplacian for vorticity and no divergence; up to degree 35, the last one that these grids resolve.
    """
    latitude, longitude = grid
    east, north, laplacian = harmonic_flow(latitude, longitude, degree, order)
    assert relative_error(spectral_vorticity_divergence(east, north, latitude, longitude), (0, laplacian)) < 1e-7
    assert relative_error(spectral_vorticity_divergence(-north, east, latitude, longitude), (laplacian, 0)) < 1e-7


def test_winds_and_back(grid: tuple[Array, Array], relative_error: RelativeError) -> None:
    """Any wind within the truncation comes back from its vorticity and divergence, at the poles too; their global
    means, which no wind can have, are ignored.
    """
    latitude, longitude = grid
    noise = np.random.default_rng(1).normal(0, 10, (2, 2, 3, len(latitude), len(longitude)))
    u, v = winds_from_vorticity_divergence(*noise, latitude, longitude)
    assert u.shape == noise.shape[1:]
    vorticity, divergence = spectral_vorticity_divergence(u, v, latitude, longitude)
    assert np.abs(vorticity).max() > 1
    again = winds_from_vorticity_divergence(vorticity + 1, divergence - 1, latitude, longitude)
    assert relative_error(again, (u, v)) < 1e-9


def test_blocks_of_orders_change_nothing(
    monkeypatch: pytest.MonkeyPatch, make_grid: MakeGrid, relative_error: RelativeError
) -> None:
    """However the Legendre functions are cut into blocks to spare memory, the result is the same."""
    latitude, longitude = make_grid("off poles", 24)
    u, v = np.random.default_rng(1).normal(0, 10, (2, 24, 48))
    whole = spectral_vorticity_divergence(u, v, latitude, longitude)
    monkeypatch.setattr("toolkit.data.harmonics.LEGENDRE_BLOCK_BYTES", 8 * 24 * 25 * 5)
    assert relative_error(spectral_vorticity_divergence(u, v, latitude, longitude), whole) < 1e-12


def test_harmonics_refuse_a_region(make_grid: MakeGrid) -> None:
    """Where the grid is not a global one, the error says which it is, and what does regions."""
    latitude, longitude = make_grid("with poles", 19)
    u, v = np.random.default_rng(1).normal(0, 10, (2, 19, 36))
    with pytest.raises(UserError, match=r"need a global grid.*18 latitudes -90 to 80.*finite_difference"):
        spectral_vorticity_divergence(u[1:], v[1:], latitude[1:], longitude)
    with pytest.raises(UserError, match="need a global grid"):
        winds_from_vorticity_divergence(u[1:], v[1:], latitude[1:], longitude)


def test_agrees_with_ncl(real_data: Path, relative_error: RelativeError) -> None:
    """The same winds give NCL's vorticity and divergence, to the precision of its single-precision file."""
    winds = xr.open_dataset(real_data / "fields/era5_uv850_2025120100_2.5x2.5.nc")
    reference = xr.open_dataset(real_data / "fields/era5_vodv850_2025120100_2.5x2.5_ncl.nc")
    u, v = (winds[name].values.astype(float) for name in "uv")
    vorticity, divergence = spectral_vorticity_divergence(u, v, winds["latitude"], winds["longitude"])
    assert relative_error(vorticity * EARTH_RADIUS_M / NCL_RADIUS_M, reference["vo"].values) < 2e-7
    assert relative_error(divergence * EARTH_RADIUS_M / NCL_RADIUS_M, reference["dv"].values) < 2e-7


@pytest.mark.parametrize(
    ("kind", "folder_name", "n_lat"), [("with poles", "regular", 73), ("gaussian", "gaussian", 72)]
)
def test_agrees_with_windspharm(
    kind: str, folder_name: str, n_lat: int, make_grid: MakeGrid, relative_error: RelativeError
) -> None:
    """The arrays that windspharm ships (vorticity, divergence, both parts of the wind) are met on both its grids."""
    package = importlib.util.find_spec("windspharm")
    if package is None or not package.submodule_search_locations:
        pytest.skip("windspharm, which ships the reference arrays, is not installed")
    folder = Path(package.submodule_search_locations[0]) / "tests" / "data" / folder_name
    names = ("uwnd", "vwnd", "vrt", "div", "upsi", "vpsi", "uchi", "vchi")
    u, v, vrt, div, *parts = (np.load(folder / f"{name}.ref.npy").squeeze().astype(float) for name in names)
    latitude, longitude = make_grid(kind, n_lat)
    vorticity, divergence = spectral_vorticity_divergence(u, v, latitude, longitude)
    assert relative_error(vorticity * EARTH_RADIUS_M / NCL_RADIUS_M, vrt) < 1e-6
    assert relative_error(divergence * EARTH_RADIUS_M / NCL_RADIUS_M, div) < 1e-6
    rotational = winds_from_vorticity_divergence(vorticity, 0 * vorticity, latitude, longitude)
    divergent = winds_from_vorticity_divergence(0 * divergence, divergence, latitude, longitude)
    for found, wanted in zip((*rotational, *divergent), parts, strict=True):
        assert relative_error(found, wanted) < 1e-6


@pytest.mark.slow
def test_full_resolution_of_era5_survives(real_data: Path) -> None:
    """0.25 degree ERA5 vorticity comes back from its winds within its packing, its peak with it."""
    field = xr.open_dataset(real_data / "fields/era5_vo850_2025120100_0.25x0.25.nc")["vo"]
    latitude, longitude = field["latitude"].values, field["longitude"].values
    vorticity = field.values.astype(float)
    u, v = winds_from_vorticity_divergence(vorticity, np.zeros_like(vorticity), latitude, longitude)
    again, _ = spectral_vorticity_divergence(u, v, latitude, longitude)
    assert np.sqrt(np.mean((again - vorticity) ** 2) / np.mean(vorticity**2)) < 2e-3
    assert again.max() == pytest.approx(vorticity.max(), rel=1e-3)
