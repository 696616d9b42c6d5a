"""Tropical cyclones and their look-alikes: where they begin, what drives them, how they are followed.

A cyclone is heated: a sink of mass at its centre makes the air converge, and convergence spins it up until it reaches
the wind that its life cycle asks for. A look-alike is an elliptical vortex that is spun up once and then left alone.
"""

from dataclasses import dataclass, field

import numpy as np

from toolkit.geodesy import (
    KM_PER_DEGREE,
    displaced,
    displacement_km,
    distance_km,
    longitude_difference,
)

HOURS_OF_BIRTH = 12
SEED_VORTICITY = 5.5e-5
HEATING_RADIUS_KM = 260.0
STRONGEST_HEATING = 0.30
"""Largest sink of geopotential at a cyclone's centre, m2 s-3."""
LOST_VORTICITY = 1.2e-5
"""A centre whose smoothed vorticity is below this (s-1) has dissolved."""
SEPARATION_KM = 1700.0


@dataclass
class Cyclone:
    """A living cyclone: its plan (peak wind m s-1, hours of life, share of it at the peak) and where it is."""

    latitude: float
    longitude: float
    peak_wind: float
    life_hours: float
    peak_share: float
    age_hours: float = 0.0
    wind: float = 0.0
    heating: float = 0.0
    track: list[tuple[int, float, float, float, float, float]] = field(default_factory=list)
    """One entry an hour: hour, latitude, longitude, wind m s-1, central geopotential anomaly, heating."""

    @property
    def sign(self) -> float:
        """+1 north of the equator, -1 south: the sign of cyclonic vorticity."""
        return 1.0 if self.latitude >= 0 else -1.0

    def planned_wind(self) -> float:
        """Return the wind the life cycle asks for at this age, m s-1; less as it reaches cold water poleward of 28."""
        share = self.age_hours / self.life_hours
        rise = min(1.0, share / self.peak_share)
        fall = np.clip((1 - share) / (1 - self.peak_share), 0, 1)
        cold = np.clip((44 - abs(self.latitude)) / 16, 0, 1)
        return float(self.peak_wind * (0.25 + 0.75 * np.sin(0.5 * np.pi * min(rise, fall)) ** 1.3) * cold)


@dataclass(frozen=True)
class Vortex:
    """An elliptical vortex: centre in degrees, vorticity there (s-1, signed), radius (km), axis ratio, tilt (rad).

    `tilt` is the angle from east towards north of the long axis.
    """

    latitude: float
    longitude: float
    amplitude: float
    radius_km: float
    axis_ratio: float
    tilt: float


@dataclass
class LookAlike:
    """An unheated vortex, cyclonic, that is being spun up."""

    vortex: Vortex
    age_hours: float = 0.0


def new_cyclone(rng: np.random.Generator, others: list[Cyclone]) -> Cyclone | None:
    """Return a cyclone at a random place in the tropics, or None where it would be too near to another."""
    latitude = float(rng.uniform(8, 21) * rng.choice([-1, 1]))
    longitude = float(rng.uniform(0, 360))
    peak_wind, life, share = rng.gamma(5.0, 5.0) + 9.0, rng.uniform(84, 276), rng.uniform(0.4, 0.65)
    for other in others:
        if distance_km(latitude, longitude, other.latitude, other.longitude) < SEPARATION_KM:
            return None
    return Cyclone(latitude, longitude, float(np.clip(peak_wind, 12, 62)), float(life), float(share))


def new_look_alike(rng: np.random.Generator) -> LookAlike:
    """Return an elliptical vortex, two in three of them in the tropics where cyclones are."""
    absolute = rng.uniform(6, 32) if rng.random() < 0.67 else rng.uniform(32, 65)
    sign = rng.choice([-1, 1])
    vortex = Vortex(
        latitude=float(absolute * sign),
        longitude=float(rng.uniform(0, 360)),
        amplitude=float(rng.uniform(3e-5, 15e-5) * sign),
        radius_km=float(rng.uniform(170, 420)),
        axis_ratio=float(rng.uniform(1, 2.2)),
        tilt=float(rng.uniform(0, np.pi)),
    )
    return LookAlike(vortex)


@dataclass(frozen=True)
class Patch:
    """The rows and columns of a Gaussian grid around a point, with each one's offset (km) east and north."""

    rows: slice
    columns: np.ndarray
    east_km: np.ndarray
    north_km: np.ndarray


def patch_around(latitude: np.ndarray, columns: int, lat: float, lon: float, reach_km: float) -> Patch:
    """Cut the part of the grid within `reach_km` of a point; longitude wraps."""
    reach = reach_km / KM_PER_DEGREE
    first = int(np.searchsorted(-latitude, -(lat + reach)))
    last = max(int(np.searchsorted(-latitude, -(lat - reach))), first + 1)
    spacing = 360 / columns
    half = min(int(np.ceil(reach / np.cos(np.radians(min(abs(lat) + reach, 80))) / spacing)), columns // 2 - 1)
    index = np.arange(round(lon / spacing) - half, round(lon / spacing) + half + 1)
    rows = latitude[first:last, None]
    east = longitude_difference(index * spacing, lon)[None] * KM_PER_DEGREE * np.cos(np.radians(rows))
    return Patch(slice(first, last), index % columns, east, (rows - lat) * KM_PER_DEGREE + 0 * east)


def bump(patch: Patch, radius_km: float, axis_ratio: float = 1.0, tilt: float = 0.0) -> np.ndarray:
    """Return a Gaussian exp(-r^2 / 2 radius^2) on the patch, stretched along `tilt` at constant area."""
    along = (patch.east_km * np.cos(tilt) + patch.north_km * np.sin(tilt)) / np.sqrt(axis_ratio)
    across = (-patch.east_km * np.sin(tilt) + patch.north_km * np.cos(tilt)) * np.sqrt(axis_ratio)
    return np.exp(-(along**2 + across**2) / (2 * radius_km**2))


def find_centre(
    vorticity: np.ndarray, latitude: np.ndarray, lat: float, lon: float, sign: float
) -> tuple[float, float, float]:
    """Return (lat, lon, vorticity s-1) of the cyclonic centre near a first guess.

    The maximum of cyclonic vorticity under a Gaussian leash, then the centroid of what exceeds 0.4 of it nearby.
    """
    patch = patch_around(latitude, vorticity.shape[1], lat, lon, 650)
    cyclonic = sign * vorticity[patch.rows][:, patch.columns]
    leashed = cyclonic * bump(patch, 320)
    peak = np.unravel_index(int(np.argmax(leashed)), leashed.shape)
    strength = float(cyclonic[peak])
    east, north = patch.east_km[peak], patch.north_km[peak]
    near = (patch.east_km - east) ** 2 + (patch.north_km - north) ** 2 < 330**2
    weight = np.where(near, np.clip(cyclonic - 0.4 * strength, 0, None), 0)
    if strength <= 0 or weight.sum() <= 0:
        return lat, lon, strength
    north, east = (
        float((weight * patch.north_km).sum() / weight.sum()),
        float((weight * patch.east_km).sum() / weight.sum()),
    )
    found_lat = lat + north / KM_PER_DEGREE
    return found_lat, (lon + east / KM_PER_DEGREE / np.cos(np.radians(found_lat))) % 360, strength


def measure_wind(wind: np.ndarray, latitude: np.ndarray, lat: float, lon: float) -> float:
    """Return the strongest mean wind speed of the cyclone itself, m s-1, in rings of 90 km out to 720 km.

    Ring means of the cyclonic (tangential) wind, so that the steering flow does not count.
    """
    patch = patch_around(latitude, wind.shape[-1], lat, lon, 760)
    eastward, northward = wind[:, patch.rows][:, :, patch.columns]
    radius = np.hypot(patch.east_km, patch.north_km) + 1e-6
    tangential = np.sign(lat) * (northward * patch.east_km - eastward * patch.north_km) / radius
    ring = np.minimum((radius / 90).astype(int), 8).ravel()
    count = np.bincount(ring, minlength=9)[:8]
    total = np.bincount(ring, tangential.ravel(), minlength=9)[:8]
    return float(np.max(np.where(count > 2, total / np.maximum(count, 1), 0)))


def guess_next(cyclone: Cyclone) -> tuple[float, float]:
    """Return where the cyclone should be an hour on, from its motion over the last six hours."""
    if len(cyclone.track) < 7:
        return cyclone.latitude, cyclone.longitude
    _, lat, lon, *_ = cyclone.track[-7]
    east, north = displacement_km(lat, lon, cyclone.latitude, cyclone.longitude)
    next_lat, next_lon = displaced(cyclone.latitude, cyclone.longitude, east / 6, north / 6)
    return float(next_lat), float(next_lon)


def steer_heating(cyclone: Cyclone) -> float:
    """Return the heating (m2 s-3) that brings the wind towards the planned one, changed by a third at most an hour."""
    wanted = 0.012 * (cyclone.planned_wind() - cyclone.wind) + 0.0022 * cyclone.planned_wind()
    wanted = float(np.clip(wanted, 0, STRONGEST_HEATING))
    return cyclone.heating + (wanted - cyclone.heating) / 3
