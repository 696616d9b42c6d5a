"""Whole datasets on another grid: fields a time at a time, label maps as shares."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data.on_grid import fields_on_grid, maps_on_grid
from toolkit.data.regrid import regridded, regridding, regular_grid
from toolkit.data.store import Store
from toolkit.errors import UserError

DEGREES = 5.0
LATITUDE, LONGITUDE = regular_grid(DEGREES)
GRID = ("time", "latitude", "longitude")
TIME = np.datetime64("2001-08-01", "ns") + np.arange(3) * np.timedelta64(6, "h")


def dataset(latitude: np.ndarray, longitude: np.ndarray, seed: int = 0, **attributes: object) -> xr.Dataset:
    """Smooth vorticity and divergence that change with time."""
    rng = np.random.default_rng(seed)
    phi, lam = np.radians(latitude)[:, None], np.radians(longitude)
    fields = {}
    for name in ("vorticity", "divergence"):
        waves = [
            sum(rng.normal() * np.cos(m * lam + rng.uniform(0, 6)) * np.cos(phi) ** m for m in (1, 2, 3)) for _ in TIME
        ]
        fields[name] = (GRID, np.array(waves, np.float32) * 1e-5, {"units": "s-1"})
    coordinates = {"time": TIME, "latitude": latitude, "longitude": longitude}
    return xr.Dataset(fields, coordinates, {"source": "mine.nc", "assumptions": ("level 850",)} | attributes)


def like(latitude: np.ndarray, longitude: np.ndarray) -> Store:
    """A store without values on a grid."""
    values = np.empty((0, 0, len(latitude), len(longitude)), np.float16)
    return Store(Path("x"), values, np.empty(0, "M8[s]"), latitude, longitude, (), False, "")


def maps(values: np.ndarray, latitude: np.ndarray = LATITUDE, longitude: np.ndarray = LONGITUDE) -> xr.Dataset:
    """Maps of one kind, (t, h, w)."""
    coordinates = {"time": TIME[: len(values)], "latitude": latitude, "longitude": longitude}
    return xr.Dataset({"blocking": (GRID, values.astype(np.float32), {"units": "1"})}, coordinates)


def area_mean(values: np.ndarray, latitude: np.ndarray) -> float:
    """The mean over the sphere of a global field (h, w), each row a zone halfway to its neighbours."""
    edges = np.concatenate([[90], (latitude[1:] + latitude[:-1]) / 2, [-90]])
    return float(np.average(values.mean(1, dtype=float), weights=-np.diff(np.sin(np.radians(edges)))))


# Fields


@pytest.mark.parametrize("spacing", [5.0, 4.95])
def test_fields_on_the_grid_are_untouched(spacing: float) -> None:
    """Fields whose spacing is that of the grid, to two in a hundred, come back as they are, region or globe."""
    fields = dataset(90 - spacing * np.arange(20), spacing * np.arange(40))
    assert fields_on_grid(fields, DEGREES) is fields


@pytest.mark.parametrize("spacing", [0.25, 1.0, 10.0])
@pytest.mark.parametrize("chunks", [None, {"time": 2}])
def test_each_time_is_regridded_by_itself(spacing: float, chunks: dict[str, int] | None) -> None:
    """A finer or coarser field comes out as the regridding of each of its times, with units and a word on how."""
    fields = dataset(*regular_grid(spacing))
    way = regridding(fields["latitude"].to_numpy(), fields["longitude"].to_numpy(), DEGREES)
    moved = fields_on_grid(fields.chunk(chunks) if chunks else fields, DEGREES)
    assert moved["vorticity"].dims == GRID
    np.testing.assert_array_equal(moved["time"], fields["time"])
    np.testing.assert_array_equal(moved["latitude"], LATITUDE)
    np.testing.assert_array_equal(moved["longitude"], LONGITUDE)
    for name, field in fields.items():
        expected = [regridded(field.to_numpy()[k], way) for k in range(len(TIME))]
        np.testing.assert_array_equal(moved[name], expected)
        assert moved[name].dtype == np.float32
        assert moved[name].attrs["units"] == "s-1"
    assert moved.attrs["assumptions"] == ("level 850", way.method)
    assert "missing_data" not in moved.attrs


def test_nothing_is_read_before_it_is_asked_for() -> None:
    """Fields that lie in chunks stay lazy, a chunk of times at a time."""
    moved = fields_on_grid(dataset(*regular_grid(1.0)).chunk(time=1), DEGREES)
    assert moved["vorticity"].chunksizes["time"] == (1, 1, 1)


def test_a_region_is_cut_to_itself() -> None:
    """Of fields of a region the grid points in it are kept, with the values they have within the globe."""
    whole = dataset(*regular_grid(1.0))
    region = whole.sel(latitude=slice(52, 8), longitude=slice(198, 262))
    moved, globe = fields_on_grid(region, DEGREES), fields_on_grid(whole, DEGREES)
    assert moved["latitude"].values.tolist() == np.arange(50.0, 9, -5).tolist()
    assert moved["longitude"].values.tolist() == np.arange(200.0, 261, 5).tolist()
    inner = {"latitude": slice(45, 15), "longitude": slice(205, 255)}
    xr.testing.assert_allclose(moved.sel(inner), globe.sel(inner), rtol=1e-5, atol=1e-10)
    assert np.isfinite(moved["vorticity"]).all()
    assert "missing_data" not in moved.attrs
    corners = fields_on_grid(whole.sel(latitude=slice(50, 10), longitude=slice(200, 260)), DEGREES)
    assert int(np.isnan(corners["vorticity"]).all("time").sum()) == 4
    assert "missing_data" in corners.attrs


def test_a_region_across_greenwich_declares_what_it_does_not_cover() -> None:
    """Points on both sides of 0 degrees are kept; those between, which the source has not, are declared missing."""
    whole = dataset(*regular_grid(1.0))
    longitude = whole["longitude"]
    region = whole.isel(longitude=(longitude <= 32) | (longitude >= 328)).sel(latitude=slice(52, 8))
    moved = fields_on_grid(region, DEGREES)
    assert "missing_data" in moved.attrs
    known = np.isfinite(moved["vorticity"]).all(["time", "latitude"])
    assert moved["longitude"][known].values.tolist() == [*np.arange(0.0, 31, 5), *np.arange(330.0, 360, 5)]


def test_fields_between_the_grid_points_are_refused() -> None:
    """A region too small to hold a point of the grid is an error that names the source and the grid."""
    small = dataset(*regular_grid(1.0)).sel(latitude=slice(44, 41), longitude=slice(11, 14))
    with pytest.raises(UserError, match=r"mine\.nc cover no point of a 10 degree grid"):
        fields_on_grid(small, 10.0)


@pytest.mark.parametrize(("bad", "declared"), [(np.nan, False), (np.inf, False), (-np.inf, True)])
def test_what_may_not_be_missing_is_not_averaged_away(bad: float, declared: bool) -> None:
    """One undeclared NaN among many values of a cell is an error when the fields are computed, and so is infinity."""
    fields = dataset(*regular_grid(1.0), **({"missing_data": "NaN marks gaps"} if declared else {}))
    fields["vorticity"][1, 50, 50] = bad
    moved = fields_on_grid(fields.chunk(time=1), DEGREES)
    assert np.isfinite(moved["vorticity"].isel(time=0)).all()
    with pytest.raises(UserError, match=r"mine\.nc: a field holds 1 values that are NaN or infinite"):
        moved.compute()


def test_declared_gaps_stay_gaps_and_are_still_declared() -> None:
    """A cell of which nothing is known stays unknown; one that lacks a corner is the mean of the rest."""
    fields = dataset(*regular_grid(1.0), missing_data="NaN marks gaps")
    fields["vorticity"][:, 40:58, 40:60] = np.nan
    moved = fields_on_grid(fields, DEGREES)
    assert moved.attrs["missing_data"] == "NaN marks gaps"
    lacking = np.isnan(moved["vorticity"]).all("time").to_numpy()
    rows, columns = np.nonzero(lacking)
    assert set(LATITUDE[rows]) == {50.0, 45.0, 40.0, 35.0}
    assert set(LONGITUDE[columns]) == {40.0, 45.0, 50.0, 55.0}
    assert np.isfinite(moved["divergence"]).all()


# Maps


@given(seed=st.integers(0, 99))
@settings(max_examples=5)
def test_maps_on_the_own_grid_are_untouched(seed: int) -> None:
    """On the grid of the fields 0 and 1 stay 0 and 1, and what nobody labelled stays unknown."""
    rng = np.random.default_rng(seed)
    values = rng.choice([0.0, 1.0, np.nan], (3, 37, 72)).astype(np.float32)
    moved = maps_on_grid(maps(values), like(LATITUDE, LONGITUDE))
    np.testing.assert_array_equal(moved["blocking"], values)
    assert moved["blocking"].dims == GRID
    assert moved["blocking"].attrs["units"] == "1"
    assert moved.attrs["missing_data"]


@pytest.mark.parametrize("spacing", [0.5, 2.0, 4.0, 9.0, 15.0])
def test_a_share_stays_a_share(spacing: float) -> None:
    """From finer and coarser grids constants stay themselves, and 0 and 1 never lead beyond the two."""
    latitude, longitude = regular_grid(spacing)
    constant = np.full((1, len(latitude), len(longitude)), 0.25)
    found = maps_on_grid(maps(constant, latitude, longitude), like(LATITUDE, LONGITUDE))["blocking"]
    np.testing.assert_allclose(found, 0.25, rtol=1e-6)
    ones = (np.random.default_rng(0).random(constant.shape) < 0.3).astype(float)
    found = maps_on_grid(maps(ones, latitude, longitude), like(LATITUDE, LONGITUDE))["blocking"].to_numpy()
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0, 2.5])
def test_the_area_of_what_is_labelled_is_kept(spacing: float) -> None:
    """Coarsened, maps cover the same share of the sphere."""
    latitude, longitude = regular_grid(spacing)
    ones = np.random.default_rng(1).random((1, len(latitude), len(longitude))) < 0.2
    found = maps_on_grid(maps(ones, latitude, longitude), like(LATITUDE, LONGITUDE))["blocking"].to_numpy()
    assert area_mean(found[0], LATITUDE) == pytest.approx(area_mean(ones[0], latitude), abs=1e-7)


def test_between_points_maps_are_linear() -> None:
    """On a finer grid a label fades to the next point without one; at the points themselves it is what it was."""
    latitude, longitude = regular_grid(2 * DEGREES)
    ones = np.zeros((1, len(latitude), len(longitude)))
    ones[0, 9, 4] = 1
    found = maps_on_grid(maps(ones, latitude, longitude), like(LATITUDE, LONGITUDE))["blocking"].to_numpy()[0]
    assert found[18, 6:11].tolist() == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert found[16:21, 8].tolist() == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert found[17, 7] == 0.25
    assert found.sum() == pytest.approx(4)


def test_a_cell_is_known_where_half_of_it_is() -> None:
    """Of a cell that is labelled in part the share is that of what is known, unless most is not."""
    latitude, longitude = regular_grid(1.0)
    values = np.zeros((1, len(latitude), len(longitude)))
    values[0, :90, 98:103] = 1
    values[0, :90, 100:103] = np.nan
    values[0, 90:, 98:100] = np.nan
    found = maps_on_grid(maps(values, latitude, longitude), like(LATITUDE, LONGITUDE))["blocking"].to_numpy()[0]
    assert np.isnan(found[1:18, 20]).all()
    np.testing.assert_array_equal(found[19:36, 20], 0)
    assert np.isfinite(np.delete(found, 20, axis=1)).all()


@pytest.mark.parametrize("spacing", [1.0, 5.0, 10.0])
def test_a_region_of_fields_has_its_own_maps(spacing: float) -> None:
    """Fields of a region get the piece of the maps that lies over it."""
    latitude, longitude = regular_grid(spacing)
    values = np.random.default_rng(2).random((2, len(latitude), len(longitude)))
    whole = maps_on_grid(maps(values, latitude, longitude), like(LATITUDE, LONGITUDE))
    region = like(LATITUDE[5:20], LONGITUDE[60:])
    piece = maps_on_grid(maps(values, latitude, longitude), region)
    np.testing.assert_array_equal(piece["latitude"], region.latitude)
    np.testing.assert_array_equal(piece["longitude"], region.longitude)
    np.testing.assert_array_equal(
        piece["blocking"], whole["blocking"].isel(latitude=slice(5, 20), longitude=slice(60, None))
    )


def test_beyond_a_region_of_labels_nothing_is_known() -> None:
    """Maps of a region say nothing outside it, and there is where the fields go on."""
    latitude, longitude = regular_grid(1.0)
    rows, columns = (latitude <= 52) & (latitude >= 8), (longitude >= 198) & (longitude <= 262)
    values = np.ones((1, rows.sum(), columns.sum()))
    moved = maps_on_grid(maps(values, latitude[rows], longitude[columns]), like(LATITUDE, LONGITUDE))["blocking"][0]
    known = moved.where(np.isfinite(moved), drop=True)
    assert known["latitude"].values.tolist() == np.arange(50.0, 9, -5).tolist()
    assert known["longitude"].values.tolist() == np.arange(200.0, 261, 5).tolist()
    assert (known == 1).all()
