from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from toolkit.data import sources
from toolkit.data.available import available_fields, gathered
from toolkit.data.store import time_blocks
from toolkit.errors import UserError

WANTED = ("vorticity", "divergence")
UNITS = {"vo": "s-1", "d": "s-1", "u": "m s-1", "v": "m s-1", "u10": "m s-1", "v10": "m s-1", "z": "m2 s-2"}


def write(path: Path, names: tuple[str, ...], level: float | None = 850, hours: tuple[int, ...] = (0,)) -> Path:
    """Write a NetCDF file of random fields on a 10 degree grid and return its path."""
    rng = np.random.default_rng(0)
    time = np.datetime64("2020-08-01", "ns") + np.array(hours) * np.timedelta64(1, "h")
    coordinates: dict[str, Any] = {
        "time": time,
        "latitude": np.linspace(90, -90, 19),
        "longitude": np.arange(0, 360, 10.0),
    }
    dimensions: tuple[str, ...] = ("time", "latitude", "longitude")
    shape: tuple[int, ...] = (len(hours), 19, 36)
    if level is not None:
        dimensions, shape = ("time", "level", *dimensions[1:]), (len(hours), 1, *shape[1:])
        coordinates["level"] = ("level", [level], {"units": "hPa"})
    fields = {name: (dimensions, rng.standard_normal(shape) * 1e-5, {"units": UNITS[name]}) for name in names}
    xr.Dataset(fields, coordinates).to_netcdf(path)
    return path


def test_what_is_there_is_taken_and_what_is_not_is_said(tmp_path: Path) -> None:
    """Vorticity alone gives vorticity, and a sentence that divergence is missing."""
    got = available_fields(gathered(write(tmp_path / "x.nc", ("vo",))), WANTED, 850)
    assert list(got.fields) == ["vorticity"]
    assert "divergence is not in" in got.notes[-1]
    assert "missing" in got.notes[-1]


def test_winds_give_both(tmp_path: Path) -> None:
    """From the winds both are derived, and it is said how."""
    got = available_fields(gathered(write(tmp_path / "x.nc", ("u", "v"))), WANTED, 850)
    assert list(got.fields) == list(WANTED)
    assert any("derived from the winds by spherical harmonics" in note for note in got.notes)


def test_what_is_there_and_what_is_derived_can_be_read_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vorticity from the file and divergence from its winds, chunked apart, are cut into the same blocks of times."""
    monkeypatch.setattr(sources, "DERIVED_AT_ONCE_BYTES", 1)
    path = write(tmp_path / "x.nc", ("vo", "u", "v"), hours=tuple(range(0, 60, 6)))
    got = available_fields(gathered(path), WANTED, 850)
    assert sum(block.stop - block.start for block in time_blocks(got.fields)) >= 10


def test_winds_at_ten_metres_stand_in(tmp_path: Path) -> None:
    """Where there is no other wind that at 10 m is taken, and said to be."""
    got = available_fields(gathered(write(tmp_path / "x.nc", ("u10", "v10"), level=None)), WANTED, 850)
    assert any("variable 'u10' of" in note and "stands in for 'u'" in note for note in got.notes)


def test_winds_at_ten_metres_stand_back_behind_others(tmp_path: Path) -> None:
    """A file with winds on a level as well gives those."""
    write(tmp_path / "a.nc", ("u", "v"))
    surface = xr.open_dataset(write(tmp_path / "b.nc", ("u10", "v10"), level=None))
    xr.open_dataset(tmp_path / "a.nc").merge(surface).to_netcdf(tmp_path / "c.nc")
    both = available_fields(gathered(tmp_path / "c.nc"), WANTED, 850)
    alone = available_fields(gathered(tmp_path / "a.nc"), WANTED, 850)
    xr.testing.assert_allclose(both.fields, alone.fields)
    assert not any("u10" in note for note in both.notes)


def test_a_level_near_by_stands_in(tmp_path: Path) -> None:
    """925 hPa instead of 850 hPa is taken and said; 500 hPa is refused with what there is."""
    got = available_fields(gathered(write(tmp_path / "x.nc", ("u", "v"), level=925)), WANTED, 850)
    assert any("at 925 hPa stand in for those at 850 hPa" in note for note in got.notes)
    with pytest.raises(UserError, match=r"No level 850 hPa .* Did you mean 500 hPa"):
        available_fields(gathered(write(tmp_path / "y.nc", ("u", "v"), level=500)), WANTED, 850)


@pytest.mark.parametrize("pattern", [".", "2020-*.nc"])
def test_several_files_are_one_source(tmp_path: Path, pattern: str) -> None:
    """A folder or a pattern of files with different variables or times is put together."""
    for name in ("u", "v"):
        write(tmp_path / f"2020-{name}1.nc", (name,), hours=(0, 6))
        write(tmp_path / f"2020-{name}2.nc", (name,), hours=(12,))
    (tmp_path / "notes.txt").write_text("not a field")
    ds = gathered(tmp_path / pattern)
    assert ds.sizes["time"] == 3
    assert list(available_fields(ds, WANTED, 850).fields) == list(WANTED)


SPLITS: dict[str, Callable[[xr.Dataset], list[xr.Dataset]]] = {
    "months": lambda ds: [ds.isel(time=[0, 1]), ds.isel(time=[2, 3])],
    "hours": lambda ds: [ds.isel(time=[1, 3]), ds.isel(time=[0, 2])],
    "variables": lambda ds: [ds[["u"]], ds[["v"]]],
    "levels": lambda ds: [ds.sel(level=[850]), ds.sel(level=[500])],
    "months of variables": lambda ds: [ds[[name]].isel(time=when) for name in "uv" for when in ([0, 1], [2, 3])],
}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_a_file_in_pieces_is_read_as_the_whole(tmp_path: Path, split: Callable[[xr.Dataset], list[xr.Dataset]]) -> None:
    """However fields are shared out over files, values, units and levels are those of one file."""
    hours = (0, 6, 12, 18)
    level = xr.open_dataset(write(tmp_path / "850.nc", ("u", "v"), hours=hours))
    whole = xr.concat([level.assign_coords(level=("level", [500.0], level["level"].attrs)), level * 2], "level")
    for name in "uv":
        whole[name].attrs["units"] = "m s-1"
    (tmp_path / "parts").mkdir()
    whole.to_netcdf(tmp_path / "whole.nc")
    for number, part in enumerate(split(whole)):
        part.to_netcdf(tmp_path / "parts" / f"{number}.nc")
    together, alone = gathered(tmp_path / "parts"), gathered(tmp_path / "whole.nc")
    xr.testing.assert_identical(together.drop_attrs(deep=False), alone.drop_attrs(deep=False))


def test_a_time_in_two_files_is_refused(tmp_path: Path) -> None:
    """Files that overlap would give a time twice: the time and the two files are named."""
    for name, hours in (("a", (0, 6)), ("b", (12,)), ("c", (6, 18))):
        write(tmp_path / f"{name}.nc", ("u", "v"), hours=hours)
    with pytest.raises(UserError, match=r"a\.nc and .*c\.nc both hold 2020-08-01T06:00"):
        gathered(tmp_path)


def test_maps_of_labels_beside_the_fields_are_no_fields(tmp_path: Path) -> None:
    """A folder may hold both."""
    write(tmp_path / "u.nc", ("u",))
    write(tmp_path / "v.nc", ("v",))
    (tmp_path / "extremes.nc").write_bytes(b"")
    assert set(gathered(tmp_path)) == {"eastward_wind", "northward_wind"}


def test_files_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    """Winds of different times make no wind."""
    write(tmp_path / "u.nc", ("u",), hours=(0, 6))
    write(tmp_path / "v.nc", ("v",), hours=(6,))
    said = r"2 files of .* do not fit together: of the times there are 2 \(2020-08-01T00:00 to .*u\.nc and 1 .*v\.nc"
    with pytest.raises(UserError, match=said):
        gathered(tmp_path / "*.nc")


def test_what_is_wanted_and_cannot_be_read_is_refused_and_no_more(tmp_path: Path) -> None:
    """A variable in a wrong unit is an error where it is needed, and a sentence where the rest does without it."""
    ds = xr.open_dataset(write(tmp_path / "winds.nc", ("u", "v", "d")))
    ds["d"].attrs["units"] = "K"
    ds.to_netcdf(tmp_path / "dewpoint.nc")
    got = available_fields(gathered(tmp_path / "dewpoint.nc"), WANTED, 850)
    assert list(got.fields) == list(WANTED)
    assert any(note.startswith("divergence is left out: Variable 'd' of") for note in got.notes)
    ds["u"].attrs["units"] = "furlong"
    ds.to_netcdf(tmp_path / "furlongs.nc")
    with pytest.raises(UserError, match="has the unit 'furlong'"):
        available_fields(gathered(tmp_path / "furlongs.nc"), WANTED, 850)


def test_an_empty_pattern_or_folder_is_refused(tmp_path: Path) -> None:
    """A pattern without a file, a folder without one, and a missing file are named."""
    with pytest.raises(UserError, match="No file matches"):
        gathered(tmp_path / "*.nc")
    with pytest.raises(UserError, match="is not a Zarr store"):
        gathered(tmp_path)
    with pytest.raises(UserError, match="No file '"):
        gathered(tmp_path / "x.nc")


def test_neither_winds_nor_vorticity_is_refused(tmp_path: Path) -> None:
    """Geopotential alone cannot be turned into what is wanted."""
    with pytest.raises(UserError, match=r"holds no vorticity, nor the winds .* It holds: geopotential"):
        available_fields(gathered(write(tmp_path / "x.nc", ("z",))), WANTED, 850)


def test_real_grib_without_winds_is_refused(real_data: Path) -> None:
    """ERA5 geopotential and temperature in GRIB: the error says what is missing and what there is."""
    pytest.importorskip("cfgrib")
    with pytest.raises(UserError, match="holds no vorticity, nor the winds"):
        available_fields(gathered(real_data / "fields/era5-levels-members.grib"), WANTED, 850)


def test_real_winds_in_two_files(real_data: Path) -> None:
    """The wind of one analysis in two files, given as a pattern, with temperature left aside."""
    ds = gathered(real_data / "fields/2005-01-23-0000-*.nc")
    got = available_fields(ds, WANTED, 850)
    assert got.fields.sizes == {"time": 1, "latitude": 121, "longitude": 240}
    assert 1e-5 < float(got.fields["vorticity"].std()) < 6e-5
