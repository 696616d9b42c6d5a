import json
import shutil
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from toolkit.backbones.weights import load_backbone
from toolkit.comparison import run as run_module
from toolkit.comparison.cells import pretrain_cell
from toolkit.comparison.plan import Folders, Work
from toolkit.comparison.run import plan_of, run_comparison
from toolkit.comparison.settings import Asked, planned
from toolkit.comparison.table import COLUMNS
from toolkit.errors import UserError
from toolkit.evaluate_run import recorded, recorded_task
from toolkit.files import write_text
from toolkit.pretexts.draw import Recipe
from toolkit.pretrain import Pretraining
from toolkit.recorded_scores import recorded_scores, recorded_test
from toolkit.runfolder import MARK, RunFolder
from toolkit.told import Told

pytestmark = pytest.mark.slow


def _written(folder: Path) -> dict[str, int]:
    parts = [folder / name for name in ("pretraining", "features", "probes")]
    return {str(f): f.stat().st_mtime_ns for part in parts for f in part.rglob("*") if f.is_file()}


def test_every_pretext_computes_as_much_as_the_reference(done) -> None:
    """The steps are those whose operations come nearest to three steps of masked; random weights took none."""
    _, table = done
    masked, nextframe = table.spent["masked"].work, table.spent["nextframe"].work
    assert masked.steps == 3
    assert abs(nextframe.operations - masked.operations) <= nextframe.operations_per_step / 2
    assert table.spent["none"].work == Work(0, 0)


def test_the_table_has_every_cell(done) -> None:
    """The tidy file has a row per pretext, seed and metric; the scores are those that the probes recorded."""
    folder, table = done
    cells = pd.read_csv(folder / "comparison.csv")
    assert tuple(cells.columns) == COLUMNS
    assert set(cells["pretext"]) == {"none", "masked", "nextframe"}
    primary = table.tasks["hurricane"].metrics[table.tasks["hurricane"].primary]
    means = cells[cells["metric"] == primary.metric].groupby("pretext")["value"].mean()
    for row in primary.rows:
        assert row.value == pytest.approx(means[row.pretext], rel=1e-4)
        assert (row.against_none is None) == (row.pretext == "none")


def test_a_task_that_cannot_be_probed_is_told_of(done) -> None:
    """The extremes have no maps in this world: their first probe fails, no other is tried, and the rest is done."""
    folder, table = done
    assert list(table.failed) == ["none, seed 0, extremes"]
    assert list(table.tasks) == ["hurricane"]
    assert not list(folder.glob("probes/masked*extremes"))


def test_random_weights_are_those_every_pretraining_begins_with(done) -> None:
    """The row `none` is the backbone of the same seed before its first step, and hands over no readout either."""
    folder, _ = done
    features = Folders(folder).features
    none, masked = (load_backbone(features(name, 0)) for name in ("none", "masked"))
    assert none.card.spec == masked.card.spec
    assert none.card.normalisation == masked.card.normalisation
    recipe = Recipe(masked.card.spec, masked.card.architecture, (), (32, 32))
    begun = Pretraining(recipe, 0).backbone.state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in none.module.state_dict().items())
    assert any(not torch.equal(value, begun[name]) for name, value in masked.module.state_dict().items())
    assert (masked.card.readouts, masked.card.pretexts, masked.pretexts) == ((), {}, {})


def test_a_finished_comparison_runs_nothing_anew(done, tiny_plan, compared, tmp_path: Path) -> None:
    """Resumed, it touches no file of a finished cell and gives the same table; a seed more runs the new cells alone."""
    folder, table = done
    folder = shutil.copytree(folder, tmp_path / "again")
    before = _written(folder)
    again = compared(tiny_plan("masked", "nextframe"), folder, resume=True)
    assert _written(folder) == before
    assert again.tasks == table.tasks
    with pytest.raises(UserError, match="is not empty"):
        compared(tiny_plan("masked"), folder)
    more = compared(tiny_plan("masked", seeds=2), folder, resume=True)
    assert {path: time for path, time in _written(folder).items() if path in before} == before
    assert [row.seeds for row in more.tasks["hurricane"].metrics["pod"].rows] == [2, 2]


def test_other_settings_do_not_go_on(done, compared, tiny_world: Path) -> None:
    """Neither another backbone nor other probes may be mixed with what is finished."""
    folder, _ = done
    for words, said in (
        (("dim=32",), "dim: 16 -> 32"),
        ((), "batch_size: 4 -> 32"),
        (("masked.lr=1",), "lr: 0.001 ->"),
    ):
        shape = ("dim=16", "depth=1", "heads=2", "batch_size=4", *words)
        own = ("probe.limit_batches=2", *(("probe.batch_size=4",) if words else ()))
        other = planned(Asked((tiny_world,), tiny_world, ("masked",), ("hurricane",), 1, 3), (*shape, *own))
        with pytest.raises(UserError, match=said):
            compared(other, folder, resume=True)


def test_a_failing_pretext_is_reported_and_tried_again(
    tiny_plan, compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other rows are there all the same; once it does not fail any more, resuming fills its row."""
    folder, count = tmp_path / "run", run_module.counted_step

    def failing(settings, folders, work, command) -> None:
        if "nextframe" in settings.pretext:
            raise RuntimeError("out of luck")
        pretrain_cell(settings, folders, work, command)

    def uncounted(settings, name: str) -> int:
        if name == "lagrangian":
            raise UserError("no wind")
        return count(settings, name)

    comparison = tiny_plan("masked", "nextframe", "lagrangian")
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "pretrain_cell", failing)
        patch.setattr(run_module, "counted_step", uncounted)
        table = compared(comparison, folder)
    assert table.failed == {"lagrangian": "no wind", "nextframe, seed 0": "RuntimeError: out of luck"}
    assert {row.pretext for row in table.tasks["hurricane"].metrics["pod"].rows} == {"none", "masked"}
    again = compared(comparison, folder, resume=True)
    assert again.failed == {}
    assert {row.pretext for row in again.tasks["hurricane"].metrics["pod"].rows} == set(comparison.rows)


def test_what_was_begun_with_other_settings_is_begun_anew(tiny_plan, tmp_path: Path) -> None:
    """An unfinished pretraining of other steps does not stand in the way of the cell."""
    comparison, folders = tiny_plan("masked"), Folders(tmp_path)
    begin = partial(pretrain_cell, folders=folders, command=())
    begin(comparison.pretraining("masked", 0, 1), work=Work(10, 1))
    shutil.rmtree(folders.features("masked", 0))
    begin(comparison.pretraining("masked", 0, 2), work=Work(10, 2))
    assert len((folders.pretraining("masked", 0) / "metrics.jsonl").read_text().splitlines()) == 2
    assert plan_of(comparison, folders, Told()).works == {"masked": Work(10, 2)}


def test_seeds_of_other_weather_are_not_averaged(tiny_plan, tmp_path: Path) -> None:
    """A world that was made anew since another seed was pretrained on it is refused."""
    comparison, folders = tiny_plan("masked"), Folders(tmp_path)
    pretrain_cell(comparison.pretraining("masked", 0, 1), folders, Work(10, 1), ())
    described = folders.features("masked", 0) / "config.json"
    card = json.loads(described.read_text())
    card["data"]["worlds"][0]["sha256"] = "0" * 64
    described.write_text(json.dumps(card))
    with pytest.raises(UserError, match="was pretrained on other fields or labels than tiny has now"):
        pretrain_cell(comparison.pretraining("masked", 1, 1), folders, Work(10, 1), ())
    assert not folders.pretraining("masked", 1).exists()


def test_the_scores_of_a_finished_run_are_found_again(done, tmp_path: Path) -> None:
    """Its predictions, scored again, give its results; a run whose world has changed since is refused."""
    folder, table = done
    run = Folders(folder).probe("masked", 0, "hurricane")
    task = recorded_task(recorded(run))
    grid = load_backbone(Folders(folder).features("masked", 0)).card.spec.grid_degrees
    again = recorded_scores(task, run, recorded_test(task, run, grid)).values()
    row = next(row for row in table.tasks["hurricane"].metrics["csi"].rows if row.pretext == "masked")
    assert again["csi"] == pytest.approx(row.value, rel=1e-5)
    moved = shutil.copytree(run, tmp_path / "run")
    config = (moved / "config.yaml").read_text()
    (moved / "config.yaml").write_text(config.replace(recorded(run)["world"]["sha256"], "0" * 64))
    with pytest.raises(UserError, match="is no longer what it was"):
        recorded_test(task, moved, grid)


def test_where_no_task_can_be_probed_nothing_is_pretrained(
    tiny_plan, compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The errors of the probes of random weights end it."""

    def fail(*_: object) -> None:
        raise UserError("The loss is not a number.")

    monkeypatch.setattr(run_module, "probe_cell", fail)
    with pytest.raises(UserError, match=r"No task can be probed:\nnone, seed 0, hurricane: The loss is not a number."):
        compared(tiny_plan("masked"), tmp_path / "run")
    assert not (tmp_path / "run" / "pretraining").exists()


def test_where_no_task_has_labels_nothing_is_written(tiny_plan, compared, tmp_path: Path) -> None:
    """It shows before the folder is made."""
    with pytest.raises(UserError, match=r"No task can be probed:\nextremes: Folder .* holds label maps in no layout"):
        compared(tiny_plan("masked", tasks=("extremes",)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_cannot_begin_removes_nothing(tiny_world: Path, tmp_path: Path) -> None:
    """A comparison that is to be overwritten stays where the new one cannot begin."""
    folder = tmp_path / "run"
    write_text(folder / "config.yaml", MARK)
    comparison = planned(Asked((tiny_world,), tiny_world, ("masked",), ("hurricane",), 1, labels=999))
    with pytest.raises(UserError, match=r"No task can be probed:\nhurricane: --labels 999 asks for more than the"):
        run_comparison(comparison, RunFolder(folder, False, True, ()), 1, Told())
    assert (folder / "config.yaml").read_text() == MARK
