from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from toolkit.data.fetch_fields import Selection, fetch_fields
from toolkit.data.known_sources import ARCO_ERA5
from toolkit.errors import UserError


def interrupt(done: int, total: int | None) -> None:
    """Stop as Ctrl-C does, after the first step."""
    raise KeyboardInterrupt(f"at {done} of {total}")


SELECTION = Selection(
    ("u_component_of_wind",), "2020-01-02", "2020-01-10", every_hours=6, level_hpa=850.0, region=(0, 60, -90, -30)
)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A Zarr in the layout of ARCO-ERA5: hourly, all levels, a time axis longer than its valid part."""
    time = np.datetime64("2020-01-01", "ns") + np.arange(24 * 14) * np.timedelta64(1, "h")
    latitude, longitude = np.linspace(90, -90, 13), np.arange(24) * 15.0
    level = np.array([500, 850])
    shape = (len(time), 2, 13, 24)
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    dimensions = ("time", "level", "latitude", "longitude")
    names = ("u_component_of_wind", "v_component_of_wind")
    xr.Dataset(
        {name: (dimensions, values + i, {"units": "m s-1"}) for i, name in enumerate(names)},
        coords={"time": time, "level": level, "latitude": latitude, "longitude": longitude},
        attrs={"valid_time_start": "2020-01-02", "valid_time_stop": "2020-01-12"},
    ).chunk(time=48).to_zarr(tmp_path / "archive.zarr", zarr_format=2)
    return str(tmp_path / "archive.zarr")


def _expected(archive: str) -> xr.Dataset:
    whole = xr.open_zarr(archive).load()[["u_component_of_wind"]].sel(level=850, latitude=slice(60, 0))
    return whole.sel(time=slice("2020-01-02", "2020-01-10"), longitude=slice(270, 330)).isel(time=slice(None, None, 6))


def test_fields_are_saved_as_selected(archive: str, tmp_path: Path) -> None:
    """Variable, level, region (across Greenwich's other side), days and hours are those asked for."""
    done: list[tuple[int, int | None]] = []
    path = fetch_fields(archive, tmp_path / "out" / "u.zarr", SELECTION, progress=lambda *step: done.append(step))
    with xr.open_zarr(path) as saved:
        xr.testing.assert_equal(saved.load(), _expected(archive))
        assert saved["u_component_of_wind"].attrs["units"] == "m s-1"
    assert done == [(24, 36), (36, 36)]
    assert [p.name for p in path.parent.iterdir()] == ["u.zarr"]


def test_fields_are_continued(archive: str, tmp_path: Path) -> None:
    """What an interrupted call had saved is not read again, and the result is the same."""
    path = tmp_path / "u.zarr"
    with pytest.raises(KeyboardInterrupt):
        fetch_fields(archive, path, SELECTION, progress=interrupt)
    assert not path.exists()
    done: list[tuple[int, int | None]] = []
    fetch_fields(archive, path, SELECTION, progress=lambda *step: done.append(step))
    assert done == [(36, 36)]
    with xr.open_zarr(path) as saved:
        xr.testing.assert_equal(saved.load(), _expected(archive))


def test_another_selection_starts_anew(archive: str, tmp_path: Path) -> None:
    """A part of another selection is dropped; a finished one is kept, and refused to other requests."""
    path = tmp_path / "u.zarr"
    with pytest.raises(KeyboardInterrupt):
        fetch_fields(archive, path, replace(SELECTION, level_hpa=500.0), progress=interrupt)
    fetch_fields(archive, path, SELECTION)
    with xr.open_zarr(path) as saved:
        xr.testing.assert_equal(saved.load(), _expected(archive))
    assert fetch_fields(archive, path, SELECTION, offline=True) == path
    with pytest.raises(UserError, match="is there with something else in it"):
        fetch_fields(archive, path, replace(SELECTION, end="2020-01-09"))


def test_axes_are_found_by_any_name_and_levels_in_pascal(archive: str, tmp_path: Path) -> None:
    """A Zarr as the Climate Data Store or CMIP would name it gives the same fields."""
    ds = xr.open_zarr(archive).load().drop_encoding().drop_attrs(deep=False)
    ds = ds.assign_coords(level=("level", [50000.0, 85000.0], {"units": "Pa"}))
    ds = ds.rename(time="valid_time", level="pressure_level", latitude="lat", longitude="lon")
    ds.to_zarr(tmp_path / "other.zarr", zarr_format=2)
    with xr.open_zarr(fetch_fields(str(tmp_path / "other.zarr"), tmp_path / "u.zarr", SELECTION)) as saved:
        xr.testing.assert_equal(saved.load().drop_vars("pressure_level"), _expected(archive).drop_vars("level"))
    for name in ("lat", "valid_time"):
        ds.drop_vars(name).to_zarr(tmp_path / f"no_{name}.zarr", zarr_format=2)
        with pytest.raises(UserError, match=r"has no coordinate '.*' of one dimension. Its coordinates: .*'lon'"):
            fetch_fields(str(tmp_path / f"no_{name}.zarr"), tmp_path / "v.zarr", SELECTION)
    ds.isel(pressure_level=0, drop=True).to_zarr(tmp_path / "surface.zarr", zarr_format=2)
    with pytest.raises(UserError, match="has no pressure levels of which 850 hPa could be taken"):
        fetch_fields(str(tmp_path / "surface.zarr"), tmp_path / "v.zarr", SELECTION)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variables": ("u_component_of_win",)}, "Did you mean 'u_component_of_wind'"),
        ({"level_hpa": 925.0}, r"No level 925 hPa in .* Known: 500, 850"),
        ({"end": "2020-01-13"}, "goes from 2020-01-02 to 2020-01-12"),
        ({"start": "2020-01-01"}, "goes from 2020-01-02 to 2020-01-12"),
        ({"end": "2020-01-01"}, "Cannot take 2020-01-02 to 2020-01-01"),
        ({"end": "January"}, "'January' is not a date"),
        ({"region": (1, 2, 0, 360)}, "has a latitude as asked for"),
    ],
)
def test_a_selection_of_what_is_not_there_is_refused(
    archive: str, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    """Each fault of a selection is named, and nothing is written."""
    with pytest.raises(UserError, match=message):
        fetch_fields(archive, tmp_path / "u.zarr", replace(SELECTION, **change))  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zarr"]


def test_a_zarr_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A missing Zarr, and a remote one offline, are clear errors."""
    with pytest.raises(UserError, match=r"Cannot open .*nothing\.zarr as Zarr"):
        fetch_fields(str(tmp_path / "nothing.zarr"), tmp_path / "u.zarr", SELECTION)
    with pytest.raises(UserError, match="offline nothing is fetched"):
        fetch_fields(ARCO_ERA5, tmp_path / "u.zarr", SELECTION, offline=True)
