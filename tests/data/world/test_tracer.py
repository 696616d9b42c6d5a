"""Laws of advection on the sphere."""

import numpy as np
import pytest
import torch

from toolkit.data.world.observe import exact, regular_axes
from toolkit.data.world.season import Plan, Season
from toolkit.data.world.sphere import Sphere
from toolkit.data.world.tracer import advected, at_places, coarse_fields, departure
from toolkit.geodesy import EARTH_RADIUS_M

HOUR = 3600.0
LATITUDE, LONGITUDE = regular_axes(33)


def unit_vectors() -> np.ndarray:
    """Places of the grid as (lat, lon, 3) vectors."""
    phi, lam = np.radians(LATITUDE)[:, None], np.radians(LONGITUDE)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi) + 0 * lam], -1)


def rotation(tilt_degrees: float, days: float) -> np.ndarray:
    """Wind (2, lat, lon) of a rigid rotation about an axis tilted towards longitude 0, one turn in `days`."""
    tilt = np.radians(tilt_degrees)
    velocity = (
        np.cross([np.sin(tilt), 0, np.cos(tilt)], unit_vectors()) * 2 * np.pi / (days * 24 * HOUR) * EARTH_RADIUS_M
    )
    phi, lam = np.radians(LATITUDE)[:, None], np.radians(LONGITUDE) + 0 * np.radians(LATITUDE)[:, None]
    east = np.stack([-np.sin(lam), np.cos(lam), 0 * lam], -1)
    north = np.stack([-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi) + 0 * lam], -1)
    return np.stack([(velocity * east).sum(-1), (velocity * north).sum(-1)])


def hill(centre: list[float], radius_degrees: float = 20.0) -> np.ndarray:
    """A Gaussian hill of height 1 around a unit vector."""
    angle = np.arccos(np.clip(unit_vectors() @ np.array(centre), -1, 1))
    return np.exp(-((angle / np.radians(radius_degrees)) ** 2))


@pytest.mark.parametrize("tilt", [0.0, 45.0, 90.0])
def test_a_full_turn_brings_a_hill_back(tilt: float) -> None:
    """A turn of rigid rotation, over the poles as well, leaves a hill as it was, to a tenth of its height."""
    start = hill([0.0, 1.0, 0.0])
    came_from = departure(rotation(tilt, days=12), 6 * HOUR)
    tracer = start
    for _ in range(12 * 4):
        tracer = advected(tracer, came_from)
    assert np.abs(tracer - start).max() < 0.1
    assert np.unravel_index(tracer.argmax(), tracer.shape) == np.unravel_index(start.argmax(), start.shape)


def test_half_a_turn_does_not() -> None:
    """The same rotation half way puts the hill on the other side of the globe."""
    came_from = departure(rotation(90, days=12), 6 * HOUR)
    tracer = hill([0.0, 1.0, 0.0])
    for _ in range(12 * 2):
        tracer = advected(tracer, came_from)
    assert np.abs(tracer - hill([0.0, -1.0, 0.0])).max() < 0.1


def test_departure_is_exact_for_a_rigid_rotation_about_the_poles() -> None:
    """A zonal rotation by 4 columns a step comes from 4 columns to the west, in the same row."""
    came_from = departure(rotation(0, days=4), 24 * HOUR / len(LONGITUDE) * 16)
    rows, columns = came_from[:, 1:-1]
    np.testing.assert_allclose(rows, np.arange(1, 32)[:, None] + 0 * columns, atol=0.02)
    shift = (np.arange(64) - columns) % 64
    np.testing.assert_allclose(shift, 4, rtol=0.02)


def test_a_constant_stays_constant_and_the_range_is_kept() -> None:
    """Whatever the wind, a constant tracer is unchanged, and no new extremes appear."""
    rng = np.random.default_rng(0)
    came_from = departure(20 * rng.standard_normal((2, 33, 64)), 6 * HOUR)
    np.testing.assert_allclose(advected(np.full((33, 64), 40.0), came_from), 40.0, rtol=1e-12)
    tracer = rng.random((33, 64))
    moved = advected(tracer, came_from)
    assert tracer.min() <= moved.min()
    assert moved.max() <= tracer.max()


def test_places_read_the_grid_and_wrap() -> None:
    """At grid points the field itself is read, whatever turn the longitude is given in; halfway, the mean."""
    fields = np.random.default_rng(1).random((2, 33, 64))
    latitude, longitude = LATITUDE[[5, 16, 30]], LONGITUDE[[0, 63, 7]]
    for turn in (0, -360, 360):
        np.testing.assert_allclose(at_places(fields, latitude, longitude + turn), fields[:, [5, 16, 30], [0, 63, 7]])
    halfway = at_places(fields, LATITUDE[[5]], np.array([-180 / 64.0]))
    np.testing.assert_allclose(halfway[:, 0], fields[:, 5, [63, 0]].mean(-1))


def test_coarse_fields_are_the_exact_ones() -> None:
    """A state of total wavenumber 42 and less is the same on the coarse grid as by the exact synthesis."""
    sphere = Sphere(42)
    state = torch.tril(torch.randn(3, 43, 43, generator=torch.Generator().manual_seed(0))).to(torch.complex64)
    state[:2, 0, 0] = 0
    flow = coarse_fields(Season(2001, sphere.changed(state[None], 50), ()), Plan(days=1, truncation=50))
    expected = exact(sphere, state)
    np.testing.assert_allclose(flow.geopotential[0], expected[4], atol=1e-4)
    np.testing.assert_allclose(flow.wind[0], expected[2:4], rtol=1e-3, atol=abs(expected[2:4]).max() * 1e-5)
