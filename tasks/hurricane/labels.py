"""Labels of the hurricane task: the fixes of a best track, each with the place of the same storm 24 h later."""

from pathlib import Path

import pandas as pd

from toolkit.data.best_track import read_best_track
from toolkit.errors import UserError

TROPICAL = ("TD", "TS", "HU", "SD", "SS", "TY", "ST", "TC")
"""Statuses that count as a tropical or subtropical cyclone: not lows, waves, disturbances, extratropical stages."""
LEAD = pd.Timedelta(hours=24)


def labels(path: Path) -> pd.DataFrame:
    """Return one row per fix of a tropical cyclone.

    Columns: time, latitude, longitude (degrees), group (the storm's identifier), wind_kt, and latitude_24h,
    longitude_24h (degrees; NaN where the storm is not in the best track 24 h later, in whatever status).

    `path` is a best track, or a folder with hurdat2.txt. Fixes off the synoptic hours (00, 06, 12, 18 UTC) are left
    out: no analysis is as near. Raises `UserError` where the file is missing or holds no such fix.
    """
    file = path / "hurdat2.txt" if path.is_dir() else path
    fixes = read_best_track(file).fixes
    synoptic = (fixes["time"].dt.hour % 6 == 0) & (fixes["time"].dt.minute == 0)
    fixes = fixes.loc[synoptic, ["storm", "time", "status", "latitude", "longitude", "wind_kt"]]
    later = fixes[["storm", "time", "latitude", "longitude"]].assign(time=fixes["time"] - LEAD)
    table = fixes.merge(later, on=["storm", "time"], how="left", suffixes=("", "_24h"))
    table = table[table["status"].isin(TROPICAL) & table["wind_kt"].notna()].rename(columns={"storm": "group"})
    if table.empty:
        raise UserError(f"{file} holds no fix of a tropical cyclone at a synoptic hour.")
    columns = ["time", "latitude", "longitude", "group", "wind_kt", "latitude_24h", "longitude_24h"]
    return table[columns].sort_values(["time", "group"], ignore_index=True)
