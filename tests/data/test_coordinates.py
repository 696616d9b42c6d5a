"""Axes: parallels and meridians without a gap, and dates that only a name, or a text, gives."""

import numpy as np
import pytest
import xarray as xr

from toolkit.data.coordinates import on_latitude_longitude, on_time, time_in_name
from toolkit.errors import UserError


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("era5_vo850_2020010106_0.25x0.25.nc", "2020-01-01T06:00"),
        ("2005-01-23-0000-u.nc", "2005-01-23T00:00"),
        ("x_19590102T00.nc", "1959-01-02T00:00"),
        ("2021-05-24T18:30:00.000000000.nc", "2021-05-24T18:30"),
        ("folder/2021-05-24.nc", "2021-05-24T00:00"),
        ("data-1996-06-09-01-1.nc", "1996-06-09T00:00"),
        ("data-1996-06-09-01-1_0.nc", "1996-06-09T00:00"),
    ],
)
def test_a_name_gives_its_date(name: str, moment: str) -> None:
    """The day and, where it is clear, the hour; what follows the day in ClimateNet's names is no hour."""
    assert time_in_name(name) == np.datetime64(moment)


@pytest.mark.parametrize("name", ["fields.nc", "2001-2010.nc", "2001-13-01.nc", "2001-01-01_2001-02-01.nc"])
def test_no_date_or_two_are_none(name: str) -> None:
    """A name without a date, with an impossible one or with two gives no time."""
    assert time_in_name(name) is None


def test_times_as_text_are_read_with_their_zone() -> None:
    """Midnight two hours east of Greenwich is 22 UTC of the day before."""
    texts = ["2020-01-02T00:00:00+02:00", "2020-01-02T06:00:00Z"]
    read = on_time(xr.Dataset(coords={"time": texts}), "x.nc", [])["time"]
    assert read.values.tolist() == np.array(["2020-01-01T22", "2020-01-02T06"], "M8[ns]").tolist()


def _on(latitude: np.ndarray, longitude: np.ndarray) -> xr.Dataset:
    """A field on these axes."""
    values = np.zeros((len(latitude), len(longitude)))
    return xr.Dataset({"u": (("latitude", "longitude"), values)}, {"latitude": latitude, "longitude": longitude})


@pytest.mark.parametrize(
    ("latitude", "longitude", "said"),
    [
        (
            np.delete(np.arange(90, -91, -2.5), [30, 31, 32]),
            np.arange(0, 360, 2.5),
            "latitudes .* from 17.5 to 7.5 deg",
        ),
        (np.arange(-20, 21, 1.0), np.delete(np.arange(-30, 31, 1.0), 7), "longitudes .* from -24 to -22 degrees"),
    ],
)
def test_a_gap_in_an_axis_is_refused(latitude: np.ndarray, longitude: np.ndarray, said: str) -> None:
    """Rows or columns that are left out are named: the fields on both sides of them are not neighbours."""
    with pytest.raises(UserError, match=f"{said}.*Give all that lie between"):
        on_latitude_longitude(_on(latitude, longitude), "winds.nc", [])


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (np.degrees(np.arcsin(np.polynomial.legendre.leggauss(32)[0])), np.arange(64) * 360 / 64),
        (np.degrees(np.arctan(np.sinh(np.linspace(-1.5, 1.5, 40)))), np.arange(350, 370) % 360.0),
        (np.array([10.0, 9.0]), np.array([4.0, 7.0])),
        (np.array([10.0]), np.array([4.0])),
    ],
    ids=["gaussian", "mercator across Greenwich", "two", "one"],
)
def test_axes_without_a_gap_are_read(latitude: np.ndarray, longitude: np.ndarray) -> None:
    """Steps that change slowly, a region across Greenwich, and axes too short to have neighbours are no gap."""
    read = on_latitude_longitude(_on(latitude, longitude), "winds.nc", [])
    assert read.sizes == {"latitude": len(latitude), "longitude": len(longitude)}
