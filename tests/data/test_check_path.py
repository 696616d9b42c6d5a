import json
import shutil
import zlib
from lzma import LZMAError
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from toolkit.data.check_path import check_path
from toolkit.data.reading import reading
from toolkit.data.store import Store
from toolkit.errors import UserError

AXES = {
    "time": np.datetime64("2020-01-01", "ns") + np.arange(4) * np.timedelta64(6, "h"),
    "latitude": np.linspace(90, -90, 7),
    "longitude": np.arange(12) * 30.0,
}


def _wind(levels: tuple[int, ...], name: str) -> xr.DataArray:
    values = np.random.default_rng(0).normal(0, 5, (4, len(levels), 7, 12)).astype(np.float32)
    axes = {"time": AXES["time"], "level": ("level", list(levels), {"units": "hPa"}), **AXES}
    dimensions = ("time", "level", "latitude", "longitude")
    return xr.DataArray(values, axes, dimensions, name, {"units": "m s-1"})


def test_each_level_is_checked_and_the_faulty_one_named(tmp_path: Path) -> None:
    """Of a file with several levels, the finding names the level, and faults of the time axis are told once."""
    wind = _wind((500, 850), "u").isel(time=[0, 1, 3])
    wind[1, 1, 2, 3] = np.inf
    wind.to_dataset().to_netcdf(tmp_path / "u.nc")
    checked = check_path(tmp_path / "u.nc")
    assert checked.stops
    assert [(f["variable"], f["file"].endswith("at 850 hPa")) for f in checked.content["findings"]] == [
        ("time", False),
        ("eastward_wind", True),
    ]


def test_the_files_of_a_folder_are_checked_together(tmp_path: Path) -> None:
    """As training takes them: winds in two files are one pair of fields."""
    for name in ("u", "v"):
        _wind((850,), name).to_dataset().to_netcdf(tmp_path / f"{name}.nc")
    assert check_path(tmp_path).lines == ("Nothing wrong in the fields.",)
    faulty = _wind((850,), "v")
    faulty[2, 0, 3, 4] = np.inf
    faulty.to_dataset().to_netcdf(tmp_path / "v.nc")
    assert [finding["variable"] for finding in check_path(tmp_path).content["findings"]] == ["northward_wind"]
    (tmp_path / "v.nc").write_bytes(b"")
    with pytest.raises(UserError, match=r"v\.nc"):
        check_path(tmp_path)


def test_what_cannot_be_read_stops_training_where_nothing_replaces_it(tmp_path: Path) -> None:
    """A wind in a wrong unit is found; a dew point called `d` beside good winds is only said to be left out."""
    u, v, d = (_wind((850,), name) for name in "uvd")
    fields = xr.merge([u, v, d.assign_attrs(units="K")])
    fields.to_netcdf(tmp_path / "dewpoint.nc")
    checked = check_path(tmp_path / "dewpoint.nc")
    assert not checked.stops
    assert checked.lines[0].startswith("divergence is left out: Variable 'd'")
    fields["u"].attrs["units"] = "furlong"
    fields.to_netcdf(tmp_path / "furlongs.nc")
    checked = check_path(tmp_path / "furlongs.nc")
    assert checked.stops
    assert [f["variable"] for f in checked.content["findings"]] == ["divergence", "eastward_wind"]


def test_what_is_found_can_be_written_as_json(tiny_world: Path) -> None:
    """The content of a check holds plain values only, and its lines say the same in words."""
    checked = check_path(tiny_world)
    assert json.loads(json.dumps(checked.content)) == checked.content
    assert checked.lines[0] == "24 storms, 480 fixes, 0 left out"


def test_an_edited_store_stops_training(smooth_store: Store, tmp_path: Path) -> None:
    """A store whose values differ from its hash is found."""
    store = shutil.copytree(smooth_store.path, tmp_path / "store")
    assert not check_path(store).stops
    with (store / "values.npy").open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"\x01\x02")
    checked = check_path(store)
    assert checked.stops
    assert any("hash" in line for line in checked.lines)


@pytest.mark.parametrize("error", [RuntimeError, OSError, ValueError, EOFError, zlib.error, LZMAError])
def test_damaged_bytes_are_told_with_their_source(error: type[Exception]) -> None:
    """Whatever a decoder raises becomes an error of the source; others pass unchanged."""
    with pytest.raises(UserError, match=r"a.zarr is damaged: its values cannot be read .*bad"), reading("a.zarr"):
        raise error("bad")
    with pytest.raises(UserError, match="as it was"), reading("a.zarr"):
        raise UserError("as it was")
