import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.backbones.weights import load_backbone, save_backbone
from toolkit.errors import UserError
from toolkit.study import cells as cells_module
from toolkit.study import stages as jobs_module
from toolkit.study.cells import trial_cell
from toolkit.study.plan import Cell, Folders
from toolkit.study.recorded import choice, tried
from toolkit.study.subsets import Drawn, Subsets, read_subsets
from toolkit.told import CellsSeen, Told

pytestmark = pytest.mark.slow
JOBS = ("features_cell", "trial_cell", "network_cell", "baseline_cell")
TOOK = ["seconds", "peak_mb"]
BROKEN = """
import runpy
from dataclasses import replace
from pathlib import Path
made = runpy.run_path({places!r})["TASK"]

def gauge(train, validation):
    if not Path({mended!r}).exists():
        raise RuntimeError("no rain gauge")
    return mean(train, validation)

def TASK(data=None):
    global mean
    task = made(data=data)
    mean = task.baselines["mean"]
    return replace(task, baselines={{"gauge": gauge, "mean": mean}})
"""


@pytest.fixture
def copied(done, tmp_path: Path) -> Path:
    """A copy of the folder of the finished study."""
    return shutil.copytree(done[1], tmp_path / "copy")


@pytest.fixture
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would be run fails the test."""
    for name in JOBS:
        monkeypatch.setattr(jobs_module, name, None)


def _results(folder: Path) -> dict[str, int]:
    """When each result, and each file of scores, was written; a name with a dot is one that is being written."""
    patterns = ("cells/*/[!.]*.json", "cells/*/[!.]*.npz", "tried/*/*/[!.]*.json")
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


def _same(one: Path, other: Path) -> None:
    """Both studies have the same values, the same sums per group, and the same validation losses."""
    tables = [pd.read_csv(folder / "study.csv").drop(columns=TOOK) for folder in (one, other)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert _results(one).keys() == _results(other).keys()
    for path in one.glob("cells/*/*.npz"):
        with np.load(path) as a, np.load(other / path.relative_to(one)) as b:
            assert a.files == b.files
            assert all(np.array_equal(a[name], b[name]) for name in a.files)
    for path in one.glob("tried/*/*/trial.json"):
        losses = [json.loads((folder / path.relative_to(one)).read_text())["validation"] for folder in (one, other)]
        assert losses[0] == losses[1]


def test_a_study_leaves_results_and_no_runs(done) -> None:
    """Every cell has its scores; what was only tried was never scored on the test part, and no checkpoint is left."""
    (study, _, _), folder, table = done
    assert table.failed == {}
    folders = Folders(folder)
    assert all(folders.is_finished(one) for one in study.work)
    assert all((folders.of(cell) / "scores.npz").is_file() for cell in study.cells)
    assert not list((folder / "tried").rglob("*.npz"))
    assert not [path for path in folder.rglob("*") if path.name in ("run", "last.pt")]
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "config.yaml", "env.json", "subsets.json", "study.csv", "labels_saved.json",
    }  # fmt: skip


def test_cells_have_the_settings_that_validated_best(done) -> None:
    """Those of the lowest loss on the first seed's validation groups, for all seeds."""
    (study, _, _), folder, _ = done
    folders = Folders(folder)
    for cell in study.cells:
        if cell.method not in study.methods:
            continue
        losses = tried(study, folders, cell)
        best = study.ladder[cell.method][min(losses, key=lambda number: losses[number])]
        settings = json.loads(folders.result(cell).read_text())["settings"]
        assert {key: settings[key] for key in best} == best
        assert (settings["seed"], settings["labels"], settings["method"]) == (cell.seed, cell.labels, cell.method)


def test_the_groups_of_cells_are_those_of_the_subsets(done) -> None:
    """The file of the study says which; cells of one budget and seed have the same, whatever their method."""
    (study, _, _), folder, _ = done
    subsets = read_subsets(folder / "subsets.json")
    for cell in study.cells:
        groups = json.loads(Folders(folder).result(cell).read_text())["groups"]
        assert groups["train"] == sorted(subsets.train(cell.labels, cell.seed))
        assert groups["validation"] == sorted(subsets.validation(cell.labels, cell.seed))


@pytest.mark.usefixtures("no_job")
def test_a_finished_study_runs_nothing_anew(done, copied: Path, studied) -> None:
    """Resumed it is quick, gives the same table, and touches no result; new, the folder is refused."""
    plan, _, table = done
    before, began = _results(copied), time.perf_counter()
    again = studied(plan, copied, resume=True)
    assert time.perf_counter() - began < 2
    assert _results(copied) == before
    assert again.content == table.content
    pd.testing.assert_frame_equal(again.cells, table.cells, check_exact=True)
    with pytest.raises(UserError, match="is not empty"):
        studied(plan, copied)


@pytest.mark.parametrize(
    ("words", "new"),
    [
        (
            {"seeds": 3},
            {f"{method}-{labels}-2" for method in ("probe-random", "scratch", "persistence") for labels in (4, 12)},
        ),
        (
            {"labels": "4,6,all"},
            {f"{method}-6-{seed}" for method in ("probe-random", "scratch", "persistence") for seed in (0, 1)},
        ),
        ({"methods": ("full",), "labels": "all"}, {"full-random-12-0", "full-random-12-1"}),
    ],
)
def test_only_what_is_new_is_run(plan_readings, copied: Path, studied, words: dict, new: set[str]) -> None:
    """A seed more tries nothing; a budget or a method more does, for itself alone."""
    before = _results(copied)
    table = studied(plan_readings(**words), copied, resume=True)
    assert table.failed == {}
    after = _results(copied)
    assert {path: written for path, written in after.items() if path in before} == before
    added = {Path(path) for path in after if path not in before}
    assert {path.parts[1] for path in added if path.parts[0] == "cells"} == new
    assert {path.parts[1] for path in added if path.parts[0] == "tried"} == {
        name.rpartition("-")[0] for name in new if "seeds" not in words and "persistence" not in name
    }


@pytest.mark.usefixtures("no_job")
def test_seeds_and_methods_may_be_left_out(plan_readings, copied: Path, studied) -> None:
    """The table is of those that are asked for; the others stay, with their subsets."""
    before = _results(copied)
    table = studied(plan_readings(seeds=1, methods=("scratch",), labels="4"), copied, resume=True)
    assert len(table.cells) == 1
    assert _results(copied) == before
    assert read_subsets(copied / "subsets.json").seeds == (0, 1)


@pytest.mark.usefixtures("no_job")
def test_other_settings_and_subsets_do_not_go_on(done, plan_readings, copied: Path, studied) -> None:
    """What is finished has nothing to do with them; nothing is written."""
    files = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    with pytest.raises(UserError, match=r"began with other settings\. .*\nweight_decay: 0\.05 -> 0\.2$"):
        studied(plan_readings("weight_decay=0.2"), copied, resume=True)
    with pytest.raises(UserError, match=r"began with other settings\. .*\n--tries: 2 -> 1$"):
        studied(plan_readings(tries=1), copied, resume=True)
    study, on, subsets = done[0]
    swapped = Subsets({0: Drawn(subsets.drawn[0].train[::-1], subsets.drawn[0].validation)}, subsets.test)
    with pytest.raises(UserError, match="has other groups for seed 0 than this study"):
        studied((study, on, swapped), copied, resume=True)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == files


def test_another_backbone_of_the_same_name_does_not_go_on(
    plan_readings, studied, random_backbone: Path, tmp_path: Path
) -> None:
    """The cell is named with both hashes; from scratch, of which only the shape counts, the study goes on."""
    backbone = shutil.copytree(random_backbone, tmp_path / "backbone")
    words = {"backbones": (str(backbone),), "labels": "4", "seeds": 1, "tries": 1}
    studied(plan_readings(methods=("probe", "scratch"), **words), tmp_path / "study")
    loaded = load_backbone(backbone)
    before = loaded.card.weights_sha256
    next(loaded.module.parameters()).data.add_(1.0)
    now = save_backbone(backbone, loaded.card, loaded.module, {}).weights_sha256
    said = f"^probe, random, 4 labels, seed 0 was made with another backbone.* {before} there, {now} now"
    results = _results(tmp_path / "study")
    with pytest.raises(UserError, match=said):
        studied(plan_readings(methods=("probe", "scratch"), **words), tmp_path / "study", resume=True)
    studied(plan_readings(methods=("scratch",), **words), tmp_path / "study", resume=True)
    assert _results(tmp_path / "study") == results


def test_a_killed_study_goes_on_to_the_same_end(
    done, studied, stations_file: Path, tiny_world: Path, random_backbone: Path, tmp_path: Path
) -> None:
    """Killed with all its processes while it computes, tries and scores, then resumed, it ends in the same values."""
    plan, whole, _ = done
    folder, rng = tmp_path / "killed", np.random.default_rng(0)
    command = [sys.executable, "-P", "-m", "toolkit", "study", plan[0].settings.task]
    command += ["limit_batches=3", "batch_size=4", "validations=1", "--labels", "4,all", "--seeds", "2", "--tries", "2"]
    command += ["--methods", "probe,scratch,classical", "--backbones", str(random_backbone), "--resume", "-q"]
    command += ["--world", str(tiny_world), "--data", str(stations_file), "--out", str(folder)]
    for most in (1, 10):
        with subprocess.Popen(command, start_new_session=True) as process:
            while process.poll() is None and len(_results(folder)) < most:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.3))
            os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    left = _results(folder)
    assert 0 < len(left) < len(_results(whole))
    studied(plan, folder, resume=True)
    _same(folder, whole)
    assert not [path for path in folder.rglob("*") if path.name == "run"]
    assert {path: written for path, written in _results(folder).items() if path in left} == left


def test_processes_side_by_side_give_the_same_study(done, studied, tmp_path: Path) -> None:
    """Two jobs at a time end in the values of one."""
    plan, whole, _ = done
    assert studied(plan, tmp_path / "two", jobs=2).failed == {}
    _same(tmp_path / "two", whole)


def test_a_cell_that_fails_stops_no_other(plan_rain, studied, tmp_path: Path) -> None:
    """It is reported, and tried again by the next run, which runs nothing else."""
    places = str(Path(__file__).parents[1] / "plug_ins" / "places.py")
    task = tmp_path / "broken.py"
    task.write_text(BROKEN.format(places=places, mended=str(tmp_path / "mended")))
    heard: list[CellsSeen] = []
    told = Told(cells=heard.append)
    table = studied(plan_rain(task, seeds=1), tmp_path / "study", told=told)
    assert table.failed == {f"gauge, {n} labels, seed 0": "RuntimeError: no rain gauge" for n in (24, 8)}
    assert [curve.line.method for curve in table.metrics["rmse"].curves] == ["scratch", "mean"]
    (tmp_path / "mended").touch()
    before = _results(tmp_path / "study")
    heard.clear()
    again = studied(plan_rain(task, seeds=1), tmp_path / "study", resume=True, told=told)
    assert again.failed == {}
    assert [curve.line.method for curve in again.metrics["rmse"].curves] == ["scratch", "gauge", "mean"]
    assert {name for name in heard[-1].kinds if heard[-1].state(name) == "done"} == table.failed.keys()
    assert {path: written for path, written in _results(tmp_path / "study").items() if path in before} == before


def test_settings_that_cannot_be_tried_are_not_chosen(
    plan_rain, studied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are; where none can, the cells say so, and once a cell is finished, its choice holds."""
    plan, folders = plan_rain(labels="8", methods=("scratch",)), Folders(tmp_path / "study")

    def failing(*numbers: int):
        def trial(settings, groups, folder: Path) -> None:
            if int(folder.name) in numbers:
                raise RuntimeError("diverged")
            trial_cell(settings, groups, folder)

        return trial

    monkeypatch.setattr(jobs_module, "trial_cell", failing(0, 1))
    none = studied(plan, tmp_path / "study")
    assert "None of the settings of scratch, 8 labels could be tried" in none.failed["scratch, 8 labels, seed 1"]
    assert len(none.failed) == 4
    assert none.chosen == ()
    monkeypatch.setattr(jobs_module, "trial_cell", failing(1))
    one = studied(plan, tmp_path / "study", resume=True)
    assert one.failed == {"trying scratch, 8 labels, 2": "RuntimeError: diverged"}
    assert [trial["validation"] is None for trial in one.chosen[0]["trials"]] == [False, True]
    monkeypatch.setattr(jobs_module, "trial_cell", trial_cell)
    more = plan_rain(labels="8", methods=("scratch",), seeds=3)
    assert studied(more, tmp_path / "study", resume=True).failed == {}
    assert choice(more[0], folders, Cell("scratch", "", 8, 2)) == 0
    assert not folders.is_finished(more[0].trials(Cell("scratch", "", 8, 2))[1])


def test_checkpoints_that_a_kill_left_are_removed(done, copied: Path, studied) -> None:
    """Those of finished cells, and of settings that were not chosen."""
    study, folders = done[0][0], Folders(copied)
    for one in (study.work[0], study.work[1], study.cells[-1]):
        (folders.of(one) / cells_module.RUN).mkdir()
    studied(done[0], copied, resume=True)
    assert not list(copied.rglob("run"))
