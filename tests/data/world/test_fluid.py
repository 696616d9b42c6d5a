"""Laws of the elliptical vortices and of the runs that begin with them."""

import numpy as np
import pytest
import torch

from toolkit.data.world.barotropic import regular_fields
from toolkit.data.world.fluid import FluidPlan, first_states, random_vortices, run_fluid, vorticity_of
from toolkit.data.world.simulate import PACKING
from toolkit.data.world.sphere import Sphere
from toolkit.data.world.vortices import Vortex
from toolkit.geodesy import EARTH_RADIUS_KM, distance_km

SPHERE = Sphere(42)
PLAN = FluidPlan(runs=2, days=1, truncation=31)


def field_of(vortex: Vortex) -> np.ndarray:
    """Vorticity (lat, lon) of one vortex, with the mean it was freed of, which is its value on the other side."""
    field = SPHERE.field(vorticity_of(SPHERE, [vortex])).numpy()
    far = distance_km(vortex.latitude, vortex.longitude, SPHERE.latitude[:, None], SPHERE.longitude) > 15000
    return field - field[far].mean()


@pytest.mark.parametrize(("latitude", "longitude"), [(0.0, 10.0), (55.0, 300.0), (-90.0, 0.0)])
def test_a_round_vortex_depends_on_distance_alone(latitude: float, longitude: float) -> None:
    """With axis ratio 1 it is the amplitude times exp((cos d - 1) / r^2), wherever its centre is."""
    field = field_of(Vortex(latitude, longitude, -4e-5, 900.0, 1.0, 0.3))
    away = distance_km(latitude, longitude, SPHERE.latitude[:, None], SPHERE.longitude) / EARTH_RADIUS_KM
    expected = -4e-5 * np.exp((np.cos(away) - 1) / (900.0 / EARTH_RADIUS_KM) ** 2)
    np.testing.assert_allclose(field, expected, atol=4e-8)


@pytest.mark.parametrize("degrees", [0.0, 90.0])
def test_an_elliptical_vortex_is_long_in_the_direction_of_its_tilt(degrees: float) -> None:
    """At the equator the standard deviations east and north are r sqrt(e) and r / sqrt(e), exchanged by a tilt."""
    field = field_of(Vortex(0.0, 180.0, 4e-5, 600.0, 2.0, np.radians(degrees)))
    latitude, longitude = np.radians(SPHERE.latitude)[:, None], np.radians(SPHERE.longitude - 180)
    near = distance_km(0, 180, SPHERE.latitude[:, None], SPHERE.longitude) < 4000
    weight = np.where(near, field, 0) * np.cos(latitude)
    east, north = (
        EARTH_RADIUS_KM * np.sqrt((weight * angle**2).sum() / weight.sum()) for angle in (longitude, latitude)
    )
    expected = (600 * np.sqrt(2), 600 / np.sqrt(2))
    assert (east, north) == pytest.approx(expected if degrees == 0 else expected[::-1], rel=0.03)


def test_the_narrowest_vortex_is_resolved() -> None:
    """At truncation 85 it overshoots into the other sign by less than a hundredth of its amplitude."""
    sphere = Sphere(85)
    vorticity = vorticity_of(sphere, [Vortex(10.0, 20.0, 5e-5, 350.0, 2.5, 1.0)])
    assert vorticity[0, 0] == 0
    assert sphere.field(vorticity).min() > -0.01 * 5e-5


def test_random_vortices_are_anywhere_and_of_either_sign() -> None:
    """Their centres have the mean and the variance of the sphere, their signs are even, their shapes are varied."""
    rng = np.random.default_rng(0)
    drawn = [random_vortices(rng) for _ in range(300)]
    vortices = [vortex for vortices in drawn for vortex in vortices]
    assert {len(vortices) for vortices in drawn} == set(range(6, 21))
    height = np.sin(np.radians([vortex.latitude for vortex in vortices]))
    assert (height.mean(), height.var()) == pytest.approx((0, 1 / 3), abs=0.03)
    assert np.mean([vortex.amplitude > 0 for vortex in vortices]) == pytest.approx(0.5, abs=0.03)
    assert np.ptp([vortex.axis_ratio for vortex in vortices]) == pytest.approx(1.5, abs=0.05)


def test_a_run_begins_by_seed_and_number_alone() -> None:
    """What other runs there are does not matter to a run; another seed or number gives another flow."""
    both = first_states(PLAN, 3, [0, 1])
    assert torch.equal(both[1], first_states(PLAN, 3, [1])[0])
    assert not torch.allclose(both[0], both[1])
    assert not torch.allclose(both[0], first_states(PLAN, 4, [0])[0])


def test_frames_are_the_flow_in_steps_of_its_packing() -> None:
    """The first frame is the beginning to half a step; there are four a day, each told, and they move on."""
    told: list[int] = []
    states = first_states(PLAN, 0, [0, 1])
    packed = run_fluid(PLAN, states, lambda: told.append(1))
    sphere = Sphere(PLAN.truncation)
    assert packed.shape == (2, 5, 3, sphere.rows + 1, sphere.columns)
    assert len(told) == 5
    scale = np.array([PACKING["vorticity"], PACKING["u_component_of_wind"], PACKING["v_component_of_wind"]])
    error = packed[:, 0] - regular_fields(sphere, states).numpy() / scale[:, None, None]
    assert np.abs(error).max() < 0.51
    change = np.abs(np.diff(packed[:, :, 0].astype(float), axis=1)).max((2, 3))
    assert (change > 0.02 * np.abs(packed[:, :1, 0].astype(float)).max((2, 3))).all()


@pytest.mark.slow
def test_a_faster_flow_is_stepped_as_well() -> None:
    """Ten times the vorticity stays bounded by itself: vorticity is carried about, and none is made."""
    packed = run_fluid(PLAN, 10 * first_states(PLAN, 0, [0]))[0, :, 0].astype(float)
    assert np.abs(packed[-1]).max() < 1.3 * np.abs(packed[0]).max()
