from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.comparison.settings import Asked, changed_settings, planned
from toolkit.config import FinetuneSettings
from toolkit.errors import UserError
from toolkit.files import write_json
from toolkit.pretexts.known import pretext_names


def _plan(world: Path, *overrides: str, **given: object):
    asked = {"pretexts": ("masked",), "tasks": ("hurricane", "extremes"), "seeds": 2} | given
    return planned(Asked((world,), world, **asked), overrides)


def test_overrides_go_to_pretrainings_probes_and_single_tasks(tiny_world: Path) -> None:
    """Plain keys are of the pretraining, "probe." of every probe, a task's name of its own; --labels yields to them."""
    words = ("dim=24", "probe.epochs=7", "extremes.labels=3", "extremes.lead=2", "extremes.epochs=1")
    comparison = _plan(tiny_world, *words, labels=9, steps=11)
    assert (comparison.pretrain.dim, comparison.pretrain.max_steps) == (24, 11)
    hurricane, extremes = comparison.probes["hurricane"], comparison.probes["extremes"]
    assert (hurricane.labels, hurricane.epochs, hurricane.options) == (9, 7, {})
    assert (extremes.labels, extremes.epochs, extremes.options) == (3, 1, {"lead": 2})
    for settings in (hurricane, extremes):
        assert (settings.method, settings.compare, settings.baselines) == ("probe", False, False)
    assert [settings.threads for settings in (comparison.pretrain, hurricane, extremes)] == [1, 1, 1]


def test_a_pretext_may_train_in_its_own_way(tiny_world: Path) -> None:
    """What begins with its name is its alone, beside what all share."""
    comparison = _plan(tiny_world, "lr=2e-3", "nextframe.lr=1e-4", pretexts=("masked", "nextframe"))
    masked, other = (comparison.pretraining(name, 0, 1) for name in ("masked", "nextframe"))
    assert (masked.lr, other.lr) == (2e-3, 1e-4)
    assert other.model_copy(update={"lr": 2e-3, "name": "masked-0", "pretext": {"masked": 1.0}}) == masked


def test_without_names_everything_that_fits_is_compared(tiny_world: Path) -> None:
    """All installed pretexts, and the tasks that look at the frames and variables of the backbone."""
    comparison = _plan(tiny_world, pretexts=(), tasks=())
    assert comparison.rows == ("none", *pretext_names())
    assert {"hurricane", "extremes"} <= set(comparison.probes)
    with pytest.raises(UserError, match="No installed task looks at"):
        _plan(tiny_world, "frames=[-12,0]", pretexts=(), tasks=())


def test_a_cell_has_the_options_of_its_own_pretext(tiny_world: Path) -> None:
    """Each pretraining has one pretext of weight one, and what its options are."""
    comparison = _plan(tiny_world)
    comparison = replace(comparison, pretrain=comparison.pretrain.model_copy(update={"options": {"masked": {"a": 1}}}))
    masked, other = (comparison.pretraining(name, 4, 7) for name in ("masked", "nextframe"))
    assert (masked.pretext, masked.seed, masked.max_steps) == ({"masked": 1.0}, 4, 7)
    assert (masked.options, other.options) == ({"masked": {"a": 1}}, {})


@pytest.mark.parametrize(
    ("overrides", "given", "said"),
    [
        (("seed=1",), {}, "'seed' is set by `toolkit compare` itself"),
        (("probe.method=lora",), {}, "'probe.method' is set by `toolkit compare` itself"),
        (("hurricane.seed=1",), {}, "'probe.seed' is set by `toolkit compare` itself"),
        (("masked.seed=1",), {}, "'masked.seed' is set by `toolkit compare` itself"),
        (("masked.dim=8",), {}, "'masked.dim' is set by `toolkit compare` itself"),
        (("dmi=24",), {}, "Did you mean 'dim'?"),
        (("dino.lr=1",), {}, r"dino is not among the pretexts of this comparison \(masked\)"),
        (("ozone.lr=1",), {}, r"ozone is not among the tasks of this comparison \(hurricane, extremes\)"),
        (("frames=[-12,0]",), {}, r"The task hurricane looks at the frames \[-6, 0\] h"),
        (("variables=[vorticity]",), {}, "The task hurricane looks at divergence, which"),
        (("options={nextframe: {hours: 1}}",), {}, "There are options for nextframe"),
        ((), {"pretexts": ("maskd",)}, "Did you mean 'masked'"),
        ((), {"pretexts": ("none",)}, "No pretext 'none'"),
        ((), {"tasks": ("huricane",)}, "Did you mean 'hurricane'"),
    ],
)
def test_what_does_not_fit_is_refused(tiny_world: Path, overrides: tuple[str, ...], given: dict, said: str) -> None:
    """Unknown names, settings that the comparison decides, and tasks that see something else are one error each."""
    with pytest.raises(UserError, match=said):
        _plan(tiny_world, *overrides, **given)


def test_a_world_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is named before anything is computed."""
    with pytest.raises(UserError, match="There is no world folder"):
        _plan(tmp_path / "nowhere")


def test_changed_settings_are_named(tmp_path: Path) -> None:
    """A recorded run says where its settings differ; that it recorded its world in full is no difference."""
    settings = FinetuneSettings(task="hurricane", world=tmp_path)
    recorded = settings.model_dump(mode="json") | {"world": {"path": str(tmp_path), "sha256": "0"}}
    write_json(tmp_path / "config.yaml", recorded)
    assert changed_settings(tmp_path / "config.yaml", settings) == ""
    other = settings.model_copy(update={"labels": 4})
    assert changed_settings(tmp_path / "config.yaml", other) == "labels: None -> 4"


def test_a_task_in_a_file_is_addressed_by_its_name(tiny_world: Path, tmp_path: Path) -> None:
    """Not by its path; two of one name are refused, since their probes would be one another's."""
    text = (
        "from dataclasses import replace\nfrom tasks.hurricane.task import TASK as ONE\nTASK = replace(ONE, name='x')\n"
    )
    files = tmp_path / "a.py", tmp_path / "b.py"
    for file in files:
        file.write_text(text)
    comparison = _plan(tiny_world, "x.epochs=3", tasks=(str(files[0]), "hurricane"))
    assert {name: settings.epochs for name, settings in comparison.probes.items()} == {"x": 3, "hurricane": 2.5}
    with pytest.raises(UserError, match="are both called 'x'"):
        _plan(tiny_world, tasks=tuple(map(str, files)))


def test_another_reference_is_another_comparison(tiny_world: Path) -> None:
    """Its steps are the measure of all others, so its own settings are recorded with what all share."""
    plain, own = (_plan(tiny_world, *words).recorded() for words in ((), ("masked.batch_size=8",)))
    assert own == plain | {"reference": {"batch_size": 8}}
    assert _plan(tiny_world, "nextframe.lr=1", pretexts=("masked", "nextframe")).recorded() == plain
