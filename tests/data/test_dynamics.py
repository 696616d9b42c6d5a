"""Vorticity, divergence and winds against analytic flows, other codes' references, and the laws they must keep."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.special import sph_harm_y

from toolkit.data.dynamics import (
    RADIUS_M,
    derive_vorticity_divergence,
    finite_difference_vorticity_divergence,
    is_spectral_grid,
    smooth_km,
    spectral_vorticity_divergence,
    winds_from_vorticity_divergence,
)
from toolkit.errors import UserError
from toolkit.geodesy import distance_km

Array = NDArray[np.float64]
Derivation = Callable[..., tuple[Array, Array]]
BOTH = pytest.mark.parametrize(
    "derive", [spectral_vorticity_divergence, finite_difference_vorticity_divergence], ids=["spectral", "differences"]
)
NCL_RADIUS_M = 6.37122e6


def regular(n_lat: int) -> tuple[Array, Array]:
    """Latitudes with both poles, north first, and longitudes from 0."""
    return np.linspace(90, -90, n_lat), np.arange(2 * (n_lat - 1)) * 180 / (n_lat - 1)


def off_poles(n_lat: int) -> tuple[Array, Array]:
    """Latitudes half a step off the poles."""
    return 90 - (np.arange(n_lat) + 0.5) * 180 / n_lat, np.arange(2 * n_lat) * 180 / n_lat


def gaussian(n_lat: int) -> tuple[Array, Array]:
    """Gaussian latitudes."""
    sines, _ = np.polynomial.legendre.leggauss(n_lat)
    return np.degrees(np.arcsin(sines[::-1])), np.arange(2 * n_lat) * 180 / n_lat


NAMED_GRIDS = {
    "with poles": regular(37),
    "more longitudes": (np.linspace(90, -90, 37), np.arange(90) * 4.0),
    "off poles": off_poles(36),
    "gaussian": gaussian(36),
}
GRIDS = pytest.mark.parametrize("grid", NAMED_GRIDS.values(), ids=NAMED_GRIDS)


def rossby_haurwitz(latitude: Array, longitude: Array) -> tuple[Array, Array, Array]:
    """Winds and vorticity of the Rossby-Haurwitz wave 4 (Williamson et al. 1992, test 6): no divergence."""
    rate, order = 7.848e-6, 4
    sine, cosine = np.sin(np.radians(latitude))[:, None], np.cos(np.radians(latitude))[:, None]
    east, north = np.cos(order * np.radians(longitude)), np.sin(order * np.radians(longitude))
    wave = order * sine**2 - cosine**2
    u = RADIUS_M * rate * (cosine + cosine ** (order - 1) * wave * east)
    v = -RADIUS_M * rate * order * cosine ** (order - 1) * sine * north
    vorticity = rate * (2 * sine - sine * cosine**order * (order**2 + 3 * order + 2) * east)
    return u, v, vorticity


def harmonic_flow(latitude: Array, longitude: Array, degree: int, order: int) -> tuple[Array, Array, Array]:
    """Gradient (east, north) and Laplacian of a spherical harmonic scaled to winds of some m s-1."""
    scale = RADIUS_M / degree * 10
    theta, phi = np.meshgrid(np.radians(90 - latitude), np.radians(longitude), indexing="ij")
    inner = np.clip(theta, 1e-9, np.pi - 1e-9)
    values, slopes = sph_harm_y(degree, order, inner, phi, diff_n=1)
    east = scale * slopes[..., 1].real / (RADIUS_M * np.sin(inner))
    north = -scale * slopes[..., 0].real / RADIUS_M
    return east, north, -scale * degree * (degree + 1) / RADIUS_M**2 * values.real


def relative(found: Array, wanted: Array) -> float:
    """Largest difference over largest value."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def assert_pair(found: tuple[Array, Array], wanted: tuple[Array | float, Array | float], tolerance: float) -> None:
    """Two fields are met within `tolerance` of the largest value of both."""
    scale = max(np.abs(field).max() for field in wanted)
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(one - other).max() < tolerance * scale


def noise_wind(shape: tuple[int, ...], seed: int = 1) -> tuple[Array, Array]:
    """Winds without any smoothness."""
    u, v = np.random.default_rng(seed).normal(0, 10, (2, *shape))
    return u, v


# Analytic flows


@BOTH
@GRIDS
def test_solid_rotation_has_vorticity_twice_its_rate(derive: Derivation, grid: tuple[Array, Array]) -> None:
    """An atmosphere that turns as a whole has vorticity 2 omega sin(latitude), at the poles too, and no divergence."""
    latitude, longitude = grid
    u = np.tile(30 * np.cos(np.radians(latitude))[:, None], len(longitude))
    wanted = np.tile(60 / RADIUS_M * np.sin(np.radians(latitude))[:, None], len(longitude))
    tolerance = 1e-11 if derive is spectral_vorticity_divergence else 5e-3
    assert_pair(derive(u, 0 * u, latitude, longitude), (wanted, 0), tolerance)


@BOTH
@GRIDS
def test_rossby_haurwitz_wave(derive: Derivation, grid: tuple[Array, Array]) -> None:
    """The Rossby-Haurwitz wave has its known vorticity and no divergence."""
    latitude, longitude = grid
    u, v, wanted = rossby_haurwitz(latitude, longitude)
    tolerance = 1e-11 if derive is spectral_vorticity_divergence else 2e-2
    assert_pair(derive(u, v, latitude, longitude), (wanted, 0), tolerance)


@GRIDS
@pytest.mark.parametrize(("degree", "order"), [(1, 0), (1, 1), (5, 2), (12, 12), (35, 0), (35, 1), (35, 18), (35, 35)])
def test_gradient_and_rotational_flows(grid: tuple[Array, Array], degree: int, order: int) -> None:
    """The gradient of a harmonic has no vorticity and its Laplacian for divergence; turned by a right angle it has
    the Laplacian for vorticity and no divergence; up to degree 35, the last one that these grids resolve.
    """
    latitude, longitude = grid
    east, north, laplacian = harmonic_flow(latitude, longitude, degree, order)
    assert_pair(spectral_vorticity_divergence(east, north, latitude, longitude), (0, laplacian), 1e-7)
    assert_pair(spectral_vorticity_divergence(-north, east, latitude, longitude), (laplacian, 0), 1e-7)


@pytest.mark.parametrize("make", [regular, off_poles, gaussian], ids=["with poles", "off poles", "gaussian"])
def test_differences_converge_at_fourth_order(make: Callable[[int], tuple[Array, Array]]) -> None:
    """Away from the poles, halving the spacing divides the error by almost sixteen."""
    errors = []
    for n_lat in (37, 73, 145):
        latitude, longitude = make(n_lat)
        u, v, wanted = rossby_haurwitz(latitude, longitude)
        found, _ = finite_difference_vorticity_divergence(u, v, latitude, longitude)
        errors.append(np.abs(found - wanted)[np.abs(latitude) < 75].max())
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (rates > 3.7).all()


def test_differences_converge_at_second_order_at_edges_and_poles() -> None:
    """At the edges of a region, and in the rows at and beside the poles, the order is two."""
    edges, poles = [], []
    for n_lat in (73, 145, 289):
        latitude, longitude = regular(n_lat)
        east, north, wanted = sum(np.array(harmonic_flow(latitude, longitude, 3, order)) for order in (0, 1, 2))
        for flow, place in (((-north, east), 0), ((east, north), 1)):
            found = finite_difference_vorticity_divergence(*flow, latitude, longitude)[place]
            poles.append(np.abs(found - wanted)[[0, 1, 2, -2, -1]].max())
        box = np.ix_(np.flatnonzero(np.abs(latitude - 35) <= 20), np.flatnonzero(np.abs(longitude - 60) <= 40))
        axes = latitude[box[0].ravel()], longitude[box[1].ravel()]
        found, _ = finite_difference_vorticity_divergence(-north[box], east[box], *axes)
        edges.append(np.abs(found - wanted[box]).max())
    for errors in (edges, poles[::2], poles[1::2]):
        assert (np.log2(np.divide(errors[:-1], errors[1:])) > 1.8).all()


# Identities


@GRIDS
def test_winds_and_back(grid: tuple[Array, Array]) -> None:
    """Any wind within the truncation comes back from its vorticity and divergence, at the poles too; their global
    means, which no wind can have, are ignored.
    """
    latitude, longitude = grid
    shape = (2, 3, len(latitude), len(longitude))
    u, v = winds_from_vorticity_divergence(*noise_wind(shape), latitude, longitude)
    assert u.shape == shape
    vorticity, divergence = spectral_vorticity_divergence(u, v, latitude, longitude)
    assert np.abs(vorticity).max() > 1
    again = winds_from_vorticity_divergence(vorticity + 1, divergence - 1, latitude, longitude)
    assert_pair(again, (u, v), 1e-9)


@BOTH
def test_the_layout_of_the_grid_does_not_matter(derive: Derivation) -> None:
    """Longitude may start anywhere, and latitude run either way."""
    latitude, longitude = regular(19)
    u, v = noise_wind((19, 36))
    straight = np.stack(derive(u, v, latitude, longitude))
    shifted = derive(np.roll(u, 11, -1), np.roll(v, 11, -1), latitude, longitude + 3)
    assert_pair(shifted, np.roll(straight, 11, -1), 1e-12)
    assert_pair(derive(u[::-1], v[::-1], latitude[::-1], longitude), straight[:, ::-1], 1e-12)


@BOTH
@GRIDS
def test_mirror_at_the_equator(derive: Derivation, grid: tuple[Array, Array]) -> None:
    """Mirrored at the equator, with v reversed, a flow has the mirrored divergence and the reversed vorticity."""
    latitude, longitude = grid
    u, v = noise_wind((len(latitude), len(longitude)))
    vorticity, divergence = derive(u, v, latitude, longitude)
    mirrored = derive(u[::-1], -v[::-1], latitude, longitude)
    assert_pair(mirrored, (-vorticity[::-1], divergence[::-1]), 1e-9)


@BOTH
def test_leading_dimensions_and_precision_are_kept(derive: Derivation) -> None:
    """Any leading dimensions pass through, each field on its own, and single precision stays single."""
    latitude, longitude = regular(19)
    u, v = (wind.astype(np.float32) for wind in noise_wind((2, 3, 19, 36)))
    together = derive(u, v, latitude, longitude)
    alone = derive(u[1, 2], v[1, 2], latitude, longitude)
    assert together[0].dtype == np.float32
    assert together[0].shape == (2, 3, 19, 36)
    np.testing.assert_allclose(together[0][1, 2], alone[0], rtol=1e-5, atol=1e-10)
    np.testing.assert_allclose(together[1][1, 2], alone[1], rtol=1e-5, atol=1e-10)


def test_blocks_of_orders_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the Legendre functions are cut into blocks to spare memory, the result is the same."""
    latitude, longitude = off_poles(24)
    u, v = noise_wind((24, 48))
    whole = spectral_vorticity_divergence(u, v, latitude, longitude)
    monkeypatch.setattr("toolkit.data.dynamics.LEGENDRE_BLOCK_BYTES", 8 * 24 * 25 * 5)
    assert_pair(spectral_vorticity_divergence(u, v, latitude, longitude), whole, 1e-12)


# Gaps and regions


def test_gaps_spread_to_neighbours_only() -> None:
    """A missing point makes itself and its four neighbours missing; farther points are as good as without it."""
    latitude, longitude = regular(37)
    u, v, _ = rossby_haurwitz(latitude, longitude)
    full = finite_difference_vorticity_divergence(u, v, latitude, longitude)
    u[10, 0] = np.nan
    gappy = finite_difference_vorticity_divergence(u, v, latitude, longitude)
    missing = {(int(row), int(column)) for row, column in np.argwhere(np.isnan(gappy[0]) | np.isnan(gappy[1]))}
    assert missing == {(10, 0), (9, 0), (11, 0), (10, 1), (10, 71)}
    np.testing.assert_allclose(gappy[0][:, 3:-3], full[0][:, 3:-3])
    assert np.nanmax(np.abs(gappy[0] - full[0])) < 0.05 * np.abs(full[0]).max()
    u[0, 5] = np.nan
    gappy = finite_difference_vorticity_divergence(u, v, latitude, longitude)
    assert np.isnan(gappy[0][0]).nonzero()[0].tolist() == [5]


def test_a_region_is_the_region_of_the_globe() -> None:
    """Inside a region, two rows from its edges, differences are those of the whole globe, also over Greenwich; where
    it reaches a pole without going round it, that row is missing.
    """
    latitude, longitude = regular(37)
    u, v, _ = rossby_haurwitz(latitude, longitude)
    full = np.stack(finite_difference_vorticity_divergence(u, v, latitude, longitude))
    for columns in (np.arange(20, 40), np.r_[0:9, 60:72]):
        box = np.ix_(np.arange(5, 20), columns)
        part = np.stack(finite_difference_vorticity_divergence(u[box], v[box], latitude[5:20], longitude[columns]))
        inner = np.isin(columns, (columns[:2], columns[-2:])) if columns[0] else np.isin(columns, (7, 8, 60, 61))
        np.testing.assert_allclose(part[:, 2:-2, ~inner], full[:, 7:18][..., columns[~inner]])
        assert relative(part, full[:, 5:20][..., columns]) < 0.2
    vorticity, _ = finite_difference_vorticity_divergence(u[:, :9], v[:, :9], latitude, longitude[:9])
    assert np.isnan(vorticity[[0, -1]]).all()
    assert np.isfinite(vorticity[1:-1]).all()


def test_the_method_follows_the_data() -> None:
    """Global and complete winds get harmonics; a gap or a region gets differences; each says so."""
    latitude, longitude = regular(19)
    u, v = noise_wind((19, 36))
    derived = derive_vorticity_divergence(u, v, latitude, longitude)
    np.testing.assert_array_equal(derived.vorticity, spectral_vorticity_divergence(u, v, latitude, longitude)[0])
    assert derived.method.endswith("spherical harmonics")
    region = derive_vorticity_divergence(u[3:], v[3:], latitude[3:], longitude)
    assert region.method.endswith("the grid is not a global one")
    u[4, 4] = np.nan
    gappy = derive_vorticity_divergence(u, v, latitude, longitude)
    assert gappy.method.endswith("the winds have gaps")
    assert np.isfinite(gappy.divergence).sum() == u.size - 3


@GRIDS
def test_knows_a_global_grid(grid: tuple[Array, Array]) -> None:
    """The three global grids are known, either way up; parts of them, and squeezed ones, are not."""
    latitude, longitude = grid
    assert is_spectral_grid(latitude, longitude)
    assert is_spectral_grid(latitude[::-1].astype(np.float32), longitude)
    assert not is_spectral_grid(latitude[1:], longitude)
    assert not is_spectral_grid(latitude, longitude[1:])
    assert not is_spectral_grid(latitude * 0.99, longitude)


def test_refuses_grids_it_cannot_do() -> None:
    """Harmonics on a region, and differences on fewer than three rows, say what is wrong."""
    latitude, longitude = regular(19)
    u, v = noise_wind((19, 36))
    with pytest.raises(UserError, match=r"need a global grid.*18 latitudes -90 to 80.*finite_difference"):
        spectral_vorticity_divergence(u[1:], v[1:], latitude[1:], longitude)
    with pytest.raises(UserError, match="need a global grid"):
        winds_from_vorticity_divergence(u[1:], v[1:], latitude[1:], longitude)
    with pytest.raises(UserError, match=r"3 latitudes and 3 longitudes or more, not \(2, 36\)"):
        finite_difference_vorticity_divergence(u[:2], v[:2], latitude[:2], longitude)


# Smoothing


@pytest.mark.parametrize("latitude_of_bump", [0, 60])
def test_smoothing_has_its_radius_in_km(latitude_of_bump: float) -> None:
    """A single point spreads to a round bump whose standard deviation is the radius, at any latitude."""
    latitude, longitude = regular(181)
    field = np.zeros((181, 360))
    row, column = int(90 - latitude_of_bump), 5
    field[row, column] = 1
    bump = smooth_km(field, latitude, longitude, 300) * np.cos(np.radians(latitude))[:, None]
    distance = distance_km(latitude[:, None], longitude, latitude[row], longitude[column])
    assert np.sqrt((bump * distance**2).sum() / bump.sum() / 2) == pytest.approx(300, rel=0.02)
    east = bump[row, column + np.arange(3)] / bump[row, column]
    expected = np.exp(-((distance[row, column : column + 3] / 300) ** 2) / 2)
    np.testing.assert_allclose(east, expected, rtol=1e-4)


def test_smoothing_keeps_constants_and_wraps() -> None:
    """A constant stays, gaps stay and take no part, the seam is nowhere, and a region keeps to itself."""
    latitude, longitude = regular(37)
    field = np.full((2, 37, 72), 7.0)
    field[0, 10:14, 20:30] = np.nan
    smooth = smooth_km(field, latitude, longitude, 500)
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(field))
    np.testing.assert_allclose(smooth[~np.isnan(smooth)], 7)
    rough, _ = noise_wind((37, 72))
    shifted = smooth_km(np.roll(rough, 30, -1), latitude, longitude, 500)
    np.testing.assert_allclose(np.roll(shifted, -30, -1), smooth_km(rough, latitude, longitude, 500), atol=1e-12)
    assert np.ptp(smooth_km(rough, latitude, longitude, 500)[0]) < 1e-9
    region = np.zeros((37, 20))
    region[18, -1] = 1
    assert smooth_km(region, latitude, longitude[:20], 500)[18, 0] < 1e-12


def test_smoothing_over_greenwich_is_smoothing_elsewhere() -> None:
    """A region whose longitudes run over 0 is smoothed as the same region anywhere else."""
    latitude, longitude = regular(37)
    rough, _ = noise_wind((10, 20))
    elsewhere = smooth_km(rough, latitude[5:15], longitude[30:50], 400)
    columns = (np.arange(20) - 8) % 72
    order = np.argsort(columns)
    over = smooth_km(rough[:, order], latitude[5:15], longitude[columns[order]], 400)
    np.testing.assert_allclose(over, elsewhere[:, order])


# Other codes' references


def test_agrees_with_ncl(real_data: Path) -> None:
    """The same winds give NCL's vorticity and divergence, to the precision of its single-precision file."""
    winds = xr.open_dataset(real_data / "fields/era5_uv850_2025120100_2.5x2.5.nc")
    reference = xr.open_dataset(real_data / "fields/era5_vodv850_2025120100_2.5x2.5_ncl.nc")
    u, v = (winds[name].values.astype(float) for name in "uv")
    vorticity, divergence = spectral_vorticity_divergence(u, v, winds["latitude"], winds["longitude"])
    assert relative(vorticity * RADIUS_M / NCL_RADIUS_M, reference["vo"].values) < 2e-7
    assert relative(divergence * RADIUS_M / NCL_RADIUS_M, reference["dv"].values) < 2e-7


def test_agrees_with_a_reference_by_differences(real_data: Path) -> None:
    """Near the equator, where the metric terms that second-order codes split differently are small, differences agree
    with a file of second-order ones.
    """
    reference = xr.open_dataset(real_data / "fields/Helmholtz_atmos.nc").sel(lat=slice(-15, 15))
    u, v = reference["u"].values, reference["v"].values
    vorticity, divergence = finite_difference_vorticity_divergence(u, v, reference["lat"], reference["lon"])
    for found, wanted in ((vorticity, reference["vor"].values), (divergence, reference["div"].values)):
        assert np.corrcoef(found[:, 1:-1].ravel(), wanted[:, 1:-1].ravel())[0, 1] > 0.98


@pytest.mark.parametrize(("kind", "make"), [("regular", lambda: regular(73)), ("gaussian", lambda: gaussian(72))])
def test_agrees_with_windspharm(kind: str, make: Callable[[], tuple[Array, Array]]) -> None:
    """The arrays that windspharm ships (vorticity, divergence, both parts of the wind) are met on both its grids."""
    package = importlib.util.find_spec("windspharm")
    if package is None or not package.submodule_search_locations:
        pytest.skip("windspharm, which ships the reference arrays, is not installed")
    folder = Path(package.submodule_search_locations[0]) / "tests" / "data" / kind
    names = ("uwnd", "vwnd", "vrt", "div", "upsi", "vpsi", "uchi", "vchi")
    u, v, vrt, div, *parts = (np.load(folder / f"{name}.ref.npy").squeeze().astype(float) for name in names)
    latitude, longitude = make()
    vorticity, divergence = spectral_vorticity_divergence(u, v, latitude, longitude)
    assert relative(vorticity * RADIUS_M / NCL_RADIUS_M, vrt) < 1e-6
    assert relative(divergence * RADIUS_M / NCL_RADIUS_M, div) < 1e-6
    rotational = winds_from_vorticity_divergence(vorticity, 0 * vorticity, latitude, longitude)
    divergent = winds_from_vorticity_divergence(0 * divergence, divergence, latitude, longitude)
    for found, wanted in zip((*rotational, *divergent), parts, strict=True):
        assert relative(found, wanted) < 1e-6


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
