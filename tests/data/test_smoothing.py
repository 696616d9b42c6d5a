"""Smoothing in kilometres: its radius, constants, gaps and seams."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.data.smoothing import smooth_km
from toolkit.geodesy import distance_km

Array = NDArray[np.float64]
MakeGrid = Callable[[str, int], tuple[Array, Array]]


@pytest.mark.parametrize("latitude_of_bump", [0, 60])
def test_smoothing_has_its_radius_in_km(latitude_of_bump: float, make_grid: MakeGrid) -> None:
    """A single point spreads to a round bump whose standard deviation is the radius, at any latitude."""
    latitude, longitude = make_grid("with poles", 181)
    field = np.zeros((181, 360))
    row, column = int(90 - latitude_of_bump), 5
    field[row, column] = 1
    bump = smooth_km(field, latitude, longitude, 300) * np.cos(np.radians(latitude))[:, None]
    distance = distance_km(latitude[:, None], longitude, latitude[row], longitude[column])
    assert np.sqrt((bump * distance**2).sum() / bump.sum() / 2) == pytest.approx(300, rel=0.02)
    east = bump[row, column + np.arange(3)] / bump[row, column]
    expected = np.exp(-((distance[row, column : column + 3] / 300) ** 2) / 2)
    np.testing.assert_allclose(east, expected, rtol=1e-4)


def test_smoothing_keeps_constants_and_wraps(make_grid: MakeGrid) -> None:
    """A constant stays, gaps stay and take no part, the seam is nowhere, and a region keeps to itself."""
    latitude, longitude = make_grid("with poles", 37)
    field = np.full((2, 37, 72), 7.0)
    field[0, 10:14, 20:30] = np.nan
    smooth = smooth_km(field, latitude, longitude, 500)
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(field))
    np.testing.assert_allclose(smooth[~np.isnan(smooth)], 7)
    rough = np.random.default_rng(1).normal(0, 10, (37, 72))
    shifted = smooth_km(np.roll(rough, 30, -1), latitude, longitude, 500)
    np.testing.assert_allclose(np.roll(shifted, -30, -1), smooth_km(rough, latitude, longitude, 500), atol=1e-12)
    assert np.ptp(smooth_km(rough, latitude, longitude, 500)[0]) < 1e-9
    region = np.zeros((37, 20))
    region[18, -1] = 1
    assert smooth_km(region, latitude, longitude[:20], 500)[18, 0] < 1e-12


def test_smoothing_over_greenwich_is_smoothing_elsewhere(make_grid: MakeGrid) -> None:
    """A region whose longitudes run over 0 is smoothed as the same region anywhere else."""
    latitude, longitude = make_grid("with poles", 37)
    rough = np.random.default_rng(1).normal(0, 10, (10, 20))
    elsewhere = smooth_km(rough, latitude[5:15], longitude[30:50], 400)
    columns = (np.arange(20) - 8) % 72
    order = np.argsort(columns)
    over = smooth_km(rough[:, order], latitude[5:15], longitude[columns[order]], 400)
    np.testing.assert_allclose(over, elsewhere[:, order])
