"""Ozone of a simulated season: made in sunlit, calm air over emission regions, carried by the wind, seen at stations.

In the layer of air near the ground, with ozone c (ppb), background b, emissions e, sunlight s and stagnation a,

    dc/dt + V . grad c = (b - c) / exchange_time - c / deposition_time + production e s a (1 - c / ceiling) .

Stagnation a = 1 / (1 + (|W| / calm_wind)^2) x 2 / (1 + exp(-g / high)) is large in calm air under a high: g is the
departure of the geopotential from its mean along the latitude, W the wind near the ground, which lacks most of the
jet's: of the mean eastward wind along the latitude only the share `jet_at_ground`. Sunlight is the cosine of the sun's
zenith angle at the local solar time. A station sees this air after what happens at the station: see `station_series`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from toolkit.data.world.climate import DAY, HOUR
from toolkit.data.world.season import HOURS_BETWEEN_FRAMES, Plan, Season
from toolkit.data.world.stations import EmissionRegions, emission_regions, stations_of
from toolkit.data.world.tracer import CoarseFields, advected, at_places, coarse_fields, departure

HOURS_BETWEEN_STEPS = 3
SPIN_UP_DAYS = 6
"""Length of the weather that the tracer goes through once before the season begins, to forget how it was started."""
MOST_MISSING_HOURS_IN_A_ROW = 72


@dataclass(frozen=True)
class Chemistry:
    """Rates of the ozone budget: times in s, winds in m s-1, geopotential in m2 s-2, production in ppb s-1.

    Of the order that is observed: some 5 ppb an hour at noon in polluted calm air, days until the air is exchanged,
    deposition at 2 mm s-1 from a layer of 1.5 km. `jet_at_ground` is a share, `ceiling` is in ppb.
    """

    exchange_time: float = 5 * DAY
    deposition_time: float = 10 * DAY
    production: float = 9.0 / HOUR
    ceiling: float = 160.0
    calm_wind: float = 7.0
    jet_at_ground: float = 0.35
    high: float = 400.0


def station_series(season: Season, plan: Plan, seed: int, start: np.datetime64) -> pd.DataFrame:
    """Return the hourly ozone of every station in a season: `station`, `time` (UTC), `o3_ppb`, station by station.

    `start` is the time of the first frame. What is not measured is NaN, about 6 % of the hours, in outages.

    The station sees the air of `regional_ozone`, mixed with the background according to its altitude; at night a
    shallow layer loses ozone to the ground, at low places most; nitric oxide takes a share (titration), most where
    much is emitted and little is mixed; by day a little is made on the spot. To this comes a red noise that is
    stronger in cities, a measuring error of 0.7 ppb, and a floor at 0.
    """
    rng = np.random.default_rng([seed, season.year, 2])
    stations, regions = stations_of(seed), emission_regions(seed)
    flow = coarse_fields(season, plan)
    hours = np.arange((len(flow.wind) - 1) * HOURS_BETWEEN_FRAMES + 1)
    places = stations.latitude.to_numpy(), stations.longitude.to_numpy()
    air = _hourly(at_places(regional_ozone(flow, regions, start), *places), HOURS_BETWEEN_STEPS)
    stagnant = _hourly(at_places(_stagnation(flow, Chemistry()), *places), HOURS_BETWEEN_FRAMES)
    true = _at_stations(air, stagnant, stations, hours, start)
    seen = true + _noise(rng, true.shape, stations.nox_emissions.to_numpy())
    seen[_outages(rng, true.shape)] = np.nan
    return pd.DataFrame(
        {
            "station": np.repeat(stations.station.to_numpy(), len(hours)),
            "time": np.tile(start.astype("datetime64[s]") + hours.astype("timedelta64[h]"), len(stations)),
            "o3_ppb": np.maximum(seen, 0).T.ravel().round(1),
        }
    )


def regional_ozone(flow: CoarseFields, regions: EmissionRegions, start: np.datetime64) -> np.ndarray:
    """Return the ozone of the lowest layer, ppb, every 3 hours on the coarse grid: (time, lat, lon) float32."""
    chemistry = Chemistry()
    latitude, longitude = flow.latitude[:, None], flow.longitude[None]
    emissions = regions.at(latitude, longitude)
    clean = background(latitude) + 0 * longitude
    loss = 1 / chemistry.exchange_time + 1 / chemistry.deposition_time
    stagnant = _stagnation(flow, chemistry)
    ozone = clean / chemistry.exchange_time / loss
    steps = HOURS_BETWEEN_FRAMES // HOURS_BETWEEN_STEPS
    spin_up = min(SPIN_UP_DAYS * 24 // HOURS_BETWEEN_FRAMES, len(flow.wind) - 1)
    history = []
    for interval in [*range(spin_up), *range(len(flow.wind) - 1)]:
        came_from = departure(flow.wind[interval : interval + 2].mean(0), HOURS_BETWEEN_STEPS * HOUR)
        made = chemistry.production * emissions * stagnant[interval : interval + 2].mean(0)
        for step in range(steps):
            history.append(ozone)
            hour = interval * HOURS_BETWEEN_FRAMES + (step + 0.5) * HOURS_BETWEEN_STEPS
            production = made * sunlight(latitude, longitude, start, hour)
            rate = loss + production / chemistry.ceiling
            balance = (clean / chemistry.exchange_time + production) / rate
            ozone = balance + (advected(ozone, came_from) - balance) * np.exp(-rate * HOURS_BETWEEN_STEPS * HOUR)
    return np.stack([*history[spin_up * steps :], ozone]).astype(np.float32)


def background(latitude: np.ndarray) -> np.ndarray:
    """Return the ozone of the free troposphere, ppb: 34 at the equator, 65 and 59 at the north and the south pole."""
    sine = np.sin(np.radians(latitude))
    return 34 + 28 * sine**2 + 3 * sine


def sunlight(latitude: np.ndarray, longitude: np.ndarray, start: np.datetime64, hour: np.ndarray | float) -> np.ndarray:
    """Return the cosine of the sun's zenith angle, 0 at night, `hour` hours after `start` (UTC)."""
    first_day = (start - start.astype("datetime64[Y]")) / np.timedelta64(1, "D")
    declination = np.radians(23.44) * np.sin(2 * np.pi * (first_day + np.asarray(hour) / 24 - 80) / 365.25)
    hour_angle = 2 * np.pi * (first_day + np.asarray(hour) / 24 + longitude / 360) - np.pi
    phi = np.radians(latitude)
    return np.maximum(np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(hour_angle), 0)


def _stagnation(flow: CoarseFields, chemistry: Chemistry) -> np.ndarray:
    jet = flow.wind[:, 0].mean(-1, keepdims=True)
    speed = np.hypot(flow.wind[:, 0] - (1 - chemistry.jet_at_ground) * jet, flow.wind[:, 1])
    high = flow.geopotential - flow.geopotential.mean(-1, keepdims=True)
    return 2 / (1 + (speed / chemistry.calm_wind) ** 2) / (1 + np.exp(-high / chemistry.high))


def _hourly(values: np.ndarray, hours_between: int) -> np.ndarray:
    """Interpolate (time, station) linearly to every hour."""
    hour = np.arange((len(values) - 1) * hours_between + 1) / hours_between
    before = np.minimum(hour.astype(int), len(values) - 2)
    share = (hour - before)[:, None]
    return values[before] * (1 - share) + values[before + 1] * share


def _at_stations(
    air: np.ndarray, stagnant: np.ndarray, stations: pd.DataFrame, hours: np.ndarray, start: np.datetime64
) -> np.ndarray:
    """Return the ozone (hour, station) that a perfect instrument would see."""
    latitude, longitude, altitude, nox = (
        stations[name].to_numpy() for name in ("latitude", "longitude", "altitude_m", "nox_emissions")
    )
    aloft = 1 - np.exp(-altitude / 2000)
    air = air + (background(latitude) - air) * aloft
    mixing = sunlight(latitude, longitude, start, hours[:, None] - 2.0)  # the layer is deepest two hours after noon
    lost_at_night = 0.5 * np.exp(-altitude / 500) * (1 - mixing) ** 2
    titrated = nox / (nox + 15) * (0.25 + 0.4 * (1 - mixing) * (0.5 + 0.5 * np.minimum(stagnant, 1)))
    made_here = 6 * nox / (nox + 3) * stagnant * mixing
    return (air * (1 - lost_at_night) + made_here) * (1 - titrated)


def _noise(rng: np.random.Generator, shape: tuple[int, int], nox: np.ndarray) -> np.ndarray:
    """Return red noise with a memory of 4 hours, 2 ppb and up to 3 more where much is emitted, plus white 0.7 ppb."""
    memory = np.exp(-1 / 4)
    shocks = rng.standard_normal(shape) * (1 - memory**2) ** 0.5
    red = lfilter([1.0], [1.0, -memory], shocks, axis=0)
    return red * (2 + 3 * nox / (nox + 10)) + 0.7 * rng.standard_normal(shape)


def _outages(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return where (hour, station) nothing is measured: outages of 12 hours in the mean, one begins in 190 hours."""
    missing = np.zeros(shape, dtype=bool)
    for hour, station in np.argwhere(rng.random(shape) < 1 / 190):
        length = min(int(rng.geometric(1 / 12)), MOST_MISSING_HOURS_IN_A_ROW)
        missing[hour : hour + length, station] = True
    return missing
