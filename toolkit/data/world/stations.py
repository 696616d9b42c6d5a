"""Where ozone is made and where it is measured: emission regions and the stations of a simulated network."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from toolkit.geodesy import displaced, distance_km

STATIONS, STATIONS_NEAR_EMISSIONS = 60, 45
AREA_TYPES = ("rural", "suburban", "urban")
"""`type_of_area` as TOAR and AQ-Bench name it."""
MEDIAN_ALTITUDE_M = (290.0, 34.0, 50.0)
MEDIAN_POPULATION_DENSITY = (830.0, 10_700.0, 20_600.0)
MEDIAN_NOX = (1.1, 6.0, 10.5)
"""Medians by area type in AQ-Bench (Betancourt et al. 2021, doi:10.5194/essd-13-3013-2021), in its own units."""


@dataclass(frozen=True)
class EmissionRegions:
    """Industrial regions, each array (region,): centre in degrees, radius in km, strength with 1 as the usual one."""

    latitude: np.ndarray
    longitude: np.ndarray
    radius_km: np.ndarray
    strength: np.ndarray

    def at(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Return the emissions at places of any shape, relative to the centre of a usual region."""
        total = np.zeros(np.broadcast(latitude, longitude).shape)
        for lat, lon, radius, strength in zip(
            self.latitude, self.longitude, self.radius_km, self.strength, strict=True
        ):
            total += strength * np.exp(-0.5 * (distance_km(latitude, longitude, lat, lon) / radius) ** 2)
        return total


def emission_regions(seed: int) -> EmissionRegions:
    """Return the emission regions of a world: ten in the north, four in the south, the same every year."""
    rng = np.random.default_rng([seed, 0, 2])
    north, south = rng.uniform(18, 50, 10), rng.uniform(-42, -14, 4)
    apart = np.concatenate([np.arange(10) * 36.0, np.arange(4) * 90.0])
    return EmissionRegions(
        latitude=np.concatenate([north, south]),
        longitude=(apart + rng.uniform(0, 360) + rng.uniform(-14, 14, 14)) % 360,
        radius_km=rng.uniform(400, 900, 14),
        strength=np.exp(0.35 * rng.standard_normal(14)),
    )


def stations_of(seed: int) -> pd.DataFrame:
    """Return the stations of a world, the same every year, one row each.

    Columns: `station`; `latitude`, `longitude` (degrees, -180 to 180); `altitude_m`; `type_of_area` (rural, suburban,
    urban); `population_density` and `nox_emissions`, on the scale of the columns of AQ-Bench. Three in four stations
    lie near an emission region, as real networks do; the others lie anywhere between 55 S and 70 N.
    """
    rng = np.random.default_rng([seed, 0, 3])
    regions = emission_regions(seed)
    near = rng.choice(len(regions.strength), STATIONS_NEAR_EMISSIONS, p=regions.strength / regions.strength.sum())
    east, north = 0.9 * regions.radius_km[near] * rng.standard_normal((2, STATIONS_NEAR_EMISSIONS))
    close_lat, close_lon = displaced(regions.latitude[near], regions.longitude[near], east, north)
    others = STATIONS - STATIONS_NEAR_EMISSIONS
    far_lat = np.degrees(np.arcsin(rng.uniform(np.sin(np.radians(-55)), np.sin(np.radians(70)), others)))
    latitude = np.concatenate([close_lat, far_lat])
    longitude = np.concatenate([close_lon, rng.uniform(0, 360, others)])
    emissions = regions.at(latitude, longitude)
    kind = _area_types(emissions, rng)
    spread = np.exp(rng.standard_normal((3, STATIONS)) * np.array([[1.1], [1.0], [0.8]]))
    crowding = spread[1] ** 0.5 * (0.5 + 0.5 * emissions)
    return pd.DataFrame(
        {
            "station": [f"ST{number:03d}" for number in range(1, STATIONS + 1)],
            "latitude": latitude.round(4),
            "longitude": ((longitude + 180) % 360 - 180).round(4),
            "altitude_m": np.minimum(np.array(MEDIAN_ALTITUDE_M)[kind] * spread[0], 3600).round(),
            "type_of_area": np.array(AREA_TYPES)[kind],
            "population_density": (np.array(MEDIAN_POPULATION_DENSITY)[kind] * spread[1]).round(),
            "nox_emissions": (np.array(MEDIAN_NOX)[kind] * spread[2] * crowding).round(3),
        }
    )


def _area_types(emissions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw rural (0), suburban (1) or urban (2), the denser the more is emitted around."""
    weights = np.stack([np.ones_like(emissions), 0.3 + emissions, 0.1 + 1.2 * emissions])
    edges = np.cumsum(weights / weights.sum(0), axis=0)
    return (rng.random(len(emissions)) > edges[:2]).sum(0)
