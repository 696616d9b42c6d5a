from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from toolkit.backbones.card import backbone_folder
from toolkit.backbones.weights import load_backbone
from toolkit.columns import NO_COLUMNS
from toolkit.errors import UserError
from toolkit.examples import Examples
from toolkit.finetune import load_data
from toolkit.frozen import computed
from toolkit.methods import built
from toolkit.placement import objects_in
from toolkit.split import PARTS, TEST, TRAIN, VALIDATION
from toolkit.study.ground import Ground, Taken, ground, taken

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def storms(plan_storms):
    """A study of cyclones with budgets of 4, 8 and all 12 storms."""
    return plan_storms(labels="4,8,all", methods=("probe",), seeds=2)


@pytest.fixture(scope="module")
def on(storms) -> Ground:
    """What it stands on."""
    return storms[1]


@pytest.fixture(scope="module")
def of_budget(storms) -> Callable[..., Taken]:
    """Return the windows of a part for a budget and seed."""
    _, on, subsets = storms

    def windows(labels: int, seed: int = 0, part: str = TRAIN) -> Taken:
        return taken(on, part, {TRAIN: subsets.train, VALIDATION: subsets.validation}[part](labels, seed))

    return windows


def _anchors(on: Ground, cut: Examples, index: np.ndarray, part: str = TRAIN) -> set[int]:
    """Those of the windows at an index that are around a labelled row."""
    return set(index[cut.table["group"].iloc[index].isin(on.material.groups(part)).to_numpy()].tolist())


def _same(one: Examples, other: Examples) -> None:
    for name in ("time", "row", "column", "mirrored"):
        np.testing.assert_array_equal(getattr(one.windows, name), getattr(other.windows, name))
    pd.testing.assert_frame_equal(one.table, other.table)
    pd.testing.assert_frame_equal(one.truth, other.truth)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_windows_of_a_budget_are_among_those_of_a_larger_one(on: Ground, of_budget, seed: int) -> None:
    """Cut by cut those around labelled rows are; a small budget has as many cuts or more, so as to have windows too."""
    few, some, every = (of_budget(labels, seed) for labels in (4, 8, 12))
    assert len(few.cuts) >= len(some.cuts) >= len(every.cuts)
    for small, large in ((few, some), (some, every)):
        for cut, own, other, more in zip(small.cuts, small.index, large.cuts, large.index, strict=False):
            assert cut is other
            assert _anchors(on, cut, own) < _anchors(on, cut, more)


@pytest.mark.parametrize("part", [TRAIN, VALIDATION])
def test_a_window_shows_no_object_that_is_not_labelled_for_its_cell(storms, of_budget, part: str) -> None:
    """Of all storms there are, those in a window are of the cell's own groups; nothing is learned to be absent."""
    _, on, subsets = storms
    own = {TRAIN: subsets.train, VALIDATION: subsets.validation}[part](4, 0)
    examples = of_budget(4, 0, part).examples()
    shown = objects_in(examples.store, examples.windows, examples.table["time"], on.material.labels)
    assert set(shown["group"]) == set(examples.truth["group"]) == set(own)
    assert len(shown) == len(examples.truth)


@pytest.mark.parametrize("labels", [1, 4, 12])
def test_background_is_of_the_days_of_the_cells_own_groups(on: Ground, of_budget, labels: int) -> None:
    """As many as the task asks for, as far as there are; none of them shows anything."""
    windows = of_budget(labels)
    for cut, index in zip(windows.cuts, windows.index, strict=True):
        days, own = cut.table["time"].dt.normalize(), sorted(_anchors(on, cut, index))
        background = set(index.tolist()) - set(own)
        there = ~cut.table["group"].isin(on.material.groups(TRAIN)) & days.isin(days[own])
        assert background <= set(np.flatnonzero(there))
        assert len(background) == min(round(on.task.placement.background * len(own)), there.sum()) > 0
        assert not background & set(cut.truth["example"])


def test_the_test_windows_are_those_of_a_single_run(on: Ground, storms) -> None:
    """`toolkit finetune` cuts the same, whatever the cell; a study's scores can be put beside a run's."""
    run = load_data(on.task, on.origin, storms[0].settings.model_copy(update={"labels": 5, "seed": 3}))
    _same(taken(on, TEST, ()).examples(), run.test)


def test_all_groups_have_as_many_windows_as_a_single_run_has(on: Ground, storms, of_budget) -> None:
    """But for the few that either cannot place."""
    run = load_data(on.task, on.origin, storms[0].settings)
    for examples, part in ((run.train, TRAIN), (run.validation, VALIDATION)):
        assert len(of_budget(12, 0, part).examples()) == pytest.approx(len(examples), rel=0.05)
    once = replace(on.task, placement=replace(on.task.placement, most_recut=0))
    alone = Ground(once, on.origin, on.material)
    assert alone.cuts(TRAIN, on.material.groups(TRAIN)) == 1
    assert len(taken(alone, TRAIN, on.material.groups(TRAIN)).examples()) == len(alone.cut(TRAIN, 0))


def test_validation_is_scaled_with_the_budget(on: Ground, of_budget) -> None:
    """A small budget has fewer validation windows, among those of a larger one, and one cut of them only."""
    few, every = of_budget(4, 0, VALIDATION), of_budget(12, 0, VALIDATION)
    assert len(few.cuts) == len(every.cuts) == 1
    (cut,), (some,), (all_there_are,) = few.cuts, few.index, every.index
    assert set() < _anchors(on, cut, some, VALIDATION) < _anchors(on, cut, all_there_are, VALIDATION)


def test_every_cut_is_made_once_and_at_other_places(on: Ground) -> None:
    """Cells of a process share it; copies of a row are not the same window, and parts not cut by the same numbers."""
    assert on.cut(TRAIN, 0) is on.cut(TRAIN, 0)
    first, second = (on.cut(TRAIN, number).windows for number in (0, 1))
    assert (first.row[:50] != second.row[:50]).mean() > 0.5


def test_a_cell_without_a_window_is_refused(on: Ground) -> None:
    """As `toolkit finetune` refuses it."""
    with pytest.raises(UserError, match="of the validation part shows one that is not labelled"):
        taken(on, VALIDATION, ["nobody"])


def test_grounds_are_shared_by_the_cells_of_a_process(on: Ground, storms) -> None:
    """Whatever the cell's method, seed and labels."""
    settings = storms[0].settings.model_copy(update={"labels": 3, "seed": 9, "method": "full"})
    assert ground(settings, on.material.store.latitude_spacing) is on


@pytest.mark.parametrize("method", ["probe", "lora"])
def test_what_is_taken_from_the_cache_is_what_would_be_computed(
    on: Ground, storms, of_budget, own_cache, method: str
) -> None:
    """The features of a cell's windows, from all cuts, are those of its examples in their order."""
    settings = storms[0].settings.model_copy(update={"lora_blocks": 1})
    backbone = load_backbone(backbone_folder(settings.backbone))
    parts = built(on.task, settings, method, backbone, NO_COLUMNS)
    windows = of_budget(4)
    short = Taken(windows.cuts[:2], tuple(index[:9] for index in windows.index[:2]))
    kept = short.frozen(parts, "cpu", backbone.card)
    fresh = computed(parts, short.examples(), "cpu")
    assert kept.readouts.keys() == fresh.readouts.keys() != set()
    for name, values in fresh.readouts.items():
        np.testing.assert_allclose(kept.readouts[name], values, rtol=0.01, atol=0.01)
    np.testing.assert_allclose(kept.state, fresh.state, rtol=0.01, atol=0.01)
    assert list((own_cache / "features").iterdir())


def test_rows_are_all_there_is_without_fields(plan_rain) -> None:
    """Each of its group's rows is an example, in every part; nothing is kept of what there is no backbone for."""
    _, on, subsets = plan_rain()
    windows = taken(on, TRAIN, subsets.train(8, 0))
    examples = windows.examples()
    assert set(examples.table["group"]) == set(examples.truth["group"]) == set(subsets.train(8, 0))
    frozen = windows.frozen(None, "cpu", None)
    assert (frozen.readouts, frozen.state) == ({}, None)
    whole = {part: len(taken(on, part, on.material.groups(part)).examples()) for part in PARTS}
    assert sum(whole.values()) == len(on.material.labels)
