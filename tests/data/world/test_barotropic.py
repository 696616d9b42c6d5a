"""Laws of flow without divergence: exact solutions, what it conserves, and its symmetries in space and time."""

import numpy as np
import pytest
import torch
from torch import Tensor

from toolkit.data.world.barotropic import Barotropic, advance, regular_fields, tendency, winds
from toolkit.data.world.sphere import ROTATION_RATE, Sphere

SPHERE = Sphere(31)
HOUR, DAY = 3600.0, 86400.0
INVISCID = float("inf")


def random_flow(size: float = 3e-5, degrees: tuple[int, int] = (2, 12), seed: int = 0) -> Tensor:
    """Vorticity coefficients (degree, order) of eddies with a root mean square of `size`, s-1, in a band of degrees."""
    count = SPHERE.truncation + 1
    parts = np.random.default_rng(seed).standard_normal((2, count, count))
    degree = np.arange(count)[:, None]
    band = (degree >= degrees[0]) & (degree <= degrees[1])
    coefficients = torch.tensor(np.tril((parts[0] + 1j * parts[1]) * band), dtype=torch.complex64)
    coefficients[:, 0] = coefficients[:, 0].real.to(torch.complex64)
    return coefficients * (size / SPHERE.field(coefficients).square().mean().sqrt())


def coefficients_of(field: np.ndarray) -> Tensor:
    """Coefficients (degree, order) of a vorticity field (lat, lon), less its mean."""
    coefficients = SPHERE.coefficients(torch.tensor(field).float())
    coefficients[0, 0] = 0
    return coefficients


def run(fluid: Barotropic, vorticity: Tensor, seconds: float) -> Tensor:
    """The vorticity after a time."""
    for _ in range(round(seconds / fluid.step)):
        vorticity = advance(fluid, vorticity)
    return vorticity


def assert_near(is_: Tensor, expected: Tensor, share: float) -> None:
    """Two sets of coefficients differ by less than a share of the largest."""
    assert (is_ - expected).abs().max() < share * expected.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("tilt", [0.0, 40.0, 90.0])
def test_solid_body_rotation_stays(tilt: float) -> None:
    """The fluid turning as a whole about any axis goes on for two days as it began."""
    latitude, longitude, axis = np.radians(SPHERE.latitude)[:, None], np.radians(SPHERE.longitude), np.radians(tilt)
    along_axis = np.cos(axis) * np.sin(latitude) + np.sin(axis) * np.cos(latitude) * np.cos(longitude)
    vorticity = coefficients_of(5e-5 * along_axis)
    assert_near(run(Barotropic(SPHERE, HOUR), vorticity, 2 * DAY), vorticity, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("rotation", [0.0, 1.0])
def test_a_vortex_about_the_pole_is_steady(rotation: float) -> None:
    """What is the same at all longitudes stays, whether the sphere rotates or not."""
    distance = np.radians(90 - SPHERE.latitude)[:, None] + 0 * SPHERE.longitude
    vorticity = coefficients_of(6e-5 * np.exp(-((distance / 0.3) ** 2)))
    assert_near(run(Barotropic(SPHERE, HOUR, rotation, INVISCID), vorticity, 2 * DAY), vorticity, 1e-4)


def test_waves_of_one_degree_move_westward_as_rossby_and_haurwitz_found() -> None:
    """Harmonics of degree l turn about the pole by -2 Omega / l (l + 1), whatever their amplitude."""
    vorticity = random_flow(degrees=(5, 5))
    order = torch.arange(SPHERE.truncation + 1)
    moved = vorticity * torch.exp(1j * order * 2 * ROTATION_RATE * DAY / (5 * 6))
    assert_near(run(Barotropic(SPHERE, HOUR / 2, 1.0, INVISCID), vorticity, DAY), moved, 1e-3)


@pytest.mark.parametrize("rotation", [0.0, 1.0])
def test_energy_enstrophy_and_total_vorticity_are_conserved(rotation: float) -> None:
    """Over a day without hyperdiffusion mean V^2 and zeta^2 keep to 1 in 1000; the mean of zeta stays zero."""
    before = random_flow()
    after = run(Barotropic(SPHERE, HOUR / 2, rotation, INVISCID), before, DAY)
    assert (after - before).abs().max() > 0.1 * before.abs().max()
    assert after[0, 0] == 0
    for quantity in (SPHERE.field, lambda vorticity: winds(SPHERE, vorticity)):
        start, end = (float(SPHERE.mean(quantity(state).square()).sum()) for state in (before, after))
        assert end == pytest.approx(start, rel=1e-3)


def test_the_smallest_scale_decays_in_the_diffusion_time_and_large_ones_stay() -> None:
    """A zonal harmonic of the last degree falls by e in `diffusion_time`; one of a third of it is hardly touched."""
    vorticity = torch.zeros(32, 32, dtype=torch.complex64)
    vorticity[31, 0] = vorticity[10, 0] = 1e-5
    after = run(Barotropic(SPHERE, HOUR, diffusion_time=6 * HOUR), vorticity, 6 * HOUR) / 1e-5
    assert float(after[31, 0].real) == pytest.approx(np.exp(-1), rel=1e-3)
    assert float(after[10, 0].real) == pytest.approx(1, rel=1e-3)


def test_a_turned_beginning_gives_a_turned_flow() -> None:
    """Turning the initial vorticity in longitude turns what becomes of it, also where the sphere rotates."""
    fluid, vorticity = Barotropic(SPHERE, HOUR, 1.0), random_flow()
    turn = torch.exp(-1j * torch.arange(SPHERE.truncation + 1) * 0.7)
    assert_near(run(fluid, vorticity * turn, DAY), run(fluid, vorticity, DAY) * turn, 1e-4)


def test_twice_the_vorticity_flows_twice_as_fast() -> None:
    """Without rotation the doubled flow is after half the time what the flow itself becomes, doubled."""
    vorticity = random_flow()
    slow = run(Barotropic(SPHERE, HOUR, diffusion_time=8 * HOUR), vorticity, DAY)
    fast = run(Barotropic(SPHERE, HOUR / 2, diffusion_time=4 * HOUR), 2 * vorticity, DAY / 2)
    assert_near(fast, 2 * slow, 1e-5)


def test_members_flow_side_by_side() -> None:
    """The tendency of several flows at once is that of each alone."""
    fluid, flows = Barotropic(SPHERE, HOUR, 1.0), torch.stack([random_flow(seed=seed) for seed in range(3)])
    assert_near(tendency(fluid, flows)[1], tendency(fluid, flows[1]), 1e-5)


def test_the_wind_has_the_vorticity_and_no_divergence() -> None:
    """On the Gaussian grid the curl of the wind gives the vorticity back; the regular grid shows the same flow."""
    vorticity = random_flow()
    curl, divergence = SPHERE.rotation_and_divergence(winds(SPHERE, vorticity))
    assert_near(curl, vorticity, 1e-4)
    assert divergence.abs().max() < 1e-4 * vorticity.abs().max()
    regular = regular_fields(SPHERE, vorticity)
    assert regular.shape == (3, SPHERE.rows + 1, SPHERE.columns)
    assert float(regular[0].abs().max()) == pytest.approx(float(SPHERE.field(vorticity).abs().max()), rel=0.05)
