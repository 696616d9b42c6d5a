"""Stores in the cache: made once, on the grid that is asked for."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from toolkit.data.available import gathered
from toolkit.data.prepare import field_file, prepared, prepared_maps
from toolkit.data.regrid import regridded, regridding, regular_grid
from toolkit.data.sources import select_fields
from toolkit.errors import UserError

WIND = ("vorticity", "divergence")


def test_a_world_is_prepared_once(tiny_world: Path) -> None:
    """Asked for again a store is the same folder, untouched; other variables or grids have stores of their own."""
    store = prepared(tiny_world, WIND)
    written = (store.path / "values.npy").stat().st_mtime_ns
    again = prepared(tiny_world, WIND)
    assert again.path == store.path
    assert (again.path / "values.npy").stat().st_mtime_ns == written
    others = {prepared(tiny_world, WIND, 7.5).path, prepared(tiny_world, ("eastward_wind",)).path}
    assert len(others | {store.path}) == 3


def test_without_a_grid_fields_stay_on_their_own(tiny_world: Path) -> None:
    """The store has the world's own grid where none is asked for, and the same values where it is the one asked for."""
    own, same = prepared(tiny_world, WIND), prepared(tiny_world, WIND, 2.8125)
    assert own.latitude_spacing == 2.8125
    assert own.values.shape == (80, 2, 65, 128)
    np.testing.assert_array_equal(own.values, same.values)


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [5.625, 2.0])
def test_fields_of_another_grid_are_brought_to_the_one_asked_for(tiny_world: Path, degrees: float) -> None:
    """A finer and a coarser world give a store on the grid, vorticity taken on their own grid before."""
    store = prepared(tiny_world, WIND, degrees)
    latitude, longitude = regular_grid(degrees)
    np.testing.assert_allclose(store.latitude, latitude)
    np.testing.assert_allclose(store.longitude, longitude)
    fields = select_fields(gathered(tiny_world / "fields.zarr"), WIND, 850.0)
    way = regridding(fields["latitude"].to_numpy(), fields["longitude"].to_numpy(), degrees)
    np.testing.assert_array_equal(store.time, fields["time"].to_numpy().astype("M8[s]"))
    for c, name in enumerate(WIND):
        expected = regridded(fields[name].isel(time=33).to_numpy(), way)
        channel = store.channels[c]
        assert channel.units == "s-1"
        np.testing.assert_allclose(store.frame(33)[c], expected, rtol=2**-10, atol=channel.scale * 2**-14)


def test_a_world_in_monthly_files_is_prepared_as_in_one(tiny_world: Path, tmp_path: Path) -> None:
    """Units and level of the fields are those of a single file, and so are the values."""
    fields = xr.open_zarr(tiny_world / "fields.zarr", consolidated=False).isel(time=slice(0, 8)).drop_encoding()
    (tmp_path / "months").mkdir()
    fields.to_netcdf(tmp_path / "whole.nc")
    for name, when in (("a", slice(0, 4)), ("b", slice(4, 8))):
        fields.isel(time=when).to_netcdf(tmp_path / "months" / f"{name}.nc")
    whole, months = (prepared(tmp_path / name, ("eastward_wind",)) for name in ("whole.nc", "months"))
    assert months.channels == whole.channels
    np.testing.assert_array_equal(months.values, whole.values)


@pytest.fixture
def maps() -> xr.Dataset:
    """A map of nothing and one of everything, on a five-degree grid."""
    latitude, longitude = regular_grid(5.0)
    values = np.stack([np.zeros((37, 72)), np.ones((37, 72))]).astype(np.float32)
    coordinates = {"time": np.array(["2001-08-01", "2001-08-02"], "M8[ns]"), "latitude": latitude}
    dimensions = ("time", "latitude", "longitude")
    kinds = {"heat": (dimensions, values, {"units": "1"}), "none": (dimensions, values * 0, {"units": "1"})}
    return xr.Dataset(kinds, coordinates | {"longitude": longitude})


def test_label_maps_lie_on_the_grid_of_the_fields(tiny_world: Path, tmp_path: Path, maps: xr.Dataset) -> None:
    """Maps are read from their path once for each grid, and a kind that is nowhere is no fault."""
    source = tmp_path / "labels.nc"
    source.write_bytes(b"1")
    asked: list[Path] = []

    def read(path: Path) -> xr.Dataset:
        asked.append(path)
        return maps

    for like in (prepared(tiny_world, WIND), prepared(tiny_world, WIND, 7.5)):
        for _ in range(2):
            store = prepared_maps(source, ("heat", "none"), read, like)
        assert store.names == ("heat", "none")
        np.testing.assert_array_equal(store.latitude, like.latitude)
        np.testing.assert_array_equal(store.longitude, like.longitude)
        assert not store.frame(0).any()
        np.testing.assert_array_equal(store.frame(1)[0], 1)
    assert asked == [source, source]
    source.write_bytes(b"12")
    prepared_maps(source, ("heat", "none"), read, like)
    assert len(asked) == 3


def test_what_changes_in_a_world_is_prepared_anew(tiny_world: Path, tmp_path: Path) -> None:
    """A world whose files changed is not read from the store of before."""
    world = tmp_path / "world"
    shutil.copytree(tiny_world, world)
    before = prepared(world, ("eastward_wind",))
    fields = xr.open_zarr(world / "fields.zarr", consolidated=False).load().drop_encoding()
    shutil.rmtree(world / "fields.zarr")
    fields.isel(time=slice(0, 10)).to_zarr(world / "fields.zarr", consolidated=False)
    after = prepared(world, ("eastward_wind",))
    assert before.path != after.path
    assert len(after.time) == 10


def test_a_variable_without_any_change_is_refused(tmp_path: Path) -> None:
    """Fields that are constant cannot be normalised, unlike maps."""
    latitude, longitude = regular_grid(15.0)
    time = np.array(["2001-08-01", "2001-08-02"], "M8[ns]")
    values = np.zeros((2, 13, 24), np.float32)
    attributes = {"units": "s-1", "standard_name": "atmosphere_relative_vorticity"}
    coordinates = {"time": time, "latitude": latitude, "longitude": longitude}
    xr.Dataset({"vo": (("time", "latitude", "longitude"), values, attributes)}, coordinates).to_netcdf(
        tmp_path / "fields.nc"
    )
    with pytest.raises(UserError, match="'vorticity' has standard dev"):
        prepared(tmp_path, ("vorticity",))


@pytest.mark.parametrize(
    ("held", "found"),
    [
        (("fields.nc", "other.zarr"), "fields.nc"),
        (("era5.zarr", "hurdat2.txt"), "era5.zarr"),
        (("u.nc", "v.nc"), "."),
        (("2020.grb2",), "."),
    ],
)
def test_the_fields_of_a_folder_are_found(tmp_path: Path, held: tuple[str, ...], found: str) -> None:
    """Under their usual names first, then a Zarr of any name, then all files together."""
    for name in held:
        (tmp_path / name).touch()
    assert field_file(tmp_path) == tmp_path / found


@pytest.mark.parametrize("name", ["notes.txt", "extremes.nc"])
def test_a_folder_without_fields_is_refused(tmp_path: Path, name: str) -> None:
    """The error lists what is there; maps of labels alone are no fields."""
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=rf"holds none of fields.zarr.* It holds: {name}"):
        field_file(tmp_path)
