import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from toolkit.adapt import Lora
from toolkit.backbones.card import Card
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone
from toolkit.backbones.weights import load_backbone, save_backbone
from toolkit.data import store as store_module
from toolkit.data.normalise import Normalisation
from toolkit.data.regrid import regular_grid
from toolkit.errors import UserError
from toolkit.geodesy import distance_km
from toolkit.parts import assemble
from toolkit.plugins import task_named
from toolkit.predict import CREATED, PredictOptions, PredictResult, chosen_thresholds, predict_fields
from toolkit.report.detection_map import Panel, draw_detections
from toolkit.saved import Saved, save_adapted
from toolkit.task import Task, keep_all

DEGREES, WINDOW = 7.5, (8, 8)
LATITUDE, LONGITUDE = regular_grid(DEGREES)
NAMES = ("vorticity", "divergence")
SIZES = (2e-5, 5e-6)
NOTHING = PredictOptions()


def task(**options: bool) -> Task:
    """A task with which nothing but prediction can be done."""
    return task_named(str(Path(__file__).parent / "plug_ins" / "peaks.py"), options)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: LoRA and a random head on a random backbone at 7.5 degrees."""
    folder = tmp_path_factory.mktemp("predict")
    (folder / "backbone").mkdir()
    (folder / "run").mkdir()
    spec = FeatureSpec(NAMES, ("s-1", "s-1"), (-6, 0), DEGREES, patch=4, dim=16)
    normalisation = Normalisation(NAMES, ("s-1", "s-1"), (0.0, 0.0), SIZES)
    card = Card("tiny", "", spec, {"depth": 1, "heads": 2}, normalisation, {}, (), 0, "")
    card = save_backbone(folder / "backbone", card, build_backbone(spec, card.architecture, 0), {})
    parts = assemble(task(), card, load_backbone(folder / "backbone"), "lora", Lora(2, 4), 0)
    save_adapted(folder / "run", Saved("peaks", "lora", card, {"probability": 0.75}, str(folder / "backbone")), parts)
    return folder / "run"


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[Panel]]:
    """Leave the drawing of maps to its own tests, and keep what would be drawn."""
    shown: list[list[Panel]] = []

    def draw(path: Path, panels: list[Panel], *_: object) -> None:
        shown.append(panels)
        path.write_bytes(b"map")

    monkeypatch.setattr("toolkit.predict.draw_detections", draw)
    return shown


def fields(hours: tuple[float, ...] = (0, 6), spacing: float = DEGREES, seed: int = 0) -> xr.Dataset:
    """Smooth random vorticity and divergence on a global grid."""
    rng = np.random.default_rng(seed)
    latitude, longitude = regular_grid(spacing)
    phi, lam = np.radians(latitude)[:, None], np.radians(longitude)
    time = np.datetime64("2020-08-01", "ns") + (np.array(hours) * 3600).astype("timedelta64[s]")
    data = {}
    for name, size in zip(NAMES, SIZES, strict=True):
        waves = [
            sum(
                rng.normal() * np.cos(k * phi) * np.cos(m * lam + rng.uniform(0, 7))
                for k in range(9)
                for m in range(1, 9)
            )
            for _ in hours
        ]
        data[name] = (("time", "latitude", "longitude"), (np.array(waves) * size / 4).astype("f4"), {"units": "s-1"})
    return xr.Dataset(data, {"time": time, "latitude": latitude, "longitude": longitude})


def predict(
    run: Path, ds: xr.Dataset, out: Path, some: Task | None = None, options: PredictOptions = NOTHING
) -> pd.DataFrame:
    """Write the fields, look at them, and return the detections."""
    source = out.with_suffix(".nc")
    source.unlink(missing_ok=True)
    ds.to_netcdf(source)
    predict_fields(run, source, out, some or task(), options=options)
    return pd.read_csv(out / "detections.csv", parse_dates=["time"])


def result(run: Path, ds: xr.Dataset, out: Path) -> PredictResult:
    """Write the fields, look at them, and return what is said."""
    ds.to_netcdf(out.with_suffix(".nc"))
    return predict_fields(run, out.with_suffix(".nc"), out, task())


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Compare detections in any order, to the rounding of the file: each has its twin among the others."""
    assert len(one) == len(other) > 10
    assert list(one) == list(other)
    numbers = [table.assign(time=table["time"].astype(int) / 1e9).to_numpy(float)[:, None] for table in (one, other)]
    apart = np.abs((numbers[0] - numbers[1].swapaxes(0, 1) + 180) % 360 - 180).max(-1)
    assert apart.min(0).max() < 0.01
    assert apart.min(1).max() < 0.01


def test_a_mirrored_atmosphere_gives_mirrored_detections(run: Path, tmp_path: Path) -> None:
    """Reflected about the equator, vorticity with its sign reversed, every statement is reflected and nothing else."""
    ds = fields()
    mirrored = ds.copy(data={name: v.to_numpy()[:, ::-1] for name, v in ds.items()})
    mirrored["vorticity"] = -mirrored["vorticity"]
    mirrored["vorticity"].attrs["units"] = "s-1"
    straight, turned = predict(run, ds, tmp_path / "a"), predict(run, mirrored, tmp_path / "b")
    assert_same(straight, turned.assign(latitude=-turned["latitude"], latitude_24h=-turned["latitude_24h"]))


def test_a_turned_atmosphere_gives_turned_detections(run: Path, tmp_path: Path) -> None:
    """Turned about the axis by the distance of two windows, every statement is turned and nothing else."""
    ds, stride = fields(), WINDOW[1] // 2
    turned = predict(run, ds.roll(longitude=stride, roll_coords=False), tmp_path / "b")
    back = {name: (turned[name] - stride * DEGREES) % 360 for name in ("longitude", "longitude_24h")}
    assert_same(predict(run, ds, tmp_path / "a"), turned.assign(**back))


def test_times_do_not_depend_on_the_blocks_they_are_read_in(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read at once or time by time, the file of detections is the same."""
    ds = fields((0, 6, 12, 18, 48))
    predict(run, ds, tmp_path / "a")
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 1)
    predict(run, ds, tmp_path / "b")
    assert (tmp_path / "a/detections.csv").read_text() == (tmp_path / "b/detections.csv").read_text()


@pytest.mark.parametrize("spacing", [2.5, 7.5, 10.0])
def test_vortices_are_found_where_they_are(run: Path, tmp_path: Path, spacing: float) -> None:
    """On finer, equal and coarser grids, north and south and across Greenwich, each vortex is stated once, in place."""
    ds = fields((0,), spacing)
    places = [(37.5, 0.0), (15.0, 120.0), (-22.5, 352.5), (-60.0, 202.5), (52.5, 300.0)]
    vorticity = np.zeros_like(ds["vorticity"])
    for latitude, longitude in places:
        km = distance_km(ds["latitude"].to_numpy()[:, None], ds["longitude"].to_numpy(), latitude, longitude)
        vorticity += np.sign(latitude) * 2e-4 * np.exp(-((km / 900) ** 2))
    ds["vorticity"] = ds["vorticity"].copy(data=vorticity)
    found = predict(run, ds, tmp_path / "out", task(fields_alone=True), PredictOptions({"": 0.99}))
    assert len(found) == len(places)
    for latitude, longitude in places:
        km = distance_km(found["latitude"], found["longitude"], latitude, longitude)
        assert km.min() < 500


def test_the_runs_own_threshold_is_used_unless_another_is_given(run: Path, tmp_path: Path) -> None:
    """Nothing below the saved threshold is listed; a lower one lists more of the same statements."""
    ds = fields()
    usual = predict(run, ds, tmp_path / "a")
    more = predict(run, ds, tmp_path / "b", options=PredictOptions({"": 0.2}))
    assert usual["probability"].min() >= 0.75
    assert 0.2 <= more["probability"].min() < 0.75
    assert_same(usual, more[more["probability"] >= 0.75])


def test_a_single_time_without_divergence_is_looked_at_and_said(run: Path, tmp_path: Path) -> None:
    """A missing frame and a missing variable are sentences in the result and in notes.txt."""
    said = result(run, fields((0,)).drop_vars("divergence"), tmp_path / "out")
    assert said.times == 1
    assert said.rows > 0
    assert any("the frame at -6 h is not in the data for the only time" in note for note in said.notes)
    assert any("divergence is not in" in note for note in said.notes)
    text = (tmp_path / "out/notes.txt").read_text()
    assert all(note in text for note in said.notes)
    assert said.thresholds == {"probability": 0.75}
    assert "threshold of probability: stated from 0.75 on" in text


def test_what_is_missing_is_seen_as_missing(run: Path, tmp_path: Path) -> None:
    """Leaving a variable out equals giving it as NaN everywhere, and differs from zero."""
    ds = fields()
    without = predict(run, ds.drop_vars("divergence"), tmp_path / "a")
    empty = ds.assign(divergence=ds["divergence"] * np.nan).assign_attrs(missing_data="NaN marks gaps")
    zero = ds.assign(divergence=ds["divergence"] * 0)
    for other in (empty, zero):
        other["divergence"].attrs["units"] = "s-1"
    assert_same(without, predict(run, empty, tmp_path / "b"))
    assert len(without) != len(predict(run, zero, tmp_path / "c"))


def test_a_region_is_looked_at_alone(run: Path, tmp_path: Path) -> None:
    """Of a region across Greenwich nothing is stated outside it, and it is said what is looked at."""
    ds = fields(spacing=2.5).sel(latitude=slice(60, -30))
    ds = (
        ds.assign_coords(longitude=(ds["longitude"] + 180) % 360 - 180)
        .sortby("longitude")
        .sel(longitude=slice(-70, 90))
    )
    found = predict(run, ds, tmp_path / "out")
    assert len(found) > 5
    assert found["latitude"].between(-34, 64).all()
    assert ((found["longitude"] < 94) | (found["longitude"] > 286)).all()
    assert "looked for from -30 to 60 degrees north, nowhere outside" in (tmp_path / "out/notes.txt").read_text()


def test_gaps_are_said_and_an_empty_time_has_no_rows(run: Path, tmp_path: Path) -> None:
    """A time without a single value is passed over; the share of gaps is stated."""
    ds = fields((0, 6, 12)).assign_attrs(missing_data="NaN marks gaps")
    for name in NAMES:
        ds[name][1] = np.nan
    found = predict(run, ds, tmp_path / "out")
    assert set(found["time"].dt.hour) == {0, 12}
    text = (tmp_path / "out/notes.txt").read_text()
    assert "1 of 3 times hold no value at all" in text
    assert "33 % of the values are missing" in text


def test_a_region_between_the_points_of_the_grid_is_refused(run: Path, tmp_path: Path) -> None:
    """Where the model's grid has no point in the region, that is said with its spacing."""
    ds = fields(spacing=1.5).sel(latitude=slice(6, 1), longitude=slice(1, 6))
    with pytest.raises(UserError, match=r"out\.nc covers no point of the model's 7\.5 degree grid"):
        predict(run, ds, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_but_nan_is_refused(run: Path, tmp_path: Path) -> None:
    """Fields without a single value end in an error and leave nothing behind."""
    ds = (fields() * np.nan).assign_attrs(missing_data="NaN marks gaps")
    for name in NAMES:
        ds[name].attrs["units"] = "s-1"
    with pytest.raises(UserError, match="holds no value of vorticity or divergence, only NaN"):
        predict(run, ds, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.nc"]


def test_where_the_model_was_tested_is_said(run: Path, tmp_path: Path) -> None:
    """The latitudes of the run's test objects stand in the notes."""
    truth = run / "truth.csv"
    truth.write_text("example,latitude\n0,-7.2\n1,41.0\n")
    try:
        notes = result(run, fields(), tmp_path / "out").notes
    finally:
        truth.unlink()
    assert any("tested on objects 7 to 41 degrees from the equator" in note for note in notes)


def test_a_test_without_places_and_a_task_without_threshold_claim_neither(run: Path, tmp_path: Path) -> None:
    """Where the run's truth has no latitude, and the task no threshold, the notes are silent on both."""
    (run / "truth.csv").write_text("example,group\n0,a\n")
    described = run / "model.json"
    before = described.read_text()
    described.write_text(json.dumps(json.loads(before) | {"thresholds": {}}))
    fields().to_netcdf(tmp_path / "x.nc")
    try:
        some = replace(task(), keep=keep_all)
        said = predict_fields(run, tmp_path / "x.nc", tmp_path / "out", some)
    finally:
        (run / "truth.csv").unlink()
        described.write_text(before)
    assert said.thresholds == {}
    assert said.rows > len(pd.read_csv(tmp_path / "out/detections.csv").query("probability >= 0.75"))
    assert not any("tested on" in note or "threshold" in note for note in said.notes)
    assert "threshold" not in (tmp_path / "out/notes.txt").read_text()


def test_of_several_thresholds_one_is_named(run: Path, tmp_path: Path) -> None:
    """A threshold that is given replaces that of its name; without a name, or with another, nothing is written."""
    described = run / "model.json"
    before = described.read_text()
    described.write_text(json.dumps(json.loads(before) | {"thresholds": {"probability": 0.6, "heat": 0.7}}))
    fields().to_netcdf(tmp_path / "x.nc")
    try:
        for wrong, why in (({"": 0.2}, "say which, as probability=0.2"), ({"heta": 0.2}, "Did you mean 'heat'")):
            with pytest.raises(UserError, match=why):
                predict_fields(run, tmp_path / "x.nc", tmp_path / "out", task(), options=PredictOptions(wrong))
        for value in (float("nan"), 2.0, -1.0):
            options = PredictOptions({"heat": value})
            with pytest.raises(UserError, match=f"of heat is {value:g}: it should be a number from 0 to 1"):
                predict_fields(run, tmp_path / "x.nc", tmp_path / "out", task(), options=options)
        assert not (tmp_path / "out").exists()
        options = PredictOptions({"heat": 0.2})
        said = predict_fields(run, tmp_path / "x.nc", tmp_path / "out", task(), options=options)
    finally:
        described.write_text(before)
    assert said.thresholds == {"probability": 0.6, "heat": 0.2}
    assert "threshold of heat: stated from 0.2 on" in (tmp_path / "out/notes.txt").read_text()


def test_a_threshold_with_a_unit_has_no_limits() -> None:
    """What is stated from a number of ppb on is stated from any number on, as ozone's exceedance is."""
    limits = task_named("ozone").threshold_limits
    saved = Saved("ozone", "lora", None, {"mda8_1d_exceeds": 60.0})
    assert chosen_thresholds(saved, PredictOptions({"": -4.5}), limits) == {"mda8_1d_exceeds": -4.5}
    for name in ("hurricane", "extremes"):
        assert task_named(name).threshold_limits == (0.0, 1.0)


def test_the_task_says_how_its_table_is_written(run: Path, tmp_path: Path, drawn: list[list[Panel]]) -> None:
    """By default time comes first; a task may rename, choose and add. The map shows what has a place."""
    assert list(predict(run, fields(), tmp_path / "a"))[:3] == ["time", "latitude", "longitude"]
    own = replace(task(), export=lambda table: table[["time", "latitude"]].rename(columns={"latitude": "lat"}))
    assert list(predict(run, fields(), tmp_path / "b", own)) == ["time", "lat"]
    assert {"latitude", "longitude", "probability"} <= set(drawn[-1][0].objects)
    kinds = replace(task(), export=lambda table: table.iloc[:3].assign(kind="storm"))
    predict(run, fields(), tmp_path / "c", kinds)
    assert drawn[-1][0].objects["kind"].tolist() == ["storm"] * 3


def test_a_task_without_places_is_refused(run: Path, tmp_path: Path) -> None:
    """A task that states no latitude and longitude cannot be mapped."""
    with pytest.raises(UserError, match="The task peaks states no places"):
        predict(run, fields(), tmp_path / "out", replace(task(), decode=lambda _output, examples: examples.table))


def test_a_full_folder_is_refused_and_a_former_result_replaced(run: Path, tmp_path: Path) -> None:
    """Nothing is overwritten unasked, and with --overwrite nothing but a former result."""
    out = tmp_path / "out"
    predict(run, fields(), out)
    with pytest.raises(UserError, match=r"out is not empty\. Add --overwrite"):
        predict(run, fields(), out)
    predict(run, fields((0,)), out, options=PredictOptions(overwrite=True))
    assert "the only time" in (out / "notes.txt").read_text()
    (out / "mine.txt").write_text("keep me")
    with pytest.raises(UserError, match=r"more than a former result: mine\.txt"):
        predict(run, fields(), out, options=PredictOptions(overwrite=True))
    assert (out / "mine.txt").exists()


def test_a_failure_leaves_a_former_result_as_it_was(run: Path, tmp_path: Path) -> None:
    """A field that cannot be used does not cost the result that is there."""
    out = tmp_path / "out"
    before = predict(run, fields(), out)
    wrong = fields()
    wrong["vorticity"] = wrong["vorticity"] * 1e5
    wrong["vorticity"].attrs["units"] = "s-1"
    with pytest.raises(UserError, match="standard deviations"):
        predict(run, wrong, out, options=PredictOptions(overwrite=True))
    assert_same(before, pd.read_csv(out / "detections.csv", parse_dates=["time"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a field", "is none of Zarr, NetCDF and GRIB"), (b"\x89HDF\r\n\x1a\n", "is it whole")],
)
def test_a_broken_file_is_one_error(run: Path, tmp_path: Path, content: bytes, message: str) -> None:
    """Damaged or foreign files end in one sentence, and nothing is written."""
    (tmp_path / "x.nc").write_bytes(content)
    with pytest.raises(UserError, match=message):
        predict_fields(run, tmp_path / "x.nc", tmp_path / "out", task())
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """A run that never finished has nothing to predict with."""
    with pytest.raises(UserError, match="holds no fine-tuned model"):
        predict_fields(tmp_path, tmp_path / "x.nc", tmp_path / "out", task())


REAL = {
    "era5_vo850_2025120100_0.25x0.25.nc": ("divergence is not in", "averaged over the cells"),
    "era5_uv850_2025120100_2.5x2.5.nc": ("by spherical harmonics", "averaged over the cells"),
    "2005-01-23-0000-*.nc": ("by spherical harmonics", "the frame at -6 h is not in the data"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_fields_are_looked_at(run: Path, tmp_path: Path, real_data: Path, name: str) -> None:
    """Real analyses on three grids, one time each, are read, regridded and looked at, with all that lacks said."""
    said = predict_fields(run, real_data / "fields" / name, tmp_path / "out", task())
    assert said.times == 1
    assert said.rows > 10
    for sentence in REAL[name]:
        assert any(sentence in note for note in said.notes)


@pytest.mark.slow
def test_a_real_field_has_a_map(run: Path, tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is complete: detections, a picture of some size, and notes."""
    monkeypatch.setattr("toolkit.predict.draw_detections", draw_detections)
    predict_fields(run, real_data / "fields/era5_uv850_2025120100_2.5x2.5.nc", tmp_path / "out", task())
    assert {path.name for path in (tmp_path / "out").iterdir()} == CREATED
    assert (tmp_path / "out/map.png").stat().st_size > 50_000


def test_the_map_shows_the_first_times(run: Path, tmp_path: Path, drawn: list[list[Panel]]) -> None:
    """Four times are drawn, each with its own statements and the first variable."""
    ds = fields((0, 6, 12, 18, 24))
    found = predict(run, ds, tmp_path / "out")
    (panels,) = drawn
    assert [panel.time for panel in panels] == list(ds["time"].to_numpy()[:4].astype("datetime64[s]"))
    assert [len(panel.objects) for panel in panels] == found.groupby("time").size().tolist()[:4]
    np.testing.assert_allclose(panels[1].field, ds["vorticity"].to_numpy()[1], rtol=1e-3, atol=1e-9)
