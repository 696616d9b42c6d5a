"""The tutorials in docs/ and the page on pretexts: what they say is done, in order, in one folder, as by a reader.

A block with a title is written into the file of that name; `bash` and `python` without one are run.
"""

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from typer.testing import CliRunner

from toolkit.cli import app
from toolkit.installed import load_installed
from toolkit.pretexts.contract import Pretext
from toolkit.pretexts.known import pretext_names
from toolkit.recipes import recipe_files

DOCS = Path(__file__).parents[1] / "docs"
RUN = [*sorted(DOCS.glob("tutorial-*.md")), DOCS / "pretexts.md"]
BLOCK = re.compile(r'^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHORT = {"TOOLKIT_LIMIT_BATCHES": "4", "TOOLKIT_BATCH_SIZE": "8", "TOOLKIT_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""What makes trainings short, without a word about it in the text."""
SMALL = {"TOOLKIT_MAX_STEPS": "3", "TOOLKIT_DIM": "16", "TOOLKIT_DEPTH": "1", "TOOLKIT_BASELINES": "false"}


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


def _follow(tutorial: str, folder: Path, environment: dict[str, str], python: Path) -> str:
    """Do in a folder what a tutorial says; return what its commands print."""
    said = ""
    for language, file, code in BLOCK.findall((DOCS / tutorial).read_text()):
        if file:
            (folder / file).write_text(code)
        elif language in ("bash", "python"):
            command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [str(python), "-c", code]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
            assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
            said += done.stdout
    return said


@pytest.mark.slow
def test_the_tutorial_on_a_task_of_ones_own_runs(tmp_path: Path, own_cache: Path) -> None:
    """From a table of labels and an ERA5 file its commands lead to a report, a proof and predictions."""
    _write_rain(tmp_path / "rain.csv", _write_era5(tmp_path / "era5.nc"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "TOOLKIT_CACHE": str(own_cache), **SHORT}
    said = _follow("tutorial-own-task.md", tmp_path, environment, Path(sys.executable))
    assert "Nothing leaks" in said
    assert (tmp_path / "runs" / "rain" / "report.html").is_file()
    predicted = pd.read_csv(tmp_path / "tomorrow" / "predictions.csv")
    assert len(predicted) == 24
    assert predicted["value"].notna().all()


@pytest.mark.slow
def test_the_tutorial_on_a_pretext_of_ones_own_runs(
    python: Path, tiny_world: Path, other_tiny_world: Path, tmp_path: Path, own_cache: Path
) -> None:
    """In an environment of its own the package is installed; what it brings is trained, examined and fine-tuned."""
    commands, work = tmp_path / "commands", tmp_path / "work"
    (work / "worlds").mkdir(parents=True)
    for name, world in (("one", tiny_world), ("two", other_tiny_world)):
        (work / "worlds" / name).symlink_to(world)
    _write_command(commands / "toolkit", f'{python} -m toolkit "$@"')
    _write_command(commands / "pip", f'{python} -m pip "$@" --no-deps --no-build-isolation --no-index')
    environment = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), **SHORT, **SMALL}
    said = _follow("tutorial-own-pretext.md", work, environment | {"TOOLKIT_CACHE": str(own_cache)}, python)
    assert "Convolutional network" in said
    assert "The pretext 'deepening' looks 0 h ahead." in said
    assert "if one says that nothing changes" in said
    both = json.loads((work / "runs" / "both" / "deepening" / "config.json").read_text())
    assert both["pretexts"] == {"masked": 0.5, "deepening": 1.0}
    assert (work / "runs" / "hurricane" / "report.html").is_file()


@pytest.mark.slow
def test_the_tutorial_on_a_study_runs(shipped_world: Path, tmp_path: Path, own_cache: Path) -> None:
    """A study is planned, run and asked for one seed more; its table is read as the tutorial says."""
    (tmp_path / "worlds").mkdir()
    (tmp_path / "worlds" / "one").symlink_to(shipped_world)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "TOOLKIT_CACHE": str(own_cache), **SHORT}
    said = _follow("tutorial-study.md", tmp_path, environment, Path(sys.executable))
    assert "scratch + steering flow" in said
    folder = tmp_path / "studies" / "h"
    assert (folder / "report.html").is_file()
    assert set(pd.read_csv(folder / "study.csv")["seed"]) == {0, 1, 2}


def _write_command(path: Path, line: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nexec {line}\n")
    path.chmod(0o755)


def test_a_pretext_of_ones_own_is_one_short_file() -> None:
    """The tutorial's pretext takes less than 120 lines, and a line that names it."""
    files = {file: code for _, file, code in BLOCK.findall((DOCS / "tutorial-own-pretext.md").read_text()) if file}
    assert len(files["deepening.py"].splitlines()) < 120
    assert '\ndeepening = "deepening:deepening"\n' in files["pyproject.toml"]


@pytest.mark.slow
def test_the_commands_for_pretexts_run(
    tiny_world: Path, other_tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page on pretexts says can be done can be done, one command after the other."""
    fitting = {"TOOLKIT_WINDOW": "[32, 32]", "TOOLKIT_DEPTH": "4", "TOOLKIT_HEADS": "2"}
    # A process keeps the precision that it began with.
    for name, value in (SHORT | SMALL | fitting | {"TOOLKIT_PRECISION": "no"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    Path("worlds").mkdir()
    for name in ("worlds/one", "worlds/fluid", "era5"):
        Path(name).symlink_to(tiny_world)
    Path("worlds/two").symlink_to(other_tiny_world)
    for language, _, code in BLOCK.findall((DOCS / "pretexts.md").read_text()):
        if language == "python":
            exec(code, {})
        for line in code.splitlines() if language == "bash" else ():
            answer = CliRunner().invoke(app, shlex.split(line)[1:])
            assert answer.exit_code == 0, f"{line}\n{answer.output}"
    assert Path("blocks3.png").is_file()


def test_the_page_on_pretexts_has_all_of_them_with_their_options() -> None:
    """Every pretext has a row, whose last column holds its options as they are by default; and it has a recipe."""
    rows = [line.split("|")[1:-1] for line in (DOCS / "pretexts.md").read_text().splitlines() if line.startswith("| `")]
    said = {row[0].strip(" `"): dict(re.findall(r"`(\w+)=(.+?)`", row[4])) for row in rows if len(row) == 5}
    assert set(said) == set(pretext_names()) <= set(recipe_files())
    for name, options in said.items():
        defines = load_installed("pretext", name).thing
        known = {} if isinstance(defines, Pretext) else inspect.signature(defines).parameters
        assert {key: yaml.safe_load(value) for key, value in options.items()} == {
            key: list(option.default) if isinstance(option.default, tuple) else option.default
            for key, option in known.items()
        }


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_blocks_are_of_known_kinds(path: Path) -> None:
    """Every block says what it is: one that is run, or one that is only shown."""
    kinds = re.findall(r"^```(.*)$", path.read_text(), re.MULTILINE)[::2]
    assert {kind.partition(" title=")[0] for kind in kinds} <= {"bash", "python", "console", "csv", "toml", "yaml"}
