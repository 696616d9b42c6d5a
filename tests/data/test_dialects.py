"""One truth, written in every dialect, must be read as the same canonical Dataset."""

from collections.abc import Callable
from pathlib import Path

import cftime
import numpy as np
import pytest
import xarray as xr

from toolkit.data.dialects import KNOT, STANDARD_GRAVITY, VARIABLES
from toolkit.data.sources import open_source, select_fields
from toolkit.errors import UserError

LEVELS = (500.0, 850.0)
ARCO = {
    "vorticity": "vorticity",
    "divergence": "divergence",
    "eastward_wind": "u_component_of_wind",
    "northward_wind": "v_component_of_wind",
    "geopotential": "geopotential",
    "temperature": "temperature",
    "mean_sea_level_pressure": "mean_sea_level_pressure",
}
SHORT = dict(zip(ARCO, ("vo", "d", "u", "v", "z", "t", "msl"), strict=True))
CMIP = {"eastward_wind": "ua", "northward_wind": "va", "temperature": "ta", "mean_sea_level_pressure": "psl"}


@pytest.fixture
def truth() -> xr.Dataset:
    """Two times, two levels, a 9 x 16 global grid; every canonical variable with values of its own size."""
    rng = np.random.default_rng(5)
    coordinates = {
        "time": np.array(["2020-01-01T00", "2020-01-01T06"], "datetime64[ns]"),
        "level": list(LEVELS),
        "latitude": np.linspace(90, -90, 9),
        "longitude": np.arange(16) * 22.5,
    }
    sizes = {name: len(values) for name, values in coordinates.items()}
    means = dict(zip(ARCO, (1e-5, -1e-5, 10, -3, 5e4, 270, 1e5), strict=True))
    fields = {}
    for name, variable in VARIABLES.items():
        dims = [dim for dim in coordinates if variable.on_levels or dim != "level"]
        values = means[name] * rng.uniform(0.9, 1.1, [sizes[dim] for dim in dims])
        fields[name] = xr.DataArray(values, dims=dims, attrs={"units": variable.unit})
    return xr.Dataset(fields, coordinates)


def assert_same(opened: xr.Dataset, truth: xr.Dataset, rtol: float = 1e-6) -> None:
    """The same variables, dimensions in the same order, coordinates and values; units and names as CF has them."""
    assert set(opened.data_vars) == set(truth.data_vars)
    for name in truth.data_vars:
        assert opened[name].dims == truth[name].dims
        xr.testing.assert_allclose(opened[name].drop_attrs(), truth[name].drop_attrs(), rtol=rtol)
        assert opened[name].attrs["units"] == VARIABLES[str(name)].unit
        assert opened[name].attrs["standard_name"] == VARIABLES[str(name)].standard_name
    assert opened["time"].dtype == "datetime64[ns]"


def level_units(ds: xr.Dataset, unit: str = "hPa") -> xr.Dataset:
    """The dataset whose level coordinate, under any name, has its unit named."""
    ds["level"].attrs["units"] = unit
    return ds


def test_reads_new_cds_netcdf(tmp_path: Path, truth: xr.Dataset) -> None:
    """The new CDS layout: valid_time, pressure_level from the surface up, expver along time, number as a scalar."""
    ds = level_units(truth.rename(SHORT)).isel(level=slice(None, None, -1))
    ds = ds.rename(time="valid_time", level="pressure_level").assign_coords(
        expver=("valid_time", ["0001", "0005"]), number=0
    )
    ds.to_netcdf(tmp_path / "cds.nc")
    opened = open_source(tmp_path / "cds.nc")
    assert_same(opened, truth)
    assert opened.attrs["assumptions"] == ()


def test_reads_packed_mars_netcdf(tmp_path: Path, truth: xr.Dataset) -> None:
    """Integers with scale_factor and add_offset come out as values, within one step of the packing."""
    wanted = truth[["eastward_wind", "northward_wind"]]
    ds = level_units(wanted.rename(eastward_wind="u", northward_wind="v"), "millibars")
    ds["u"].attrs = ds["v"].attrs = {"units": "m s**-1"}
    packing = {"dtype": "int16", "scale_factor": 1e-3, "add_offset": 2.0, "_FillValue": -32767}
    ds.to_netcdf(tmp_path / "mars.nc", encoding={"u": packing, "v": packing})
    opened = open_source(tmp_path / "mars.nc")
    assert_same(opened, wanted, rtol=1e-3)
    assert not opened["eastward_wind"].encoding


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_reads_arco_zarr(tmp_path: Path, truth: xr.Dataset, zarr_format: int) -> None:
    """ARCO and WeatherBench names, (longitude, latitude) order, latitude northward, a level without unit."""
    ds = truth.rename(ARCO).isel(latitude=slice(None, None, -1)).transpose("time", "level", "longitude", "latitude")
    ds.to_zarr(tmp_path / "arco.zarr", zarr_format=zarr_format, consolidated=False)
    opened = open_source(tmp_path / "arco.zarr")
    assert_same(opened, truth)
    assert opened.attrs["assumptions"] == (
        f"coordinate 'level' of {tmp_path / 'arco.zarr'} names no unit and is taken to be in hPa",
    )


def test_leaves_out_times_that_arco_declares_empty(tmp_path: Path, truth: xr.Dataset) -> None:
    """What lies outside valid_time_start and valid_time_stop is not there."""
    ds = truth.rename(ARCO).assign_attrs(valid_time_start="2020-01-01T03", valid_time_stop="2020-01-02")
    ds.to_zarr(tmp_path / "arco.zarr", zarr_format=3, consolidated=False)
    assert_same(open_source(tmp_path / "arco.zarr"), truth.isel(time=[1]))


def write_grib(path: Path, ds: xr.Dataset) -> None:
    """One message for each time, level and variable of a dataset with GRIB short names."""
    eccodes = pytest.importorskip("eccodes", reason="the grib extra is not installed")
    with path.open("wb") as stream:
        for name in ds.data_vars:
            for field in ds[name].stack(message=[dim for dim in ds[name].dims if "itude" not in str(dim)]).T:
                message = eccodes.codes_grib_new_from_samples("regular_ll_pl_grib2")
                time = field["time"].dt
                level = {"level": int(field["level"])} if "level" in field.coords else {"typeOfLevel": "meanSea"}
                keys = {
                    **{"Ni": 16, "Nj": 9, "iDirectionIncrementInDegrees": 22.5, "jDirectionIncrementInDegrees": 22.5},
                    **{"latitudeOfFirstGridPointInDegrees": 90, "latitudeOfLastGridPointInDegrees": -90},
                    **{"longitudeOfFirstGridPointInDegrees": 0, "longitudeOfLastGridPointInDegrees": 337.5},
                    **{"dataDate": int(time.strftime("%Y%m%d")), "dataTime": int(time.strftime("%H%M"))},
                    **{"shortName": name, "bitsPerValue": 24, **level},
                }
                for key, value in keys.items():
                    eccodes.codes_set(message, key, value)
                eccodes.codes_set_values(message, field.transpose("latitude", "longitude").values.ravel())
                eccodes.codes_write(message, stream)
                eccodes.codes_release(message)


def test_reads_grib(tmp_path: Path, truth: xr.Dataset) -> None:
    """GRIB short names, with pressure levels and the sea surface in one file, and no index left beside it."""
    write_grib(tmp_path / "fields.grib", truth.rename(SHORT))
    assert_same(open_source(tmp_path / "fields.grib"), truth, rtol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["fields.grib"]
    whole = (tmp_path / "fields.grib").read_bytes()
    (tmp_path / "fields.grib").write_bytes(whole[:-100])
    with pytest.raises(UserError, match=r"fields.grib' cannot be opened; is it whole\?"):
        open_source(tmp_path / "fields.grib")


def test_reads_cmip6(tmp_path: Path, truth: xr.Dataset) -> None:
    """CMIP6: ua, va, ta, psl, geopotential height zg in m, plev in Pa, lat and lon, a calendar without leap days."""
    names = {**CMIP, "geopotential": "zg"}
    ds = truth[list(names)].rename(names).rename(level="plev", latitude="lat", longitude="lon")
    ds["zg"] = (ds["zg"] / STANDARD_GRAVITY).assign_attrs(units="m", standard_name="geopotential_height")
    ds = ds.assign_coords(plev=("plev", 100 * ds["plev"].values, {"units": "Pa", "standard_name": "air_pressure"}))
    ds = ds.assign_coords(time=[cftime.DatetimeNoLeap(2020, 1, 1, hour) for hour in (0, 6)])
    ds.to_netcdf(tmp_path / "cmip.nc")
    opened = open_source(tmp_path / "cmip.nc")
    assert_same(opened, truth[list(names)])
    assert "calendar 'noleap'" in opened.attrs["assumptions"][0]


def test_reads_plain_names_with_levels_in_them(tmp_path: Path, truth: xr.Dataset) -> None:
    """u850, VO_850 and z500 find their levels; u100, ERA5's wind at 100 m, and u10 are not taken for levels."""
    surface = truth["eastward_wind"].isel(level=0, drop=True)
    ds = xr.Dataset({"u100": surface, "u10": surface})
    for name, (canonical, level) in {
        "u850": ("eastward_wind", 850),
        "u500": ("eastward_wind", 500),
        "VO_850": ("vorticity", 850),
        "z500hPa": ("geopotential", 500),
    }.items():
        ds[name] = truth[canonical].sel(level=level, drop=True)
    ds.to_netcdf(tmp_path / "plain.nc")
    opened = open_source(tmp_path / "plain.nc")
    assert set(opened.data_vars) == {"eastward_wind", "vorticity", "geopotential"}
    np.testing.assert_array_equal(opened["eastward_wind"], truth["eastward_wind"])
    before = opened.copy(deep=True)
    at_850 = select_fields(opened, ["vorticity"], 850)["vorticity"]
    xr.testing.assert_identical(opened, before)
    np.testing.assert_array_equal(at_850, truth["vorticity"].sel(level=850))
    with pytest.raises(UserError, match=r"No level 850 hPa of geopotential.*Did you mean 500 hPa\?"):
        select_fields(opened, ["geopotential"], 850)


@pytest.mark.parametrize(("name", "canonical"), [("VO", "vorticity"), ("vor", "vorticity"), ("div", "divergence")])
def test_reads_names_without_units(tmp_path: Path, truth: xr.Dataset, name: str, canonical: str) -> None:
    """A missing unit is taken to be SI, and that is said."""
    ds = level_units(truth[[canonical]].rename({canonical: name}))
    ds[name].attrs = {}
    ds.to_netcdf(tmp_path / "plain.nc")
    opened = open_source(tmp_path / "plain.nc")
    assert_same(opened, truth[[canonical]])
    assert opened.attrs["assumptions"] == (f"variable '{name}' names no unit and is taken to be in s-1",)


def test_takes_time_and_level_from_the_file_name(tmp_path: Path, truth: xr.Dataset) -> None:
    """A time and a level that only the name gives are used, and said."""
    path = tmp_path / "era5_vo850_2020010106_0.25x0.25.nc"
    truth[["vorticity"]].isel(time=1, drop=True).sel(level=850, drop=True).rename(vorticity="vo").to_netcdf(path)
    opened = open_source(path)
    assert_same(opened, truth[["vorticity"]].isel(time=[1]).sel(level=[850]))
    time, level = opened.attrs["assumptions"]
    assert "2020-01-01T06:00Z is taken from the file name" in time
    assert "850 hPa is taken from the file name" in level


def test_reads_climatenet(tmp_path: Path, truth: xr.Dataset) -> None:
    """CAM's names with the level in them, south first, the file's own name in place of a time; labels are no fields."""
    path = tmp_path / "data-1996-06-09-01-1.nc"
    one = truth.isel(time=[0], latitude=slice(None, None, -1)).assign_coords(time=[path.name])
    ds = xr.Dataset({"TMQ": one["mean_sea_level_pressure"].assign_attrs(units="kg/m^2")})
    ds["PSL"] = one["mean_sea_level_pressure"].assign_attrs(units="Pa")
    for name, canonical, level, unit in (
        ("U850", "eastward_wind", 850, "m/s"),
        ("V850", "northward_wind", 850, "m/s"),
        ("T500", "temperature", 500, "K"),
    ):
        ds[name] = one[canonical].sel(level=level, drop=True).assign_attrs(units=unit)
    ds["LABELS"] = (("latitude", "longitude"), np.zeros((9, 16), np.int64))
    ds.rename(latitude="lat", longitude="lon").to_netcdf(path)
    opened = open_source(path)
    assert set(opened.data_vars) == {"mean_sea_level_pressure", "eastward_wind", "northward_wind", "temperature"}
    assert list(opened["time"].values) == [np.datetime64("1996-06-09")]
    winds = select_fields(opened, ["eastward_wind", "northward_wind"], 850)
    for name in ("eastward_wind", "northward_wind"):
        np.testing.assert_array_equal(winds[name][0], truth[name].sel(level=850)[0])
    assert opened.attrs["assumptions"] == (
        "times are taken from names in place of dates; where a name gives the day alone, 00 UTC is meant",
    )


def test_merges_final_and_preliminary_era5(tmp_path: Path, truth: xr.Dataset) -> None:
    """Where expver is a dimension, expver 5 fills what expver 1 lacks."""
    wanted = truth[["temperature"]]
    first, second = wanted.where(wanted["time"] == wanted["time"][0]), wanted.where(wanted["time"] != wanted["time"][0])
    ds = xr.concat([first, second], "expver").assign_coords(expver=[1, 5])
    ds["temperature"].attrs = {"units": "K"}
    ds.to_netcdf(tmp_path / "expver.nc")
    opened = open_source(tmp_path / "expver.nc")
    assert_same(opened, wanted)
    assert any("ERA5T" in sentence for sentence in opened.attrs["assumptions"])


def test_reads_the_first_member_of_an_ensemble(tmp_path: Path, truth: xr.Dataset) -> None:
    """Of several members one is read, and that is said."""
    wanted = truth[["temperature"]]
    xr.concat([wanted, wanted + 1], "number").assign_coords(number=[3, 4]).to_netcdf(tmp_path / "members.nc")
    opened = open_source(tmp_path / "members.nc")
    xr.testing.assert_allclose(opened.drop_attrs(), wanted.drop_attrs())
    assert any("2 ensemble members, of which only 3" in sentence for sentence in opened.attrs["assumptions"])


def test_reads_one_forecast_by_its_valid_times(tmp_path: Path, truth: xr.Dataset) -> None:
    """A forecast whose lead times are a dimension is read at the times it is valid; several forecasts are refused."""
    hours = np.array([0, 6], "timedelta64[h]").astype("timedelta64[ns]")
    start = truth["time"].values[0]
    wanted = truth[["temperature"]]
    ds = wanted.rename(time="step").assign_coords(step=hours, time=start, valid_time=("step", start + hours))
    ds.to_netcdf(tmp_path / "forecast.nc")
    assert_same(open_source(tmp_path / "forecast.nc"), wanted)
    both = ds.drop_vars("valid_time").expand_dims(time=start + hours)
    both.assign_coords(valid_time=both["time"] + both["step"]).to_netcdf(tmp_path / "forecasts.nc")
    with pytest.raises(UserError, match="several lead times"):
        open_source(tmp_path / "forecasts.nc")


def test_leaves_out_a_field_without_time(tmp_path: Path, truth: xr.Dataset) -> None:
    """Beside fields that have times, one that has none (such as orography) is left out, and that is said."""
    ds = truth[["temperature"]].assign(z=truth["geopotential"].isel(time=0, level=0, drop=True))
    ds.to_netcdf(tmp_path / "static.nc")
    opened = open_source(tmp_path / "static.nc")
    assert list(opened.data_vars) == ["temperature"]
    assert any("variable 'z'" in sentence for sentence in opened.attrs["assumptions"])


# Units and coordinates


@pytest.mark.parametrize(
    ("name", "canonical", "unit", "convert"),
    [
        ("psl", "mean_sea_level_pressure", "hPa", lambda x: x / 100),
        ("t", "temperature", "degC", lambda x: x - 273.15),
        ("u", "eastward_wind", "knots", lambda x: x / KNOT),
        ("v", "northward_wind", "m.s^-1", lambda x: x),
        ("gh", "geopotential", "gpm", lambda x: x / STANDARD_GRAVITY),
        ("zg", "geopotential", None, lambda x: x / STANDARD_GRAVITY),
        ("z", "geopotential", "m**2 s**-2", lambda x: x),
        ("vo", "vorticity", "1e-5 s-1", lambda x: x * 1e5),
        ("d", "divergence", "1/s", lambda x: x),
    ],
)
def test_converts_units(
    tmp_path: Path, truth: xr.Dataset, name: str, canonical: str, unit: str | None, convert: Callable[[float], float]
) -> None:
    """Every unit that is known becomes the canonical one."""
    ds = truth[[canonical]].map(convert).rename({canonical: name})
    ds[name].attrs = {"units": unit} if unit else {}
    ds.to_netcdf(tmp_path / "units.nc")
    assert_same(open_source(tmp_path / "units.nc"), truth[[canonical]])


@pytest.mark.parametrize(
    "rearrange",
    [
        lambda ds: ds.isel(time=slice(None, None, -1)),
        lambda ds: ds.isel(latitude=slice(None, None, -1)),
        lambda ds: ds.isel(longitude=slice(None, None, -1)),
        lambda ds: ds.roll(longitude=7, roll_coords=True),
        lambda ds: ds.assign_coords(longitude=(ds["longitude"] + 180) % 360 - 180).sortby("longitude"),
        lambda ds: xr.concat([ds, ds.isel(longitude=[0]).assign_coords(longitude=[360.0])], "longitude"),
        lambda ds: ds.transpose("longitude", "level", "latitude", "time"),
    ],
    ids=["time backward", "northward", "westward", "turned", "-180 to 180", "closed circle", "transposed"],
)
def test_order_of_a_file_does_not_matter(
    tmp_path: Path, truth: xr.Dataset, rearrange: Callable[[xr.Dataset], xr.Dataset]
) -> None:
    """However a file orders its axes, the canonical Dataset is the same."""
    wanted = truth[["temperature"]]
    rearrange(wanted).to_netcdf(tmp_path / "order.nc")
    assert_same(open_source(tmp_path / "order.nc"), wanted)


def test_passes_on_declared_gaps(tmp_path: Path, truth: xr.Dataset) -> None:
    """`missing_data` is kept, and NaN and infinity are passed on unjudged."""
    ds = truth[["temperature"]].assign_attrs(missing_data="NaN marks gaps")
    ds["temperature"][0, 0, 2, 3], ds["temperature"][0, 0, 4, 5] = np.nan, np.inf
    ds.to_netcdf(tmp_path / "gaps.nc")
    opened = open_source(tmp_path / "gaps.nc")
    assert opened.attrs["missing_data"] == "NaN marks gaps"
    np.testing.assert_array_equal(opened["temperature"], ds["temperature"])


# Refusals


def _renamed(name: str, **attrs: str) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda ds: ds.assign({name: ds["temperature"].assign_attrs(attrs)}).drop_vars("temperature")


def _with(coordinate: str, values: object) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda ds: ds.assign_coords({coordinate: values})


def _at(coordinate: str, level: float, **attrs: str) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda ds: ds.isel(level=0, drop=True).assign_coords({coordinate: ((), level, attrs)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_renamed("vo", units="K"), r"Variable 'vo' of .* has the unit 'K', but vorticity is needed in s-1"),
        (_renamed("d", standard_name="air_temperature"), r"named like divergence, but its standard_name"),
        (_renamed("dust"), r"holds none of vorticity, .* It holds: 'dust'"),
        (lambda ds: ds.assign(t=ds["temperature"]), r"Variables 'temperature' and 't' of .* are both temperature"),
        (lambda ds: ds.rename(latitude="y"), r"has no coordinate 'latitude'"),
        (lambda ds: ds.drop_vars("longitude"), r"has no coordinate 'longitude'"),
        (_with("latitude", np.tile(10.0, 9)), r"Latitudes of .* are not in order"),
        (_with("latitude", np.linspace(100, -90, 9)), r"Latitudes of .* within -90 to 90"),
        (_with("latitude", np.r_[np.arange(8) * 10.0, 5]), r"Latitudes of .* order .*: 70.0 is followed by 5.0"),
        (_with("longitude", np.r_[np.arange(15) * 10.0, 5]), r"Longitudes of .* order .*: 140.0 is followed by 5.0"),
        (_with("longitude", np.arange(16) * 30.0), r"Longitudes of .* once round the globe"),
        (_with("time", ("time", [0, 6])), r"Coordinate 'time' of .* int64 values that are not all dates"),
        (_with("time", np.array(["2020-01-01", "NaT"], "datetime64[ns]")), r"not all dates"),
        (_with("time", [cftime.Datetime360Day(2020, 2, d) for d in (29, 30)]), r"calendar '360_day'"),
        (lambda ds: ds.isel(time=[0, 1, 1]), r"is there twice: 2020-01-01T06.* \(position 1\)"),
        (lambda ds: ds.isel(time=[1, 0, 1]), r"Times of .* are not in order"),
        (lambda ds: ds.isel(time=0, drop=True), r"has no time"),
        (lambda ds: ds.drop_vars("time"), r"has no time"),
        (_with("level", ("level", [1.0, 2.0], {"units": "1"})), r"Coordinate 'level' of .* has the unit '1'"),
        (_with("level", [850.0, 850.0]), r"A level of .* is there twice"),
        (lambda ds: ds.rename(level="hybrid"), r"Variable 'temperature' of .* has a dimension 'hybrid' of 2"),
        (_at("hybrid", 137), r"'temperature' of .* is at a level of 'hybrid' \(137\), but .* pressure levels"),
        (_at("h", 2.0, axis="Z"), r"at a level of 'h' \(2.0\)"),
        (_at("snow", 0.0, positive="up"), r"at a level of 'snow' \(0.0\)"),
        (_with("latitude", ("latitude", np.linspace(1.5, -1.5, 9), {"units": "radian"})), r"'latitude' .* in 'radian'"),
        (lambda ds: ds.stack(values=["latitude", "longitude"]).reset_index("values"), r"one dimension .* Regrid it"),
        (lambda ds: ds.isel(longitude=[]), r"holds no grid point: its coordinate 'longitude' is empty"),
        (lambda ds: ds.isel(time=[]), r"holds no time: its coordinate 'time' is empty"),
        (_with("time", [cftime.DatetimeNoLeap(500, 2, d) for d in (1, 2)]), r"0500-02-01.* the years 1678 to 2261"),
        (_with("time", ["2020-01-01", "3020-01-02"]), r"3020-01-02.* the years 1678 to 2261"),
    ],
)
def test_refuses_what_is_not_clear(
    tmp_path: Path, truth: xr.Dataset, spoil: Callable[[xr.Dataset], xr.Dataset], message: str
) -> None:
    """Each fault of units, names or coordinates is one error that names it."""
    ds = spoil(truth[["temperature"]])
    ds.to_netcdf(tmp_path / "spoilt.nc")
    with pytest.raises(UserError, match=message):
        open_source(tmp_path / "spoilt.nc")


def test_refuses_curvilinear_grids(tmp_path: Path, truth: xr.Dataset) -> None:
    """A latitude in two dimensions is not a grid of parallels and meridians."""
    ds = truth[["temperature"]].rename(latitude="y", longitude="x").drop_vars(["x", "y"])
    both = ("y", "x"), np.zeros((9, 16))
    ds.assign_coords(lat=both, lon=both).to_netcdf(tmp_path / "curvilinear.nc")
    with pytest.raises(UserError, match=r"'lat' of .* has 2 dimensions"):
        open_source(tmp_path / "curvilinear.nc")
