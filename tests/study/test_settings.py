import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.backbones.card import read_card, write_card
from toolkit.errors import UserError
from toolkit.study.ladder import MOST_STEPS
from toolkit.study.plan import CLASSICAL
from toolkit.study.settings import USUAL, Asked, planned
from toolkit.study.subsets import Subsets, write_subsets

RENAMED = """
import runpy
from dataclasses import replace
made = runpy.run_path({places!r})["TASK"]

def TASK(data=None):
    return replace(made(data=data), baselines={names!r} and dict.fromkeys({names!r}))
"""


def _copied(backbone: Path, folder: Path, **changes: object) -> Path:
    """A backbone in another folder, with changes to its card."""
    shutil.copytree(backbone, folder)
    write_card(folder, replace(read_card(folder), **changes))
    return folder


def test_a_study_has_what_was_asked_for(plan_readings, random_backbone: Path, tiny_world: Path) -> None:
    """Budgets from few to many, methods in their order, the task's baselines for classical, whole paths."""
    study, on, subsets = plan_readings(labels="all, 4", methods=("scratch", "classical", "lora"), seeds=3, tries=1)
    assert (study.budgets, study.seeds, subsets.seeds) == ((4, 12), 3, (0, 1, 2))
    assert (study.methods, study.baselines) == (("scratch", "lora"), ("persistence",))
    assert study.backbones == {"random": str(random_backbone)}
    assert study.sources["random"] == read_card(random_backbone).weights_sha256
    assert study.settings.world == tiny_world.resolve()
    assert (study.settings.compare, study.settings.baselines) == (False, False)
    assert all(len(rungs) == 1 for rungs in study.ladder.values())
    assert on.material.store.latitude_spacing == read_card(random_backbone).spec.grid_degrees


def test_without_names_a_study_has_the_usual_methods(plan_readings, plan_rain) -> None:
    """All that the task has of them; without fields those that need none."""
    study = plan_readings(methods=())[0]
    assert (*study.methods, CLASSICAL) == USUAL
    assert plan_rain(methods=())[0].methods == ("scratch",)


def test_without_a_list_budgets_double_up_to_a_third(plan_rain, plan_readings) -> None:
    """From four on, and all there are, once."""
    assert plan_readings(labels=None)[0].budgets == (4, 12)
    study, _, subsets = plan_rain(labels=None)
    assert study.budgets == (4, 8, subsets.available) == (4, 8, 24)


def test_a_study_has_a_few_settings_of_its_own(rain_file: Path) -> None:
    """One thread, and no endless trainings, unless an override says otherwise; the task's own defaults stay."""
    given, task = {"data": rain_file}, str(Path(__file__).parents[1] / "plug_ins" / "places.py")
    settings = planned(task, Asked(methods=("scratch",), seeds=1), given=given)[0].settings
    assert (settings.threads, settings.limit_batches, settings.lr) == (1, MOST_STEPS, 0.02)
    settings = planned(task, Asked(methods=("scratch",), seeds=1), None, ("limit_batches=5",), given)[0].settings
    assert settings.limit_batches == 5


def test_all_is_measured_on_the_grid_of_the_backbones(plan_readings, random_backbone: Path) -> None:
    """Baselines and scratch too, whatever the backbone is that a task has by default."""
    study, on, _ = plan_readings(methods=("classical",))
    assert study.settings.backbone == str(random_backbone)
    assert on.material.store.latitude_spacing == read_card(random_backbone).spec.grid_degrees


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"methods": ("probe", "lorra")}, "No method 'lorra'. Did you mean 'lora'?"),
        ({"backbones": ("general-vitt",)}, "No backbone 'general-vitt'. Did you mean 'general-vit'?"),
        ({"labels": "4,99"}, "--labels 99 asks for more than the 12 labelled groups"),
        ({"tries": 4}, "--tries 4 asks for more settings than there are"),
    ],
)
def test_what_there_is_not_is_an_error(plan_readings, words: dict[str, object], said: str) -> None:
    """It is named, with the near miss."""
    with pytest.raises(UserError) as raised:
        plan_readings(**words)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize("key", ["method", "backbone", "labels", "seed", "compare", "baselines"])
def test_what_a_study_sets_itself_is_not_for_an_override(plan_readings, key: str) -> None:
    """The command line has options for it, or every cell its own."""
    with pytest.raises(UserError, match=f"'{key}' is set by `toolkit study` itself"):
        plan_readings(f"{key}=1")


def test_a_task_that_is_not_there_or_lacks_what_is_asked_for_is_an_error(plan_rain, tmp_path: Path) -> None:
    """Its name, methods that look at fields, and classical baselines where it has none."""
    with pytest.raises(UserError, match=r"No task 'huricane'\. Did you mean 'hurricane'"):
        planned("huricane", Asked())
    with pytest.raises(UserError, match="The task places looks at no fields, so there is no backbone for lora"):
        plan_rain(methods=("scratch", "lora"))
    places = str(Path(__file__).parents[1] / "plug_ins" / "places.py")
    (bare := tmp_path / "bare.py").write_text(RENAMED.format(places=places, names=[]))
    with pytest.raises(UserError, match="The task places has no classical baselines"):
        plan_rain(bare)
    assert plan_rain(bare, methods=())[0].baselines == ()


def test_names_that_would_share_a_folder_are_an_error(plan_rain, tmp_path: Path) -> None:
    """A baseline called as a method, and two that differ in a sign alone."""
    places = str(Path(__file__).parents[1] / "plug_ins" / "places.py")
    for names in (["scratch"], ["a mean", "a-mean"]):
        (task := tmp_path / "alike.py").write_text(RENAMED.format(places=places, names=names))
        with pytest.raises(UserError, match="too alike: 2 cells share cells/"):
            plan_rain(task)


def test_backbones_of_one_name_are_told_apart(plan_readings, random_backbone: Path, tmp_path: Path) -> None:
    """By the folder they lie in; one that is given twice is one."""
    folders = [_copied(random_backbone, tmp_path / place / "backbone") for place in ("a", "b", "c/b")]
    here = tmp_path / "a" / ".." / "a" / "backbone"
    study = plan_readings(backbones=tuple(map(str, (folders[0], here, *folders[1:]))))[0]
    assert list(study.backbones) == ["random", "random b", "random backbone"]
    assert list(study.backbones.values()) == list(map(str, folders))


def test_backbones_of_different_grids_are_an_error(plan_readings, random_backbone: Path, tmp_path: Path) -> None:
    """Fields are prepared for one grid; the grids are named."""
    spec = replace(read_card(random_backbone).spec, grid_degrees=1.5)
    coarse = _copied(random_backbone, tmp_path / "coarse", name="coarse", spec=spec)
    with pytest.raises(UserError, match=r"for 2 grids \(2\.8125 degrees for random, 1\.5 degrees for coarse\)"):
        plan_readings(backbones=(str(random_backbone), str(coarse)))


def test_a_backbone_that_does_not_fit_is_an_error(plan_readings, random_backbone: Path, tmp_path: Path) -> None:
    """The second of two is looked at as well, before anything is run."""
    spec = replace(read_card(random_backbone).spec, units=("K", "K"))
    warm = _copied(random_backbone, tmp_path / "warm", name="warm", spec=spec)
    with pytest.raises(UserError, match="The backbone warm does not fit"):
        plan_readings(backbones=(str(random_backbone), str(warm)))


def test_the_subsets_of_another_study_are_used_again(plan_rain, tmp_path: Path) -> None:
    """They replace what would be drawn; seeds that they lack, and groups that there are not, are an error."""
    _, _, drawn = plan_rain(seeds=3)
    swapped = Subsets({0: drawn.drawn[1], 1: drawn.drawn[0]}, drawn.test)
    write_subsets(tmp_path / "subsets.json", swapped, {})
    assert plan_rain(subsets=tmp_path / "subsets.json")[2] == swapped
    with pytest.raises(UserError, match=r"has no subsets for seed 2, 3\. Ask for fewer --seeds"):
        plan_rain(subsets=tmp_path / "subsets.json", seeds=4)
    stray = replace(drawn.drawn[0], train=("p99", *drawn.drawn[0].train))
    write_subsets(tmp_path / "stray.json", Subsets({0: stray}, drawn.test), {})
    with pytest.raises(UserError, match="The subsets have 'p99' in the part train; in these labels it is in no part"):
        plan_rain(subsets=tmp_path / "stray.json", seeds=1)
