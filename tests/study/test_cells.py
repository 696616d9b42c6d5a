import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit import fit
from toolkit.evaluate import scored
from toolkit.finetune import load_data
from toolkit.split import PARTS, TRAIN
from toolkit.study import cells as cells_module
from toolkit.study.cells import SCORES, Groups, baseline_cell, features_cell, network_cell, trial_cell
from toolkit.study.ground import features_folder
from toolkit.study.plan import CELL, TRIAL, Cell
from toolkit.study.recorded import read_scores
from toolkit.study.stages import groups_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plan(plan_readings):
    """A study of readings with one setting for each method, and three steps of training."""
    return plan_readings("least_steps=3", tries=1)


@pytest.fixture(scope="module")
def given(plan) -> Callable[..., tuple]:
    """Return the settings, some changed, and the groups of the cell of a method with four stations."""
    study, _, subsets = plan

    def words(method: str, seed: int = 0, **changes: object) -> tuple:
        cell = Cell(method, "random" if method in ("probe", "lora") else "", 4, seed)
        return study.settings_of(cell, changes), groups_of(subsets, cell)

    return words


def _sums(folder: Path, on) -> dict[str, np.ndarray]:
    scores = read_scores(folder / SCORES, on.task.metrics)
    return {name: sums.to_numpy() for name, sums in scores.sums.items()}


@pytest.mark.parametrize("method", ["probe", "scratch"])
def test_a_cell_says_what_it_was_given_and_took(
    plan, given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Settings, groups, the hash of what it began with, seconds and memory; it is not run again, and no run is left."""
    settings, groups = given(method)
    network_cell(settings, groups, tmp_path, None)
    content = json.loads((tmp_path / CELL).read_text())
    assert content["settings"] == settings.model_dump(mode="json")
    assert content["groups"] == {"train": list(groups.train), "validation": list(groups.validation)}
    assert len(groups.train) == 4
    assert content["source_sha256"] == plan[0].source_of(Cell(method, "random" if method == "probe" else "", 4, 0))
    for took in (content["seconds"], content["peak_mb"]):
        assert 0 < took < math.inf
    assert {path.name for path in tmp_path.iterdir()} == {CELL, SCORES, f".{CELL}.lock"}
    monkeypatch.setattr(cells_module, "fitted", lambda *_: pytest.fail("it is trained again"))
    network_cell(settings, groups, tmp_path, None)


def test_the_training_of_a_trial_is_the_cells(plan, given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a step is repeated; the scores are those of a cell that trained itself, the time has the trial's in it."""
    settings, groups = given("probe")
    network_cell(settings, groups, tmp_path / "alone", None)
    trial_cell(settings, groups, tmp_path / "trial")
    spent = json.loads((tmp_path / "trial" / TRIAL).read_text())
    assert math.isfinite(spent["validation"])
    assert not (tmp_path / "trial" / SCORES).exists()
    monkeypatch.setattr(fit, "batch_index", lambda *_: pytest.fail("it is trained again"))
    network_cell(settings, groups, tmp_path / "cell", tmp_path / "trial")
    took = json.loads((tmp_path / "cell" / CELL).read_text())
    assert took["seconds"] > spent["seconds"]
    assert took["peak_mb"] >= spent["peak_mb"]
    assert not (tmp_path / "trial" / "run").exists()
    one, other = (_sums(tmp_path / name, plan[1]) for name in ("alone", "cell"))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_what_was_begun_with_something_else_is_begun_anew(given, tmp_path: Path) -> None:
    """Other settings or other groups: the training that a kill left does not get into the new one."""
    settings, groups = given("scratch")
    others = (given("scratch", lr=0.5)[0], groups), (settings, Groups(groups.train[1:], groups.validation))
    trial_cell(settings, groups, tmp_path / "fresh")
    fresh = json.loads((tmp_path / "fresh" / TRIAL).read_text())["validation"]
    for number, (other, own) in enumerate(others):
        folder = tmp_path / str(number)
        trial_cell(other, own, folder)
        assert json.loads((folder / TRIAL).read_text())["validation"] != fresh
        (folder / TRIAL).unlink()
        trial_cell(settings, groups, folder)
        assert json.loads((folder / TRIAL).read_text())["validation"] == fresh


@pytest.mark.parametrize("method", ["probe", "lora"])
def test_features_are_there_when_a_cell_begins(plan, given, tmp_path: Path, own_cache: Path, method: str) -> None:
    """Once all cuts of all parts are computed, no cell computes any more; each is computed once."""
    settings, groups = given(method, lora_blocks=1)
    shutil.rmtree(features_folder(), ignore_errors=True)
    for part in PARTS:
        for number in range(plan[1].cuts(part, groups.train)):
            features_cell(settings, part, number)
    there = {path: path.stat().st_mtime_ns for path in features_folder().iterdir()}
    assert there
    assert features_folder().is_relative_to(own_cache)
    network_cell(settings, groups, tmp_path / "cell", None)
    features_cell(settings, TRAIN, 0)
    assert {path: path.stat().st_mtime_ns for path in features_folder().iterdir() if path.suffix != ".lock"} == {
        path: time for path, time in there.items() if path.suffix != ".lock"
    }


def test_a_baseline_is_scored_as_a_single_run_scores_it(plan, given, tmp_path: Path) -> None:
    """On the test windows of `toolkit finetune`, to the last bit where nothing is fitted."""
    study, on, _ = plan
    settings, groups = given("scratch")
    baseline_cell(settings, "persistence", groups, tmp_path)
    data = load_data(on.task, on.origin, study.settings)
    predict = on.task.baselines["persistence"](data.train, data.validation)
    own = scored(on.task, predict, data.validation, data.test).scores
    assert read_scores(tmp_path / SCORES, on.task.metrics).values() == own.values()
    assert "source_sha256" not in json.loads((tmp_path / CELL).read_text())


def test_networks_and_baselines_are_scored_on_the_same_groups(done) -> None:
    """All cells of a study have the test groups, in one order."""
    (study, on, _), folder, _ = done
    groups = {
        tuple(read_scores(path, on.task.metrics).sums_of(on.task.metrics[0]).index)
        for path in folder.glob("cells/*/*.npz")
    }
    assert groups == {tuple(on.material.groups("test"))}
    assert len(list(folder.glob("cells/*/*.npz"))) == len(study.cells)
