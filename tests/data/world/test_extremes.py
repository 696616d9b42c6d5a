"""Laws of where extreme events are found: the water that the winds carry, and the latitudes of each kind."""

from collections.abc import Callable

import numpy as np
import pytest

from toolkit.data.world.extremes import (
    BLOCKING_LATITUDES,
    FILAMENT_LATITUDES,
    HEAT_LATITUDES,
    Found,
    blocks,
    column_water,
    filaments,
    heat,
)
from toolkit.data.world.observe import regular_axes
from toolkit.data.world.tracer import CoarseFields

LATITUDE, LONGITUDE = regular_axes(65)


def flow(geopotential: np.ndarray, northward: np.ndarray) -> CoarseFields:
    """Nothing but a northward wind (time, lat, lon)."""
    return CoarseFields(LATITUDE, LONGITUDE, geopotential, np.stack([0 * northward, northward], 1))


def test_water_stays_between_the_driest_and_the_moistest_climate() -> None:
    """Carried water keeps within 4 and 46 kg m-2; without wind it is the climate, and a poleward wind moistens."""
    northward = np.zeros((29, 65, 128))
    climate = 4 + 42 * np.cos(np.radians(LATITUDE))[:, None] ** 3 + 0 * LONGITUDE
    still = column_water(flow(0 * northward, northward))
    np.testing.assert_allclose(still, np.broadcast_to(climate, still.shape), rtol=1e-4)
    northward[:, 8:24, :8] = 20.0
    moved = column_water(flow(0 * northward, northward))
    assert moved.min() >= 4 - 1e-6
    assert moved.max() <= 46 + 1e-6
    assert moved[28, 10:20, 2:6].mean() > climate[10:20, 2:6].mean() + 2


@pytest.mark.parametrize(
    ("find", "latitudes"), [(filaments, FILAMENT_LATITUDES), (blocks, BLOCKING_LATITUDES), (heat, HEAT_LATITUDES)]
)
def test_nothing_is_found_outside_the_latitudes_of_a_kind(
    find: Callable[[CoarseFields], Found], latitudes: tuple[int, int]
) -> None:
    """Wild fields at every latitude give cells of a kind within its latitudes, on both sides of the equator, alone."""
    rng = np.random.default_rng(0)
    wild = np.repeat(np.repeat(rng.normal(0, 3000, (1, 5, 16)), 13, 1), 8, 2) + rng.normal(0, 1, (16, 65, 128))
    mask = find(flow(wild, wild / 100)).mask
    where = np.abs(LATITUDE[mask.any((0, 2))])
    assert where.min() >= latitudes[0]
    assert where.max() <= latitudes[1]
