"""Laws of the cyclones and look-alikes: shapes, life cycles, how they are followed and what heat makes of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from toolkit.data.world.climate import HOUR
from toolkit.data.world.shallow_water import Fluid, GridFlow, advance, first_step, on_grid, start, tendency
from toolkit.data.world.sphere import Sphere
from toolkit.data.world.vortices import (
    HEATING_RADIUS_KM,
    HOURS_OF_BIRTH,
    SEED_VORTICITY,
    SEPARATION_KM,
    STRONGEST_HEATING,
    Cyclone,
    bump,
    find_centre,
    guess_next,
    measure_wind,
    new_cyclone,
    new_look_alike,
    patch_around,
    steer_heating,
)
from toolkit.geodesy import distance_km

pytestmark = pytest.mark.slow

SPHERE = Sphere(63)


def cyclone(**changes: float) -> Cyclone:
    """A cyclone of middling size at 15 N, 180 E."""
    storm = Cyclone(latitude=15.0, longitude=180.0, peak_wind=40.0, life_hours=200.0, peak_share=0.5)
    return replace(storm, **changes)  # type: ignore[arg-type]


def gaussian(latitude: float, longitude: float, radius_km: float) -> NDArray[np.float64]:
    """exp(-r^2 / 2 radius^2) of the great-circle distance r on the grid."""
    distance = distance_km(latitude, longitude, SPHERE.latitude[:, None], SPHERE.longitude)
    return np.exp(-((distance / radius_km) ** 2) / 2)


# --- shapes


@pytest.mark.parametrize(("latitude", "longitude"), [(0.0, 180.0), (-20.0, 0.3), (30.0, 359.8)])
def test_a_patch_measures_as_the_sphere_does(latitude: float, longitude: float) -> None:
    """Offsets agree with great circles within 2 %, across the date line too, and reach as far as asked."""
    patch = patch_around(SPHERE.latitude, SPHERE.columns, latitude, longitude, 800.0)
    rows, columns = SPHERE.latitude[patch.rows, None], SPHERE.longitude[patch.columns]
    flat, exact = np.hypot(patch.east_km, patch.north_km), distance_km(latitude, longitude, rows, columns)
    near = exact < 600
    assert np.allclose(flat[near], exact[near], rtol=0.02, atol=1)
    everywhere = distance_km(latitude, longitude, SPHERE.latitude[:, None], SPHERE.longitude)
    assert (exact < 750).sum() == (everywhere < 750).sum()


def test_a_bump_is_as_large_however_it_is_stretched_or_turned() -> None:
    """Axis ratio and tilt leave the area integral, 2 pi radius^2; the long axis points along the tilt."""
    patch = patch_around(SPHERE.latitude, SPHERE.columns, 0.0, 180.0, 2500.0)
    cell = (180 / SPHERE.rows * 111.195) ** 2
    for ratio, tilt in ((1.0, 0.0), (2.0, 0.0), (2.0, 1.0)):
        integral = (bump(patch, 300.0, ratio, tilt) * np.cos(patch.north_km / 6371)).sum() * cell
        assert integral == pytest.approx(2 * np.pi * 300**2, rel=0.03)
    stretched = bump(patch, 300.0, 2.0, 0.0)
    assert (stretched * patch.east_km**2).sum() > 3 * (stretched * patch.north_km**2).sum()


# --- life cycles


def test_cyclones_begin_in_the_tropics_apart_from_each_other() -> None:
    """Births lie between 8 and 21 degrees in both hemispheres, none within the least separation of the living."""
    rng = np.random.default_rng(0)
    alive: list[Cyclone] = []
    for _ in range(300):
        born = new_cyclone(rng, alive)
        if born is not None:
            for other in alive:
                apart = distance_km(born.latitude, born.longitude, other.latitude, other.longitude)
                assert apart >= SEPARATION_KM
            alive.append(born)
    latitude = np.array([storm.latitude for storm in alive])
    assert ((np.abs(latitude) >= 8) & (np.abs(latitude) <= 21)).all()
    assert (latitude > 0).any()
    assert (latitude < 0).any()


def test_look_alikes_are_cyclonic_ellipses_of_every_size_in_and_out_of_the_tropics() -> None:
    """They lie from 6 to 65 degrees, two thirds of them within 32, with axis ratios of at least one."""
    rng = np.random.default_rng(0)
    vortices = [new_look_alike(rng).vortex for _ in range(600)]
    latitude = np.abs([vortex.latitude for vortex in vortices])
    assert 6 <= latitude.min() <= latitude.max() <= 65
    assert (latitude < 32).mean() == pytest.approx(0.67, abs=0.06)
    assert min(vortex.axis_ratio for vortex in vortices) >= 1
    assert min(vortex.amplitude * vortex.latitude for vortex in vortices) > 0


def test_the_planned_wind_rises_to_its_peak_and_falls() -> None:
    """It grows until `peak_share` of the life, is the peak wind there, and declines to the end."""
    storm = cyclone()
    ages = np.arange(0.0, 201.0, 5.0)
    wind = []
    for storm.age_hours in ages:
        wind.append(storm.planned_wind())
    peak = int(np.argmax(wind))
    assert ages[peak] == 100
    assert wind[peak] == pytest.approx(40)
    assert (np.diff(wind[: peak + 1]) >= 0).all()
    assert (np.diff(wind[peak:]) <= 0).all()


def test_cold_water_weakens_and_ends_the_plan() -> None:
    """The planned wind is whole to 28 degrees, less beyond, none from 44 on, and the same in either hemisphere."""
    wind = [cyclone(latitude=latitude, age_hours=100.0).planned_wind() for latitude in (10, 28, 36, -36, 44, 50)]
    assert wind[0] == wind[1] == pytest.approx(40)
    assert wind[2] == wind[3] == pytest.approx(20)
    assert wind[4] == wind[5] == 0


def test_heating_follows_the_wish_by_a_third_an_hour_within_its_bounds() -> None:
    """A weak storm is heated more and more, towards the strongest heating at most; one past its plan less and less."""
    weak = cyclone(age_hours=100.0, peak_wind=60.0)
    for _ in range(40):
        before, weak.heating = weak.heating, steer_heating(weak)
        assert before <= weak.heating <= STRONGEST_HEATING
    assert weak.heating == pytest.approx(STRONGEST_HEATING, rel=1e-3)
    strong = cyclone(age_hours=100.0, wind=60.0, heating=0.3)
    assert steer_heating(strong) == pytest.approx(0.2)


# --- following


@pytest.mark.parametrize(("latitude", "longitude"), [(15.3, 200.7), (-22.1, 0.2), (31.0, 359.6)])
def test_the_centre_of_a_vortex_is_found_between_the_grid_points(latitude: float, longitude: float) -> None:
    """A Gaussian vortex 150 km from the first guess is found within 25 km, in the sense of its hemisphere."""
    sign = np.sign(latitude)
    vorticity = sign * 1e-4 * gaussian(latitude, longitude, 260.0)
    lat, lon, strength = find_centre(vorticity, SPHERE.latitude, latitude + 1.0, (longitude + 1.0) % 360, sign)
    assert float(distance_km(lat, lon, latitude, longitude)) < 25
    assert strength == pytest.approx(1e-4, rel=0.15)


def test_an_anticyclone_is_no_centre() -> None:
    """Where only anticyclonic air is near, the first guess stays."""
    vorticity = -1e-4 * (0.1 + gaussian(15.0, 180.0, 260.0))
    lat, lon, strength = find_centre(vorticity, SPHERE.latitude, 15.5, 180.5, 1.0)
    assert (lat, lon) == (15.5, 180.5)
    assert strength <= 0


def test_the_measured_wind_is_the_vortex_without_the_flow_that_carries_it() -> None:
    """A Gaussian vortex has the same wind with and without a uniform current, in both hemispheres the same sign."""
    field = torch.from_numpy(1e-4 * gaussian(15.0, 180.0, 260.0)).float()
    spectral = SPHERE.coefficients(torch.stack([field, torch.zeros_like(field)]))
    wind = SPHERE.winds(spectral).numpy()
    carried = wind + np.array([-8.0, 3.0], dtype=np.float32)[:, None, None]
    strongest = 0.4513 * 1e-4 * 260e3  # the largest (1 - exp(-x^2 / 2)) / x, times vorticity and radius
    alone = measure_wind(wind, SPHERE.latitude, 15.0, 180.0)
    assert alone == pytest.approx(strongest, rel=0.1)
    assert measure_wind(carried, SPHERE.latitude, 15.0, 180.0) == pytest.approx(alone, rel=0.1)
    southern = wind[:, ::-1] * np.array([1.0, -1.0], dtype=np.float32)[:, None, None]
    assert measure_wind(southern, SPHERE.latitude, -15.0, 180.0) == pytest.approx(alone, rel=1e-3)


def test_the_next_place_continues_the_last_six_hours() -> None:
    """After steady motion the guess is one hour further on; a newborn is looked for where it is."""
    storm = cyclone()
    assert guess_next(storm) == (storm.latitude, storm.longitude)
    for hour in range(8):
        storm.latitude, storm.longitude = 15 + 0.1 * hour, (359.5 + 0.2 * hour) % 360
        storm.track.append((hour, storm.latitude, storm.longitude, 0.0, 0.0, 0.0))
    lat, lon = guess_next(storm)
    assert lat == pytest.approx(15.8, abs=1e-6)
    assert lon == pytest.approx(1.1, abs=2e-3)


# --- what heating does


def driven(heating: float, vorticity: float, radius_km: float, hours: int) -> tuple[Sphere, GridFlow]:
    """The flow made of air at rest by a sink of mass (m2 s-3) at 18 N, 180 E, and half a day of spinning up (s-1)."""
    sphere = Sphere(42)
    fluid = Fluid(sphere, 1200.0)
    patch = patch_around(sphere.latitude, sphere.columns, 18.0, 180.0, 1200.0)
    fields = torch.zeros(2, sphere.rows, sphere.columns)
    fields[0][patch.rows, patch.columns] = torch.from_numpy(bump(patch, radius_km)).float()
    fields[1][patch.rows, patch.columns] = torch.from_numpy(bump(patch, HEATING_RADIUS_KM)).float()
    shapes = sphere.coefficients(fields)
    shapes[:, 0, 0] = 0
    flow = start(torch.zeros(1, 3, 43, 43, dtype=torch.complex64))
    for step in range(3 * hours):
        change = tendency(fluid, on_grid(fluid, flow.at))
        if step < 3 * HOURS_OF_BIRTH:
            change[0, 0] += vorticity / (HOURS_OF_BIRTH * HOUR) * shapes[0]
        change[0, 2] -= heating * shapes[1]
        flow = (advance if step else first_step)(fluid, flow, change)
    return sphere, on_grid(fluid, flow.at)


def core(sphere: Sphere, grid: GridFlow) -> dict[str, float]:
    """Means of each scalar field within 300 km of the vortex."""
    lat, lon, _ = find_centre(grid.vorticity[0].numpy(), sphere.latitude, 18.0, 180.0, 1.0)
    near = torch.from_numpy(distance_km(lat, lon, sphere.latitude[:, None], sphere.longitude) < 300)
    return {name: float(getattr(grid, name)[0][near].mean()) for name in ("vorticity", "divergence", "geopotential")}


def test_a_heated_vortex_converges_where_a_look_alike_of_the_same_vorticity_does_not() -> None:
    """After two days both turn alike, and only into the heated one does the air flow."""
    heated = core(*driven(0.06, SEED_VORTICITY, HEATING_RADIUS_KM, 48))
    unheated = core(*driven(0.0, 2.7 * heated["vorticity"], 320.0, 48))
    assert unheated["vorticity"] == pytest.approx(heated["vorticity"], rel=0.25)
    assert heated["divergence"] < -2e-6
    assert abs(unheated["divergence"]) < 0.2 * abs(heated["divergence"])


def test_heating_deepens_and_spins_up() -> None:
    """Vorticity, depth and convergence of the core all grow with the heating."""
    cores = [core(*driven(heating, SEED_VORTICITY, HEATING_RADIUS_KM, 36)) for heating in (0.0, 0.03, 0.06)]
    for name, sign in (("vorticity", 1), ("geopotential", -1), ("divergence", -1)):
        values = [sign * grown[name] for grown in cores]
        assert values == sorted(values)
    assert cores[2]["vorticity"] > 2 * cores[0]["vorticity"]
