"""Laws of the simulated network of stations."""

import numpy as np
import pandas as pd

from toolkit.data.world.stations import AREA_TYPES, STATIONS, EmissionRegions, emission_regions, stations_of


def test_stations_follow_from_the_seed() -> None:
    """The same seed gives the same network; another gives another."""
    pd.testing.assert_frame_equal(stations_of(3), stations_of(3))
    assert not stations_of(3).latitude.equals(stations_of(4).latitude)


def test_every_station_is_described() -> None:
    """Names are unique, all area types are there, numbers are in their range and none is missing."""
    for seed in range(5):
        stations = stations_of(seed)
        assert stations.station.nunique() == STATIONS
        assert set(stations.type_of_area) == set(AREA_TYPES)
        assert stations.longitude.between(-180, 180).all()
        assert stations.latitude.between(-75, 75).all()
        assert (stations[["altitude_m", "population_density", "nox_emissions"]] >= 0).all(axis=None)
        assert stations.notna().all(axis=None)


def test_cities_are_crowded_low_and_dirty() -> None:
    """Pooled over worlds, the medians are ordered as in AQ-Bench."""
    pooled = pd.concat([stations_of(seed) for seed in range(8)])
    median = pooled.groupby("type_of_area")[["altitude_m", "population_density", "nox_emissions"]].median()
    assert median.population_density["rural"] < median.population_density["suburban"]
    assert median.population_density["suburban"] < median.population_density["urban"]
    assert median.nox_emissions["rural"] < median.nox_emissions["suburban"] < median.nox_emissions["urban"]
    assert median.altitude_m["rural"] > median.altitude_m["urban"]


def test_most_stations_are_near_emissions() -> None:
    """The typical station sees far more emissions than the typical place of its latitudes."""
    regions, stations = emission_regions(1), stations_of(1)
    at_stations = regions.at(stations.latitude.to_numpy(), stations.longitude.to_numpy())
    anywhere = regions.at(np.linspace(-50, 60, 12)[:, None], np.linspace(0, 350, 36))
    assert np.median(at_stations) > 3 * np.median(anywhere)


def test_emissions_fall_with_distance_round_the_globe() -> None:
    """One region emits its strength at its centre, the e-th root less one radius away, the same on both sides of 0."""
    region = EmissionRegions(np.array([0.0]), np.array([0.0]), np.array([6371 * np.radians(5)]), np.array([2.0]))
    emitted = region.at(np.zeros(4), np.array([0.0, 5.0, 355.0, -5.0]))
    np.testing.assert_allclose(emitted, 2 * np.exp([0, -0.5, -0.5, -0.5]))
