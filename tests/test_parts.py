from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

from toolkit.adapt import Lora
from toolkit.backbones.card import Card
from toolkit.backbones.features import planes
from toolkit.backbones.known import build_backbone
from toolkit.backbones.weights import Backbone, load_backbone, save_backbone
from toolkit.columns import fit_columns
from toolkit.config import FinetuneSettings
from toolkit.data.normalise import Normalisation
from toolkit.data.store import NO_FIELDS, Store
from toolkit.data.store_write import write_store
from toolkit.errors import UserError
from toolkit.examples import Examples, cut_examples
from toolkit.finetune_run import run_finetune
from toolkit.heads.features import Features, Given
from toolkit.parts import assemble, check_store, input_planes, usable_readouts
from toolkit.runfolder import RunFolder
from toolkit.task import Inputs, Maps, Task
from toolkit.told import Told


@pytest.fixture(scope="module")
def backbone(random_backbone: Path) -> Backbone:
    """A small backbone with random weights."""
    return load_backbone(random_backbone)


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """The windows of two storms."""
    own = storm_labels["group"].isin(("AL002020", "AL032020")).to_numpy()
    return cut_examples(small_task, smooth_store, storm_labels, own, seed=0)


class Counting(nn.Module):
    """A head that keeps what it was built from, and says how wide its columns are."""

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.given = given
        self.weight = nn.Parameter(torch.rand(()))

    def forward(self, features: Features) -> Tensor:
        """Return (b,)."""
        return self.weight * features.columns.sum(1)


def test_inputs_are_planes_of_the_chosen_windows(small_task: Task, backbone: Backbone, examples: Examples) -> None:
    """The inputs at an index are the normalised fields and the latitudes of just those windows, in that order."""
    parts = assemble(small_task, backbone.card, backbone, "probe", Lora(), seed=0)
    index = np.array([4, 0, 7])
    expected = planes(examples.fields(parts.normalisation), examples.latitudes())[index]
    torch.testing.assert_close(input_planes(parts, examples, index), expected)


def test_assembling_depends_on_the_seed_alone(small_task: Task, backbone: Backbone) -> None:
    """The same seed gives the same model and leaves the global generator alone; another gives another head."""
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    one, same, other = (
        assemble(small_task, backbone.card, None, "scratch", Lora(), seed).model.state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["backbone.patch_embed.weight"], other["backbone.patch_embed.weight"])
    assert not torch.equal(one["head.pixels.expand.weight"], other["head.pixels.expand.weight"])


def test_readouts_are_those_of_the_untouched_backbone(small_task: Task, backbone: Backbone, examples: Examples) -> None:
    """The model's readouts stay as they are however its own backbone changes; scratch has none."""
    parts = assemble(small_task, backbone.card, backbone, "full", Lora(), seed=0)
    x = input_planes(parts, examples, np.arange(2))
    before = parts.readouts(x)
    assert {name: field.shape[1] for name, field in before.items()} == usable_readouts(small_task, backbone.card)
    assert set(parts.handed) == set(before)
    with torch.no_grad():
        for parameter in parts.model.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], field) for name, field in parts.readouts(x).items())
    scratch = assemble(small_task, backbone.card, None, "scratch", Lora(), seed=0)
    assert (scratch.readouts(x), scratch.handed) == ({}, ())
    assert usable_readouts(replace(small_task, readouts=("none such",)), backbone.card) == {}


def test_other_frames_are_refused(small_task: Task, backbone: Backbone, smooth_store: Store) -> None:
    """A task that looks at frames which the backbone was not made for is an error that names both."""
    task = replace(small_task, inputs=replace(small_task.inputs, frames=(-12, 0)))
    with pytest.raises(
        UserError, match=r"looks at the frames -12, \+0 h, the backbone random was trained on -6, \+0 h"
    ):
        assemble(task, backbone.card, backbone, "lora", Lora(), seed=0)
    with pytest.raises(UserError, match=r"looks at the frames -12, \+0 h"):
        check_store(task, backbone.card, smooth_store)


def test_known_maps_come_after_the_planes(
    small_task: Task, backbone: Backbone, smooth_store: Store, storm_labels: pd.DataFrame, tmp_path: Path
) -> None:
    """Label maps that are known beforehand follow the planes, NaN where there are none, and touch no readout."""
    shape = (20, len(smooth_store.latitude), len(smooth_store.longitude))
    values = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    dimensions = ("time", "latitude", "longitude")
    named = {name: (dimensions, value, {"units": "1"}) for name, value in zip(("heat", "rain"), values, strict=True)}
    axes = (smooth_store.time[:20].astype("M8[ns]"), smooth_store.latitude, smooth_store.longitude)
    store = write_store(
        xr.Dataset(named, dict(zip(dimensions, axes, strict=True))), tmp_path / "maps", tuple(named), None
    )
    maps = Maps(("heat", "rain"), (24,), lambda _: xr.Dataset(), known=(-24, -6, 0))
    task = replace(small_task, maps=maps)
    parts = assemble(task, backbone.card, backbone, "probe", Lora(), seed=0)
    own = storm_labels["group"].isin(("AL002020", "AL032020")).to_numpy()
    examples = cut_examples(task, smooth_store, storm_labels, own, seed=0, label_maps=store)
    index, planes_of_backbone = np.array([5, 1, 8]), backbone.card.spec.planes
    x = input_planes(parts, examples, index)
    assert maps.planes == 6
    assert x.shape == (3, planes_of_backbone + 6, 16, 16)
    known = examples.maps((-24, -6, 0), index).reshape(3, 6, 16, 16)
    np.testing.assert_array_equal(x[:, planes_of_backbone:], known)
    without = replace(examples, label_maps=NO_FIELDS)
    bare = input_planes(parts, without, index)
    assert torch.isnan(bare[:, planes_of_backbone:]).all()
    torch.testing.assert_close(bare[:, :planes_of_backbone], x[:, :planes_of_backbone], equal_nan=True)
    for name, field in parts.readouts(x).items():
        torch.testing.assert_close(field, parts.readouts(x[:, :planes_of_backbone])[name])
    assert assemble(replace(task, head=Counting), backbone.card, None, "scratch", Lora(), 0).model.head.given.known == 6


def test_a_task_without_fields_has_a_head_and_nothing_else(small_task: Task) -> None:
    """Without a card the head is built from the columns alone, every weight of the model is the head's."""
    table = pd.DataFrame({"group": list("abcdef"), "height": np.arange(6.0), "kind": list("aaabbb")})
    code = fit_columns(table, ("height", "kind"))
    task = replace(small_task, inputs=Inputs(columns=("height", "kind")), head=Counting)
    parts = assemble(task, None, None, "scratch", Lora(), 0, code)
    assert parts.model.head.given == Given(parts.model.head.given.spec, {}, code)
    assert parts.model.head.given.spec.variables == ()
    assert {name.split(".")[0] for name, _ in parts.model.named_parameters()} == {"head"}
    assert parts.readouts(torch.zeros(2, 1, 0, 0)) == {}
    rows = cut_examples(task, NO_FIELDS, table, np.full(6, True), 0)
    x = input_planes(parts, rows, np.array([4, 1]))
    assert x.shape == (2, 1, 0, 0)
    assert parts.model(x, {}, torch.zeros(2, code.width)).shape == (2,)


@pytest.mark.parametrize("method", ["probe", "lora", "full"])
def test_a_task_without_fields_has_no_backbone_to_adapt(small_task: Task, method: str) -> None:
    """Methods that adapt a backbone are refused with the one that needs none."""
    task = replace(small_task, inputs=Inputs(columns=("height",)))
    with pytest.raises(UserError, match=rf"looks at no fields, so there is no backbone for {method}: --method scratch"):
        assemble(task, None, None, method, Lora(), 0)


def test_a_store_that_does_not_fit_is_refused(small_task: Task, backbone: Backbone, smooth_store: Store) -> None:
    """Other units than those trained on and another grid spacing are named, both at once; the own store fits."""
    check_store(small_task, backbone.card, smooth_store)
    wrong = replace(smooth_store, channels=tuple(replace(channel, units="kg") for channel in smooth_store.channels))
    wrong = replace(wrong, latitude=smooth_store.latitude / 2)
    with pytest.raises(UserError, match=r"kg(.|\n)*1\.40625 degrees, it was trained at 2\.8125"):
        check_store(small_task, backbone.card, wrong)


def test_a_backbone_that_looks_at_more_than_the_task_is_refused(
    small_task: Task, backbone: Backbone, smooth_store: Store
) -> None:
    """Variables that the task does not name are told with the remedy; one that it names for its baselines is there."""
    store = replace(smooth_store, channels=smooth_store.channels[:2])

    def looks_at(names: tuple[str, ...], units: tuple[str, ...]) -> Card:
        spec = backbone.card.spec
        return replace(backbone.card, spec=replace(spec, variables=spec.variables + names, units=spec.units + units))

    said = "random looks at 'temperature', 'eastward_wind' too, which the task hurricane does not name .* Take another"
    with pytest.raises(UserError, match=said):
        check_store(small_task, looks_at(("temperature", "eastward_wind"), ("K", "m s-1")), store)
    check_store(small_task, looks_at(("eastward_wind",), ("m s-1",)), smooth_store)
    with pytest.raises(UserError, match="'eastward_wind' is in 'm s-1', it was trained in 'kt'"):
        check_store(small_task, looks_at(("eastward_wind",), ("kt",)), smooth_store)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "units", "frames", "said"),
    [
        (("vorticity", "divergence", "temperature"), ("s-1", "s-1", "K"), (-6, 0), "looks at 'temperature' too"),
        (("vorticity", "divergence"), ("s-1", "s-1"), (-12, 0), r"looks at the frames -6, \+0 h, .* on -12, \+0 h"),
    ],
)
def test_a_backbone_is_refused_before_anything_is_written(
    variables: tuple[str, ...],
    units: tuple[str, ...],
    frames: tuple[int, ...],
    said: str,
    small_task: Task,
    backbone: Backbone,
    tiny_world: Path,
    tmp_path: Path,
) -> None:
    """A fine-tuning with a backbone that looks at something else than the task leaves no folder."""
    n = len(variables)
    spec = replace(backbone.card.spec, variables=variables, units=units, frames=frames)
    card = replace(
        backbone.card, spec=spec, normalisation=Normalisation(variables, units, (0.0,) * n, (1.0,) * n), pretexts={}
    )
    (tmp_path / "backbone").mkdir()
    save_backbone(tmp_path / "backbone", card, build_backbone(spec, card.architecture, 0), {})
    settings = FinetuneSettings(task="hurricane", world=tiny_world, backbone=str(tmp_path / "backbone"))
    with pytest.raises(UserError, match=said):
        run_finetune(small_task, settings, RunFolder(tmp_path / "run", False, False, ()), Told())
    assert not (tmp_path / "run").exists()
