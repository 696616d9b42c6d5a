from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.backbones.card import read_card
from toolkit.config import FinetuneSettings
from toolkit.study.plan import Cell, Folders, Study, Trial, source_sha256


@pytest.fixture
def study() -> Study:
    """Two budgets, three methods and a baseline, two backbones, two seeds; two settings of each network."""
    rungs = ({"lr": 0.01, "epochs": 2.0}, {"lr": 0.02, "lora_rank": 3})
    return Study(
        settings=FinetuneSettings(task="storms", labels=99, seed=7, weight_decay=0.5),
        budgets=(4, 8),
        methods=("probe", "lora", "scratch"),
        baselines=("persistence",),
        backbones={"one": "/b/one", "two": "/b/two"},
        sources={"one": "1", "two": "2", "": "shape"},
        seeds=2,
        ladder=dict.fromkeys(("probe", "lora", "scratch", "full"), rungs),
    )


def test_cells_are_every_method_with_every_budget_and_seed(study: Study) -> None:
    """Pretrained methods once for each backbone, the others once; each cell once, those with many labels first."""
    cells = study.cells
    assert len(cells) == len(set(cells)) == 2 * 2 * (2 * 2 + 1 + 1)
    assert [cell.labels for cell in cells] == sorted((cell.labels for cell in cells), reverse=True)
    assert {(cell.method, cell.backbone) for cell in cells} == {
        *((method, backbone) for method in ("probe", "lora") for backbone in ("one", "two")),
        ("scratch", ""),
        ("persistence", ""),
    }


def test_settings_are_tried_on_the_first_seed_for_all(study: Study) -> None:
    """Seeds share their trials; a baseline has none, and neither has a method of which there is one setting."""
    cell = Cell("probe", "one", 4, 1)
    assert study.trials(cell) == study.trials(replace(cell, seed=0))
    assert [(trial.cell.seed, trial.number) for trial in study.trials(cell)] == [(0, 0), (0, 1)]
    assert study.trials(Cell("persistence", "", 4, 0)) == ()
    alone = replace(study, ladder={method: rungs[:1] for method, rungs in study.ladder.items()})
    assert alone.trials(cell) == ()
    assert alone.work == alone.cells
    assert len(study.work) == len(set(study.work)) == len(study.cells) + 2 * 2 * 5


def test_a_cell_has_the_settings_of_its_rung_and_of_the_study(study: Study) -> None:
    """Those tried replace the usual ones; method, backbone, labels and seed are the cell's own."""
    settings = study.settings_of(Cell("lora", "two", 8, 1), study.ladder["lora"][1])
    assert (settings.lr, settings.lora_rank, settings.weight_decay) == (0.02, 3, 0.5)
    assert (settings.method, settings.backbone, settings.labels, settings.seed) == ("lora", "/b/two", 8, 1)
    assert study.settings_of(Cell("scratch", "", 8, 1), {}).backbone == "/b/one"


def test_what_is_recorded_leaves_open_what_may_be_added(study: Study) -> None:
    """Budgets, seeds, methods and backbones may differ between a study and the one that goes on with it."""
    more = replace(study, budgets=(4,), seeds=5, methods=("full",), baselines=(), backbones={"three": "/b/three"})
    assert more.recorded() == study.recorded()
    own = {"method": "full", "backbone": "/b/three", "labels": 4, "seed": 1}
    assert replace(study, settings=study.settings.model_copy(update=own)).recorded() == study.recorded()
    other = study.settings.model_copy(update={"weight_decay": 0.1})
    assert replace(study, settings=other).recorded() != study.recorded()
    assert replace(study, ladder={}).recorded() != study.recorded()


def test_cells_and_trials_have_folders_of_their_own(study: Study) -> None:
    """No two share one; a cell or a trial is finished when its result is there."""
    folders = Folders(Path("study"))
    assert len({folders.of(one) for one in study.work}) == len(study.work)
    assert folders.of(Cell("steering + flow", "", 4, 1)) == Path("study/cells/steering_flow-4-1")
    assert folders.result(Trial(Cell("lora", "Two", 4, 0), 1)) == Path("study/tried/lora-two-4/1/trial.json")


def test_a_job_is_finished_when_its_result_is_there(study: Study, tmp_path: Path) -> None:
    """A folder alone is none."""
    folders, cell = Folders(tmp_path), study.cells[0]
    folders.of(cell).mkdir(parents=True)
    assert not folders.is_finished(cell)
    folders.result(cell).write_text("{}")
    assert folders.is_finished(cell)
    assert not folders.is_finished(study.trials(cell)[0])


def test_a_name_says_which_and_a_kind_how_long(study: Study) -> None:
    """Names differ, kinds are shared by what takes as long: all seeds, and all settings that are tried."""
    assert len({one.name for one in study.work}) == len(study.work)
    cell = Cell("lora", "two", 8, 1)
    assert (cell.kind, cell.name) == ("lora, two, 8 labels", "lora, two, 8 labels, seed 1")
    assert Trial(cell, 1).kind == "trying lora, two, 8 labels"


def test_networks_begin_with_weights_or_with_a_shape(study: Study, random_backbone: Path) -> None:
    """Pretrained ones with the weights of their backbone, scratch with a shape alone; a baseline with nothing."""
    found = [study.source_of(Cell(*about, 4, 0)) for about in (("lora", "two"), ("scratch", ""), ("persistence", ""))]
    assert found == ["2", "shape", None]
    assert study.source_of(Trial(Cell("probe", "one", 4, 0), 1)) == "1"
    card = read_card(random_backbone)
    other = replace(card, weights_sha256="0" * 64, name="other")
    assert source_sha256(other, "lora") == "0" * 64
    assert source_sha256(other, "scratch") == source_sha256(card, "scratch") != card.weights_sha256
    deeper = replace(card, architecture=card.architecture | {"depth": 9})
    assert source_sha256(deeper, "scratch") != source_sha256(card, "scratch")
