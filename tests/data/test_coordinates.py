"""Dates that only a name, or a text, gives."""

import numpy as np
import pytest
import xarray as xr

from toolkit.data.coordinates import on_time, time_in_name


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
