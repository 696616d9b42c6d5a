"""Laws that both derivations of vorticity and divergence keep, and which of them the data get."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.data.differences import finite_difference_vorticity_divergence
from toolkit.data.dynamics import derivation
from toolkit.data.harmonics import spectral_vorticity_divergence
from toolkit.geodesy import EARTH_RADIUS_M

Array = NDArray[np.float64]
MakeGrid = Callable[[str, int], tuple[Array, Array]]
Flow = Callable[..., tuple[Array, Array, Array]]
RelativeError = Callable[..., float]
Derivation = Callable[..., tuple[Array, Array]]
BOTH = pytest.mark.parametrize(
    "derive", [spectral_vorticity_divergence, finite_difference_vorticity_divergence], ids=["spectral", "differences"]
)


@BOTH
def test_solid_rotation_has_vorticity_twice_its_rate(
    derive: Derivation, grid: tuple[Array, Array], relative_error: RelativeError
) -> None:
    """An atmosphere that turns as a whole has vorticity 2 omega sin(latitude), at the poles too, and no divergence."""
    latitude, longitude = grid
    u = np.tile(30 * np.cos(np.radians(latitude))[:, None], len(longitude))
    wanted = np.tile(60 / EARTH_RADIUS_M * np.sin(np.radians(latitude))[:, None], len(longitude))
    tolerance = 1e-11 if derive is spectral_vorticity_divergence else 5e-3
    assert relative_error(derive(u, 0 * u, latitude, longitude), (wanted, 0)) < tolerance


@BOTH
def test_rossby_haurwitz_wave(
    derive: Derivation, grid: tuple[Array, Array], rossby_haurwitz: Flow, relative_error: RelativeError
) -> None:
    """The Rossby-Haurwitz wave has its known vorticity and no divergence."""
    latitude, longitude = grid
    u, v, wanted = rossby_haurwitz(latitude, longitude)
    tolerance = 1e-11 if derive is spectral_vorticity_divergence else 2e-2
    assert relative_error(derive(u, v, latitude, longitude), (wanted, 0)) < tolerance


@BOTH
def test_the_layout_of_the_grid_does_not_matter(
    derive: Derivation, make_grid: MakeGrid, relative_error: RelativeError
) -> None:
    """Longitude may start anywhere, and latitude run either way."""
    latitude, longitude = make_grid("with poles", 19)
    u, v = np.random.default_rng(1).normal(0, 10, (2, 19, 36))
    straight = np.stack(derive(u, v, latitude, longitude))
    shifted = derive(np.roll(u, 11, -1), np.roll(v, 11, -1), latitude, longitude + 3)
    assert relative_error(shifted, np.roll(straight, 11, -1)) < 1e-12
    assert relative_error(derive(u[::-1], v[::-1], latitude[::-1], longitude), straight[:, ::-1]) < 1e-12


@BOTH
def test_mirror_at_the_equator(derive: Derivation, grid: tuple[Array, Array], relative_error: RelativeError) -> None:
    """Mirrored at the equator, with v reversed, a flow has the mirrored divergence and the reversed vorticity."""
    latitude, longitude = grid
    u, v = np.random.default_rng(1).normal(0, 10, (2, len(latitude), len(longitude)))
    vorticity, divergence = derive(u, v, latitude, longitude)
    mirrored = derive(u[::-1], -v[::-1], latitude, longitude)
    assert relative_error(mirrored, (-vorticity[::-1], divergence[::-1])) < 1e-9


@BOTH
def test_leading_dimensions_and_precision_are_kept(derive: Derivation, make_grid: MakeGrid) -> None:
    """Any leading dimensions pass through, each field on its own, and single precision stays single."""
    latitude, longitude = make_grid("with poles", 19)
    u, v = np.random.default_rng(1).normal(0, 10, (2, 2, 3, 19, 36)).astype(np.float32)
    together = derive(u, v, latitude, longitude)
    alone = derive(u[1, 2], v[1, 2], latitude, longitude)
    assert together[0].dtype == np.float32
    assert together[0].shape == (2, 3, 19, 36)
    np.testing.assert_allclose(together[0][1, 2], alone[0], rtol=1e-5, atol=1e-10)
    np.testing.assert_allclose(together[1][1, 2], alone[1], rtol=1e-5, atol=1e-10)


def test_the_method_follows_the_data(make_grid: MakeGrid) -> None:
    """Global and complete winds get harmonics; a gap or a region gets differences; each says so."""
    latitude, longitude = make_grid("with poles", 19)
    said = {
        derivation(latitude, longitude, complete=True): (spectral_vorticity_divergence, "spherical harmonics"),
        derivation(latitude[3:], longitude, complete=True): (
            finite_difference_vorticity_divergence,
            "the grid is not a global one",
        ),
        derivation(latitude, longitude, complete=False): (
            finite_difference_vorticity_divergence,
            "the winds have gaps",
        ),
    }
    for (method, sentence), (wanted, reason) in said.items():
        assert method is wanted
        assert sentence.endswith(reason)


def test_a_gap_stays_where_it_is(make_grid: MakeGrid) -> None:
    """Differences lose the point that is missing and those whose only neighbour it is, and no other."""
    latitude, longitude = make_grid("with poles", 19)
    u, v = np.random.default_rng(1).normal(0, 10, (2, 19, 36))
    u[4, 4] = np.nan
    _, divergence = finite_difference_vorticity_divergence(u, v, latitude, longitude)
    assert np.isfinite(divergence).sum() == u.size - 3
