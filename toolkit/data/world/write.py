"""Writing a simulated world as a folder in the formats of the real one: fields.zarr, hurdat2.txt."""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from toolkit.data.world.best_track import best_track_of
from toolkit.data.best_track import write_best_track
from toolkit.data.world.observe import VARIABLES, Errors, observe, regular_axes
from toolkit.data.world.season import HOURS_BETWEEN_FRAMES, Plan, Season, run_seasons
from toolkit.data.world.sphere import Sphere
from toolkit.errors import UserError, unknown
from toolkit.files import whole_folder

YEARS_SIDE_BY_SIDE = 2
"""Years stepped in one batch; fixed, since another batch rounds differently and chaos would change the world."""
SEASON_START = "08-01"
LEVEL_HPA = 850
PACKING = {  # SI units per step of the 16-bit integers, as ERA5's own NetCDF files are packed
    "vorticity": 2.5e-8,
    "divergence": 4e-9,
    "u_component_of_wind": 0.005,
    "v_component_of_wind": 0.005,
    "geopotential": 0.5,
}
GAP = np.int16(-32768)
ATTRIBUTES = {
    "vorticity": ("s**-1", "atmosphere_relative_vorticity"),
    "divergence": ("s**-1", "divergence_of_wind"),
    "u_component_of_wind": ("m s**-1", "eastward_wind"),
    "v_component_of_wind": ("m s**-1", "northward_wind"),
    "geopotential": ("m**2 s**-2", "geopotential"),
}
MISSING = "NaN marks places where nothing was observed"


@dataclass(frozen=True)
class Size:
    """How much is simulated: the years, and the plan of each year's season."""

    years: tuple[int, ...]
    plan: Plan


SIZES = {
    "small": Size(tuple(range(2001, 2005)), Plan(days=36)),
    "large": Size(tuple(range(2001, 2013)), Plan(days=60)),
}


def write_world(folder: Path, size: Size, seed: int, progress: Callable[[float], None] = lambda _: None) -> Path:
    """Simulate and write a world into `folder`, which must not exist; the same seed gives the same bytes.

    `progress` is called with the share of the work done. Raises `UserError` where `folder` exists.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} exists and is not empty: choose another folder, or remove it first.")
    seasons = _simulate(size, seed, progress)
    with whole_folder(folder) as temporary:
        _write_fields(temporary / "fields.zarr", seasons)
        write_best_track(temporary / "hurdat2.txt", best_track_of([season for season, _ in seasons], SEASON_START))
    return folder


def size_named(name: str) -> Size:
    """Return the size called `name`, or raise a `UserError` with the near miss."""
    if name not in SIZES:
        raise unknown("world size", name, SIZES)
    return SIZES[name]


def season_times(year: int, frames: int) -> np.ndarray:
    """Return the times of a season's frames, datetime64[ns]."""
    hours = np.arange(frames) * HOURS_BETWEEN_FRAMES
    return np.datetime64(f"{year}-{SEASON_START}T00", "ns") + hours.astype("timedelta64[h]")


def _simulate(size: Size, seed: int, progress: Callable[[float], None]) -> list[tuple[Season, np.ndarray]]:
    groups = [size.years[i : i + YEARS_SIDE_BY_SIDE] for i in range(0, len(size.years), YEARS_SIDE_BY_SIDE)]
    context = multiprocessing.get_context("spawn")
    expected, hours = len(groups) * (size.plan.days + 2) * 24, 0
    with context.Manager() as manager, ProcessPoolExecutor(min(len(groups), os.cpu_count() or 1), context) as pool:
        passed = manager.Queue()
        jobs: list[Future[Any]] = [pool.submit(_simulate_group, size.plan, seed, group, passed) for group in groups]
        while not all(job.done() for job in jobs):
            time.sleep(0.2)
            while not passed.empty():
                hours += passed.get()
            progress(min(hours / expected, 1.0))
        return [part for job in jobs for part in job.result()]


def _simulate_group(plan: Plan, seed: int, years: tuple[int, ...], passed: Any) -> list[tuple[Season, np.ndarray]]:
    torch.set_num_threads(1)
    sphere = Sphere(plan.truncation)
    seen = []
    for season in run_seasons(plan, seed, years, lambda _: passed.put(1)):
        rng = np.random.default_rng([seed, season.year, 1])
        frames = np.stack([_packed(observe(sphere, state, Errors(), rng)) for state in season.states])
        seen.append((season, frames))
    return seen


def _packed(fields: np.ndarray) -> np.ndarray:
    scale = np.array([PACKING[name] for name in VARIABLES], np.float32)[:, None, None]
    steps = np.clip(np.rint(fields / scale), -32767, 32767)
    return np.where(np.isnan(fields), GAP, steps).astype(np.int16)


def _write_fields(path: Path, seasons: list[tuple[Season, np.ndarray]]) -> None:
    packed = np.concatenate([frames for _, frames in seasons])
    latitude, longitude = regular_axes(packed.shape[-2])
    coordinates = {
        "time": np.concatenate([season_times(season.year, len(frames)) for season, frames in seasons]),
        "level": ("level", np.array([LEVEL_HPA]), {"units": "hPa"}),
        "latitude": ("latitude", latitude, {"units": "degrees_north"}),
        "longitude": ("longitude", longitude, {"units": "degrees_east"}),
    }
    variables = {}
    for index, name in enumerate(VARIABLES):
        units, standard_name = ATTRIBUTES[name]
        packing = {"scale_factor": PACKING[name], "_FillValue": GAP}
        attributes = {"units": units, "standard_name": standard_name, **packing}
        variables[name] = (("time", "level", "latitude", "longitude"), packed[:, index, None], attributes)
    dataset = xr.Dataset(variables, coordinates, {"source": "simulated shallow water", "missing_data": MISSING})
    encoding: dict[str, Any] = {name: {"chunks": (16, 1, *packed.shape[2:])} for name in VARIABLES}
    encoding["time"] = {"units": "hours since 1900-01-01", "dtype": "int64"}
    dataset.to_zarr(path, mode="w", consolidated=False, encoding=encoding)
