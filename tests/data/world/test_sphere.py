"""Laws of the spherical-harmonic transforms: inverses of each other, exact for what the truncation holds."""

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y
from torch import Tensor

from toolkit.data.world.sphere import ROTATION_RATE, Sphere
from toolkit.geodesy import EARTH_RADIUS_M

SPHERE = Sphere(42)


def random_coefficients(*shape: int, sphere: Sphere = SPHERE, seed: int = 0) -> Tensor:
    """Coefficients (*shape, degree, order) of random fields of unit size whose global mean is zero."""
    size = sphere.truncation + 1
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, *shape, size, size)).astype(np.float32)
    noise = np.tril(parts[0] + 1j * parts[1])
    noise[..., 0].imag = 0
    noise[..., 0, 0] = 0
    return torch.from_numpy(noise / size)


def radians(sphere: Sphere) -> tuple[Tensor, Tensor]:
    """Latitude (lat, 1) and longitude (lon,) of the Gaussian grid."""
    return torch.tensor(np.radians(sphere.latitude))[:, None], torch.tensor(np.radians(sphere.longitude))


def assert_near(found: Tensor, expected: Tensor, share: float = 2e-5) -> None:
    """Fail unless the fields differ nowhere by more than a share of the expected field's largest value."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= share * expected.abs().max()


@pytest.mark.parametrize("truncation", [10, 21, 42, 63])
def test_a_field_is_the_inverse_of_its_coefficients(truncation: int) -> None:
    """To the grid and back returns every coefficient."""
    sphere = Sphere(truncation)
    spectral = random_coefficients(2, sphere=sphere)
    assert sphere.field(spectral).shape == (2, sphere.rows, sphere.columns)
    assert_near(sphere.coefficients(sphere.field(spectral)), spectral)


@pytest.mark.parametrize(("degree", "order"), [(0, 0), (1, 0), (3, 1), (7, 7), (21, 4)])
def test_coefficients_are_those_of_orthonormal_harmonics(degree: int, order: int) -> None:
    """The field of one coefficient is that harmonic, as SciPy computes it (twice its real part for m > 0)."""
    spectral = torch.zeros(43, 43, dtype=torch.complex64)
    spectral[degree, order] = 1
    latitude, longitude = np.meshgrid(SPHERE.latitude, SPHERE.longitude, indexing="ij")
    harmonic = sph_harm_y(degree, order, np.radians(90 - latitude), np.radians(longitude)).real
    expected = torch.tensor(harmonic * (2 if order else 1), dtype=torch.float32)
    assert_near(SPHERE.field(spectral), expected, 1e-4)


def test_products_of_two_fields_are_free_of_aliasing() -> None:
    """The coefficients of a product equal those found on a grid that holds the whole product."""
    fine = Sphere(84)
    first, second = random_coefficients(2)
    product = SPHERE.coefficients(SPHERE.field(first) * SPHERE.field(second))
    exact = fine.field(SPHERE.changed(first, 84)) * fine.field(SPHERE.changed(second, 84))
    assert_near(product, fine.changed(fine.coefficients(exact), 42))


def test_solid_body_rotation_has_the_vorticity_of_twice_its_rate() -> None:
    """The wind U cos(lat) has the vorticity 2 U sin(lat) / a and no divergence."""
    latitude, longitude = radians(SPHERE)
    eastward = (30 * torch.cos(latitude) + 0 * longitude).float()
    spectral = SPHERE.rotation_and_divergence(torch.stack([eastward, torch.zeros_like(eastward)]))
    expected = (60 * torch.sin(latitude) / EARTH_RADIUS_M + 0 * longitude).float()
    vorticity, divergence = SPHERE.field(spectral)
    assert_near(vorticity, expected)
    assert divergence.abs().max() < 1e-5 * expected.max()


def test_the_earth_turns_as_a_solid_body() -> None:
    """The Coriolis parameter is the vorticity of a wind a Omega cos(lat)."""
    latitude, longitude = radians(SPHERE)
    eastward = (EARTH_RADIUS_M * ROTATION_RATE * torch.cos(latitude) + 0 * longitude).float()
    spectral = SPHERE.rotation_and_divergence(torch.stack([eastward, torch.zeros_like(eastward)]))
    assert_near(SPHERE.field(spectral)[0], SPHERE.coriolis.expand_as(eastward))


def test_a_gradient_has_no_curl_and_the_laplacian_as_divergence() -> None:
    """The gradient of sin(lat) is curl-free and its divergence is -2 sin(lat) / a^2."""
    latitude, longitude = radians(SPHERE)
    northward = (torch.cos(latitude) / EARTH_RADIUS_M + 0 * longitude).float()
    spectral = SPHERE.rotation_and_divergence(torch.stack([torch.zeros_like(northward), northward]))
    rotation, divergence = SPHERE.field(spectral)
    potential = SPHERE.coefficients((torch.sin(latitude) + 0 * longitude).float())
    assert_near(divergence, SPHERE.field(SPHERE.laplacian * potential), 1e-3)  # l (l + 1) magnifies rounding
    assert_near(divergence, (-2 * torch.sin(latitude) / EARTH_RADIUS_M**2 + 0 * longitude).float(), 1e-4)
    assert rotation.abs().max() < 1e-4 * divergence.max()


@pytest.mark.parametrize("kept", [0, 1])
def test_the_wind_of_one_of_vorticity_and_divergence_has_none_of_the_other(kept: int) -> None:
    """A rotational wind diverges nowhere; a divergent wind rotates nowhere."""
    both = 1e-5 * random_coefficients(2)
    both[1 - kept] = 0
    back = SPHERE.rotation_and_divergence(SPHERE.winds(both))
    assert_near(back[kept], both[kept], 1e-4)
    assert back[1 - kept].abs().max() < 1e-4 * both[kept].abs().max()


def test_winds_and_their_curl_and_divergence_are_inverses() -> None:
    """From vorticity and divergence to winds and back, and from those winds round once more, nothing is lost."""
    both = 1e-5 * random_coefficients(3, 2)
    wind = SPHERE.winds(both)
    back = SPHERE.rotation_and_divergence(wind)
    assert_near(back, both, 1e-4)
    assert_near(SPHERE.winds(back), wind, 1e-4)


def test_a_turned_wind_exchanges_curl_and_divergence() -> None:
    """Turning every wind by 90 degrees makes the vorticity the divergence, and the divergence minus the vorticity."""
    wind = SPHERE.winds(1e-5 * random_coefficients(2))
    spectral = SPHERE.rotation_and_divergence(wind)
    turned = SPHERE.rotation_and_divergence(torch.stack([-wind[1], wind[0]]))
    assert_near(turned, torch.stack([spectral[1], -spectral[0]]))


def test_laplacian_and_its_inverse_cancel_but_for_the_mean() -> None:
    """The inverse Laplacian undoes the Laplacian at every degree and leaves the mean at zero."""
    product = SPHERE.laplacian * SPHERE.inverse_laplacian
    assert torch.allclose(product[1:], torch.ones_like(product[1:]))
    assert product[0] == 0
    assert SPHERE.inverse_laplacian[0] == 0


def test_the_area_mean_is_that_of_the_sphere() -> None:
    """One has the mean 1, sin^2(lat) the mean 1/3, and a field its coefficient of degree 0."""
    latitude, longitude = radians(SPHERE)
    assert float(SPHERE.mean(torch.ones(SPHERE.rows, SPHERE.columns))) == pytest.approx(1, rel=1e-6)
    assert float(SPHERE.mean(torch.sin(latitude) ** 2 + 0 * longitude)) == pytest.approx(1 / 3, rel=1e-6)
    spectral = random_coefficients(1)
    spectral[:, 0, 0] = 5 * np.sqrt(4 * np.pi)
    assert float(SPHERE.mean(SPHERE.field(spectral))) == pytest.approx(5, rel=1e-5)


def test_more_degrees_hold_the_same_field() -> None:
    """Padded coefficients give the same regular field; cut again they are what they were."""
    spectral = random_coefficients(2, 3)
    padded = SPHERE.changed(spectral, 63)
    assert padded.shape == (2, 3, 64, 64)
    assert torch.equal(Sphere(63).changed(padded, 42), spectral)
    assert_near(Sphere(63).regular_field(padded, 33), SPHERE.regular_field(spectral, 33))


def test_the_regular_grid_reaches_both_poles() -> None:
    """A scalar known in closed form has its values at latitudes 90 to -90 and longitudes from 0."""
    latitude, longitude = radians(SPHERE)
    spectral = SPHERE.coefficients((torch.sin(latitude) + torch.cos(latitude) * torch.cos(longitude)).float())
    phi = torch.linspace(90, -90, 33, dtype=torch.float64).deg2rad()[:, None]
    lam = (torch.arange(64, dtype=torch.float64) * 360 / 64).deg2rad()
    expected = (torch.sin(phi) + torch.cos(phi) * torch.cos(lam)).float()
    assert_near(SPHERE.regular_field(spectral, 33), expected)


def test_the_regular_wind_is_the_wind() -> None:
    """A flow across the poles, whose winds are known in closed form, has them on the regular grid, poles included."""
    # Solid-body rotation about the axis that leaves the equator at longitude 0: u = -sin(lat) cos(lon), v = sin(lon).
    latitude, longitude = radians(SPHERE)
    wind = torch.stack([-torch.sin(latitude) * torch.cos(longitude), torch.sin(longitude) + 0 * latitude]).float()
    phi = torch.linspace(90, -90, 33, dtype=torch.float64).deg2rad()[:, None]
    lam = (torch.arange(64, dtype=torch.float64) * 360 / 64).deg2rad()
    expected = torch.stack([-torch.sin(phi) * torch.cos(lam), torch.sin(lam) + 0 * phi]).float()
    assert_near(SPHERE.regular_winds(SPHERE.rotation_and_divergence(wind), 33), expected, 1e-4)
