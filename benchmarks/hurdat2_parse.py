"""Time the best-track reader against plain pandas.read_csv of the same 57,600 lines, in one run.

Run from the repository root: python benchmarks/hurdat2_parse.py
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from toolkit.data.best_track import read_best_track, write_best_track

STORMS, FIXES_PER_STORM = 1920, 29  # with one header each: 57,600 lines
REPEATS = 7


def simulated_fixes(seed: int = 0) -> pd.DataFrame:
    """Return storms that wander west and north, with winds, pressures and radii of the size NHC gives."""
    rng = np.random.default_rng(seed)
    shape = (STORMS, FIXES_PER_STORM)
    hours = 6 * np.arange(FIXES_PER_STORM)
    storm = np.arange(STORMS)
    start = np.datetime64("1950-06-01T00", "h") + (storm // 20 * 8766 + storm % 20 * 200)
    wind = np.round(np.clip(30 + np.cumsum(rng.normal(1, 6, shape), axis=1), 15, 160) / 5) * 5
    columns = {
        "storm": np.repeat([f"AL{k % 20 + 1:02d}{1950 + k // 20}" for k in storm], FIXES_PER_STORM),
        "name": np.repeat([f"STORM {k}" for k in storm], FIXES_PER_STORM),
        "time": (start[:, None] + hours).ravel().astype("M8[ns]"),
        "record": rng.choice(["", "L"], p=[0.96, 0.04], size=shape).ravel(),
        "status": np.where(wind >= 64, "HU", np.where(wind >= 34, "TS", "TD")).ravel(),
        "latitude": (rng.uniform(10, 20, (STORMS, 1)) + np.cumsum(rng.uniform(0, 1, shape), axis=1)).ravel(),
        "longitude": (rng.uniform(-60, -20, (STORMS, 1)) - np.cumsum(rng.uniform(0, 2, shape), axis=1)).ravel(),
        "wind_kt": wind.ravel(),
        "pressure_hpa": (1010 - 0.6 * wind).ravel(),
    }
    for speed in (34, 50, 64):
        for quadrant in ("ne", "se", "sw", "nw"):
            reach = np.where(wind >= speed, np.round(rng.uniform(10, 60, shape)) * 5, 0.0)
            columns[f"radius_{speed}kt_{quadrant}_nmi"] = np.where(storm[:, None] < 1000, np.nan, reach).ravel()
    return pd.DataFrame(columns)


def read_with_pandas(path: Path) -> pd.DataFrame:
    """Read the bare lines, headers among them, with nothing checked and nothing converted but the numbers."""
    return pd.read_csv(path, header=None, names=range(21), low_memory=False)


def median_seconds(read: Callable[[Path], object], path: Path) -> float:
    """Return the median time of a call, seconds; one call before the first is not counted."""
    read(path)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        read(path)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Print both medians and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hurdat2.txt"
        write_best_track(path, simulated_fixes())
        lines = path.read_bytes().count(b"\n")
        pandas_s, ours_s = median_seconds(read_with_pandas, path), median_seconds(read_best_track, path)
    print(f"{lines} lines, median of {REPEATS}")
    print(f"pandas.read_csv  {pandas_s:.3f} s")
    print(f"read_best_track  {ours_s:.3f} s")
    print(f"ratio            {ours_s / pandas_s:.2f}")


if __name__ == "__main__":
    main()
