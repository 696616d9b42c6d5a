"""A season of the simulated atmosphere: the flow, its cyclones and its look-alikes, hour by hour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from toolkit.data.world.climate import DAY, HOUR, Climate, Stirring, equilibrium, relaxation
from toolkit.data.world.shallow_water import Flow, Fluid, GridFlow, advance, first_step, on_grid, start, tendency
from toolkit.data.world.sphere import Sphere
from toolkit.data.world.vortices import (
    HEATING_RADIUS_KM,
    HOURS_OF_BIRTH,
    LOST_VORTICITY,
    SEED_VORTICITY,
    Cyclone,
    LookAlike,
    bump,
    find_centre,
    guess_next,
    measure_wind,
    new_cyclone,
    new_look_alike,
    patch_around,
    steer_heating,
)

HOURS_BETWEEN_FRAMES = 6
SEASON_START = "08-01"
SPIN_UP_DAYS, SPIN_UP_TRUNCATION, SPIN_UP_STEP = 18, 42, 1800.0
HOURS_UNSEEN = 48
"""Hours at full resolution before the first frame, so that cyclones of every age are there."""


@dataclass(frozen=True)
class Plan:
    """Size of a season: truncation, step (s), days kept, cyclones alive at once, look-alikes born per day."""

    days: int
    truncation: int = 85
    step: float = 1200.0
    cyclones: float = 14.0
    look_alikes_per_day: float = 5.0
    climate: Climate = field(default_factory=Climate)


@dataclass(frozen=True)
class Season:
    """One member's season: states (time, 3, degree, order) every six hours, every cyclone that lived in it."""

    year: int
    states: Tensor
    cyclones: tuple[Cyclone, ...]


@dataclass
class _Member:
    rng: np.random.Generator
    alive: list[Cyclone]
    past: list[Cyclone]
    look_alikes: list[LookAlike]


def run_seasons(plan: Plan, seed: int, years: Sequence[int], progress: Callable[[int], None]) -> list[Season]:
    """Run one season per year, side by side in one batch, and return them.

    Every year draws from its own generator, seeded by (seed, year). `progress` is called with the hour.
    Raises `FloatingPointError` when the step is too long for the flow.
    """
    sphere = Sphere(plan.truncation)
    fluid = Fluid(sphere, plan.step, drag=plan.climate.surface_drag)
    target = equilibrium(plan.climate, sphere)
    generators = [np.random.default_rng([seed, year]) for year in years]
    state = _spun_up(plan, generators)
    flow = start(state)
    stirring = Stirring(plan.climate, sphere, generators)
    members = [_Member(rng, [], [], []) for rng in generators]
    frames: list[Tensor] = []
    for hour in range(-HOURS_UNSEEN, plan.days * 24 + 1):
        if not torch.isfinite(flow.at).all():
            raise FloatingPointError("the simulated flow became unstable: shorten the step")
        grid = on_grid(fluid, flow.at)
        if hour >= 0 and hour % HOURS_BETWEEN_FRAMES == 0:
            frames.append(flow.at.clone())
        source = _vortex_source(plan, sphere, grid, members, hour)
        source[:, 0] += stirring.next_hour()
        for step in range(int(HOUR / plan.step)):
            grid = grid if step == 0 else on_grid(fluid, flow.at)
            change = tendency(fluid, grid) + relaxation(plan.climate, target, flow.before) + source
            flow = (first_step if hour == -HOURS_UNSEEN and step == 0 else advance)(fluid, flow, change)
        progress(hour)
    states = torch.stack(frames, 1)
    return [
        Season(year, states[index], tuple(member.past + member.alive))
        for index, (year, member) in enumerate(zip(years, members, strict=True))
    ]


def season_start(year: int) -> np.datetime64:
    """Return the time of a season's first frame."""
    return np.datetime64(f"{year}-{SEASON_START}T00", "ns")


def frame_times(start: np.datetime64, frames: int) -> np.ndarray:
    """Return the times of frames from the first one on, datetime64[ns]."""
    hours = np.arange(frames) * HOURS_BETWEEN_FRAMES
    return start + hours.astype("timedelta64[h]")


def _spun_up(plan: Plan, generators: list[np.random.Generator]) -> Tensor:
    """Run the coarse flow until its waves are grown; return its state at the season's truncation."""
    sphere = Sphere(min(SPIN_UP_TRUNCATION, plan.truncation))
    fluid = Fluid(sphere, SPIN_UP_STEP, drag=plan.climate.surface_drag)
    target = equilibrium(plan.climate, sphere)
    flow: Flow = start(target.expand(len(generators), *target.shape))
    stirring = Stirring(plan.climate, sphere, generators)
    for step in range(int(SPIN_UP_DAYS * DAY / SPIN_UP_STEP)):
        if step % int(HOUR / SPIN_UP_STEP) == 0:
            source = stirring.next_hour()
        change = tendency(fluid, on_grid(fluid, flow.at)) + relaxation(plan.climate, target, flow.before)
        change[:, 0] += source
        flow = (first_step if step == 0 else advance)(fluid, flow, change)
    return sphere.changed(flow.at, plan.truncation)


def _vortex_source(plan: Plan, sphere: Sphere, grid: GridFlow, members: list[_Member], hour: int) -> Tensor:
    """Follow, end, begin and drive every vortex for the coming hour; return its tendencies (member, 3, l, m)."""
    fields = np.zeros((len(members), 2, sphere.rows, sphere.columns), dtype=np.float32)
    for index, member in enumerate(members):
        wind, vorticity = grid.wind[index].numpy(), grid.vorticity[index].numpy()
        geopotential = grid.geopotential[index].numpy()
        for cyclone in list(member.alive):
            _follow(cyclone, sphere, vorticity, wind, geopotential, hour)
            if _is_over(cyclone):
                member.alive.remove(cyclone)
                member.past.append(cyclone)
        _begin(plan, member)
        _drive(sphere, member, fields[index])
    sources = sphere.coefficients(torch.from_numpy(fields))
    sources[:, 0, :, 0] = 0  # spinning up vortices drives no zonal-mean wind, nor a mean vorticity, which no wind has
    sources[:, 1, 0, 0] = 0  # what the heated columns lose, the whole sphere gains: mass is conserved
    return torch.stack([sources[:, 0], torch.zeros_like(sources[:, 0]), sources[:, 1]], 1)


def _follow(
    cyclone: Cyclone, sphere: Sphere, vorticity: np.ndarray, wind: np.ndarray, geopotential: np.ndarray, hour: int
) -> None:
    lat, lon = guess_next(cyclone)
    lat, lon, strength = find_centre(vorticity, sphere.latitude, lat, lon, cyclone.sign)
    cyclone.latitude, cyclone.longitude = lat, lon
    lost = cyclone.age_hours > 2 * HOURS_OF_BIRTH and strength < LOST_VORTICITY
    cyclone.wind = 0.0 if lost else measure_wind(wind, sphere.latitude, lat, lon)
    cyclone.heating = steer_heating(cyclone)
    row = int(np.argmin(np.abs(sphere.latitude - lat)))
    column = round(lon / 360 * sphere.columns) % sphere.columns
    depth = float(geopotential[row, column] - geopotential[row].mean())
    cyclone.track.append((hour, lat, lon, cyclone.wind, depth, cyclone.heating))
    cyclone.age_hours += 1


def _is_over(cyclone: Cyclone) -> bool:
    weak = cyclone.age_hours > 3 * HOURS_OF_BIRTH and cyclone.wind < 5
    return weak or cyclone.age_hours > cyclone.life_hours or not 3 < abs(cyclone.latitude) < 56


def _begin(plan: Plan, member: _Member) -> None:
    rng = member.rng
    if rng.random() < 0.05 * max(0.0, plan.cyclones - len(member.alive)):
        born = new_cyclone(rng, member.alive)
        if born is not None:
            member.alive.append(born)
    if rng.random() < plan.look_alikes_per_day / 24:
        member.look_alikes.append(new_look_alike(rng))


def _drive(sphere: Sphere, member: _Member, fields: np.ndarray) -> None:
    """Add to `fields` (vorticity source s-2, geopotential source m2 s-3; lat, lon) what drives the vortices."""
    for cyclone in member.alive:
        patch = patch_around(sphere.latitude, sphere.columns, cyclone.latitude, cyclone.longitude, 1000)
        shape = bump(patch, HEATING_RADIUS_KM)
        fields[1][patch.rows, patch.columns] -= cyclone.heating * shape
        if cyclone.age_hours < HOURS_OF_BIRTH:
            rate = cyclone.sign * SEED_VORTICITY / (HOURS_OF_BIRTH * HOUR)
            fields[0][patch.rows, patch.columns] += rate * shape
    for look_alike in member.look_alikes:
        vortex = look_alike.vortex
        reach = 3 * vortex.radius_km * np.sqrt(vortex.axis_ratio)
        patch = patch_around(sphere.latitude, sphere.columns, vortex.latitude, vortex.longitude, reach)
        rate = vortex.amplitude / (HOURS_OF_BIRTH * HOUR)
        fields[0][patch.rows, patch.columns] += rate * bump(patch, vortex.radius_km, vortex.axis_ratio, vortex.tilt)
        look_alike.age_hours += 1
    member.look_alikes = [young for young in member.look_alikes if young.age_hours < HOURS_OF_BIRTH]
