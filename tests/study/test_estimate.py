import json
from pathlib import Path

import pytest

from toolkit.split import PARTS
from toolkit.study import estimate
from toolkit.study.estimate import foreseen, outlook, recorded_seconds
from toolkit.study.plan import Cell, Folders
from toolkit.study.stages import features_kind
from toolkit.study.table import StudyTable
from toolkit.timing import Timed

pytestmark = pytest.mark.slow

ONE = Timed(1.0, 1.0, 1.0, 1, 1)


def test_networks_are_timed_and_baselines_are_not(plan_readings, tmp_path: Path) -> None:
    """A time for every kind of cell and of trial that trains, of all budgets."""
    study, on, subsets = plan_readings()
    seconds = foreseen(study, on, subsets, Folders(tmp_path))
    features = {features_kind(cell) for cell in study.cells if cell.backbone}
    assert seconds.keys() == features | {job.kind for job in study.work if "persistence" not in job.kind}
    assert all(0 < each < 60 for each in seconds.values())


def test_time_grows_with_steps_and_windows(plan_readings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand for 3 steps of 10 s and a window of 0.5 s, which is validated at each step and for the thresholds."""
    monkeypatch.setattr(estimate, "timed", lambda *_: Timed(10.0, 0.5, 0.0, 1, 1))
    study, on, subsets = plan_readings("validations=2")
    cell, trial = Cell("scratch", "", 4, 0), study.trials(Cell("scratch", "", 4, 0))[0]
    seconds = foreseen(study, on, subsets, Folders(tmp_path))
    validated = int(on.material.rows("validation", subsets.validation(4, 0)).sum())
    tested = int(on.material.rows("test").sum())
    assert seconds[trial.kind] == 3 * 10 + 0.5 * 4 * validated
    assert seconds[cell.kind] == seconds[trial.kind] + 0.5 * tested


def test_what_is_in_the_cache_takes_no_time(plan_readings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The features of a window, here of 1 s, count for the jobs that compute them; those that train find them."""
    monkeypatch.setattr(estimate, "timed", lambda *_: Timed(0.0, 0.0, 1.0, 1, 1))
    study, on, subsets = plan_readings()
    seconds = foreseen(study, on, subsets, Folders(tmp_path))
    features = {features_kind(cell) for cell in study.cells if cell.backbone}
    windows = [len(on.cut(part, 0)) for part in PARTS]
    assert all(each == (sum(windows) / 3 if kind in features else 0) for kind, each in seconds.items())


def test_each_network_is_timed_once(plan_readings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its budgets and seeds."""
    timed: list[str] = []
    monkeypatch.setattr(estimate, "timed", lambda _task, _settings, method, *_: (timed.append(method), ONE)[1])
    foreseen(*plan_readings(), Folders(tmp_path))
    assert sorted(timed) == ["probe", "scratch"]


def test_what_fails_is_not_foreseen(plan_readings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job itself will say what is wrong; the others are foreseen."""

    def timed(_task, _settings, method: str, *_: object) -> Timed:
        if method == "probe":
            raise RuntimeError("no such head")
        return ONE

    monkeypatch.setattr(estimate, "timed", timed)
    seconds = foreseen(*plan_readings(), Folders(tmp_path))
    assert not [kind for kind in seconds if "probe" in kind]
    assert [kind for kind in seconds if "scratch" in kind]


def test_what_is_finished_tells_how_long_its_kind_takes(done: tuple[tuple, Path, StudyTable]) -> None:
    """The mean of what the seeds took, baselines included, instead of a guess."""
    (study, on, subsets), folder, _ = done
    folders = Folders(folder)
    seconds = recorded_seconds(study, folders)
    assert seconds.keys() == {job.kind for job in study.work}
    for job in study.work:
        kind = [other for other in study.work if other.kind == job.kind]
        took = [json.loads(folders.result(other).read_text())["seconds"] for other in kind]
        assert seconds[job.kind] == pytest.approx(sum(took) / len(took))
    assert foreseen(study, on, subsets, folders) == seconds


def test_the_outlook_counts_what_is_to_do_and_done(done, tmp_path: Path) -> None:
    """Of every kind of job; features that are in the cache are done, and of a finished study nothing is to do."""
    (study, on, subsets), folder, _ = done
    assert all(row.to_do == 0 == row.seconds for row in outlook(study, on, subsets, Folders(folder)))
    rows = {row.kind: row for row in outlook(study, on, subsets, Folders(tmp_path))}
    assert sum(row.to_do for kind, row in rows.items() if not kind.startswith("features")) == len(study.work)
    features = [row for kind, row in rows.items() if kind.startswith("features")]
    assert features
    assert all(row.to_do == 0 < row.done for row in features)
