"""Derivation by finite differences: its order, gaps, regions, and a reference of another code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from toolkit.data.differences import finite_difference_vorticity_divergence
from toolkit.errors import UserError

Array = NDArray[np.float64]
MakeGrid = Callable[[str, int], tuple[Array, Array]]
Flow = Callable[..., tuple[Array, Array, Array]]
RelativeError = Callable[..., float]


@pytest.mark.parametrize("kind", ["with poles", "off poles", "gaussian"])
def test_differences_converge_at_fourth_order(kind: str, make_grid: MakeGrid, rossby_haurwitz: Flow) -> None:
    """Away from the poles, halving the spacing divides the error by almost sixteen."""
    errors = []
    for n_lat in (37, 73, 145):
        latitude, longitude = make_grid(kind, n_lat)
        u, v, wanted = rossby_haurwitz(latitude, longitude)
        found, _ = finite_difference_vorticity_divergence(u, v, latitude, longitude)
        errors.append(np.abs(found - wanted)[np.abs(latitude) < 75].max())
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (rates > 3.7).all()


def test_differences_converge_at_second_order_at_edges_and_poles(make_grid: MakeGrid, harmonic_flow: Flow) -> None:
    """At the edges of a region, and in the rows at and beside the poles, the order is two."""
    edges, poles = [], []
    for n_lat in (73, 145, 289):
        latitude, longitude = make_grid("with poles", n_lat)
        east, north, wanted = sum(np.array(harmonic_flow(latitude, longitude, 3, order)) for order in (0, 1, 2))
        for flow, place in (((-north, east), 0), ((east, north), 1)):
            found = finite_difference_vorticity_divergence(*flow, latitude, longitude)[place]
            poles.append(np.abs(found - wanted)[[0, 1, 2, -2, -1]].max())
        box = np.ix_(np.flatnonzero(np.abs(latitude - 35) <= 20), np.flatnonzero(np.abs(longitude - 60) <= 40))
        axes = latitude[box[0].ravel()], longitude[box[1].ravel()]
        found, _ = finite_difference_vorticity_divergence(-north[box], east[box], *axes)
        edges.append(np.abs(found - wanted[box]).max())
    for errors in (edges, poles[::2], poles[1::2]):
        assert (np.log2(np.divide(errors[:-1], errors[1:])) > 1.8).all()


def test_gaps_spread_to_neighbours_only(make_grid: MakeGrid, rossby_haurwitz: Flow) -> None:
    """A missing point makes itself and its four neighbours missing; farther points are as good as without it."""
    latitude, longitude = make_grid("with poles", 37)
    u, v, _ = rossby_haurwitz(latitude, longitude)
    full = finite_difference_vorticity_divergence(u, v, latitude, longitude)
    u[10, 0] = np.nan
    gappy = finite_difference_vorticity_divergence(u, v, latitude, longitude)
    missing = {(int(row), int(column)) for row, column in np.argwhere(np.isnan(gappy[0]) | np.isnan(gappy[1]))}
    assert missing == {(10, 0), (9, 0), (11, 0), (10, 1), (10, 71)}
    np.testing.assert_allclose(gappy[0][:, 3:-3], full[0][:, 3:-3])
    assert np.nanmax(np.abs(gappy[0] - full[0])) < 0.05 * np.abs(full[0]).max()
    u[0, 5] = np.nan
    gappy = finite_difference_vorticity_divergence(u, v, latitude, longitude)
    assert np.isnan(gappy[0][0]).nonzero()[0].tolist() == [5]


def test_a_region_is_the_region_of_the_globe(
    make_grid: MakeGrid, rossby_haurwitz: Flow, relative_error: RelativeError
) -> None:
    """Inside a region, two rows from its edges, differences are those of the whole globe, also over Greenwich; where
    it reaches a pole without going round it, that row is missing.
    """
    latitude, longitude = make_grid("with poles", 37)
    u, v, _ = rossby_haurwitz(latitude, longitude)
    full = np.stack(finite_difference_vorticity_divergence(u, v, latitude, longitude))
    for columns in (np.arange(20, 40), np.r_[0:9, 60:72]):
        box = np.ix_(np.arange(5, 20), columns)
        part = np.stack(finite_difference_vorticity_divergence(u[box], v[box], latitude[5:20], longitude[columns]))
        inner = np.isin(columns, (columns[:2], columns[-2:])) if columns[0] else np.isin(columns, (7, 8, 60, 61))
        np.testing.assert_allclose(part[:, 2:-2, ~inner], full[:, 7:18][..., columns[~inner]])
        assert relative_error(part, full[:, 5:20][..., columns]) < 0.2
    vorticity, _ = finite_difference_vorticity_divergence(u[:, :9], v[:, :9], latitude, longitude[:9])
    assert np.isnan(vorticity[[0, -1]]).all()
    assert np.isfinite(vorticity[1:-1]).all()


def test_differences_refuse_too_small_a_grid(make_grid: MakeGrid) -> None:
    """Fewer than three rows are named by their shape."""
    latitude, longitude = make_grid("with poles", 19)
    still = np.zeros((2, 36))
    with pytest.raises(UserError, match=r"3 latitudes and 3 longitudes or more, not \(2, 36\)"):
        finite_difference_vorticity_divergence(still, still, latitude[:2], longitude)


def test_agrees_with_a_reference_by_differences(real_data: Path) -> None:
    """Near the equator, where the metric terms that second-order codes split differently are small, differences agree
    with a file of second-order ones.
    """
    reference = xr.open_dataset(real_data / "fields/Helmholtz_atmos.nc").sel(lat=slice(-15, 15))
    u, v = reference["u"].values, reference["v"].values
    vorticity, divergence = finite_difference_vorticity_divergence(u, v, reference["lat"], reference["lon"])
    for found, wanted in ((vorticity, reference["vor"].values), (divergence, reference["div"].values)):
        assert np.corrcoef(found[:, 1:-1].ravel(), wanted[:, 1:-1].ravel())[0, 1] > 0.98
