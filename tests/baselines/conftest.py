"""A small made-up world: round vortices, each carried by the uniform wind of its sector, seen in windows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from toolkit.baselines.candidates import FIELDS, Candidates
from toolkit.data.store_write import write_store
from toolkit.data.windows import Windows
from toolkit.examples import Examples, cut_examples
from toolkit.geodesy import displaced, distance_km
from toolkit.scores.matching import Objects, match
from toolkit.task import Inputs, Placement

TASK: Any = SimpleNamespace(
    inputs=Inputs(("vorticity", "divergence"), (-6, 0), (24, 24), ("eastward_wind", "northward_wind")),
    placement=Placement(margin=5, objects=True, background=0.35),
    sees_fields=True,
)
ROWS, FRAMES, SECTORS, GAPS = 129, 7, 8, 200
LATITUDE, LONGITUDE = np.linspace(90, -90, ROWS), np.arange(2 * (ROWS - 1)) * 180 / (ROWS - 1)
PARTS = {"train": 2001, "validation": 2002, "test": 2003}
GAPPY = {"missing_data": True}
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
    store = write_store(dataset, folder / "store", FIELDS.names)
    labels = pd.concat([table for _, table in seasons.values()], ignore_index=True)
    return {
        part: cut_examples(TASK, store, labels, (labels["time"].dt.year == year).to_numpy(), 0)
        for part, year in PARTS.items()
    }


def reflect(examples: Examples, folder: Path) -> Examples:
    """Return the same examples in a world reflected about the equator."""
    odd = {"vorticity": -1, "northward_wind": -1}
    values = np.stack([examples.store.frame(k)[:, ::-1] for k in range(len(examples.store.time))])
    variables = {
        name: (("time", "latitude", "longitude"), values[:, c] * odd.get(name, 1), {"units": FIELDS.units[c]})
        for c, name in enumerate(FIELDS.names)
    }
    old, place = examples.windows, {"latitude": examples.store.latitude, "longitude": examples.store.longitude}
    coordinates = {"time": examples.store.time.astype("datetime64[ns]")} | place
    store = write_store(xr.Dataset(variables, coordinates, {"missing_data": True}), folder, FIELDS.names)
    windows = Windows(
        old.time, len(examples.store.latitude) - old.size[0] - old.row, old.column, ~old.mirrored, old.size
    )
    truth = examples.truth.assign(latitude=-examples.truth["latitude"], latitude_24h=-examples.truth["latitude_24h"])
    return Examples(store, windows, examples.table, truth, {})


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Examples]:
    """The world as an analysis shows it, with noise and gaps."""
    return made_up_world(tmp_path_factory.mktemp("world"), noise=1.0)


@pytest.fixture(scope="session")
def reflected(world: dict[str, Examples], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Examples]:
    """The same windows of the world reflected about the equator."""
    folder = tmp_path_factory.mktemp("reflected")
    return {part: reflect(examples, folder / part) for part, examples in world.items()}


@pytest.fixture(scope="session")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """The test windows without noise and gaps."""
    return made_up_world(tmp_path_factory.mktemp("clear"), noise=0.0)["test"]


@pytest.fixture(scope="session")
def across(clear: Examples) -> Examples:
    """Taller test windows without noise, centred just across the equator from the cyclone that they show."""
    old, height = clear.windows, 56
    row = np.where(old.mirrored, ROWS // 2 - 28, ROWS // 2 - 27)
    return replace(clear, windows=Windows(old.time, row, old.column, ~old.mirrored, (height, old.size[1])))


@pytest.fixture(scope="session")
def vortices() -> Objects:
    """What the planted vortices are called, and how near a prediction of one must be."""
    return Objects("a vortex", "vortices", hit_km=300.0, near_km=225.0, cap_km=1000.0)


@pytest.fixture(scope="session")
def without_frames() -> Callable[..., Examples]:
    """(examples, *frames) -> the examples as if there were no such frames."""

    def gone(examples: Examples, *frames: int) -> Examples:
        time = examples.windows.time.copy()
        time[:, frames] = -1
        return replace(examples, windows=replace(examples.windows, time=time))

    return gone


@pytest.fixture(scope="session")
def hits() -> Callable[[pd.DataFrame, pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame]]:
    """(predictions, truth) -> the predictions that hit and the vortices that they hit, row by row."""

    def found(predictions: pd.DataFrame, truth: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        own, km = match(predictions, truth, 1000)
        return predictions.iloc[own[km < 300]].reset_index(drop=True), truth[km < 300].reset_index(drop=True)

    return found


@pytest.fixture(scope="session")
def central() -> Callable[[Candidates, int], Candidates]:
    """(candidates, pixels) -> those so far from the edge of a window with both frames.

    The windows at the beginning of a season have one frame.
    """

    def inner(found: Candidates, pixels: int) -> Candidates:
        h, w = found.fields.shape[-2:]
        y, x = found.column("y"), found.column("x")
        inside = np.minimum.reduce([y, h - 1 - y, x, w - 1 - x]) >= pixels
        whole = found.examples.windows.time.min(axis=1) >= 0
        return replace(found, table=found.table[inside & whole[found.example]].reset_index(drop=True))

    return inner
