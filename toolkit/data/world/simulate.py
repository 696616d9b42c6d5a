"""Running a world's seasons on all processors, each as it is seen: packed fields, ozone at stations, events."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from toolkit.data.world.events import Events, season_events
from toolkit.data.world.observe import VARIABLES, Errors, observe
from toolkit.data.world.ozone import station_series
from toolkit.data.world.season import Plan, Season, run_seasons, season_start
from toolkit.data.world.side_by_side import side_by_side
from toolkit.data.world.sphere import Sphere
from toolkit.errors import unknown

YEARS_SIDE_BY_SIDE = 2
"""Years stepped in one batch; fixed, since another batch rounds differently and chaos would change the world."""
PACKING = {  # SI units per step of the 16-bit integers, as ERA5's own NetCDF files are packed
    "vorticity": 2.5e-8,
    "divergence": 4e-9,
    "u_component_of_wind": 0.005,
    "v_component_of_wind": 0.005,
    "geopotential": 0.5,
}
GAP = np.int16(-32768)


@dataclass(frozen=True)
class Size:
    """How much is simulated: the years, and the plan of each year's season."""

    years: tuple[int, ...]
    plan: Plan


SIZES = {
    "tiny": Size(tuple(range(2001, 2005)), Plan(days=6)),
    "small": Size(tuple(range(2001, 2005)), Plan(days=30)),
    "large": Size(tuple(range(2001, 2013)), Plan(days=60)),
}


@dataclass(frozen=True, eq=False)
class Seen:
    """A season as it is seen: packed fields (time, variable, lat, lon) int16, hourly ozone, extreme events."""

    season: Season
    packed: np.ndarray
    ozone: pd.DataFrame
    events: Events


def size_named(name: str) -> Size:
    """Return the size called `name`, or raise a `UserError` with the near miss."""
    if name not in SIZES:
        raise unknown("world size", name, SIZES)
    return SIZES[name]


def simulate(size: Size, seed: int, progress: Callable[[float], None]) -> list[Seen]:
    """Run all seasons, two side by side in a process of one thread; `progress` gets the share done."""
    groups = [size.years[i : i + YEARS_SIDE_BY_SIDE] for i in range(0, len(size.years), YEARS_SIDE_BY_SIDE)]
    jobs, hours = [(size.plan, seed, group) for group in groups], len(groups) * (size.plan.days + 2) * 24
    return [part for done in side_by_side(_simulate_group, jobs, hours, progress) for part in done]


def _simulate_group(plan: Plan, seed: int, years: tuple[int, ...], passed: Any) -> list[Seen]:
    torch.set_num_threads(1)
    sphere = Sphere(plan.truncation)
    seen = []
    for season in run_seasons(plan, seed, years, lambda _: passed.put(1)):
        rng, start = np.random.default_rng([seed, season.year, 1]), season_start(season.year)
        packed = np.stack([_packed(observe(sphere, state, Errors(), rng)) for state in season.states])
        ozone, events = station_series(season, plan, seed, start), season_events(season, plan, start)
        seen.append(Seen(season, packed, ozone, events))
    return seen


def _packed(fields: np.ndarray) -> np.ndarray:
    scale = np.array([PACKING[name] for name in VARIABLES], np.float32)[:, None, None]
    steps = np.clip(np.rint(fields / scale), -32767, 32767)
    return np.where(np.isnan(fields), GAP, steps).astype(np.int16)
