"""Laws of the baselines, on a small made-up world: round vortices, each carried by the uniform wind of its sector."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import Ridge

from tasks.hurricane.baselines import BASELINES, COLUMNS
from tasks.hurricane.baselines.candidates import FIELDS, Candidates, find_candidates
from tasks.hurricane.baselines.detection import identify, matched_template, vorticity_maximum
from tasks.hurricane.baselines.displacement import motion
from tasks.hurricane.baselines.regression import Sample, nearest_regressor
from tasks.hurricane.baselines.surroundings import mean_winds, ring_means
from tasks.hurricane.scores import CSI, MEDIAN_CENTRE_ERROR, choose_threshold, keep_likely, match
from toolkit.data.store import Store, write_store
from toolkit.data.windows import Windows
from toolkit.errors import UserError
from toolkit.examples import Examples, cut_examples
from toolkit.geodesy import KM_PER_DEGREE, displaced, distance_km
from toolkit.metrics import evaluate_metrics
from toolkit.task import Inputs, Placement

TASK: Any = SimpleNamespace(
    inputs=Inputs(("vorticity", "divergence"), (-6, 0), (24, 24), ("eastward_wind", "northward_wind")),
    placement=Placement(5, 0.35),
)
ROWS, FRAMES, SECTORS, GAPS = 129, 7, 8, 200
LATITUDE, LONGITUDE = np.linspace(90, -90, ROWS), np.arange(2 * (ROWS - 1)) * 180 / (ROWS - 1)
PARTS = {"train": 2001, "validation": 2002, "test": 2003}
Predict = Callable[[Examples], pd.DataFrame]
GAPPY = {"missing_data": True}
PIXEL_KM = 180 / (ROWS - 1) * KM_PER_DEGREE
STEP_KM = 6 * 3.6
"""How far a wind of 1 m/s carries in 6 h."""


def made_up_season(year: int, noise: float) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Fields (time, lat, lon) and labels of one season: in every sector a storm on either side of the equator."""
    rng = np.random.default_rng(year)
    shape = (FRAMES, ROWS, 2 * (ROWS - 1))
    fields = {name: np.zeros(shape) for name in FIELDS.names}
    fields["vorticity"] += noise * rng.standard_normal(shape) * 1e-5
    fields["divergence"] += noise * rng.standard_normal(shape) * 3e-6
    for frame, row, column in rng.integers((FRAMES, *shape[1:]), size=(int(GAPS * noise), 3)):
        for field in fields.values():
            field[frame, row : row + 8, column : column + 8] = np.nan
    labels = []
    for sector, side in np.ndindex(SECTORS, 2):
        sign, flow, strength = 1 - 2 * side, rng.uniform(-6, 6, 2), rng.uniform(8, 25)
        east = slice(sector * shape[2] // SECTORS, (sector + 1) * shape[2] // SECTORS)
        fields["eastward_wind"][:, sign * LATITUDE > 0, east] += flow[0]
        fields["northward_wind"][:, sign * LATITUDE > 0, east] += flow[1]
        lat, lon = sign * rng.uniform(16, 22), 360 * (sector + 0.5) / SECTORS + rng.uniform(-3, 3)
        for frame in range(FRAMES):
            bump = np.exp(-((distance_km(lat, lon, LATITUDE[:, None], LONGITUDE) / 260) ** 2) / 2)
            fields["vorticity"][frame] += sign * strength * 1e-5 * bump
            fields["divergence"][frame] -= 0.2 * strength * 1e-5 * bump
            labels.append((f"{sector}{'NS'[side]}-{year}", frame, lat, lon, 4 * strength))
            lat, lon = (float(end) for end in displaced(lat, lon, *(STEP_KM * flow)))
    table = pd.DataFrame(labels, columns=["group", "frame", "latitude", "longitude", "wind_kt"])
    table["time"] = np.datetime64(f"{year}-08-01", "s") + (6 * table["frame"]).to_numpy("timedelta64[h]")
    later = table.groupby("group")[["latitude", "longitude"]].shift(-4)
    return fields, table.drop(columns="frame").assign(latitude_24h=later["latitude"], longitude_24h=later["longitude"])


def made_up_world(folder: Path, noise: float) -> dict[str, Examples]:
    """Training, validation and test windows of three seasons."""
    seasons = {part: made_up_season(year, noise) for part, year in PARTS.items()}
    variables = {
        name: (
            ("time", "latitude", "longitude"),
            np.concatenate([fields[name] for fields, _ in seasons.values()]).astype(np.float32),
            {"units": unit},
        )
        for name, unit in zip(FIELDS.names, FIELDS.units, strict=True)
    }
    time = np.concatenate([np.unique(table["time"]) for _, table in seasons.values()]).astype("datetime64[ns]")
    dataset = xr.Dataset(variables, {"time": time, "latitude": LATITUDE, "longitude": LONGITUDE}, GAPPY)
    store = write_store(dataset, folder / "store", FIELDS.names, None)
    labels = pd.concat([table for _, table in seasons.values()], ignore_index=True)
    return {
        part: cut_examples(TASK, store, labels, sorted(table["group"].unique()), 0)
        for part, (_, table) in seasons.items()
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Examples]:
    """The world as an analysis shows it, with noise and gaps."""
    return made_up_world(tmp_path_factory.mktemp("world"), noise=1.0)


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """The test windows without noise and gaps."""
    return made_up_world(tmp_path_factory.mktemp("clear"), noise=0.0)["test"]


@pytest.fixture(scope="module")
def across(clear: Examples) -> Examples:
    """Taller test windows without noise, centred just across the equator from the cyclone that they show."""
    old, height = clear.windows, 56
    row = np.where(old.mirrored, ROWS // 2 - 28, ROWS // 2 - 27)
    return replace(clear, windows=Windows(old.time, row, old.column, ~old.mirrored, (height, old.size[1])))


@pytest.fixture(scope="module")
def fitted(world: dict[str, Examples]) -> dict[str, Predict]:
    """Every baseline's function that predicts."""
    return {name: fit(world["train"], world["validation"]) for name, fit in BASELINES.items()}


@pytest.fixture(scope="module")
def stated(fitted: dict[str, Predict], world: dict[str, Examples]) -> dict[str, pd.DataFrame]:
    """Every baseline's predictions for the test windows."""
    return {name: predict(world["test"]) for name, predict in fitted.items()}


def without_frames(examples: Examples, *frames: int) -> Examples:
    """Return the examples as if there were no such frames."""
    time = examples.windows.time.copy()
    time[:, frames] = -1
    return replace(examples, windows=replace(examples.windows, time=time))


def of_storms(predictions: pd.DataFrame, truth: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the predictions that hit and the storms that they hit, row by row."""
    own, km = match(predictions, truth)
    return predictions.iloc[own[km < 300]].reset_index(drop=True), truth[km < 300].reset_index(drop=True)


def whole(examples: Examples) -> np.ndarray:
    """Return which windows have both frames; those at the beginning of a season have one."""
    return examples.windows.time.min(axis=1) >= 0


def central(found: Candidates, pixels: int = 8) -> Candidates:
    """Return the candidates far from the edge of a window with both frames."""
    h, w = found.fields.shape[-2:]
    y, x = found.column("y"), found.column("x")
    inside = np.minimum.reduce([y, h - 1 - y, x, w - 1 - x]) >= pixels
    return replace(found, table=found.table[inside & whole(found.examples)[found.example]].reset_index(drop=True))


@pytest.mark.parametrize("name", BASELINES)
def test_planted_cyclones_are_found(name: str, world: dict[str, Examples], stated: dict[str, pd.DataFrame]) -> None:
    """Nearly all planted vortices are found where they are, nearly nothing else is, and the table is as agreed."""
    test, predictions = world["test"], stated[name]
    assert list(predictions.columns) == COLUMNS
    assert np.isfinite(predictions).all(axis=None)
    kept = keep_likely(predictions, choose_threshold(predictions, test.truth, test.table))
    scores = evaluate_metrics((CSI, MEDIAN_CENTRE_ERROR), kept, test.truth, test.table).values()
    assert scores["csi"] > 0.95
    assert scores["median_centre_error"] < 25


@pytest.mark.parametrize("name", BASELINES)
def test_wind_is_that_of_the_best_track(name: str, world: dict[str, Examples], stated: dict[str, pd.DataFrame]) -> None:
    """Stated winds follow the planted ones, which are proportional to the vorticity."""
    hits, storms = of_storms(stated[name], world["test"].truth)
    assert np.abs(hits["wind_kt"] - storms["wind_kt"]).mean() < 6
    assert np.corrcoef(hits["wind_kt"], storms["wind_kt"])[0, 1] > 0.95


@pytest.mark.parametrize("name", [name for name in BASELINES if "persistence" not in name])
def test_a_cyclone_goes_where_the_wind_carries_it(
    name: str, world: dict[str, Examples], stated: dict[str, pd.DataFrame]
) -> None:
    """A uniform wind unlike any in the training seasons carries a cyclone as far as it blows in 24 h."""
    hits, storms = of_storms(stated[name], world["test"].truth)
    lives = storms["latitude_24h"].notna()
    moved = distance_km(storms["latitude"], storms["longitude"], storms["latitude_24h"], storms["longitude_24h"])
    missed = distance_km(hits["latitude_24h"], hits["longitude_24h"], storms["latitude_24h"], storms["longitude_24h"])
    assert missed[lives].mean() < 0.35 * moved[lives].mean()


def test_a_greater_maximum_is_a_likelier_and_stronger_cyclone(world: dict[str, Examples]) -> None:
    """By the vorticity maximum, probability and wind rise with the peak."""
    table = vorticity_maximum(world["train"], world["validation"]).detect(world["test"]).table.sort_values("peak")
    assert (np.diff(table["probability"]) >= 0).all()
    assert (np.diff(table["wind_kt"]) >= 0).all()
    assert table["probability"].iloc[-1] > 0.99
    assert table["wind_kt"].iloc[-1] > 2 * table["wind_kt"].iloc[0]


def test_the_reflected_world_has_the_reflected_predictions(
    world: dict[str, Examples], stated: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    """With north and south exchanged, every latitude changes its sign and nothing else changes."""
    reflected = {part: reflect(examples, tmp_path / part) for part, examples in world.items()}
    for name in ("vorticity maximum + persistence", "matched template + wind patterns"):
        predictions = BASELINES[name](reflected["train"], reflected["validation"])(reflected["test"])
        sign = [-1 if column.startswith("latitude") else 1 for column in COLUMNS]
        np.testing.assert_allclose(predictions, stated[name] * sign, atol=1e-6)


def reflect(examples: Examples, folder: Path) -> Examples:
    """Return the same examples in a world reflected about the equator."""
    odd = {"vorticity": -1, "northward_wind": -1}
    values = np.stack([examples.store.frame(k)[:, ::-1] for k in range(len(examples.store.time))])
    variables = {
        name: (("time", "latitude", "longitude"), values[:, c] * odd.get(name, 1), {"units": FIELDS.units[c]})
        for c, name in enumerate(FIELDS.names)
    }
    coordinates = {"time": examples.store.time.astype("datetime64[ns]"), "latitude": LATITUDE, "longitude": LONGITUDE}
    store = write_store(xr.Dataset(variables, coordinates, GAPPY), folder, FIELDS.names, None)
    old = examples.windows
    windows = Windows(old.time, ROWS - old.size[0] - old.row, old.column, ~old.mirrored, old.size)
    truth = examples.truth.assign(latitude=-examples.truth["latitude"], latitude_24h=-examples.truth["latitude_24h"])
    return Examples(store, windows, examples.table, truth, {})


def test_the_same_data_give_the_same_predictions(world: dict[str, Examples], stated: dict[str, pd.DataFrame]) -> None:
    """A second fit gives the same numbers."""
    name = "matched template + wind patterns"
    again = BASELINES[name](world["train"], world["validation"])(world["test"])
    pd.testing.assert_frame_equal(again, stated[name])


@pytest.mark.parametrize("frame", [0, 1])
def test_a_missing_frame_is_seen_through(frame: int, fitted: dict[str, Predict], world: dict[str, Examples]) -> None:
    """Without one of the frames everything stated is finite, and what the other frame shows is found."""
    shown = world["test"].truth[whole(world["test"])[world["test"].truth["example"]]]
    for predict in fitted.values():
        predictions = predict(without_frames(world["test"], frame))
        assert np.isfinite(predictions).all(axis=None)
        _, km = match(predictions, shown)
        assert (km < 300).mean() > 0.9


def test_where_nothing_is_known_nothing_is_stated(fitted: dict[str, Predict], world: dict[str, Examples]) -> None:
    """Windows without any value have no predictions, in a table with the agreed columns."""
    for predict in fitted.values():
        predictions = predict(without_frames(world["test"], 0, 1))
        assert list(predictions.columns) == COLUMNS
        assert predictions.empty


@pytest.mark.parametrize("name", BASELINES)
def test_storms_that_die_within_a_day_teach_no_displacement(name: str, world: dict[str, Examples]) -> None:
    """Without a position in 24 h in the training windows, none is stated, and the rest is stated all the same."""
    truth = world["train"].truth.assign(latitude_24h=np.nan)
    predictions = BASELINES[name](replace(world["train"], truth=truth), world["validation"])(world["test"])
    assert predictions[["latitude_24h", "longitude_24h"]].isna().all(axis=None)
    assert np.isfinite(predictions[["latitude", "longitude", "probability", "wind_kt"]]).all(axis=None)


@pytest.mark.parametrize("detector", [vorticity_maximum, matched_template])
def test_no_cyclone_is_an_error_that_says_so(detector: Any, world: dict[str, Examples]) -> None:
    """Training or validation windows without a cyclone, or cyclones where there is no maximum, are refused."""
    train, validation = world["train"], world["validation"]
    nothing = train.truth.iloc[:0]
    with pytest.raises(UserError, match="training windows"):
        detector(replace(train, truth=nothing), validation)
    with pytest.raises(UserError, match="validation windows"):
        detector(train, replace(validation, truth=nothing))
    elsewhere = train.truth.assign(longitude=(train.truth["longitude"] + 180) % 360)
    with pytest.raises(UserError, match=r"0 of .* are labelled"):
        detector(replace(train, truth=elsewhere), validation)


def test_a_maximum_is_found_between_the_pixels(clear: Examples) -> None:
    """Without noise a vortex is found to a twentieth of a pixel, wherever between the pixels it lies."""
    found = find_candidates(clear, 110)
    hits, storms = of_storms(found.table, clear.truth)
    assert len(storms) == len(clear.truth)
    y, x = clear.pixels(storms["example"], storms["latitude"].to_numpy(), storms["longitude"].to_numpy())
    assert np.abs(hits["y"] - y).mean() < 0.05
    assert np.abs(hits["x"] - x).mean() < 0.05


def test_cyclones_of_the_other_hemisphere_are_maxima_too(across: Examples) -> None:
    """A window centred on the other side of the equator shows a cyclone turning the other way, and it is found."""
    hits, storms = of_storms(find_candidates(across, 110).table, across.truth)
    assert len(storms) == len(across.truth)
    assert (hits["orientation"] == -1).all()
    assert (hits["poleward"] == np.sign(storms["latitude"])).all()


def test_cyclones_are_identified_within_the_radius_of_a_hit(clear: Examples) -> None:
    """Every planted vortex is the candidate at its place; a label 400 km beside it is no candidate at all."""
    found = find_candidates(clear, 110)
    known = identify(found)
    assert sorted(known.row[known.is_cyclone]) == list(range(len(clear.truth)))
    assert (known.cyclones().truth("latitude") - known.cyclones().candidates.column("latitude")).max() < 0.5
    beside = clear.truth.assign(latitude=clear.truth["latitude"] + 3.6)
    assert not identify(replace(found, examples=replace(clear, truth=beside))).is_cyclone.any()


def test_motion_is_that_of_the_flow(clear: Examples) -> None:
    """From one frame to the next the motion is the wind times 6 h; in a gap of either frame it is not known."""
    cyclones = identify(central(find_candidates(clear, 110), 4)).cyclones()
    known = motion(cyclones.candidates)
    wind = mean_winds(cyclones.candidates, (0.0,), 100.0)[:, 1, :, 0, 0]
    assert (known[:, 2] == 1).all()
    np.testing.assert_allclose(known[:, :2], STEP_KM * wind, atol=8)
    for frame in (0, 1):
        assert not motion(find_candidates(without_frames(clear, frame), 110)).any()


@pytest.mark.parametrize("windows", ["clear", "across"])
def test_ring_means_are_means_over_rings(windows: str, request: pytest.FixtureRequest) -> None:
    """Rings equal plain means over the pixels at such distances, cyclonic vorticity being positive."""
    found = central(find_candidates(request.getfixturevalue(windows), 110), 3)
    outer = (125.0, 265.0, 405.0)
    means, _ = ring_means(found, outer)
    for k in range(0, len(found), 5):
        row = found.table.iloc[k]
        height, width = np.indices(found.fields.shape[-2:])
        north = (height - row["y"]) * PIXEL_KM
        east = (width - row["x"]) * PIXEL_KM * np.cos(np.radians(row["latitude"]))
        ring = np.searchsorted(outer, np.hypot(north, east), side="right")
        for r in range(3):
            pixels = found.fields[int(row["example"]), :, :2][..., ring == r].mean(axis=-1)
            np.testing.assert_allclose(means[k, :, :, r], pixels * [row["orientation"], 1], rtol=1e-3, atol=1e-3)
    assert means[:, :, 0, 0].min() > 5


def test_rings_know_how_much_of_them_is_known(clear: Examples) -> None:
    """Without one frame its share is 0, and the ring means are those of the other frame."""
    found = find_candidates(without_frames(clear, 0), 110)
    found = replace(found, table=central(find_candidates(clear, 110)).table)
    means, share = ring_means(found, (265.0, 405.0))
    assert (share[:, 0] == 0).all()
    assert (share[:, 1] == 1).all()
    np.testing.assert_allclose(means[:, 0], means[:, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("windows", ["clear", "across"])
def test_the_mean_of_a_linear_wind_is_the_wind_at_that_place(windows: str, request: pytest.FixtureRequest) -> None:
    """Means are taken where the offsets say: so far towards the nearer pole, and so far east."""
    found = central(find_candidates(request.getfixturevalue(windows), 110), 4)
    assert (found.column("orientation") == (1 if windows == "clear" else -1)).any()
    h, w = found.fields.shape[-2:]
    found.fields[:, :, 2], found.fields[:, :, 3] = np.arange(w), np.arange(h)[:, None]
    offsets = np.array([-200.0, 0.0, 150.0])
    winds = mean_winds(found, tuple(offsets), 100.0)
    for k in range(len(found)):
        row = found.table.iloc[k]
        east = row["x"] + offsets / PIXEL_KM / np.cos(np.radians(row["latitude"]))
        poleward = row["orientation"] * row["y"] - offsets / PIXEL_KM
        np.testing.assert_allclose(winds[k, :, 0], np.broadcast_to(east, (2, 3, 3)), atol=2e-2)
        np.testing.assert_allclose(winds[k, :, 1], np.broadcast_to(poleward[:, None], (2, 3, 3)), atol=2e-2)


def test_a_uniform_wind_is_its_own_mean(clear: Examples) -> None:
    """Any mean of a uniform wind is that wind, also of places outside the window."""
    found = find_candidates(clear, 110)
    found.fields[:, :, 2:] = np.array([7.0, -3.0])[:, None, None]
    winds = mean_winds(found, (-2000.0, 0.0, 2500.0), 150.0)
    np.testing.assert_allclose(winds[:, :, 0], 7, rtol=1e-5)
    np.testing.assert_allclose(np.abs(winds[:, :, 1]), 3, rtol=1e-5)


def test_the_regression_is_the_nearest_on_the_validation_sample() -> None:
    """The choice with the least validation error wins; few rows give their mean, none gives NaN."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((60, 4))
    target = np.column_stack([values[:, 0], values[:, 1] - values[:, 2]])
    part = Sample(values[:30], target[:30]), Sample(values[30:], target[30:])
    chosen = nearest_regressor([Ridge(1e4), Ridge(1e-6), Ridge(1e2)], *part)
    np.testing.assert_allclose(chosen.predict(values), target, atol=1e-4)
    few = Sample(values[:3], np.where([[True], [True], [False]], target[:3], np.nan))
    mean = nearest_regressor([Ridge(1.0)], few, part[1]).predict(values)
    np.testing.assert_allclose(mean, np.broadcast_to(target[:2].mean(axis=0), mean.shape))
    silent = nearest_regressor([Ridge(1.0)], Sample(values[:0], target[:0]), part[1]).predict(values)
    assert silent.shape == target.shape
    assert np.isnan(silent).all()


def test_a_field_that_the_store_lacks_is_named(world: dict[str, Examples], tmp_path: Path) -> None:
    """A store without wind is refused by the name of what is missing."""
    store = world["train"].store
    fields = {
        name: (("time", "latitude", "longitude"), np.stack([store.frame(k)[c] for k in range(4)]), {"units": "s-1"})
        for c, name in enumerate(FIELDS.names[:2])
    }
    coordinates = {"time": store.time[:4].astype("datetime64[ns]"), "latitude": LATITUDE, "longitude": LONGITUDE}
    calm: Store = write_store(xr.Dataset(fields, coordinates, GAPPY), tmp_path / "store", FIELDS.names[:2], None)
    with pytest.raises(UserError, match="eastward_wind"):
        find_candidates(replace(world["train"], store=calm), 110)
