"""Scores of a made-up metric, of which the sums per group are given; and tiny studies of tasks of one file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit.metrics import Metric, Scores, Statistic, ratio
from toolkit.runfolder import RunFolder
from toolkit.study.gathered import gathered
from toolkit.study.ground import Ground
from toolkit.study.plan import Study
from toolkit.study.run import run_study
from toolkit.study.settings import Asked, planned
from toolkit.study.subsets import Subsets
from toolkit.study.table import StudyTable
from toolkit.told import Told
from toolkit.workers import OneMachine

PLACES, READINGS = (Path(__file__).parents[1] / "plug_ins" / name for name in ("places.py", "readings.py"))
QUICK = ("limit_batches=3", "batch_size=4", "validations=1")
Plan = tuple[Study, Ground, Subsets]
SUMS = Statistic("sums", lambda *_: pytest.fail("nothing is computed here"))


@pytest.fixture(scope="session")
def mean_error() -> Metric:
    """The mean error, in km: the sum of errors by their count, undefined where nothing is counted."""
    return Metric("error", "km", "lower", "mean error", SUMS, lambda sums: ratio(sums["error"], sums["count"]))


@pytest.fixture(scope="session")
def scores_of(mean_error: Metric) -> Callable[..., Scores]:
    """Return the scores of groups whose mean errors, and numbers of errors, are given."""

    def scores(errors: Sequence[float], counts: float | Sequence[float] = 1.0) -> Scores:
        names = pd.Index([f"AL{k:03d}" for k in range(len(errors))], name="group")
        count = np.broadcast_to(np.asarray(counts, np.float64), len(errors))
        return Scores((mean_error,), {"sums": pd.DataFrame({"error": errors * count, "count": count}, index=names)})

    return scores


@pytest.fixture(scope="session")
def steady(scores_of: Callable[..., Scores]) -> Callable[..., dict[int, dict[int, Scores]]]:
    """Return {labels: {seed: scores}} of {labels: error}: every seed and every group has the same error."""

    def line(errors: Mapping[int, float], seeds: Sequence[int] = (0, 1, 2)) -> dict[int, dict[int, Scores]]:
        return {labels: {seed: scores_of([error] * 6) for seed in seeds} for labels, error in errors.items()}

    return line


@pytest.fixture(scope="session")
def rain_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty places with three numbers, a word and the rain that they make."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"place": [f"p{k:02d}" for k in range(40)], "altitude_m": rng.uniform(0, 2000, 40)})
    table["slope"], table["distance_km"] = rng.random(40), rng.uniform(0, 300, 40)
    table["kind"] = rng.choice(["coast", "valley"], 40)
    table["rain_mm"] = 20 + 0.03 * table["altitude_m"] + rng.normal(0, 2, 40)
    path = tmp_path_factory.mktemp("rain") / "rain.csv"
    table.to_csv(path, index=False, float_format="%.2f")
    return path


@pytest.fixture(scope="session")
def stations_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Readings at twelve stations on the days of the tiny world, the last one and the one to come."""
    rng = np.random.default_rng(4)
    days = [pd.date_range(f"{year}-08-01T12", periods=4, freq="24h") for year in range(2001, 2005)]
    stations = pd.DataFrame({"station": [f"s{k:02d}" for k in range(12)], "site": ["rural", "urban"] * 6})
    stations["latitude"], stations["longitude"] = rng.uniform(-50, 50, 12), rng.uniform(-180, 180, 12)
    table = stations.merge(pd.DataFrame({"time": np.concatenate(days)}), how="cross")
    table["last"] = rng.normal(0, 2, len(table))
    table["later"] = 0.8 * table["last"] + rng.normal(0, 0.5, len(table))
    path = tmp_path_factory.mktemp("stations") / "readings.csv"
    table.to_csv(path, index=False, float_format="%.2f")
    return path


@pytest.fixture(scope="session")
def plan_rain(rain_file: Path) -> Callable[..., Plan]:
    """Plan a study of the task on a table alone: 8 places and all, two seeds, two settings tried."""

    def plan(task: Path = PLACES, **words: Any) -> Plan:
        usual = {"labels": "8,all", "methods": ("scratch", "classical"), "seeds": 2, "tries": 2}
        return planned(str(task), Asked(**usual | words), None, QUICK, {"data": rain_file})

    return plan


@pytest.fixture(scope="session")
def plan_readings(stations_file: Path, tiny_world: Path, random_backbone: Path) -> Callable[..., Plan]:
    """Plan a study of the task on fields and a table: 4 stations and all, two seeds, two settings tried."""

    def plan(*overrides: str, **words: Any) -> Plan:
        usual = {"labels": "4,all", "methods": ("probe", "scratch", "classical"), "seeds": 2, "tries": 2}
        usual |= {"backbones": (str(random_backbone),)}
        given = {"data": stations_file, "world": tiny_world}
        return planned(str(READINGS), Asked(**usual | words), None, (*QUICK, *overrides), given)

    return plan


@pytest.fixture(scope="session")
def plan_storms(tiny_world: Path, random_backbone: Path) -> Callable[..., Plan]:
    """Plan a study of cyclones in the tiny world, whose training part has twelve."""

    def plan(**words: Any) -> Plan:
        asked = Asked(**{"backbones": (str(random_backbone),)} | words)
        return planned("hurricane", asked, None, QUICK, {"world": tiny_world})

    return plan


@pytest.fixture(scope="session")
def studied() -> Callable[..., StudyTable]:
    """Run a study into a folder, or go on with the one there."""

    def run(plan: Plan, folder: Path, resume: bool = False, jobs: int = 1, told: Told | None = None) -> StudyTable:
        place = RunFolder(folder, resume, False, ("toolkit", "study", "--resume"))
        failed = run_study(*plan, place, OneMachine(jobs), told or Told())
        return gathered(plan[0], plan[1], folder, failed, place.command)

    return run


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory, plan_readings, studied) -> tuple[Plan, Path, StudyTable]:
    """The plan, the folder and the table of a finished study of readings; tests change it in copies alone."""
    plan, folder = plan_readings(), tmp_path_factory.mktemp("studies") / "done"
    return plan, folder, studied(plan, folder)
