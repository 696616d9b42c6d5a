"""Laws of the shallow-water flow: known exact solutions, what it conserves, and convergence in step and truncation.

The test cases are those of Williamson et al. (1992), doi:10.1016/S0021-9991(05)80016-6.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from toolkit.data.world.shallow_water import (
    Fluid,
    GridFlow,
    advance,
    balanced_geopotential,
    first_step,
    on_grid,
    start,
    tendency,
)
from toolkit.data.world.sphere import ROTATION_RATE, Sphere
from toolkit.data.world.vortices import find_centre
from toolkit.geodesy import EARTH_RADIUS_M, distance_km

pytestmark = pytest.mark.slow

HOUR, DAY = 3600.0, 86400.0
INVISCID = 1e15
"""A diffusion time that switches hyperdiffusion off, s."""
DEEP = 200.0**2
"""A mean geopotential in which the random flows below stay far from drying out, m2 s-2."""


def run(fluid: Fluid, state: Tensor, seconds: float) -> Tensor:
    """The state (member, 3, degree, order) after stepping without forcing."""
    flow = start(state)
    for step in range(round(seconds / fluid.step)):
        change = tendency(fluid, on_grid(fluid, flow.at))
        flow = (advance if step else first_step)(fluid, flow, change)
    return flow.at


def radians(sphere: Sphere) -> tuple[Tensor, Tensor]:
    """Latitude (lat, 1) and longitude (lon,) of the Gaussian grid."""
    return torch.tensor(np.radians(sphere.latitude))[:, None], torch.tensor(np.radians(sphere.longitude))


def balanced(sphere: Sphere, vorticity: Tensor) -> Tensor:
    """A state (1, 3, degree, order) of a vorticity field (lat, lon), without divergence and in balance."""
    spectral = sphere.coefficients(vorticity.float())
    spectral[0, 0] = 0
    return torch.stack([spectral, torch.zeros_like(spectral), balanced_geopotential(sphere, spectral)])[None]


def random_flow(sphere: Sphere, degree: int = 8, vorticity: float = 8e-6, seed: int = 0) -> Tensor:
    """A balanced state of random eddies around one total wavenumber with a given root-mean-square vorticity, s-1."""
    size = sphere.truncation + 1
    rng = np.random.default_rng(seed)
    degrees = np.arange(size)[:, None]
    envelope = np.exp(-(((degrees - degree) / 5) ** 2)) * (degrees > 2)
    parts = rng.standard_normal((2, size, size)) * envelope
    field = sphere.field(torch.tensor(np.tril(parts[0] + 1j * parts[1]), dtype=torch.complex64))
    return balanced(sphere, field * (vorticity / field.square().mean().sqrt()))


def lone_vortex(sphere: Sphere, latitude: float, amplitude: float, radius_km: float) -> Tensor:
    """The vorticity (lat, lon) of one Gaussian vortex at longitude 180."""
    distance = distance_km(latitude, 180.0, sphere.latitude[:, None], sphere.longitude)
    return torch.from_numpy(amplitude * np.exp(-((distance / radius_km) ** 2) / 2)).float()


def mirrored(state: Tensor) -> Tensor:
    """The state with north and south exchanged: vorticity also changes sign, divergence and geopotential do not."""
    size = state.shape[-1]
    parity = 1 - 2 * ((torch.arange(size)[:, None] + torch.arange(size)) % 2)
    return state * parity * torch.tensor([-1, 1, 1])[:, None, None]


def size_of(field: Tensor) -> float:
    """The root mean square."""
    return float(field.square().mean().sqrt())


def relative_difference(sphere: Sphere, found: Tensor, expected: Tensor) -> list[float]:
    """Root-mean-square differences of vorticity, divergence, geopotential over the size of what is expected."""
    difference, reference = sphere.field(found - expected)[0], sphere.field(expected)[0]
    return [size_of(difference[index]) / size_of(reference[index]) for index in range(3)]


def test_geostrophic_zonal_flow_is_steady() -> None:
    """Williamson's case 2: a solid-body wind in its exact balance has not changed after five days."""
    sphere = Sphere(42)
    latitude, longitude = radians(sphere)
    wind = 2 * np.pi * EARTH_RADIUS_M / (12 * DAY)
    depth = 2.94e4 - (EARTH_RADIUS_M * ROTATION_RATE * wind + wind**2 / 2) * torch.sin(latitude) ** 2 + 0 * longitude
    mean = float(sphere.mean(depth.float()))
    vorticity = sphere.coefficients((2 * wind / EARTH_RADIUS_M * torch.sin(latitude) + 0 * longitude).float())
    geopotential = sphere.coefficients((depth - mean).float())
    state = torch.stack([vorticity, torch.zeros_like(vorticity), geopotential])[None]
    fluid = Fluid(sphere, step=1200.0, mean_geopotential=mean)
    before, after = on_grid(fluid, state), on_grid(fluid, run(fluid, state, 5 * DAY))
    for name in ("vorticity", "geopotential", "wind"):
        difference = (getattr(after, name) - getattr(before, name)).abs().max()
        assert difference < 1e-5 * getattr(before, name).abs().max()
    assert after.divergence.abs().max() < 1e-4 * before.vorticity.abs().max()


def rossby_haurwitz(sphere: Sphere) -> tuple[Tensor, Tensor]:
    """Vorticity and depth g h (lat, lon) of Williamson's case 6, wavenumber 4, in closed form."""
    latitude, longitude = radians(sphere)
    rate, wave, c = 7.848e-6, 4, torch.cos(latitude)
    vorticity = 2 * rate * torch.sin(latitude) - rate * torch.sin(latitude) * c**wave * (wave**2 + 3 * wave + 2) * (
        torch.cos(wave * longitude)
    )
    a = rate / 2 * (2 * ROTATION_RATE + rate) * c**2 + rate**2 / 4 * c ** (2 * wave) * (
        (wave + 1) * c**2 + (2 * wave**2 - wave - 2) - 2 * wave**2 / c**2
    )
    b = 2 * (ROTATION_RATE + rate) * rate / ((wave + 1) * (wave + 2)) * c**wave
    b = b * ((wave**2 + 2 * wave + 2) - (wave + 1) ** 2 * c**2)
    d = rate**2 / 4 * c ** (2 * wave) * ((wave + 1) * c**2 - (wave + 2))
    waves = a + b * torch.cos(wave * longitude) + d * torch.cos(2 * wave * longitude)
    return vorticity.float(), (9.80616 * 8e3 + EARTH_RADIUS_M**2 * waves).float()


def test_balance_is_that_of_the_rossby_haurwitz_wave_in_closed_form() -> None:
    """The balance equation, solved numerically, gives the depth that Williamson et al. print for case 6."""
    sphere = Sphere(42)
    vorticity, depth = rossby_haurwitz(sphere)
    found = sphere.field(balanced(sphere, vorticity)[0, 2])
    expected = depth - sphere.mean(depth)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_the_rossby_haurwitz_wave_moves_east_and_keeps_its_shape() -> None:
    """Williamson's case 6: after three days wave 4 has moved by 10.5 to 12.2 degrees a day and lies on itself.

    12.2 is the speed without divergence, (R (3 + R) w - 2 Omega) / ((1 + R) (2 + R)); a free surface slows it.
    """
    sphere = Sphere(42)
    vorticity, depth = rossby_haurwitz(sphere)
    state = balanced(sphere, vorticity)
    after = run(Fluid(sphere, 1200.0, mean_geopotential=float(sphere.mean(depth))), state, 3 * DAY)
    turn = -float(torch.angle(after[0, 0, 5, 4] / state[0, 0, 5, 4])) / 4
    assert 3 * 10.5 < np.degrees(turn) < 3 * 12.2
    moved = sphere.field(state * torch.exp(-1j * torch.arange(43) * turn))
    difference = sphere.field(after) - moved
    assert size_of(difference[0, 2]) < 0.12 * size_of(moved[0, 2])
    assert size_of(difference[0, 0]) < 0.2 * size_of(moved[0, 0])
    others = [order for order in range(43) if order % 4]
    assert after[..., others].abs().max() < 1e-3 * after.abs()[0, 0].max()


@pytest.mark.parametrize(("degree", "order"), [(2, 1), (5, 4), (8, 3)])
def test_small_rossby_waves_move_west_at_their_phase_speed(degree: int, order: int) -> None:
    """In a very deep layer a harmonic of small amplitude drifts west by 2 Omega / (l (l + 1)) radians a second."""
    sphere = Sphere(15)
    vorticity = torch.zeros(16, 16, dtype=torch.complex64)
    vorticity[degree, order] = 1e-8
    state = balanced(sphere, sphere.field(vorticity))
    hours = 12
    after = run(Fluid(sphere, 600.0, mean_geopotential=1e9, diffusion_time=INVISCID), state, hours * HOUR)
    west = float(torch.angle(after[0, 0, degree, order] / state[0, 0, degree, order])) / order
    assert west == pytest.approx(2 * ROTATION_RATE / (degree * (degree + 1)) * hours * HOUR, rel=0.01)
    assert float(after[0, 0, degree, order].abs()) == pytest.approx(1e-8, rel=1e-2)


@pytest.mark.parametrize("degree", [4, 9])
def test_gravity_waves_return_after_their_period(degree: int) -> None:
    """A small hump of degree l is upside down after half of 2 pi a / c / sqrt(l (l + 1)), and back after all of it."""
    sphere = Sphere(15)
    speed = 1e4  # far faster than rotation matters
    period = 2 * np.pi * EARTH_RADIUS_M / speed / np.sqrt(degree * (degree + 1))
    state = torch.zeros(1, 3, 16, 16, dtype=torch.complex64)
    state[0, 2, degree, 2] = 1.0
    fluid = Fluid(sphere, period / 200, mean_geopotential=speed**2, diffusion_time=INVISCID)
    assert float(run(fluid, state, period / 2)[0, 2, degree, 2].real) == pytest.approx(-1, abs=0.02)
    assert float(run(fluid, state, period)[0, 2, degree, 2].real) == pytest.approx(1, abs=0.02)


def budget(fluid: Fluid, state: Tensor) -> dict[str, float]:
    """Area means of what an undisturbed fluid conserves."""
    grid, sphere = on_grid(fluid, state.to(torch.complex64)), fluid.sphere
    depth = fluid.mean_geopotential + grid.geopotential.double()
    absolute, wind = (grid.vorticity + sphere.coriolis).double(), grid.wind.double()
    cosine = torch.cos(radians(sphere)[0])
    kept = {
        "mass": depth,
        "energy": 0.5 * depth * wind.square().sum(1) + 0.5 * grid.geopotential.double() ** 2,
        "potential enstrophy": 0.5 * absolute**2 / depth,
        "angular momentum": depth * (wind[:, 0] + EARTH_RADIUS_M * ROTATION_RATE * cosine) * cosine,
    }
    weights = sphere.latitude_weights.double()
    return {name: float((density * weights).sum()) for name, density in kept.items()}


def test_energy_potential_enstrophy_and_angular_momentum_are_conserved_without_diffusion() -> None:
    """A day of turbulent flow changes none of them by more than the truncation does, and mass by rounding only."""
    fluid = Fluid(Sphere(31), 600.0, DEEP, diffusion_time=INVISCID)
    state = random_flow(fluid.sphere)
    before, after = budget(fluid, state), budget(fluid, run(fluid, state, DAY))
    limits = {"mass": 1e-8, "energy": 2e-5, "potential enstrophy": 1e-6, "angular momentum": 1e-6}
    for name, limit in limits.items():
        assert abs(after[name] / before[name] - 1) < limit, name
    assert size_of(run(fluid, state, DAY)[0, 0].abs() - state[0, 0].abs()) > 0.05 * size_of(state[0, 0].abs())


def test_hyperdiffusion_only_takes_energy_and_enstrophy_and_little_of_them() -> None:
    """With hyperdiffusion a day costs less than 1 % of the energy; mass and the mean vorticity are untouched."""
    fluid = Fluid(Sphere(31), 900.0, DEEP)
    state = random_flow(fluid.sphere)
    after = run(fluid, state, DAY)
    first, last = budget(fluid, state), budget(fluid, after)
    assert 0.99 * first["energy"] < last["energy"] < first["energy"]
    assert last["potential enstrophy"] < first["potential enstrophy"]
    assert after[0, 2, 0, 0] == state[0, 2, 0, 0]


def test_the_mean_vorticity_and_divergence_stay_zero() -> None:
    """Stokes' theorem on a closed surface: no flow makes a mean of vorticity or divergence, not even by rounding."""
    fluid = Fluid(Sphere(21), 1200.0, DEEP, drag=1e-6)
    after = run(fluid, random_flow(fluid.sphere), DAY)
    assert after[0, 0, 0, 0] == 0
    assert after[0, 1, 0, 0] == 0


def test_hyperdiffusion_damps_the_smallest_scale_in_its_time_and_the_planetary_scales_not() -> None:
    """The last degree falls by a factor e in `diffusion_time`, degree 3 by less than 1e-6 of itself."""
    fluid = Fluid(Sphere(21), 600.0, diffusion_time=4 * HOUR)
    state = torch.zeros(1, 3, 22, 22, dtype=torch.complex64)
    state[0, 0, 21, 0] = state[0, 0, 3, 0] = 1e-5
    flow = start(state)
    for step in range(24):
        flow = (advance if step else first_step)(fluid, flow, torch.zeros_like(state))
    assert float(flow.at[0, 0, 21, 0].real) == pytest.approx(1e-5 / np.e, rel=0.05)
    assert float(flow.at[0, 0, 3, 0].real) == pytest.approx(1e-5, rel=1e-6)


def test_drag_slows_by_the_square_of_the_wind() -> None:
    """What drag adds to the tendencies is the curl and divergence of -c |V| V."""
    sphere = Sphere(42)
    latitude, longitude = radians(sphere)
    speed = (20 * torch.cos(latitude) + 0 * longitude).float()
    still = torch.zeros_like(speed)
    wind = torch.stack([speed, still])[None]
    grid = GridFlow(still[None], still[None], still[None], wind)
    free = Fluid(sphere, 1200.0)
    found = tendency(replace(free, drag=1e-6), grid) - tendency(free, grid)
    expected = sphere.rotation_and_divergence(torch.stack([-1e-6 * speed.square(), still]))
    assert torch.allclose(found[0, :2], expected, atol=1e-4 * float(expected.abs().max()))
    assert found[0, 2].abs().max() == 0


def test_drag_takes_energy() -> None:
    """A flow with drag has less energy after a day than the same flow without."""
    free = Fluid(Sphere(21), 1200.0, DEEP)
    state = random_flow(free.sphere)
    energies = [budget(fluid, run(fluid, state, DAY))["energy"] for fluid in (free, replace(free, drag=1e-6))]
    assert energies[1] < 0.9 * energies[0]


def test_a_balanced_flow_does_not_begin_to_diverge() -> None:
    """The balanced geopotential cancels the rest of the divergence tendency of any nondivergent flow."""
    sphere = Sphere(31)
    state = random_flow(sphere)
    fluid = Fluid(sphere, 600.0, DEEP)
    pressure = -sphere.laplacian * state[:, 2]
    rest = tendency(fluid, on_grid(fluid, state))[:, 1]
    assert (rest + pressure).abs().max() < 1e-4 * pressure.abs().max()


def diverging_and_changing(fluid: Fluid, state: Tensor) -> tuple[float, float]:
    """Largest divergence over the largest vorticity in a day's run, and the change of the wind in it relative to it."""
    before = on_grid(fluid, state)
    flow, largest = start(state), 0.0
    for step in range(round(DAY / fluid.step)):
        grid = on_grid(fluid, flow.at)
        largest = max(largest, float(grid.divergence.abs().max()))
        flow = (advance if step else first_step)(fluid, flow, tendency(fluid, grid))
    change = (on_grid(fluid, flow.at).wind - before.wind).abs().max() / before.wind.abs().max()
    return largest / float(before.vorticity.abs().max()), float(change)


def test_a_balanced_vortex_persists_and_an_unbalanced_one_radiates_gravity_waves() -> None:
    """A vortex near the pole, where f hardly varies, stays as it is; without its depression it throws off waves."""
    sphere = Sphere(42)
    fluid = Fluid(sphere, 600.0)
    state = balanced(sphere, lone_vortex(sphere, 80.0, 4e-5, 450.0))
    unbalanced = state.clone()
    unbalanced[:, 2] = 0
    divergence, change = diverging_and_changing(fluid, state)
    divergence_without, change_without = diverging_and_changing(fluid, unbalanced)
    assert divergence < 0.01
    assert change < 0.15
    assert divergence_without > 20 * divergence
    assert change_without > 3 * change


def drift(latitude: float) -> tuple[float, float]:
    """Poleward and eastward drift (degrees of arc) of a lone cyclone over two days without any mean flow."""
    sphere = Sphere(42)
    sign = 1.0 if latitude > 0 else -1.0
    state = balanced(sphere, lone_vortex(sphere, latitude, sign * 8e-5, 300.0))
    after = on_grid(fluid := Fluid(sphere, 900.0, DEEP), run(fluid, state, 2 * DAY))
    lat, lon, _ = find_centre(after.vorticity[0].numpy(), sphere.latitude, latitude, 178.0, sign)
    return sign * (lat - latitude), (lon - 180) * np.cos(np.radians(lat))


def test_a_lone_cyclone_drifts_poleward_and_west() -> None:
    """The beta drift: north-west in the northern hemisphere, south-west by the mirrored path in the southern."""
    poleward, eastward = drift(20.0)
    assert 1.0 < poleward < 8.0
    assert -8.0 < eastward < -0.5
    assert drift(-20.0) == pytest.approx((poleward, eastward), abs=1e-3)


def test_mirrored_flows_evolve_as_mirror_images() -> None:
    """Exchanging the hemispheres before a day or after it is the same."""
    fluid = Fluid(Sphere(21), 1200.0, DEEP, drag=1e-7)
    state = random_flow(fluid.sphere)
    difference = relative_difference(fluid.sphere, run(fluid, mirrored(state), DAY), mirrored(run(fluid, state, DAY)))
    assert max(difference) < 1e-3


def test_turned_flows_evolve_as_turned_images() -> None:
    """Longitude has no origin: turning the globe by a quarter before a day or after it is the same."""
    fluid = Fluid(Sphere(21), 1200.0, DEEP)
    state = random_flow(fluid.sphere)
    turn = torch.exp(-0.5j * np.pi * torch.arange(22))
    difference = relative_difference(fluid.sphere, run(fluid, state * turn, DAY), run(fluid, state, DAY) * turn)
    assert max(difference) < 1e-3


def test_members_of_a_batch_do_not_see_each_other() -> None:
    """Two states stepped together end where each ends alone."""
    fluid = Fluid(Sphere(21), 1200.0, DEEP)
    states = torch.cat([random_flow(fluid.sphere, seed=1), random_flow(fluid.sphere, seed=2)])
    together = run(fluid, states, DAY / 2)
    for index in range(2):
        alone = run(fluid, states[index : index + 1], DAY / 2)
        assert max(relative_difference(fluid.sphere, together[index : index + 1], alone)) < 1e-4


@pytest.mark.slow
def test_the_error_falls_with_the_square_of_the_step() -> None:
    """Against a fine step, halving the step from 1200 to 600 s divides the error of each variable by about four."""
    sphere = Sphere(31)
    state = random_flow(sphere)

    def after(step: float) -> Tensor:
        return run(Fluid(sphere, step, DEEP, diffusion_time=INVISCID), state, DAY / 2)

    fine = after(100.0)
    coarse, half = (relative_difference(sphere, after(step), fine) for step in (1200.0, 600.0))
    for error, smaller in zip(coarse, half, strict=True):
        assert 3.0 < error / smaller < 5.0


@pytest.mark.slow
def test_the_error_falls_with_the_truncation() -> None:
    """Two days of the same flow at T21, T31 and T42 come closer to T63 by a factor of four or more each time."""
    coarse = Sphere(15)
    state = random_flow(coarse, degree=5)

    def after(truncation: int) -> Tensor:
        sphere = Sphere(truncation)
        return sphere.changed(run(Fluid(sphere, 900.0, DEEP), coarse.changed(state, truncation), 2 * DAY), 15)

    fine = after(63)
    errors = [relative_difference(coarse, after(truncation), fine) for truncation in (21, 31, 42)]
    for larger, smaller in pairwise(errors):
        assert all(smaller[index] < larger[index] / 4 for index in range(3))


def test_the_first_step_is_half_a_leap() -> None:
    """From rest in time a constant forcing adds step times itself, and then again with every further step."""
    fluid = Fluid(Sphere(15), 600.0, diffusion_time=INVISCID)
    rest = torch.zeros(1, 3, 16, 16, dtype=torch.complex64)
    forcing = rest.clone()
    forcing[0, 0, 3, 2] = 1e-10
    flow = first_step(fluid, start(rest), forcing)
    assert float(flow.at[0, 0, 3, 2].real) == pytest.approx(600e-10, rel=1e-5)
    for _ in range(5):
        flow = advance(fluid, flow, forcing)
    assert float(flow.at[0, 0, 3, 2].real) == pytest.approx(3600e-10, rel=1e-4)
