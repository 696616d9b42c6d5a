"""Writing simulated fluid flow as a world folder, for pretraining on its vorticity.

fields.zarr         vorticity and winds in ERA5's layout and names, packed as 16-bit integers; each run is in a year of
                    its own from 1 January on, so that no sequence of frames goes from one run into another

The flow has no divergence. It is left out, since a field of zeros cannot be normalised; derived from the winds it is
nothing but their rounding, so that vorticity is the variable to ask for.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from toolkit.data.world.fluid import VARIABLES, FluidPlan, simulate_fluid
from toolkit.data.world.season import frame_times
from toolkit.data.world.write import check_empty, write_fields
from toolkit.errors import UserError
from toolkit.files import whole_folder

FIRST_YEAR = 2001
MOST_RUNS, MOST_DAYS, FASTEST_ROTATION = 200, 300, 10


def write_fluid(folder: Path, plan: FluidPlan, seed: int, progress: Callable[[float], None] = lambda _: None) -> Path:
    """Simulate fluid flow and write it into `folder`; the same seed gives the same bytes on the same kind of processor.

    `progress` is called with the share of the work done. Raises `UserError` where `folder` holds something, and for
    runs, days or a rotation that are none or too many.
    """
    check_empty(folder)
    _check(plan)
    times = np.concatenate([frame_times(run_start(run), plan.frames) for run in range(plan.runs)])
    about = {"source": "simulated fluid flow", "seed": seed, **asdict(plan)}
    with whole_folder(folder) as temporary:
        packed = simulate_fluid(plan, seed, progress)
        write_fields(temporary / "fields.zarr", packed.reshape(-1, *packed.shape[2:]), VARIABLES, times, about)
    return folder


def run_start(run: int) -> np.datetime64:
    """Return the time of a run's first frame."""
    return np.datetime64(f"{FIRST_YEAR + run}-01-01T00", "ns")


def _check(plan: FluidPlan) -> None:
    for name, value, most in (("runs", plan.runs, MOST_RUNS), ("days", plan.days, MOST_DAYS)):
        if not 1 <= value <= most:
            raise UserError(f"{name} is {value}: choose from 1 to {most}.")
    if not (math.isfinite(plan.rotation) and abs(plan.rotation) <= FASTEST_ROTATION):
        span = f"-{FASTEST_ROTATION} to {FASTEST_ROTATION}"
        raise UserError(f"rotation is {plan.rotation:g} times the Earth's: choose from {span}.")
