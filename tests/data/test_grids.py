"""Which grids are known as global, how longitudes are unrolled, and two fields brought to one type."""

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.data.grids import fields_of_one_type, gaussian_nodes, is_spectral_grid, unrolled_longitudes

Array = NDArray[np.float64]


def test_knows_a_global_grid(grid: tuple[Array, Array]) -> None:
    """The three global grids are known, either way up; parts of them, and squeezed ones, are not."""
    latitude, longitude = grid
    assert is_spectral_grid(latitude, longitude)
    assert is_spectral_grid(latitude[::-1].astype(np.float32), longitude)
    assert not is_spectral_grid(latitude[1:], longitude)
    assert not is_spectral_grid(latitude, longitude[1:])
    assert not is_spectral_grid(latitude * 0.99, longitude)


@pytest.mark.parametrize("n_lat", [5, 32])
def test_gaussian_nodes_integrate_polynomials(n_lat: int) -> None:
    """Sums over the nodes are integrals from pole to pole, exact up to degree 2 n - 1."""
    nodes, weights = gaussian_nodes(n_lat)
    assert (np.diff(nodes) > 0).all()
    for degree in (0, 1, 2, 2 * n_lat - 2, 2 * n_lat - 1):
        assert (weights * nodes**degree).sum() == pytest.approx((1 + (-1) ** degree) / (degree + 1), abs=1e-12)


@pytest.mark.parametrize(
    ("longitude", "extent", "wraps"),
    [
        (np.arange(0, 360, 30.0), 330, True),
        (np.arange(-180, 180, 30.0), 330, True),
        (np.array([40.0, 50, 60, 70]), 30, False),
        (np.array([0.0, 10, 340, 350]), 30, False),
    ],
    ids=["globe", "globe from the date line", "region", "region over Greenwich"],
)
def test_longitudes_are_unrolled_from_the_widest_gap(longitude: Array, extent: float, wraps: bool) -> None:
    """Unrolled longitudes rise over no more than the grid's extent, turned back they are those that were given, and
    a globe is known.
    """
    found, turn, goes_round = unrolled_longitudes(longitude)
    assert (np.diff(found) > 0).all()
    assert found[-1] - found[0] == pytest.approx(extent)
    np.testing.assert_allclose(np.roll(found, turn) % 360, longitude % 360)
    assert goes_round is wraps


def test_two_fields_get_one_shape_and_type() -> None:
    """Whole numbers become single precision, single meets double as double, and a constant fills the other's shape."""
    whole, constant = fields_of_one_type(np.ones((2, 3), int) * 4, np.float32(5))
    assert whole.shape == constant.shape == (2, 3)
    assert constant.dtype == np.float64
    single, half = fields_of_one_type(np.ones(3, np.float32), np.ones(3, np.float16))
    assert single.dtype == half.dtype == np.float32
