"""A run folder as `toolkit finetune` leaves it, and a study, with invented numbers that hang together."""

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
from toolkit.study.table import COLUMNS, Contrast, Curve, Line, MetricCurves, Point, Saving, StudyTable

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


STUDY_LINES = {  # name: how many times scratch's labels it is worth, the best it can do, km
    Line("probe", "general-vit", "pretrained"): (22.0, 372.0),
    Line("lora", "general-vit", "pretrained"): (17.0, 0.0),
    Line("full", "general-vit", "pretrained"): (8.0, 0.0),
    Line("lora + steering flow", "general-vit", "pretrained"): (34.0, 0.0),
    Line("scratch", "", "scratch"): (1.0, 0.0),
    Line("scratch + steering flow", "", "scratch"): (3.5, 0.0),
    Line("vorticity maximum + steering flow", "", "classical"): (2.0, 505.0),
    Line("vorticity maximum + persistence", "", "classical"): (1.2, 575.0),
}
STUDY_METRICS = {  # name: unit, better, of the worst and of the best 24 h position error
    "pod": ("1", "higher", 0.21, 0.97),
    "far": ("1", "lower", 0.82, 0.05),
    "csi": ("1", "higher", 0.12, 0.93),
    "hit_rate": ("%", "higher", 18.0, 96.0),
    "mean_centre_error": ("km", "lower", 930.0, 84.0),
    "median_centre_error": ("km", "lower", 880.0, 38.0),
    "intensity_error": ("kt", "lower", 61.0, 9.5),
    "position_error_24h": ("km", "lower", 950.0, 250.0),
}
BUDGETS, STUDY_SEEDS = (4, 8, 16, 32, 64, 125), range(5)


@pytest.fixture(scope="session")
def study() -> StudyTable:
    """A study of eight methods with a failed cell, a score that is undefined, and a name that tries to break out."""
    rng = np.random.default_rng(11)
    metrics, rows = {}, []
    for name, (unit, better, worst, best) in STUDY_METRICS.items():
        curves = tuple(_study_curve(line, name, rng) for line in STUDY_LINES)
        rows += [
            ("hurricane", c.line.method, c.line.backbone, p.labels, "storms", seed, name, value, unit, 12.5, 840.2)
            for c in curves
            for p in c.points
            for seed, value in p.seeds.items()
        ]
        ours, theirs = curves[:4], curves[4:]
        contrasts = tuple(c for a in ours for b in theirs[:2] for c in _study_contrasts(a, b))
        savings = tuple(_study_saving(a, b, better, abs(worst - best)) for a in ours for b in theirs[:3])
        metrics[name] = MetricCurves(name, unit, better, f"what {name} </script> & means", curves, contrasts, savings)
    rungs = ({"lr": 3e-3, "epochs": 5.0}, {"lr": 1e-3, "epochs": 10.0})
    trials = [{"settings": rung, "validation": loss} for rung, loss in zip(rungs, (0.731, 0.688), strict=True)]
    chosen = [
        {
            "method": line.method, "backbone": line.backbone, "labels": labels, "trials": trials,
            "chosen": 1,
        }
        for line in STUDY_LINES for labels in (4, 32) if line.kind != "classical"
    ]  # fmt: skip
    about = {
        "command": "toolkit study hurricane --labels 4,8,16,32,64,all --seeds 5 --out 'my studies/<h>'",
        "world": "small", "simulated": True, "seeds": 5, "budgets": list(BUDGETS), "settings": {"trials": 2},
    }  # fmt: skip
    failed = {"full, general-vit, 16 storms, seed 3": "TrainingError: the loss is <NaN>\nat step 40"}
    cells = pd.DataFrame(rows, columns=list(COLUMNS))
    return StudyTable("hurricane", "position_error_24h", "storms", 60, metrics, cells, tuple(chosen), failed, about)


def _study_curve(line: Line, name: str, rng: np.random.Generator) -> Curve:
    worth, floor = STUDY_LINES[line]
    _, _, worst, best = STUDY_METRICS[name]
    points = []
    for labels in BUDGETS:
        error = max(250 + 700 * (worth * labels) ** -0.3, floor + 90 * labels**-0.6 if floor else 0)
        value = worst + (best - worst) * (950 - error) / 700
        half = abs(best - worst) * 0.07 / labels**0.2
        seeds: dict[int, float | None] = {seed: value + half * rng.normal(0, 0.6) for seed in STUDY_SEEDS}
        if line.method == "full" and labels == 16:
            del seeds[3]
        if line.kind == "classical" and name == "intensity_error" and labels == 4:
            points.append(Point(labels, None, None, None, dict.fromkeys(seeds)))
            continue
        mean = float(np.mean([value for value in seeds.values() if value is not None]))
        points.append(Point(labels, mean, mean - half, mean + 1.2 * half, seeds))
    return Curve(line, tuple(points))


def _study_contrasts(ours: Curve, theirs: Curve) -> list[Contrast]:
    drawn = []
    for a, b in zip(ours.points, theirs.points, strict=True):
        assert a.value is not None
        assert b.value is not None
        value, half = a.value - b.value, 0.12 * abs(a.value)
        p_value = 0.003 if abs(value) > half else 0.4
        drawn.append(Contrast(ours.line, theirs.line, a.labels, value, value - half, value + half, p_value))
    return drawn


def _study_saving(ours: Curve, theirs: Curve, better: str, span: float) -> Saving:
    """Interpolate where the curve reaches the other's last score, worst to best turned into 0 to 1."""
    sign = -1 if better == "lower" else 1
    goal = sign * (theirs.points[-1].value or 0) / span
    reached = np.maximum.accumulate([sign * (point.value or 0) / span for point in ours.points])
    full = theirs.points[-1].labels
    if reached[-1] < goal:
        return Saving(
            ours.line, theirs.line, full, None, False, None, None, 1.4, "not reached with 125 storms, at most 1.4 times"
        )
    needed = float(np.exp2(np.interp(goal, reached, np.log2(BUDGETS))))
    at_least, saved = bool(goal <= reached[0]), full / needed
    high = None if at_least else 1.9 * saved
    words = f"{'at least ' * at_least}{saved:.0f} times [{0.6 * saved:.0f}, {f'{high:.0f}]' if high else '...)'}"
    return Saving(ours.line, theirs.line, full, needed, at_least, saved, 0.6 * saved, high, words)
