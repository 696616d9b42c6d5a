"""Opening: lazily, or not at all with a reason. Selecting: what is there, what is derived. And the real files."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from toolkit.data.dialects import VARIABLES
from toolkit.data.differences import finite_difference_vorticity_divergence
from toolkit.data.harmonics import spectral_vorticity_divergence
from toolkit.data.sources import open_source, select_fields
from toolkit.errors import UserError


@pytest.fixture
def truth() -> xr.Dataset:
    """Two times, two levels, a 9 x 16 global grid, in canonical form."""
    rng = np.random.default_rng(5)
    dims = ("time", "level", "latitude", "longitude")
    coordinates = {
        "time": np.array(["2020-01-01T00", "2020-01-01T06"], "datetime64[ns]"),
        "level": [500.0, 850.0],
        "latitude": np.linspace(90, -90, 9),
        "longitude": np.arange(16) * 22.5,
    }
    fields = {
        name: xr.DataArray(rng.normal(0, 10, (2, 2, 9, 16)), dims=dims, attrs={"units": VARIABLES[name].unit})
        for name in ("eastward_wind", "northward_wind", "divergence", "temperature", "geopotential")
    }
    pressure = xr.DataArray(rng.normal(1e5, 1e3, (2, 9, 16)), dims=(dims[0], *dims[2:]), attrs={"units": "Pa"})
    return xr.Dataset(fields | {"mean_sea_level_pressure": pressure}, coordinates)


# Opening


def test_reads_zarr_by_url(truth: xr.Dataset) -> None:
    """A URL goes to fsspec."""
    truth.to_zarr("memory://sources/truth.zarr", zarr_format=3, consolidated=False)
    opened = open_source("memory://sources/truth.zarr")
    xr.testing.assert_equal(opened.drop_attrs(), truth.drop_attrs())


def test_is_lazy_in_whole_maps(tmp_path: Path, truth: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read at opening; stored chunks are kept together along time and never cut across a map."""
    monkeypatch.setattr("toolkit.data.opening.CHUNK_BYTES", 9 * 16 * 8 * 2)
    truth.to_netcdf(tmp_path / "whole.nc", format="NETCDF3_64BIT")
    stored = {"temperature": {"chunksizes": (2, 2, 3, 4)}}
    truth[["temperature"]].to_netcdf(tmp_path / "chunked.nc", encoding=stored)
    assert open_source(tmp_path / "whole.nc")["mean_sea_level_pressure"].chunks == ((2,), (9,), (16,))
    cut = open_source(tmp_path / "whole.nc")["temperature"].data
    assert cut.npartitions > 1
    assert cut.chunksize[2:] == (9, 16)
    assert open_source(tmp_path / "chunked.nc")["temperature"].chunks == ((2,), (2,), (9,), (16,))


@pytest.mark.slow
def test_importing_sources_does_not_import_torch() -> None:
    """Opening a file must not cost the seconds that torch takes."""
    code = "import sys, toolkit.data.sources; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_refuses_parts_that_do_not_go_together(
    tmp_path: Path, truth: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GRIB file whose hypercubes share a variable, or lie on different grids, is to be split."""
    parts = [truth[["temperature"]], truth[["geopotential"]].isel(latitude=slice(0, 5))]
    monkeypatch.setattr("toolkit.data.sources.opened", lambda _: parts)
    with pytest.raises(UserError, match="several grids, times or levels"):
        open_source(tmp_path / "parts.grib")
    monkeypatch.setattr("toolkit.data.sources.opened", lambda _: [parts[0], parts[0]])
    with pytest.raises(UserError, match="temperature in several parts"):
        open_source(tmp_path / "parts.grib")


def test_of_a_variable_on_several_kinds_of_levels_that_on_pressure_is_taken(
    tmp_path: Path, truth: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GFS has the wind at the tropopause beside that on pressure levels, in another hypercube."""
    wind = truth[["eastward_wind"]]
    above = (wind.isel(level=0, drop=True) * 2).assign_coords(tropopause=0.0)
    above["eastward_wind"].attrs = {"units": "m s-1", "GRIB_typeOfLevel": "tropopause"}
    monkeypatch.setattr("toolkit.data.sources.opened", lambda _: [above, wind])
    opened = open_source(tmp_path / "gfs.grib")
    np.testing.assert_array_equal(opened["eastward_wind"], wind["eastward_wind"])
    assert not opened.attrs["refused"]


def test_the_height_of_a_stand_in_is_no_level(tmp_path: Path, truth: xr.Dataset) -> None:
    """CMIP's wind at 10 m has its height as a coordinate, and stands in for the one that is wanted."""
    surface = truth[["eastward_wind"]].isel(level=0, drop=True).rename(eastward_wind="uas")
    surface = surface.assign_coords(height=10.0)
    for name, ds in {"scalar.nc": surface, "dimension.nc": surface.expand_dims("height")}.items():
        ds.to_netcdf(tmp_path / name)
        opened = open_source(tmp_path / name, {"uas": "u"})
        np.testing.assert_array_equal(opened["eastward_wind"], surface["uas"])


def test_grib_without_its_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GRIB without cfgrib says what to install."""
    (tmp_path / "fields.grib").write_bytes(b"GRIB")
    monkeypatch.setitem(sys.modules, "cfgrib", None)
    with pytest.raises(UserError, match=r"pip install 'earth-toolkit\[grib\]'"):
        open_source(tmp_path / "fields.grib")


def test_missing_file_names_the_near_miss(tmp_path: Path, truth: xr.Dataset) -> None:
    """A mistyped name is answered with the sibling that is like it."""
    truth.to_netcdf(tmp_path / "era5_2020.nc")
    with pytest.raises(UserError, match=r"Did you mean 'era5_2020.nc'\?"):
        open_source(tmp_path / "era5_2002.nc")
    with pytest.raises(UserError, match="nothing of a similar name"):
        open_source(tmp_path / "nowhere" / "x.nc")


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4"])
def test_refuses_truncated_netcdf(tmp_path: Path, truth: xr.Dataset, kind: Any) -> None:
    """A half-downloaded file is refused, also where the NetCDF library itself would read zeros."""
    path = tmp_path / "half.nc"
    with netCDF4.Dataset(path, "w", format=kind) as file:
        for axis, size in truth["temperature"].sizes.items():
            file.createDimension(axis, size)
            file.createVariable(axis, "f8", axis)[:] = np.arange(size)
        file["time"].units = "hours since 2020-01-01"
        file.createVariable("t", "f8", tuple(truth["temperature"].dims))[:] = truth["temperature"].values
    assert open_source(path)["temperature"].shape == truth["temperature"].shape
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"half.nc' cannot be opened; is it whole\?"):
        open_source(path)


def test_refuses_damaged_zarr(tmp_path: Path, truth: xr.Dataset) -> None:
    """A Zarr store whose description is cut off is refused."""
    truth.to_zarr(tmp_path / "cut.zarr", zarr_format=3, consolidated=False)
    description = tmp_path / "cut.zarr" / "temperature" / "zarr.json"
    description.write_text(description.read_text()[:40])
    with pytest.raises(UserError, match=r"cut.zarr' cannot be opened; is it whole\?"):
        open_source(tmp_path / "cut.zarr")


def test_refuses_what_is_no_field_file(tmp_path: Path) -> None:
    """A folder that is no store, a file of another kind, damaged GRIB and URLs that cannot be read: each says so."""
    (tmp_path / "fields.zarr").mkdir()
    with pytest.raises(UserError, match=r"is not a Zarr store. It holds: fields.zarr"):
        open_source(tmp_path)
    (tmp_path / "table.csv").write_text("time,value\n")
    with pytest.raises(UserError, match="none of Zarr, NetCDF and GRIB"):
        open_source(tmp_path / "table.csv")
    pytest.importorskip("cfgrib", reason="the grib extra is not installed")
    (tmp_path / "cut.grib").write_bytes(b"GRIB and no more")
    with pytest.raises(UserError, match=r"cut.grib"):
        open_source(tmp_path / "cut.grib")
    with pytest.raises(UserError, match=r"download 'https://nowhere.invalid/era5.nc' first"):
        open_source("https://nowhere.invalid/era5.nc")
    with pytest.raises(UserError, match=r"nosuch://a.zarr"):
        open_source("nosuch://a.zarr")


def test_a_url_names_the_package_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A protocol whose package is not installed says which package that is."""
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UserError, match=r"one more package: .*gcsfs"):
        open_source("gs://bucket/era5.zarr")


# Selecting


@pytest.fixture
def winds(tmp_path: Path, truth: xr.Dataset) -> xr.Dataset:
    """The canonical winds alone, as opened from a file."""
    truth[["eastward_wind", "northward_wind", "mean_sea_level_pressure"]].to_netcdf(tmp_path / "winds.nc")
    return open_source(tmp_path / "winds.nc")


def _at_850(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    return ds["eastward_wind"].sel(level=850).values, ds["northward_wind"].sel(level=850).values


def test_selects_what_is_there(tmp_path: Path, truth: xr.Dataset) -> None:
    """Fields that are there are taken as they are, at the level asked for, in the order asked for."""
    truth.to_netcdf(tmp_path / "all.nc")
    picked = select_fields(open_source(tmp_path / "all.nc"), ["mean_sea_level_pressure", "divergence"], 850)
    assert list(picked.data_vars) == ["mean_sea_level_pressure", "divergence"]
    assert picked["divergence"].dims == ("time", "latitude", "longitude")
    assert "level" not in picked.coords
    np.testing.assert_array_equal(picked["divergence"], truth["divergence"].sel(level=850))
    assert "levels_hpa" not in picked["divergence"].attrs


def test_derives_by_harmonics_on_the_globe(winds: xr.Dataset) -> None:
    """Vorticity and divergence that are not there come from the winds, lazily, and that is said."""
    picked = select_fields(winds, ["vorticity", "divergence", "eastward_wind"], 850)
    assert picked["vorticity"].chunks is not None
    expected = spectral_vorticity_divergence(*_at_850(winds), winds["latitude"], winds["longitude"])
    np.testing.assert_allclose(picked["vorticity"], expected[0])
    np.testing.assert_allclose(picked["divergence"], expected[1])
    assert picked["vorticity"].attrs["units"] == "s-1"
    assert picked.attrs["assumptions"][-1].endswith("spherical harmonics")


def test_what_is_there_is_not_derived_again(winds: xr.Dataset) -> None:
    """Only the missing one of the two is derived."""
    given = winds.assign(vorticity=xr.zeros_like(winds["eastward_wind"]).assign_attrs(units="s-1"))
    picked = select_fields(given, ["vorticity", "divergence"], 850)
    assert not picked["vorticity"].values.any()
    assert picked["divergence"].values.any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ds: ds.isel(latitude=slice(1, 6), longitude=slice(3, 9)), "the grid is not a global one"),
        (lambda ds: ds.where(~((ds["latitude"] == 0) & (ds["longitude"] == 45))), "the winds have gaps"),
        (lambda ds: ds.load().where(ds["latitude"] < 80), "the winds have gaps"),
    ],
    ids=["region", "gap", "in memory"],
)
def test_derives_by_differences_elsewhere(
    winds: xr.Dataset, change: Callable[[xr.Dataset], xr.Dataset], reason: str
) -> None:
    """Regions and winds with gaps get finite differences, and the reason is said."""
    changed = change(winds)
    picked = select_fields(changed, ["vorticity", "divergence"], 850)
    expected = finite_difference_vorticity_divergence(*_at_850(changed), changed["latitude"], changed["longitude"])
    np.testing.assert_allclose(picked["vorticity"], expected[0])
    np.testing.assert_allclose(picked["divergence"], expected[1])
    assert picked.attrs["assumptions"][-1].endswith(reason)


def test_each_time_is_derived_as_its_own_winds_allow(winds: xr.Dataset) -> None:
    """A gap in one frame leaves the harmonics to the others, and so does the bare word that there may be gaps."""
    names, axes = ["vorticity", "divergence"], (winds["latitude"], winds["longitude"])
    declared = select_fields(winds.assign_attrs(missing_data="NaN marks gaps"), names, 850)
    xr.testing.assert_equal(declared, select_fields(winds, names, 850))
    changed = winds.load().copy(deep=True)
    changed["eastward_wind"][1, :, 4, 5] = np.nan
    picked = select_fields(changed, names, 850)
    u, v = _at_850(changed)
    np.testing.assert_allclose(picked["vorticity"][0], spectral_vorticity_divergence(u[0], v[0], *axes)[0])
    np.testing.assert_allclose(picked["vorticity"][1], finite_difference_vorticity_divergence(u[1], v[1], *axes)[0])
    assert picked.attrs["assumptions"][-1].endswith(
        "by spherical harmonics, but by finite differences at the 1 of 2 times at which the winds have gaps"
    )


def test_a_region_with_a_pole_is_derived_without_it(winds: xr.Dataset) -> None:
    """On the row at the pole of a grid that does not go round nothing is known: it is left out, of all fields."""
    picked = select_fields(winds.isel(longitude=slice(0, 9)), ["vorticity", "eastward_wind"], 850)
    assert picked["latitude"].values.tolist() == winds["latitude"].values[1:-1].tolist()
    assert np.isfinite(picked.to_array()).all()
    assert any("the row at the pole is left out" in sentence for sentence in picked.attrs["assumptions"])


def test_one_unnamed_level_is_taken_at_its_word(winds: xr.Dataset) -> None:
    """A field without level is taken to be at the level asked for, and that is said; the surface needs no word."""
    single = winds.isel(level=0, drop=True)
    picked = select_fields(single, ["eastward_wind", "mean_sea_level_pressure"], 700)
    assert next(s for s in picked.attrs["assumptions"] if "700 hPa" in s).startswith("eastward_wind")
    assert sum("700 hPa" in sentence for sentence in picked.attrs["assumptions"]) == 1


def test_refuses_what_cannot_be_selected(winds: xr.Dataset) -> None:
    """A level that is not there, an unknown variable and one that nothing gives are errors with the near miss."""
    with pytest.raises(
        UserError, match=r"No level 800 hPa of eastward_wind .* Did you mean 850 hPa\? Levels: 500, 850"
    ):
        select_fields(winds, ["vorticity"], 800)
    with pytest.raises(UserError, match=r"No variable 'vorticty'. Did you mean 'vorticity'"):
        select_fields(winds, ["vorticty"], 850)
    with pytest.raises(UserError, match=r"holds no temperature. It holds: eastward_wind"):
        select_fields(winds, ["temperature"], 850)
    with pytest.raises(UserError, match="holds no divergence, nor the winds"):
        select_fields(winds.drop_vars("northward_wind"), ["divergence"], 850)


# Real files


def test_reads_real_era5_vorticity(real_data: Path) -> None:
    """0.25 degree ERA5 vorticity, whose time and level only its name gives."""
    opened = open_source(real_data / "fields/era5_vo850_2025120100_0.25x0.25.nc")
    assert opened["vorticity"].shape == (1, 1, 721, 1440)
    assert opened["time"].values == np.datetime64("2025-12-01T00")
    assert opened["level"].values == 850
    assert len(opened.attrs["assumptions"]) == 2


def test_reads_real_era5_pressure(real_data: Path) -> None:
    """0.25 degree ERA5 pressure at the sea surface, in Pa, without a level."""
    pressure = open_source(real_data / "fields/era5_msl_2025120100_0.25x0.25.nc")["mean_sea_level_pressure"]
    assert pressure.dims == ("time", "latitude", "longitude")
    assert 9.5e4 < float(pressure.min()) < float(pressure.max()) < 1.06e5


def test_derives_what_ncl_derives_from_a_real_cds_file(real_data: Path) -> None:
    """From winds in the new CDS layout to vorticity and divergence equals NCL's own harmonics, both as files."""
    variables = ["vorticity", "divergence"]
    derived = select_fields(open_source(real_data / "fields/era5_uv850_2025120100_2.5x2.5.nc"), variables, 850)
    reference = select_fields(open_source(real_data / "fields/era5_vodv850_2025120100_2.5x2.5_ncl.nc"), variables, 850)
    for name in variables:
        # the radii of the Earth differ by 3.5e-5: 6371.22 km at NCL
        scale = float(np.abs(reference[name]).max())
        np.testing.assert_allclose(derived[name], reference[name], atol=5e-5 * scale)


def test_reads_real_mars_files(real_data: Path) -> None:
    """Packed u and v from two files go together, and give realistic vorticity at 850 hPa."""
    u, v = (open_source(real_data / f"fields/2005-01-23-0000-{name}.nc") for name in "uv")
    picked = select_fields(xr.merge([u, v], compat="no_conflicts", join="exact"), ["vorticity"], 850)
    assert picked["vorticity"].shape == (1, 121, 240)
    assert 1e-4 < float(picked["vorticity"].max()) < 1e-3


def test_reads_real_arco_names_on_a_gaussian_grid(real_data: Path) -> None:
    """Winds in (longitude, latitude) order on Gaussian latitudes get the harmonics, and turn with the Earth."""
    opened = open_source(real_data / "fields/era5_tl31_19590102T00.nc")
    assert set(opened.data_vars) == {"eastward_wind", "northward_wind", "geopotential", "temperature"}
    assert opened["latitude"].values[0] > 85
    picked = select_fields(opened, ["vorticity"], 250)
    assert picked.attrs["assumptions"][-1].endswith("spherical harmonics")
    jet = opened["eastward_wind"].sel(level=250).mean(["time", "longitude"])
    assert 20 < float(jet.sel(latitude=slice(50, 20)).max()) < 60


def test_refuses_winds_of_a_real_grib_without_any(real_data: Path) -> None:
    """The ensemble GRIB opens with one member, and says that no vorticity can be had from it."""
    pytest.importorskip("cfgrib", reason="the grib extra is not installed")
    opened = open_source(real_data / "fields/era5-levels-members.grib")
    assert opened["temperature"].shape == (4, 2, 61, 120)
    assert any("10 ensemble members" in sentence for sentence in opened.attrs["assumptions"])
    with pytest.raises(UserError, match="holds no vorticity, nor the winds"):
        select_fields(opened, ["vorticity"], 850)


def test_reads_a_real_file_without_units(real_data: Path) -> None:
    """A file that names neither units nor level is read, and every assumption is said."""
    opened = open_source(real_data / "fields/Helmholtz_atmos.nc")
    assert opened["latitude"].values[0] == 90
    assert len(opened.attrs["assumptions"]) == 4
    picked = select_fields(opened, ["vorticity", "divergence"], 850)
    assert len(picked.attrs["assumptions"]) == 6
