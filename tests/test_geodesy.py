import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolkit.geodesy import (
    EARTH_RADIUS_KM,
    KM_PER_DEGREE,
    displaced,
    displacement_km,
    distance_km,
    longitude_difference,
    wrapped_longitude,
)

latitudes = st.floats(-80, 80)
longitudes = st.floats(-360, 720)


@pytest.mark.parametrize(
    ("place", "other", "quarters"),
    [
        ((0, 0), (0, 90), 1),
        ((0, 0), (0, 180), 2),
        ((90, 17), (-90, 200), 2),
        ((90, 0), (0, 55), 1),
        ((5, 5), (5, 365), 0),
    ],
)
def test_distances_of_known_arcs(place: tuple[float, float], other: tuple[float, float], quarters: int) -> None:
    """Quarters of great circles have their length."""
    assert distance_km(*place, *other) == pytest.approx(quarters * EARTH_RADIUS_KM * np.pi / 2, abs=1e-4)


@given(latitudes, longitudes, latitudes, longitudes)
def test_distance_agrees_with_the_angle_between_vectors(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    """The haversine distance is the angle between the positions, the same both ways and with longitudes shifted."""
    phi, lam = np.radians([lat1, lat2]), np.radians([lon1, lon2])
    one, two = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)]).T
    angle = np.arctan2(np.linalg.norm(np.cross(one, two)), one @ two)
    distance = distance_km(lat1, lon1, lat2, lon2)
    assert distance == pytest.approx(EARTH_RADIUS_KM * angle, abs=1e-3)
    assert distance == pytest.approx(distance_km(lat2, lon2, lat1, lon1))
    assert distance == pytest.approx(distance_km(lat1, lon1 + 7, lat2, lon2 + 367), abs=1e-3)


@given(longitudes)
@example(-1e-20)
@example(360.0)
def test_wrapped_longitudes_are_in_one_turn(lon: float) -> None:
    """A wrapped longitude is in [0, 360), even that of a negative number too small to see, and is the same place."""
    wrapped = float(wrapped_longitude(lon))
    assert 0 <= wrapped < 360
    assert np.cos(np.radians(wrapped - lon)) == pytest.approx(1)
    assert wrapped_longitude(wrapped) == wrapped


@given(longitudes, longitudes)
def test_longitudes_differ_the_short_way(lon1: float, lon2: float) -> None:
    """The difference lies in [-180, 180) and leads from one to the other."""
    difference = float(longitude_difference(lon2, lon1))
    assert -180 <= difference < 180
    assert (lon1 + difference - lon2 + 180) % 360 == pytest.approx(180, abs=1e-6)


@given(latitudes, longitudes, st.floats(-1500, 1500), st.floats(-1000, 1000))
def test_displacing_is_the_inverse_of_the_displacement(lat: float, lon: float, east: float, north: float) -> None:
    """A place displaced by (east, north) lies in [0, 360) and is displaced by just that."""
    lat2, lon2 = displaced(lat, lon, east, north)
    assert 0 <= lon2 < 360
    np.testing.assert_allclose(displacement_km(lat, lon, lat2, lon2), (east, north), atol=1e-6)


def test_displacements_are_along_the_parallel_and_the_meridian() -> None:
    """A degree is 111.2 km north, and east as much less as the parallel halfway is shorter, over the date line too."""
    assert pytest.approx(111.195, abs=1e-3) == KM_PER_DEGREE
    np.testing.assert_allclose(displacement_km(60, 179.5, 60, -179.5), (KM_PER_DEGREE / 2, 0), atol=1e-9)
    np.testing.assert_allclose(displacement_km(-10, 5, -12, 5), (0, -2 * KM_PER_DEGREE), atol=1e-9)
    east, _ = displacement_km(59, 10, 61, 11)
    assert east == pytest.approx(KM_PER_DEGREE / 2)


@given(latitudes, longitudes, st.floats(-50, 50), st.floats(-50, 50))
def test_short_displacements_have_the_length_of_the_distance(lat: float, lon: float, east: float, north: float) -> None:
    """Over tens of kilometres the displacement's length is the great-circle distance."""
    assert distance_km(lat, lon, *displaced(lat, lon, east, north)) == pytest.approx(np.hypot(east, north), abs=0.05)


def test_shapes_broadcast() -> None:
    """Arrays of places go in together with single places."""
    assert distance_km(np.zeros((3, 1)), 0, 0, np.zeros(4)).shape == (3, 4)
    assert displacement_km(np.zeros(3), 0, 1, 1)[0].shape == (3,)
    assert displaced(np.zeros(3), 0, 1, 1)[1].shape == (3,)
