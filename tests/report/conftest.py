"""A run folder as `toolkit finetune` leaves it, with invented numbers that hang together."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from toolkit.geodesy import displaced
from toolkit.report.read import Results, read_run

Score = dict[str, Any]
HOURS, FIXES = 6, 28
METRICS = {  # name: unit, better, adapted, scratch, half an interval
    "pod": ("1", "higher", 0.871, 0.742, 0.04),
    "far": ("1", "lower", 0.182, 0.201, 0.05),
    "csi": ("1", "higher", 0.729, 0.618, 0.05),
    "mean_centre_error": ("km", "lower", 183.2, 274.1, 24.0),
    "intensity_error": ("kt", "lower", 19.4, 18.8, 2.1),
    "position_error_24h": ("km", "lower", 361.0, 498.0, 41.0),
}
BASELINES = {
    "vorticity maximum": (0.61, 0.52, 0.37, 402.7, 31.2, 676.0),
    "climatology": (0.22, 0.81, 0.11, 811.0, 33.9, 790.5),
    "steering flow": (0.61, 0.52, 0.37, 402.7, None, 521.0),
}


def write_run(folder: Path, simulated: bool = True) -> Path:
    """Write the files of a finished run and return its folder."""
    truth, predictions = _tables(simulated)
    (folder / "scratch").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(_config(simulated)))
    _json(folder / "env.json", _env())
    _json(folder / "split.json", _split(sorted(truth["group"].unique())))
    _json(folder / "results.json", _results())
    _curve(folder / "metrics.jsonl", 0.08)
    _curve(folder / "scratch" / "metrics.jsonl", 0.16)
    truth.to_csv(folder / "truth.csv", index=False)
    predictions.to_csv(folder / "predictions.csv", index=False, float_format="%.3f")
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A finished run on a simulated world."""
    return write_run(tmp_path / "run")


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, for tests that change nothing in it."""
    return write_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="session")
def results(finished_run: Path) -> Results:
    """The scores of that run."""
    return read_run(finished_run).results


@pytest.fixture
def rewrite() -> Callable[[Path, Callable[[dict[str, Any]], object]], None]:
    """A function that changes a JSON file in place."""

    def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
        content = json.loads(path.read_text())
        change(content)
        _json(path, content)

    return rewritten


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2))


def _config(simulated: bool) -> dict[str, Any]:
    return {
        "task": "hurricane", "method": "lora", "backbone": "vortex-small", "labels": 64, "seed": 7,
        "world": {"path": "worlds/small", "simulated": simulated, "sha256": "9f2c" * 16},
        "schedule": {"steps": 600, "batch_size": 16, "learning_rates": {"head": 0.001, "backbone": 0.0003}},
        "lora": {"rank": 8, "alpha": 16}, "device": None,
    }  # fmt: skip


def _env() -> dict[str, Any]:
    return {
        "versions": {"python": "3.11.9", "torch": "2.9.0", "timm": "1.0.20", "peft": "0.17.1"},
        "platform": "Linux x86_64, 2 cores", "date": "2026-03-14T09:26:53+00:00",
        "command": ["toolkit", "finetune", "hurricane", "--labels", "64", "--out", "runs/storms 64"],
        "git_commit": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
    }  # fmt: skip


def _split(test_storms: list[str]) -> dict[str, Any]:
    def part(years: list[int], groups: list[str], windows: int) -> dict[str, Any]:
        spans = [[f"{year}-06-03T00:00:00", f"{year}-11-28T18:00:00"] for year in years]
        return {"groups": groups, "spans": spans, "rows": round(0.74 * windows), "windows": windows}

    train, validation = [f"AL{k:02d}2001" for k in range(64)], [f"AL{k:02d}2003" for k in range(12)]
    parts = {
        "train": part([2001, 2002], train, 2410),
        "validation": part([2003], validation, 466),
        "test": part([2004], test_storms, 480),
    }
    apart = {"groups": True, "gap_days": 5.0, "blocks_degrees": None}
    return {"seed": 7, "apart": apart, "parts": parts, "sha256": "c0de" * 16}


def _results() -> dict[str, Any]:
    def score(unit: str, better: str, value: float, half: float) -> Score:
        numbers = {"value": value, "low": value - half, "high": value + half * 1.1}
        return numbers | {"unit": unit, "better": better, "meaning": f"a number of {unit} that should be {better}"}

    def difference(own: float, other: float | None, half: float) -> Score:
        if other is None:
            return {"value": None, "low": None, "high": None, "p_value": None, "excludes_zero": False, "p_holm": None}
        value, certain = own - other, abs(own - other) > half
        p_values = {"p_value": 0.001 if certain else 0.4, "p_holm": 0.003 if certain else 0.8}
        return {"value": value, "low": value - half, "high": value + half, "excludes_zero": certain} | p_values

    adapted = {name: score(unit, better, own, half) for name, (unit, better, own, _, half) in METRICS.items()}
    scratch = {name: score(unit, better, other, half * 1.3) for name, (unit, better, _, other, half) in METRICS.items()}
    differences = {name: difference(own, other, half) for name, (_, _, own, other, half) in METRICS.items()}
    baseline_differences = {
        baseline: {
            name: difference(own, value, half)
            for (name, (_, _, own, _, half)), value in zip(METRICS.items(), values, strict=True)
        }
        for baseline, values in BASELINES.items()
    }
    return {
        "task": "hurricane", "method": "lora", "backbone": "vortex-small", "labels": 64, "groups": "storms", "seed": 7,
        "metrics": adapted, "primary": "mean_centre_error",
        "baselines": {name: dict(zip(METRICS, values, strict=True)) for name, values in BASELINES.items()},
        "baseline_differences": baseline_differences,
        "comparison": {"method": "scratch", "metrics": scratch, "differences": differences},
        "model": {"parameters": 5_312_448, "trainable": 98_816},
        "seconds": {"total": 231.4, "adapted": 96.2, "scratch": 118.9},
        "notes": ["12 of 2,422 labelled rows were left out: beside an unlabelled storm."],
    }  # fmt: skip


def _curve(path: Path, floor: float, steps: int = 600) -> None:
    rng = np.random.default_rng(int(floor * 100))
    lines = []
    for step in range(steps):
        loss = (floor + 1.6 * np.exp(-step / 90)) * rng.lognormal(0, 0.2)
        line = {"step": step, "loss": loss, "heat": loss * 0.7, "wind": loss * 0.3, "gradient_norm": 1.0}
        line |= {"learning_rate": 1e-3, "seconds": step * 0.16, "waiting_share": 0.04}
        if (step + 1) % 50 == 0:
            line["validation"] = floor * 2.2 + 0.9 * np.exp(-step / 130) + 5e-7 * max(step - 400, 0) ** 2
        lines.append(json.dumps({name: round(float(value), 7) for name, value in line.items()}))
    path.write_text("\n".join(lines) + "\n")


def _tables(simulated: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Storms that recurve, one window per fix, and for most of them a prediction nearby; some false alarms."""
    rng = np.random.default_rng(3)
    truth = pd.concat([_storm(k, rng, simulated) for k in range(24)], ignore_index=True)
    truth.insert(0, "example", np.arange(len(truth)))
    n = len(truth)
    found = rng.random(n) < 0.70 + 0.002 * truth["wind_kt"]
    stated = truth.drop(columns="group")
    stated["latitude"], stated["longitude"] = displaced(
        truth["latitude"], truth["longitude"], rng.normal(0, 90, n), rng.normal(15, 90, n)
    )
    stated["latitude_24h"], stated["longitude_24h"] = displaced(
        truth["latitude_24h"], truth["longitude_24h"], rng.normal(-60, 220, n), rng.normal(40, 190, n)
    )
    stated["wind_kt"] = 18 + 0.75 * truth["wind_kt"] + rng.normal(0, 10, n)
    stated.insert(4, "probability", rng.uniform(0.4, 1.0, n))
    alarms = stated[rng.random(n) < 0.15].copy()
    east, north = rng.normal(0, 900, len(alarms)), rng.normal(0, 700, len(alarms))
    alarms["latitude"], alarms["longitude"] = displaced(alarms["latitude"], alarms["longitude"], east, north)
    return truth, pd.concat([stated[found], alarms], ignore_index=True)


def _storm(number: int, rng: np.random.Generator, simulated: bool) -> pd.DataFrame:
    hours = np.arange(FIXES) * HOURS
    west, bend = rng.uniform(0.10, 0.2), rng.uniform(60, 110)
    start = rng.uniform(60, 260) if simulated else rng.uniform(300, 340)
    longitude = start - west * hours + 0.003 * np.maximum(hours - bend, 0) ** 2
    latitude = rng.uniform(9, 17) + 0.04 * hours + 0.0014 * np.maximum(hours - bend, 0) ** 2
    wind = 25 + rng.uniform(15, 115) * np.sin(np.pi * (hours + 12) / 190) ** 2
    later = np.arange(FIXES) + 24 // HOURS
    gone = np.append(np.full(FIXES, False), np.full(4, True))[later]
    return pd.DataFrame(
        {
            "time": np.datetime64("2004-08-01") + (hours + 48 * number).astype("m8[h]"),
            "group": f"AL{number + 1:02d}2004",
            "latitude": latitude.round(1),
            "longitude": ((longitude + 180) % 360 - 180).round(1),
            "wind_kt": 5 * np.rint(wind / 5),
            "latitude_24h": np.where(gone, np.nan, np.append(latitude, np.zeros(4))[later].round(1)),
            "longitude_24h": np.where(gone, np.nan, np.append(longitude, np.zeros(4))[later].round(1)),
        }
    )
