"""Strict and offline: the settings every test runs under."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from toolkit.data.store import Store
    from toolkit.task import Task

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")
ROOT = Path(__file__).parents[1]
REAL_DATA = Path(__file__).parents[2] / "shared" / "data"
PACKAGES = ("toolkit", "tasks", "pretrained")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, and no settings from the environment they are run in."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TOOLKIT_")]:
            patch.delenv(name)
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("TOOLKIT_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files, which the project does not carry; tests that need it are skipped without it."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real data files beside the checkout (../shared/data)")
    return REAL_DATA


@pytest.fixture(scope="session")
def smooth_store(tmp_path_factory: pytest.TempPathFactory) -> "Store":
    """Ten days, six-hourly, of smooth random vorticity, divergence and winds on a global 2.8-degree grid."""
    import xarray as xr

    from toolkit.data.store_write import write_store

    rng = np.random.default_rng(0)
    time = np.datetime64("2020-08-01", "ns") + np.arange(40) * np.timedelta64(6, "h")
    latitude, longitude = np.linspace(90, -90, 65), np.arange(128) * 2.8125
    along, up, day = np.meshgrid(np.radians(longitude), np.radians(latitude), np.arange(40) / 4, indexing="ij")
    fields = {}
    for name, units, size in (
        ("vorticity", "s-1", 2e-5),
        ("divergence", "s-1", 5e-6),
        ("eastward_wind", "m s-1", 8.0),
        ("northward_wind", "m s-1", 5.0),
    ):
        waves = [
            rng.normal() * np.cos(m * (along - rng.uniform(0, 0.5) * day) + rng.uniform(0, 7)) * np.cos(m * up) ** 2
            for m in rng.integers(1, 9, 6)
        ]
        fields[name] = (
            ("time", "latitude", "longitude"),
            size * np.sum(waves, 0).T.astype(np.float32),
            {"units": units},
        )
    coordinates = {"time": time, "latitude": latitude, "longitude": longitude}
    folder = tmp_path_factory.mktemp("smooth")
    return write_store(xr.Dataset(fields, coords=coordinates), folder / "store", tuple(fields))


@pytest.fixture(scope="session")
def storm_labels() -> pd.DataFrame:
    """Twelve storms on the times of `smooth_store`, half of them south of the equator, some across the date line."""
    rng = np.random.default_rng(1)
    tracks = []
    for storm in range(12):
        step = np.arange(rng.integers(10, 20))
        side = 1 if storm % 2 else -1
        latitude = side * (10 + 0.4 * step) + rng.normal(0, 0.1, len(step))
        longitude = (30 * storm - 0.9 * step + 3) % 360
        time = np.datetime64("2020-08-01", "ns") + (rng.integers(0, 20) + step) * np.timedelta64(6, "h")
        table = pd.DataFrame(
            {"time": time, "latitude": latitude, "longitude": longitude, "group": f"AL{storm:02d}2020"}
        )
        table["wind_kt"] = 30.0 + 5 * step
        table["latitude_24h"], table["longitude_24h"] = table["latitude"].shift(-4), table["longitude"].shift(-4)
        tracks.append(table)
    return pd.concat(tracks).sort_values(["time", "group"], ignore_index=True)


@pytest.fixture(scope="session")
def small_task() -> "Task":
    """The hurricane task on windows of 16 by 16 pixels."""
    from tasks.hurricane.task import TASK
    from toolkit.task import Placement

    inputs = replace(TASK.inputs, window=(16, 16))
    return replace(TASK, inputs=inputs, placement=Placement(margin=3, objects=True, background=0.35))


@pytest.fixture(scope="session")
def random_backbone(tmp_path_factory: pytest.TempPathFactory, smooth_store: "Store") -> Path:
    """The folder of a small backbone with random weights and all pretexts, made for `smooth_store`."""
    import torch

    from toolkit.backbones.card import Card
    from toolkit.backbones.features import FeatureSpec
    from toolkit.backbones.known import build_backbone
    from toolkit.backbones.weights import save_backbone
    from toolkit.pretexts.draw import normalisation_for
    from toolkit.pretexts.known import pretext_named

    pretexts = {name: pretext_named(name) for name in ("masked", "nextframe", "lagrangian", "vortexfate")}
    normalisation = normalisation_for(("vorticity", "divergence"), smooth_store)
    spec = FeatureSpec(normalisation.names, normalisation.units, (-6, 0), smooth_store.latitude_spacing, 4, 16)
    card = Card(
        name="random",
        summary="Random weights",
        spec=spec,
        architecture={"depth": 2, "heads": 2},
        normalisation=normalisation,
        pretexts=dict.fromkeys(pretexts, 1.0),
        readouts=tuple(p.readout.name for p in pretexts.values() if p.readout),
        parameters=0,
        weights_sha256="",
    )
    folder = tmp_path_factory.mktemp("random-backbone")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        modules = {name: pretext.module(spec) for name, pretext in pretexts.items()}
        save_backbone(folder, card, build_backbone(spec, card.architecture, 3), modules)
    return folder


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world folder in the real formats, cheap to make, on a global 2.8-degree grid."""
    return _write_tiny_world(tmp_path_factory.mktemp("world") / "tiny", 2.8125)


@pytest.fixture(scope="session")
def other_tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world like the tiny one, of other weather."""
    return _write_tiny_world(tmp_path_factory.mktemp("other") / "tiny", 2.8125, seed=3)


@pytest.fixture(scope="session")
def shipped_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world on the grid that the shipped backbone was trained on."""
    from toolkit.backbones.card import read_card, shipped
    from toolkit.config import FinetuneSettings

    card = read_card(shipped()[FinetuneSettings.model_fields["backbone"].default])
    return _write_tiny_world(tmp_path_factory.mktemp("shipped") / "tiny", card.spec.grid_degrees)


@pytest.fixture(scope="session")
def pip() -> Callable[..., None]:
    """Run pip with the given words."""

    def run(*words: object) -> None:
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        subprocess.run([*command, *map(str, words)], check=True)

    return run


@pytest.fixture(scope="session")
def wheel(pip: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the toolkit, built without a network from a copy of the tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", out, tree)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(pip: Callable[..., None], wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and after it the dependencies that are installed here."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(home)}))
    pip("install", "--no-deps", "--no-index", "--target", packages, wheel)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin" / "python"


def _write_tiny_world(folder: Path, spacing: float, seed: int = 2) -> Path:
    """Write four years of five days with vortices that drift westward, on a global grid of this spacing, degrees."""
    import xarray as xr

    from toolkit.data.best_track import write_best_track

    latitude, longitude = np.linspace(90, -90, round(180 / spacing) + 1), np.arange(round(360 / spacing)) * spacing
    rng = np.random.default_rng(seed)
    tables, times, frames = [], [], []
    for year in range(2001, 2005):
        time = np.datetime64(f"{year}-08-01", "s") + np.arange(20) * np.timedelta64(6, "h")
        storms = [_drifting(k, year, time, rng) for k in range(6)]
        tables += storms
        times.append(time)
        frames.append(_winds_around(storms, latitude, longitude, len(time), rng))
    winds = np.concatenate(frames)[:, :, None].astype(np.float32)
    coordinates = {"time": np.concatenate(times).astype("M8[ns]"), "level": ("level", [850], {"units": "hPa"})}
    coordinates |= {"latitude": latitude, "longitude": longitude}
    dimensions = ("time", "level", "latitude", "longitude")
    named = dict(zip(("u_component_of_wind", "v_component_of_wind"), np.moveaxis(winds, 1, 0), strict=True))
    fields = xr.Dataset({name: (dimensions, w, {"units": "m s**-1"}) for name, w in named.items()}, coordinates)
    fields = fields.assign_attrs(source="simulated", size="custom", seed=seed)
    fields.to_zarr(folder / "fields.zarr", consolidated=False)
    write_best_track(folder / "hurdat2.txt", pd.concat(tables, ignore_index=True))
    return folder


def _drifting(number: int, year: int, time: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """One storm's fixes in the columns of a best track."""
    step = np.arange(len(time))
    wind = 5 * np.rint(rng.uniform(30, 110) * np.sin(np.pi * (step + 3) / 26) / 5)
    return pd.DataFrame(
        {
            "storm": f"AL{number + 1:02d}{year}",
            "name": "UNNAMED",
            "time": time,
            "record": "",
            "status": np.select([wind >= 64, wind >= 34], ["HU", "TS"], "TD"),
            "latitude": (12 + 2 * (number % 3) + 0.6 * step).round(1),
            "longitude": ((55.0 * number - 0.9 * step + 180) % 360 - 180).round(1),
            "wind_kt": np.maximum(wind, 20),
            "pressure_hpa": 1010 - np.rint(wind / 2),
        }
    )


def _winds_around(
    storms: list[pd.DataFrame], latitude: np.ndarray, longitude: np.ndarray, times: int, rng: np.random.Generator
) -> np.ndarray:
    """Eastward and northward wind (time, 2, lat, lon) of vortices in a zonal flow, with noise, m s-1."""
    winds = rng.normal(0, 0.3, (times, 2, len(latitude), len(longitude)))
    winds[:, 0] += 10 * np.sin(2 * np.radians(latitude))[:, None] ** 2
    for storm in storms:
        for k, fix in enumerate(storm.itertuples()):
            north = latitude[:, None] - fix.latitude
            east = ((longitude - fix.longitude + 180) % 360 - 180) * np.cos(np.radians(fix.latitude))
            swirl = 0.15 * fix.wind_kt * np.exp(0.5 - (north**2 + east**2) / 18)
            winds[k] += swirl * np.stack([-north / 3 + 0 * east, east / 3 + 0 * north])
    return winds
