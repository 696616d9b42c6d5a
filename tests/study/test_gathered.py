import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.study.gathered import gathered
from toolkit.study.plan import Cell, Folders
from toolkit.study.recorded import read_scores
from toolkit.study.saving import labels_saved_content
from toolkit.study.table import COLUMNS, Line

pytestmark = pytest.mark.slow
LINES = [Line("probe", "random", "pretrained"), Line("scratch", "", "scratch"), Line("persistence", "", "classical")]


@pytest.fixture(scope="module")
def cells(done) -> pd.DataFrame:
    """The tidy file, as any other tool reads it."""
    return pd.read_csv(done[1] / "study.csv", keep_default_na=False)


def test_the_tidy_file_has_a_row_per_cell_and_metric(done, cells: pd.DataFrame) -> None:
    """In the order of the study's lines, few labels first, seeds in order; with the unit, and what the cell took."""
    (study, on, _), _, table = done
    assert tuple(cells.columns) == COLUMNS
    assert list(zip(cells["method"], cells["labels"], cells["seed"], cells["metric"], strict=True)) == [
        (line.method, labels, seed, metric.name)
        for line in LINES
        for labels in study.budgets
        for seed in range(study.seeds)
        for metric in on.task.metrics
    ]
    assert set(cells["task"]) == {"readings"}
    assert set(cells["groups"]) == {"stations"}
    assert set(cells["unit"]) == {"1e-5 s-1"}
    assert cells.groupby("method")["backbone"].unique().map(list).to_dict() == {
        "probe": ["random"],
        "scratch": [""],
        "persistence": [""],
    }
    for column in ("seconds", "peak_mb"):
        assert (cells[column].between(0, 1e6, inclusive="neither")).all()
    assert table.cells.to_csv(index=False) == (done[1] / "study.csv").read_text()


def test_values_are_those_of_the_scores_that_are_kept(done, cells: pd.DataFrame) -> None:
    """A point of a curve is the mean over the seeds, whose values the table has too."""
    (_, on, _), folder, table = done
    curves = table.metrics["rmse"].curves
    assert [curve.line for curve in curves] == LINES
    for curve in curves:
        for point in curve.points:
            rows = cells[(cells["method"] == curve.line.method) & (cells["labels"] == point.labels)]
            np.testing.assert_allclose(rows["value"], list(point.seeds.values()), rtol=1e-5)
            assert point.value == pytest.approx(rows["value"].mean(), rel=1e-5)
            cell = Cell(curve.line.method, curve.line.backbone, point.labels, 1)
            kept = read_scores(Folders(folder).of(cell) / "scores.npz", on.task.metrics).values()
            assert point.seeds[1] == pytest.approx(kept["rmse"], rel=1e-5)
    assert table.test_groups == 12


def test_labels_saved_are_a_file_of_their_own(done) -> None:
    """Pretrained lines against all others, for every metric."""
    _, folder, table = done
    curves = table.metrics.values()
    assert json.loads((folder / "labels_saved.json").read_text()) == labels_saved_content(curves)
    pairs = [(saving.ours, saving.theirs) for saving in table.metrics["rmse"].savings]
    assert pairs == [(LINES[0], LINES[1]), (LINES[0], LINES[2])]


def test_what_was_tried_and_chosen_is_told(done) -> None:
    """For each network and budget the settings, their losses, and the number of the lowest."""
    (study, _, _), _, table = done
    about = [(choice["method"], choice["labels"]) for choice in table.chosen]
    assert about == [("probe", 4), ("probe", 12), ("scratch", 4), ("scratch", 12)]
    for choice in table.chosen:
        losses = [trial["validation"] for trial in choice["trials"]]
        assert [trial["settings"] for trial in choice["trials"]] == list(study.ladder[choice["method"]])
        assert choice["chosen"] == int(np.argmin(losses))


def test_facts_of_the_whole_are_told(done) -> None:
    """The command without how it was gone on with, the world, the labels' file, budgets, and the subsets' hash."""
    (study, _, _), folder, table = done
    assert "stations to validate on, one for every 3" in table.about["notes"][0]
    assert table.about["notes"][1].startswith("Every training takes 3 to 3 steps")
    assert {name: fact for name, fact in table.about.items() if name != "notes"} == {
        "command": "toolkit study",
        "world": "tiny",
        "data": "readings.csv",
        "simulated": True,
        "seeds": 2,
        "budgets": [4, 12],
        "backbones": list(study.backbones),
        "subsets_sha256": json.loads((folder / "subsets.json").read_text())["sha256"],
    }


def test_what_is_not_finished_is_left_out(done, tmp_path: Path) -> None:
    """A cell less is a value less, a line less where none is there; what failed is handed on."""
    plan, folder, _ = done
    shutil.copytree(folder, root := tmp_path / "part")
    folders = Folders(root)
    folders.result(Cell("probe", "random", 4, 1)).unlink()
    for cell in plan[0].cells:
        if cell.method == "persistence":
            shutil.rmtree(folders.of(cell))
    table = gathered(plan[0], plan[1], root, {"probe": "out of luck"}, ())
    assert [curve.line for curve in table.metrics["rmse"].curves] == LINES[:2]
    assert list(table.metrics["rmse"].curves[0].points[0].seeds) == [0]
    assert (len(table.cells), table.failed) == (7, {"probe": "out of luck"})


def test_a_completion_has_a_line_of_its_own(plan_storms, studied, tmp_path: Path) -> None:
    """After that of scratch, which it completes, with scores of its own: what the network found is the same."""
    plan = plan_storms(labels="all", methods=("scratch",), seeds=1, tries=1)
    table = studied(plan, tmp_path / "study")
    completions = [f"scratch + {name}" for name in plan[1].task.completions]
    assert completions
    curves = {name: metric.curves for name, metric in table.metrics.items()}
    lines = [curve.line for curve in curves[table.primary]]
    assert lines == [Line(method, "", "scratch") for method in ("scratch", *completions)]
    values = {name: [curve.points[0].value for curve in of_metric] for name, of_metric in curves.items()}
    assert len(set(values["pod"])) == 1
    assert len(set(values[table.primary])) > 1
    assert list(dict.fromkeys(table.cells["method"])) == ["scratch", *completions]
