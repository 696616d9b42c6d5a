"""Fluid flow on the sphere from vortices of random position and eccentricity, in independent runs on all processors.

"Spherical eccentricity" of vortices is read here as their shape on the sphere, between a circle and an ellipse: an
assumption. A vortex has the shape of Kent's distribution (1982, doi:10.1111/j.2517-6161.1982.tb01189.x), the ellipse
among those on the sphere: smooth everywhere, and of the same shape at the pole as at the equator.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.data.world.barotropic import Barotropic, advance, regular_fields
from toolkit.data.world.season import HOURS_BETWEEN_FRAMES
from toolkit.data.world.side_by_side import side_by_side
from toolkit.data.world.simulate import PACKING
from toolkit.data.world.sphere import ROTATION_RATE, Sphere
from toolkit.data.world.vortices import Vortex
from toolkit.geodesy import EARTH_RADIUS_KM, EARTH_RADIUS_M

VARIABLES = ("vorticity", "u_component_of_wind", "v_component_of_wind")
"""What is kept of the flow; its divergence is zero everywhere."""
RUNS_SIDE_BY_SIDE = 8
"""Runs stepped in one batch; fixed, since another batch rounds differently."""
COURANT = 2.0
"""Largest phase that a wave of the smallest scale gains in a step; the scheme is stable to 2.8."""


@dataclass(frozen=True)
class FluidPlan:
    """How much is simulated, and how: runs, days of each, rotation as a multiple of the Earth's, truncation.

    Without rotation vortices alone make the flow, the same wherever they lie and however they point, and they live as
    long as it does. With that of the Earth they break up into Rossby waves within days, away from the poles.
    """

    runs: int = 48
    days: int = 10
    rotation: float = 0.0
    truncation: int = 85

    @property
    def frames(self) -> int:
        """Frames of each run, its first and last included."""
        return self.days * 24 // HOURS_BETWEEN_FRAMES + 1


def random_vortices(rng: np.random.Generator) -> list[Vortex]:
    """Return 6 to 20 vortices of either sign, anywhere on the sphere with equal density and in any direction.

    The narrowest, 350 km / sqrt(2.5), are still smooth at truncation 85.
    """
    return [
        Vortex(
            latitude=float(np.degrees(np.arcsin(rng.uniform(-1, 1)))),
            longitude=float(rng.uniform(0, 360)),
            amplitude=float(rng.uniform(2e-5, 7e-5) * rng.choice([-1, 1])),
            radius_km=float(rng.uniform(350, 800)),
            axis_ratio=float(rng.uniform(1, 2.5)),
            tilt=float(rng.uniform(0, np.pi)),
        )
        for _ in range(rng.integers(6, 21))
    ]


def vorticity_of(sphere: Sphere, vortices: Sequence[Vortex]) -> Tensor:
    """Return the coefficients (degree, order) of the vortices' vorticity, s-1, less its mean, which no wind has.

    amplitude exp(k (n . c - 1) + b ((n . p)^2 - (n . q)^2)) at the unit vector n, with the vortex's centre c and its
    long and short axes p and q. k = (e + 1 / e) / 2 r^2 and b = (e - 1 / e) / 4 r^2 make it, near the centre, a
    Gaussian of standard deviations r sqrt(e) and r / sqrt(e), with axis ratio e and radius r in radians.
    """
    latitude, longitude = np.radians(sphere.latitude)[:, None], np.radians(sphere.longitude)
    field = np.zeros((sphere.rows, sphere.columns))
    for vortex in vortices:
        centre, east = np.radians(vortex.latitude), longitude - np.radians(vortex.longitude)
        towards = np.sin(centre) * np.sin(latitude) + np.cos(centre) * np.cos(latitude) * np.cos(east)
        eastward = np.cos(latitude) * np.sin(east)
        northward = np.cos(centre) * np.sin(latitude) - np.sin(centre) * np.cos(latitude) * np.cos(east)
        along = np.cos(vortex.tilt) * eastward + np.sin(vortex.tilt) * northward
        across = np.cos(vortex.tilt) * northward - np.sin(vortex.tilt) * eastward
        square, ratio = (vortex.radius_km / EARTH_RADIUS_KM) ** 2, vortex.axis_ratio
        narrow, oval = (ratio + 1 / ratio) / (2 * square), (ratio - 1 / ratio) / (4 * square)
        field += vortex.amplitude * np.exp(narrow * (towards - 1) + oval * (along**2 - across**2))
    coefficients = sphere.coefficients(torch.from_numpy(field).float())
    coefficients[0, 0] = 0
    return coefficients


def first_states(plan: FluidPlan, seed: int, runs: Sequence[int]) -> Tensor:
    """Return the vorticity (run, degree, order) that runs begin with; each draws by a generator of (seed, run)."""
    sphere = Sphere(plan.truncation)
    drawn = [random_vortices(np.random.default_rng([seed, run])) for run in runs]
    return torch.stack([vorticity_of(sphere, vortices) for vortices in drawn])


def run_fluid(plan: FluidPlan, vorticity: Tensor, progress: Callable[[], object] = lambda: None) -> np.ndarray:
    """Return the frames (run, time, variable, lat, lon), packed as int16, of runs that begin with `vorticity`.

    `progress` is called at every frame. Steps are as long as the flow at the frame before allows.
    """
    sphere = Sphere(plan.truncation)
    scale = torch.tensor([PACKING[name] for name in VARIABLES])[:, None, None]
    frames: list[np.ndarray] = []
    fields = regular_fields(sphere, vorticity)
    for frame in range(plan.frames):
        if frame:
            steps = _steps_to_next_frame(plan, fields[:, 1:])
            fluid = Barotropic(sphere, HOURS_BETWEEN_FRAMES * 3600 / steps, plan.rotation)
            for _ in range(steps):
                vorticity = advance(fluid, vorticity)
            fields = regular_fields(sphere, vorticity)
        frames.append((fields / scale).round().clamp(-32767, 32767).numpy().astype(np.int16))
        progress()
    return np.stack(frames, 1)


def _steps_to_next_frame(plan: FluidPlan, wind: Tensor) -> int:
    fastest = float(wind.square().sum(1).max().sqrt())
    frequency = fastest * plan.truncation / EARTH_RADIUS_M + abs(plan.rotation) * ROTATION_RATE
    return max(1, math.ceil(frequency * HOURS_BETWEEN_FRAMES * 3600 / COURANT))


def simulate_fluid(plan: FluidPlan, seed: int, progress: Callable[[float], None]) -> np.ndarray:
    """Return all frames (run, time, variable, lat, lon), packed as int16; `progress` gets the share done.

    Runs are stepped eight side by side in a process of one thread.
    """
    groups = [
        range(first, min(first + RUNS_SIDE_BY_SIDE, plan.runs)) for first in range(0, plan.runs, RUNS_SIDE_BY_SIDE)
    ]
    jobs = [(plan, seed, group) for group in groups]
    return np.concatenate(side_by_side(_simulate_group, jobs, len(groups) * plan.frames, progress))


def _simulate_group(plan: FluidPlan, seed: int, runs: Sequence[int], passed: Any) -> np.ndarray:
    torch.set_num_threads(1)
    return run_fluid(plan, first_states(plan, seed, runs), lambda: passed.put(1))
