import json
import time
from pathlib import Path

import pytest

from toolkit.study import estimate
from toolkit.study.estimate import expected_seconds, recorded_seconds
from toolkit.study.plan import Cell, Folders
from toolkit.study.run import foreseen
from toolkit.study.table import StudyTable

pytestmark = pytest.mark.slow


def test_networks_are_timed_and_baselines_are_not(plan_readings) -> None:
    """A time for every kind of cell and of trial that trains, of all budgets."""
    study, _, subsets = plan_readings()
    seconds = expected_seconds(study, subsets, study.jobs)
    assert seconds.keys() == {job.kind for job in study.jobs if "persistence" not in job.kind}
    assert all(0 < each < 60 for each in seconds.values())


def test_time_grows_with_steps_and_windows(plan_readings, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many steps, and windows that are validated and scored; by hand for a step of 10 s and a window of 0.5 s."""
    monkeypatch.setattr(estimate, "_timed", lambda *_: (10.0, 0.5))
    study, on, subsets = plan_readings("validations=2")
    cell, trial = Cell("scratch", "", 4, 0), study.trials(Cell("scratch", "", 4, 0))[0]
    seconds = expected_seconds(study, subsets, [cell, trial])
    validated = int(on.material.rows("validation", subsets.validation(4, 0)).sum())
    tested = int(on.material.rows("test").sum())
    assert seconds[trial.kind] == 3 * 10 + 0.5 * 3 * validated
    assert seconds[cell.kind] == seconds[trial.kind] + 0.5 * tested


def test_each_network_is_timed_once(plan_readings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its budgets and seeds."""
    timed: list[str] = []
    monkeypatch.setattr(estimate, "_timed", lambda settings, _: (timed.append(settings.method), (1.0, 1.0))[1])
    study, _, subsets = plan_readings()
    expected_seconds(study, subsets, study.jobs)
    assert sorted(timed) == ["probe", "scratch"]


def test_what_fails_is_not_foreseen(plan_readings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job itself will say what is wrong; the others are foreseen."""

    def timed(settings, _train) -> tuple[float, float]:
        if settings.method == "probe":
            raise RuntimeError("no such head")
        return 1.0, 1.0

    monkeypatch.setattr(estimate, "_timed", timed)
    study, _, subsets = plan_readings()
    assert not [kind for kind in expected_seconds(study, subsets, study.jobs) if "probe" in kind]
    assert [kind for kind in expected_seconds(study, subsets, study.jobs) if "scratch" in kind]


def test_what_is_finished_tells_how_long_its_kind_takes(done: tuple[tuple, Path, StudyTable]) -> None:
    """The mean of what the seeds took, baselines included, instead of a guess."""
    (study, _, subsets), folder, _ = done
    folders = Folders(folder)
    seconds = recorded_seconds(study, folders)
    assert seconds.keys() == {job.kind for job in study.jobs}
    for job in study.jobs:
        kind = [other for other in study.jobs if other.kind == job.kind]
        took = [json.loads(folders.result(other).read_text())["seconds"] for other in kind]
        assert seconds[job.kind] == pytest.approx(sum(took) / len(took))
    began = time.perf_counter()
    assert foreseen(study, subsets, folders) == seconds
    assert time.perf_counter() - began < 0.5
