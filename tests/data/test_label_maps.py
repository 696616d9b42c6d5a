"""Label maps in every layout, read as the same canonical maps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from toolkit.data.available import gathered
from toolkit.data.label_kinds import KINDS
from toolkit.data.label_maps import open_label_maps
from toolkit.errors import UserError

LATITUDE, LONGITUDE = np.linspace(90, -90, 9), np.arange(16) * 22.5
TIME = np.datetime64("2001-08-01T00", "ns") + np.arange(3) * np.timedelta64(6, "h")
CLIMATENETLARGE = ("Atmospheric River (AR)", "Tropical Cyclone (TC)", "Blocking Event (BE)")


def large(classes: tuple[str, ...] = CLIMATENETLARGE, annotators: int = 2, seed: int = 0) -> xr.DataArray:
    """Random labels in ClimateNetLarge's layout, all three times."""
    rng = np.random.default_rng(seed)
    return xr.DataArray(
        rng.random((len(TIME), len(classes), annotators, 9, 16)) < 0.3,
        {"time": TIME, "class": list(classes), "annotator": np.arange(annotators), "latitude": LATITUDE,
         "longitude": LONGITUDE},
        ("time", "class", "annotator", "latitude", "longitude"),
        "label",
    )  # fmt: skip


def climatenet_file(path: Path, labels: np.ndarray) -> Path:
    """Write a file as ClimateNet has it: its own name as the time, south first, labels without a time."""
    rng = np.random.default_rng(1)
    axes = {"lat": LATITUDE[::-1], "lon": LONGITUDE, "time": [path.name]}
    fields = {
        name: (("time", "lat", "lon"), rng.normal(mean, 1, (1, 9, 16)).astype(np.float32), {"units": unit})
        for name, mean, unit in (
            ("TMQ", 20, "kg/m^2"), ("U850", 5, "m/s"), ("V850", 0, "m/s"), ("PSL", 1e5, "Pa"), ("T200", 220, "K"),
            ("T500", 250, "K"), ("Z200", 12000, "m"), ("Z1000", 100, "m"),
        )
    }  # fmt: skip
    description = {"description": "0: Background, 1: Tropical Cyclone, 2: Athmospheric river"}
    fields["LABELS"] = (("lat", "lon"), labels[::-1].astype(np.int64), description)
    xr.Dataset(fields, axes).to_netcdf(path)
    return path


# ClimateNetLarge's layout


def test_the_share_of_annotators_is_read_by_class(tmp_path: Path) -> None:
    """Two annotators give 0, 1/2 and 1; classes go by their names; a kind that the file has not is unknown."""
    labels = large()
    labels.to_netcdf(tmp_path / "labels.nc")
    maps = open_label_maps(tmp_path / "labels.nc", KINDS)
    assert tuple(maps.data_vars) == KINDS
    for name, kind in zip(CLIMATENETLARGE, ("filament", "tropical_cyclone", "blocking"), strict=True):
        assert maps[kind].dims == ("time", "latitude", "longitude")
        assert maps[kind].dtype == np.float32
        np.testing.assert_array_equal(maps[kind], labels.sel({"class": name}).mean("annotator"))
    assert np.isnan(maps["heat"]).all()
    assert maps.attrs["source"] == str(tmp_path / "labels.nc")
    assert maps.attrs["assumptions"] == ()
    assert maps.attrs["left_out"] == {}


def test_nothing_is_read_at_opening(tmp_path: Path) -> None:
    """Every variable is lazy, whatever it is read from."""
    large().to_netcdf(tmp_path / "labels.nc")
    climatenet_file(tmp_path / "data-1996-06-09-01-1.nc", np.zeros((9, 16)))
    for name in ("labels.nc", "data-1996-06-09-01-1.nc"):
        maps = open_label_maps(tmp_path / name, KINDS)
        assert all(maps[kind].chunks is not None for kind in KINDS)


@pytest.mark.parametrize(
    "written",
    [
        lambda labels: labels.isel(latitude=slice(None, None, -1)).roll(longitude=5, roll_coords=True),
        lambda labels: labels.assign_coords(longitude=(LONGITUDE + 180) % 360 - 180).sortby("longitude"),
        lambda labels: labels.transpose("class", "longitude", "annotator", "time", "latitude"),
        lambda labels: labels.rename(time="ts").astype(np.uint8).rename("labels"),
        lambda labels: labels.isel(time=slice(None, None, -1)).astype(np.float32),
    ],
    ids=["south first, turned", "-180 to 180", "transposed", "as the makers' scripts", "backward, floating"],
)
def test_the_order_of_a_file_does_not_matter(tmp_path: Path, written: Callable[[xr.DataArray], xr.DataArray]) -> None:
    """However a file orders its axes and calls its labels, the maps are the same."""
    labels = large()
    written(labels).to_netcdf(tmp_path / "labels.nc")
    maps = open_label_maps(tmp_path / "labels.nc", ("blocking",))
    np.testing.assert_array_equal(maps["blocking"], labels[:, 2].mean("annotator"))
    np.testing.assert_array_equal(maps["time"], TIME)
    np.testing.assert_array_equal(maps["latitude"], LATITUDE)
    np.testing.assert_array_equal(maps["longitude"], LONGITUDE)


def test_what_an_annotator_did_not_say_does_not_count(tmp_path: Path) -> None:
    """The share is among those who know; where nobody does it is unknown."""
    labels = large().astype(np.float32)
    labels[0, 0, 0] = np.nan
    labels[1, 0] = np.nan
    labels.to_netcdf(tmp_path / "labels.nc")
    maps = open_label_maps(tmp_path / "labels.nc", ("filament",))["filament"]
    np.testing.assert_array_equal(maps[0], labels[0, 0, 1])
    assert np.isnan(maps[1]).all()
    assert not np.isnan(maps[2]).any()


@pytest.mark.parametrize("count", [2, 3])
def test_classes_without_names_are_taken_in_the_documented_order(tmp_path: Path, count: int) -> None:
    """River, cyclone, blocking; and it is said."""
    labels = large()[:, :count]
    labels.drop_vars("class").to_netcdf(tmp_path / "labels.nc")
    maps = open_label_maps(tmp_path / "labels.nc", ("tropical_cyclone",))
    np.testing.assert_array_equal(maps["tropical_cyclone"], labels[:, 1].mean("annotator"))
    assert "order of ClimateNetLarge: Atmospheric River (AR), Tropical Cyclone (TC)" in maps.attrs["assumptions"][0]


@pytest.mark.parametrize("named", [True, False])
def test_a_folder_of_single_times_by_class(tmp_path: Path, named: bool) -> None:
    """Files of one time, in folders of a class, at times of their own: what nobody labelled at a time is unknown."""
    labels = large()
    wanted = {"filament": ("AR_labels_cleaned", 0, [0, 1]), "tropical_cyclone": ("TC_labels_cleaned", 1, [1, 2])}
    for folder, number, times in wanted.values():
        (tmp_path / folder).mkdir()
        for time in reversed(times):
            one = labels[time, number]
            one = one if named else one.drop_vars(["class", "time"])
            one.to_netcdf(tmp_path / folder / f"{TIME[time]}.nc")
    maps = open_label_maps(tmp_path, ("filament", "tropical_cyclone"))
    np.testing.assert_array_equal(maps["time"], TIME)
    for kind, (_, number, times) in wanted.items():
        np.testing.assert_array_equal(maps[kind][times], labels[times, number].mean("annotator"))
        assert np.isnan(maps[kind]).all(("latitude", "longitude")).sum() == 1
    said = " ".join(maps.attrs["assumptions"])
    assert ("by the name of their folder" in said) is not named
    assert ("is taken from the file name" in said) is not named


def test_other_classes_are_left_out_and_counted(tmp_path: Path) -> None:
    """Known classes that are no kind of ours are no error."""
    large(("TC", "background")).to_netcdf(tmp_path / "labels.nc")
    maps = open_label_maps(tmp_path / "labels.nc", ("tropical_cyclone",))
    assert maps.attrs["left_out"] == {"maps of class 'background', which is none of the kinds of events": 3}


def test_a_world_is_read_by_its_masks(tmp_path: Path) -> None:
    """The folder of a world and its file give the same maps, of one annotator."""
    labels = large(KINDS, 1).astype(np.uint8)
    labels.to_netcdf(tmp_path / "extremes.nc")
    pd.DataFrame().to_csv(tmp_path / "events.csv")
    maps = open_label_maps(tmp_path, KINDS)
    xr.testing.assert_equal(maps, open_label_maps(tmp_path / "extremes.nc", KINDS))
    np.testing.assert_array_equal(maps.to_array().transpose("time", ...), labels[:, :, 0])


# ClimateNet's layout


def test_climatenet_is_read_by_its_numbers_and_names(tmp_path: Path) -> None:
    """1 is a cyclone, 2 a river, anything else but 0 unknown; the time is the day in the name, and that is said."""
    labels = np.random.default_rng(0).integers(0, 4, (9, 16))
    climatenet_file(tmp_path / "data-1996-06-09-01-1.nc", labels)
    climatenet_file(tmp_path / "data-1997-08-01-01-1.nc", 0 * labels)
    maps = open_label_maps(tmp_path, KINDS)
    assert list(maps["time"].values) == [np.datetime64("1996-06-09"), np.datetime64("1997-08-01")]
    known = np.where(labels == 3, np.nan, 1)
    np.testing.assert_array_equal(maps["tropical_cyclone"][0], (labels == 1) * known)
    np.testing.assert_array_equal(maps["filament"][0], (labels == 2) * known)
    assert not maps["filament"][1].any()
    assert np.isnan(maps["heat"]).all()
    assert np.isnan(maps["blocking"]).all()
    assert maps.attrs["assumptions"] == (
        "times are taken from names in place of dates; where a name gives the day alone, 00 UTC is meant",
    )


def test_several_files_of_a_time_are_several_annotators(tmp_path: Path) -> None:
    """Their mean is taken, and that is said."""
    ones = np.ones((9, 16))
    for number, labels in enumerate((ones, 0 * ones, ones, 2 * ones)):
        climatenet_file(tmp_path / f"data-1996-06-09-01-1_{number}.nc", labels)
    climatenet_file(tmp_path / "data-1996-06-10-01-1_0.nc", ones)
    maps = open_label_maps(tmp_path, ("tropical_cyclone", "filament"))
    np.testing.assert_array_equal(maps["tropical_cyclone"].mean(("latitude", "longitude")), [0.5, 1])
    np.testing.assert_array_equal(maps["filament"].mean(("latitude", "longitude")), [0.25, 0])
    assert any("1 times are labelled in several files" in note for note in maps.attrs["assumptions"])


def test_fields_and_labels_of_climatenet_go_together(tmp_path: Path) -> None:
    """The folder opens as fields, with the levels in their names, at the very times and axes of its labels."""
    for name in ("data-1996-06-09-01-1.nc", "data-1997-08-01-01-1.nc"):
        climatenet_file(tmp_path / name, np.zeros((9, 16)))
    fields, maps = gathered(tmp_path), open_label_maps(tmp_path, ("filament",))
    for axis in ("time", "latitude", "longitude"):
        np.testing.assert_array_equal(fields[axis], maps[axis])
    raw = xr.open_dataset(tmp_path / "data-1997-08-01-01-1.nc")
    np.testing.assert_array_equal(
        fields["eastward_wind"].sel(time="1997-08-01", level=850), raw["U850"][0, ::-1].values
    )


# Catalogues


def test_boxes_are_drawn_on_a_grid_of_their_own(tmp_path: Path) -> None:
    """A table of events gives maps on the 2.8 degree grid; what it means is said."""
    row = ["2001-08-01 06:00", "2001-08-02 00:00", 10, 30, 100, 140]
    columns = ["start", "end", "latitude_min", "latitude_max", "longitude_min", "longitude_max"]
    table = pd.DataFrame([["heat", *row], ["drought", *row]], columns=["kind", *columns])
    table.to_csv(tmp_path / "events.csv", index=False)
    maps = open_label_maps(tmp_path / "events.csv", ("heat", "filament"))
    assert dict(maps.sizes) == {"time": 4, "latitude": 65, "longitude": 128}
    assert np.isnan(maps["filament"]).all()
    assert float(maps["heat"].sel(latitude=22.5, longitude=112.5, time="2001-08-02T00")) == 1
    assert maps["heat"].sum() == 4 * 7 * 14
    assert any("absent from 2001-08-01 06:00:00 to 2001-08-02 00:00:00" in note for note in maps.attrs["assumptions"])
    assert maps.attrs["left_out"] == {"events of type drought, which is none of the kinds of events": 1}


# Refusals


def saved(labels: xr.DataArray, name: str = "labels.nc") -> Callable[[Path], Path]:
    """A function that writes labels into a folder."""

    def write(folder: Path) -> Path:
        labels.to_netcdf(folder / name)
        return folder / name

    return write


def without_masks(folder: Path) -> Path:
    """A world from before there were masks."""
    (folder / "events.csv").touch()
    return folder


def on_two_grids(folder: Path) -> Path:
    """Two files that do not fit."""
    large().to_netcdf(folder / "a.nc")
    large()[..., ::2].to_netcdf(folder / "b.nc")
    return folder


def text(folder: Path) -> Path:
    """A file of something else."""
    (folder / "notes.txt").write_text("labels")
    return folder / "notes.txt"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.nc", r"No file '.*none\.nc'"),
        (lambda folder: folder / "none.yaml", r"There is no catalogue of events"),
        (lambda folder: folder, r"holds label maps in no layout that is known.*It holds: nothing"),
        (text, r"is none of Zarr, NetCDF and GRIB"),
        (without_masks, r"is a world without extremes\.nc: make it again"),
        (on_two_grids, r"b\.nc is on another grid than .*a\.nc"),
        (saved(large().rename("mask")), r"in no layout that is known: neither 'label'.*It holds: 'mask'"),
        (saved(large(("hurrican",))), r"No class of extreme events 'hurrican'. Did you mean 'hurricane'"),
        (
            saved(large(("TC", "tropical cyclone"))),
            r"Two classes of .*'tropical cyclone' and another, are both tropical",
        ),
        (saved(large(("AR",)).drop_vars("class")), r"do not say what their 1 class\(es\) are"),
        (saved(large(KINDS).drop_vars("class")), r"do not say what their 4 class\(es\) are"),
        (saved(large(("AR",))), r"labels no heat\. The kinds it labels: filament"),
        (saved(large(("background",))), r"labels no heat\. The kinds it labels: none that is known here"),
        (saved(large(("heat",)).expand_dims(member=2)), r"have dimensions .*'member'.* beside class and annotator"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    """Each mistake is named with what was found and what would do."""
    with pytest.raises(UserError, match=message):
        open_label_maps(make(tmp_path), ("heat",))


def test_a_kind_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    """The near miss is named."""
    with pytest.raises(UserError, match=r"No kind of event 'hea'. Did you mean 'heat'"):
        open_label_maps(tmp_path, ("hea",))
