"""The best track of a simulated season: what a hurricane centre would have written down of its cyclones."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from toolkit.data.world.season import HOURS_BETWEEN_FRAMES, Season, season_start

KT_PER_M_S = 1.943844
GUST_FACTOR = 1.3
"""Strongest one-minute wind over the strongest ring mean: the grid cannot hold the eyewall."""
ENVIRONMENT_HPA, AIR_DENSITY = 1012.0, 1.15
FIRST_WIND_KT = 20
EXTRATROPICAL_LATITUDE = 35.0
BASINS = {  # code by longitude east of its western edge; the codes are those of ATCF
    "north": ((30, "IO"), (100, "WP"), (180, "CP"), (220, "EP"), (262, "AL")),
    "south": ((0, "SH"),),
}


def best_track_of(seasons: Sequence[Season]) -> pd.DataFrame:
    """Return the fixes of every cyclone, 6-hourly, in the columns of `toolkit.data.best_track`.

    A storm enters when its wind first reaches 20 kt, if it lives for two fixes. Its wind is rounded to 5 kt, its place
    to 0.1 degree.
    """
    tables = []
    for season in seasons:
        start = season_start(season.year).astype("datetime64[s]")
        numbers: dict[str, int] = {}
        for cyclone in sorted(season.cyclones, key=lambda cyclone: cyclone.track[0][0] if cyclone.track else 0):
            fixes = _fixes(cyclone.track, start)
            if len(fixes) < 2:
                continue
            basin = _basin(fixes.latitude.iloc[0], fixes.longitude.iloc[0])
            numbers[basin] = numbers.get(basin, 0) + 1
            tables.append(fixes.assign(storm=f"{basin}{numbers[basin]:02d}{season.year}"))
    none = _fixes((), np.datetime64(0, "s"))
    return pd.concat(tables or [none], ignore_index=True).sort_values(["storm", "time"], ignore_index=True)


def _fixes(track: Sequence[tuple[float, ...]], start: np.datetime64) -> pd.DataFrame:
    """Return the fixes of one track from the time that its wind reaches 20 kt, its identifier still empty."""
    seen = [entry for entry in track if entry[0] >= 0 and entry[0] % HOURS_BETWEEN_FRAMES == 0]
    hour, latitude, longitude, wind, depth, heating = np.array(seen).reshape(-1, 6).T
    wind_kt = 5 * np.rint(wind * KT_PER_M_S * GUST_FACTOR / 5)
    reached = np.maximum.accumulate(wind_kt) >= FIRST_WIND_KT
    fixes = pd.DataFrame(
        {
            "storm": "",
            "name": "UNNAMED",
            "time": (start + hour.astype("timedelta64[h]")).astype("datetime64[s]"),
            "record": "",
            "status": _status(wind_kt, latitude, heating),
            "latitude": latitude.round(1),
            "longitude": ((longitude + 180) % 360 - 180).round(1),
            "wind_kt": np.maximum(wind_kt, 10),
            "pressure_hpa": np.rint(ENVIRONMENT_HPA + AIR_DENSITY * np.minimum(depth, 0) / 100),
        }
    )
    return fixes[reached]


def _status(wind_kt: np.ndarray, latitude: np.ndarray, heating: np.ndarray) -> np.ndarray:
    """Return TD, TS or HU by wind; once the heating has ceased EX poleward of 35 degrees, LO for a weak one."""
    status = np.select([wind_kt >= 64, wind_kt >= 34], ["HU", "TS"], "TD").astype("<U2")
    ceased = heating < 0.004
    status[ceased & (wind_kt < 34)] = "LO"
    status[ceased & (np.abs(latitude) > EXTRATROPICAL_LATITUDE)] = "EX"
    return status


def _basin(latitude: float, longitude: float) -> str:
    edges = BASINS["north" if latitude >= 0 else "south"]
    east = longitude % 360
    return [code for edge, code in edges if east >= edge][-1] if east >= edges[0][0] else edges[-1][1]
