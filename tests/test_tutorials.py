"""The tutorials in docs/: their blocks of code run in order, in one folder, as a reader would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHORT = {"TOOLKIT_LIMIT_BATCHES": "4", "TOOLKIT_BATCH_SIZE": "8", "TOOLKIT_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""What makes trainings short, without a word about it in the text."""


def _write_era5(path: Path) -> xr.Dataset:
    """Write four years of a week, six-hourly, of smooth vorticity and divergence in the layout of the data store."""
    rng = np.random.default_rng(0)
    time = np.concatenate(
        [np.datetime64(f"{year}-08-01", "ns") + np.arange(28) * np.timedelta64(6, "h") for year in range(2001, 2005)]
    )
    latitude, longitude = np.linspace(90, -90, 49), np.arange(96) * 3.75
    along, up, steps = np.meshgrid(np.radians(longitude), np.radians(latitude), np.arange(len(time)), indexing="ij")
    fields = {}
    for name, size in (("vo", 2e-5), ("d", 1e-5)):
        waves = [
            rng.normal() * np.cos(m * along - rng.uniform(0.02, 0.1) * steps + rng.uniform(0, 7)) * np.cos(up) ** 2
            for m in range(1, 7)
        ]
        values = size * np.sum(waves, 0).T.astype(np.float32)
        dimensions = ("valid_time", "pressure_level", "latitude", "longitude")
        fields[name] = (dimensions, values[:, None], {"units": "s**-1"})
    coordinates = {"valid_time": time, "latitude": latitude, "longitude": longitude}
    coordinates["pressure_level"] = ("pressure_level", [850.0], {"units": "hPa"})
    era5 = xr.Dataset(fields, coordinates)
    era5.to_netcdf(path)
    return era5


def _write_rain(path: Path, era5: xr.Dataset) -> None:
    """Write daily rain at twelve stations that goes with the convergence there."""
    rng = np.random.default_rng(1)
    places = pd.DataFrame({"latitude": rng.uniform(-50, 60, 12), "longitude": rng.uniform(0, 360, 12)}).round(2)
    places.index = pd.Index([f"station {k}" for k in range(12)], name="station")
    midnight = era5.isel(pressure_level=0, valid_time=slice(None, None, 4))
    here = midnight.sel(dict(places.to_xarray()), method="nearest")["d"].to_series().rename("d").reset_index()
    rain = here[["valid_time", "station"]].rename(columns={"valid_time": "time"}).join(places, on="station")
    rain["value"] = (2 - 2e5 * here["d"]).clip(lower=0).round(1)
    rain[["time", "latitude", "longitude", "station", "value"]].to_csv(path, index=False)


def _run(language: str, code: str, folder: Path, environment: dict[str, str]) -> str:
    command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_tutorial_on_a_task_of_ones_own_runs(tmp_path: Path, own_cache: Path) -> None:
    """From a table of labels and an ERA5 file its commands lead to a report, a proof and predictions."""
    _write_rain(tmp_path / "rain.csv", _write_era5(tmp_path / "era5.nc"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "TOOLKIT_CACHE": str(own_cache), **SHORT}
    blocks = BLOCK.findall((DOCS / "tutorial-own-task.md").read_text())
    said = "".join(_run(language, code, tmp_path, environment) for language, code in blocks)
    assert len(blocks) >= 9
    assert "Nothing leaks" in said
    assert (tmp_path / "runs" / "rain" / "report.html").is_file()
    predicted = pd.read_csv(tmp_path / "tomorrow" / "predictions.csv")
    assert len(predicted) == 24
    assert predicted["value"].notna().all()


@pytest.mark.parametrize("path", sorted(DOCS.glob("tutorial-*.md")), ids=lambda path: path.stem)
def test_blocks_are_of_known_kinds(path: Path) -> None:
    """Every block of a tutorial says what it is: one that is run, or one that is only shown."""
    kinds = re.findall(r"^```(\w*)$", path.read_text(), re.MULTILINE)[::2]
    assert set(kinds) <= {"bash", "python", "console", "csv", "toml"}
