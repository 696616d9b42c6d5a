"""Laws of the simulated ozone, in the air and at the stations."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.data.world.observe import regular_axes
from toolkit.data.world.ozone import background, regional_ozone, station_series, sunlight
from toolkit.data.world.season import Plan, Season
from toolkit.data.world.stations import STATIONS, EmissionRegions, emission_regions, stations_of
from toolkit.data.world.tracer import CoarseFields

START = np.datetime64("2001-08-01T00", "s")
LATITUDE, LONGITUDE = regular_axes(65)
ONE_REGION = EmissionRegions(np.array([45.0]), np.array([0.0]), np.array([500.0]), np.array([1.0]))
NOWHERE = replace(ONE_REGION, strength=np.array([0.0]))
ROW = int(np.abs(LATITUDE - 45).argmin())
PLAN = Plan(days=5, truncation=15)


def flow(westerly: float = 0.0, geopotential: float = 0.0, days: int = 6) -> CoarseFields:
    """A steady flow: a rigid westerly rotation (m s-1 at the equator) and a high or low in the west of the globe."""
    wind = np.zeros((4 * days + 1, 2, 65, 128), dtype=np.float32)
    wind[:, 0] = westerly * np.cos(np.radians(LATITUDE))[:, None]
    high = geopotential * np.cos(np.radians(LONGITUDE)) * np.ones((4 * days + 1, 65, 1))
    return CoarseFields(LATITUDE, LONGITUDE, high, wind)


def season(year: int = 2001) -> Season:
    """A short season of random large-scale flow."""
    generator = torch.Generator().manual_seed(year)
    scale = torch.tensor([2e-5, 0, 300.0])[:, None, None]
    state = torch.randn(3, 16, 16, dtype=torch.complex64, generator=generator) / 4 * scale
    state = torch.tril(state)
    state[:, 0, 0] = 0
    return Season(year, state.expand(4 * PLAN.days + 1, 3, 16, 16).clone(), ())


def test_clean_air_at_rest_keeps_its_balance() -> None:
    """Without wind and emissions the ozone stays two thirds of the background: 5 days of exchange, 10 of deposition."""
    ozone = regional_ozone(flow(), NOWHERE, START)
    assert ozone.shape == (6 * 8 + 1, 65, 128)
    np.testing.assert_allclose(ozone[-1], background(LATITUDE)[:, None] * 2 / 3 + 0 * LONGITUDE, rtol=1e-5)


def test_zonal_wind_keeps_clean_air_zonal() -> None:
    """A background that depends on latitude alone is not changed by a wind along the latitude."""
    ozone = regional_ozone(flow(westerly=20), NOWHERE, START)
    np.testing.assert_allclose(ozone[-1], ozone[0], rtol=2e-3)


def test_more_ozone_in_calm_air_than_in_wind() -> None:
    """Over the same emissions, calm air gathers more ozone than a wind of 15 m s-1."""
    calm, windy = (regional_ozone(flow(westerly), ONE_REGION, START)[-8:, ROW, 0].mean() for westerly in (0, 20))
    clean = regional_ozone(flow(), NOWHERE, START)[-1, ROW, 0]
    assert calm > windy + 10
    assert windy > clean + 1


def test_more_ozone_under_a_high_than_under_a_low() -> None:
    """At equal wind a positive departure of the geopotential makes more ozone than a negative one."""
    high, low = (regional_ozone(flow(10, sign * 600), ONE_REGION, START)[-8:, ROW, 0].mean() for sign in (1, -1))
    assert high > low + 5


def test_the_plume_is_downwind() -> None:
    """In a westerly, the air 1500 km east of the emissions holds more ozone than the air as far to their west."""
    ozone = regional_ozone(flow(westerly=12), ONE_REGION, START)[-8:, ROW].mean(0)
    assert ozone[7] > ozone[-7] + 5


def test_ozone_is_made_by_day() -> None:
    """Over the emissions the ozone rises between 6 and 18 local solar time and falls at night."""
    ozone = regional_ozone(flow(), ONE_REGION, START)[-17:, ROW, 0]  # longitude 0: the local time is UTC
    assert ozone[6] > ozone[2] + 3
    assert ozone[10] < ozone[6]


def test_ozone_is_positive_and_below_the_ceiling() -> None:
    """Even a monstrous emission in dead calm air neither undershoots 0 nor passes 160 ppb."""
    ozone = regional_ozone(flow(geopotential=2000), replace(ONE_REGION, strength=np.array([50.0])), START)
    assert ozone.min() > 0
    assert 100 < ozone.max() <= 160


def test_the_sun_follows_date_and_local_time() -> None:
    """The sun is overhead at noon on the northern tropic in June, 12 hours later it is night; polar night in June."""
    june = np.datetime64("2001-06-21T00", "s")
    assert sunlight(np.array(23.4), np.array(0.0), june, 12) == pytest.approx(1, abs=1e-3)
    assert sunlight(np.array(23.4), np.array(180.0), june, 0) == pytest.approx(1, abs=1e-3)
    assert sunlight(np.array(23.4), np.array(0.0), june, 24) == 0
    assert sunlight(np.array(-80.0), np.array(0.0), june, np.arange(24)).max() == 0


@pytest.mark.slow
def test_series_are_hourly_and_follow_from_seed_and_year() -> None:
    """Every station has every hour once; the same seed and year give the same numbers, another seed others."""
    series = station_series(season(), PLAN, 1, START)
    assert list(series.columns) == ["station", "time", "o3_ppb"]
    assert len(series) == STATIONS * (PLAN.days * 24 + 1)
    assert not series.duplicated(["station", "time"]).any()
    assert series.time.min() == pd.Timestamp(START)
    assert (series.time.drop_duplicates().diff().dropna() == pd.Timedelta(hours=1)).all()
    pd.testing.assert_frame_equal(series, station_series(season(), PLAN, 1, START))
    assert not series.o3_ppb.equals(station_series(season(), PLAN, 2, START).o3_ppb)
    other_year = station_series(replace(season(), year=2002), PLAN, 1, START)
    assert not series.o3_ppb.equals(other_year.o3_ppb)
    assert list(other_year.station) == list(series.station)


def test_values_are_plausible_and_some_are_missing() -> None:
    """Ozone is between 0 and the ceiling and noise; a few per cent of the hours are missing, in runs of hours."""
    series = station_series(season(), PLAN, 1, START)
    assert series.o3_ppb.min() >= 0
    assert series.o3_ppb.max() < 200
    missing = series.o3_ppb.isna()
    assert 0.03 < missing.mean() < 0.1
    begins = missing & ~missing.groupby(series.station).shift(1, fill_value=False)
    assert missing.sum() / begins.sum() > 5


def test_days_exceed_nights_most_in_low_cities() -> None:
    """The mean daily range is large in cities and small on mountains."""
    series = station_series(season(), PLAN, 1, START).merge(stations_of(1), on="station")
    hour = (series.time.dt.hour + series.longitude / 15) % 24
    day, night = series[hour.between(12, 17)], series[(hour < 5)]
    span = day.groupby("station").o3_ppb.mean() - night.groupby("station").o3_ppb.mean()
    stations = stations_of(1).set_index("station")
    assert span[stations.type_of_area == "urban"].mean() > 1.5 * span[stations.altitude_m > 800].mean()
    assert span.mean() > 5


def test_stations_near_emissions_see_more_ozone_by_day() -> None:
    """Among stations of the same hemisphere, afternoons are richer in ozone where more is emitted around."""
    stations = stations_of(1)
    series = station_series(season(), PLAN, 1, START).merge(stations, on="station")
    hour = (series.time.dt.hour + series.longitude / 15) % 24
    afternoon = series[hour.between(12, 17)].groupby("station").o3_ppb.mean().to_numpy()
    emitted = emission_regions(1).at(stations.latitude.to_numpy(), stations.longitude.to_numpy())
    north = (stations.latitude > 10).to_numpy()
    assert np.corrcoef(afternoon[north], emitted[north])[0, 1] > 0.3
