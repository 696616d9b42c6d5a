from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from toolkit.adapt import Adapted, Lora
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.columns import ColumnCode, encode_columns, fit_columns
from toolkit.data.store import NO_FIELDS, Store
from toolkit.examples import Examples, cut_examples
from toolkit.frozen import Frozen, computed, feed, stored
from toolkit.heads.features import Features, Given
from toolkit.parts import Parts, assemble, input_planes
from toolkit.task import Inputs, Task

HALF = {"rtol": 2e-3, "atol": 1e-4}
METHODS = ("probe", "lora", "full", "scratch")


@pytest.fixture(scope="module")
def backbone(random_backbone: Path) -> Backbone:
    """A small backbone with random weights."""
    return load_backbone(random_backbone)


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """The windows of two storms."""
    own = storm_labels["group"].isin(("AL002020", "AL032020")).to_numpy()
    return cut_examples(small_task, smooth_store, storm_labels, own, seed=0)


@pytest.fixture(scope="module")
def made(small_task: Task, backbone: Backbone) -> Callable[[str], Parts]:
    """The function from a method to its model, LoRA on the last of two blocks."""

    def make(method: str) -> Parts:
        used = None if method == "scratch" else backbone
        return assemble(small_task, backbone.card, used, method, Lora(rank=2, blocks=1), seed=0)

    return make


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows come in several chunks, of which the last is not full."""
    monkeypatch.setattr("toolkit.frozen.CHUNK", 9)


def failing(_windows: Tensor) -> Any:
    """What must not be called."""
    raise AssertionError("computed again")


def same(one: Frozen, other: Frozen) -> bool:
    """Whether two hold the same, to the bit."""
    ours, theirs = ({**kept.readouts, "state": kept.state} for kept in (one, other))
    if ours.keys() != theirs.keys() or (one.state is None) != (other.state is None):
        return False
    return all(np.array_equal(array, theirs[name]) for name, array in ours.items() if array is not None)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_kept_is_what_the_untouched_backbone_says(
    method: str, made: Callable[[str], Parts], examples: Examples
) -> None:
    """Kept are readouts, and state where blocks are not trained, in half precision; of a model from scratch nothing."""
    parts, everything = made(method), np.arange(len(examples))
    readouts, state = computed(parts, examples, "cpu").values(everything, "cpu")
    x = input_planes(parts, examples, everything)
    with torch.no_grad():
        expected = parts.readouts(x)
        assert readouts.keys() == expected.keys() == set(parts.handed)
        for name, values in expected.items():
            torch.testing.assert_close(readouts[name], values, **HALF)
        assert (state is None) == (method not in ("probe", "lora"))
        if state is not None:
            torch.testing.assert_close(state, parts.model.frozen_state(x), **HALF)
    assert bool(readouts) == (method != "scratch")


class Forgetful(nn.Module):
    """A block with dropout in front."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.dropout, self.block = nn.Dropout(0.5), block

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return self.block(self.dropout(x))


def test_what_is_kept_is_that_of_inference(made: Callable[[str], Parts], examples: Examples) -> None:
    """Nothing is drawn at random in blocks that stay as they are, though the model is in training."""
    plain, parts = made("probe"), made("probe")
    parts.model.backbone.blocks[0] = Forgetful(parts.model.backbone.blocks[0])
    parts.model.train()
    assert same(computed(parts, examples, "cpu"), computed(plain, examples, "cpu"))


def test_values_come_in_the_order_that_is_asked_for(made: Callable[[str], Parts], examples: Examples) -> None:
    """Those of the windows at an index are the same as among all, whatever the order, and with a window twice."""
    whole, index = computed(made("lora"), examples, "cpu"), np.array([7, 0, 11, 7])
    readouts, state = whole.values(index, "cpu")
    every, every_state = whole.values(np.arange(len(examples)), "cpu")
    assert torch.equal(state, every_state[index])
    assert all(torch.equal(readouts[name], values[index]) for name, values in every.items())
    assert not torch.equal(state[0], state[1])


def test_a_model_is_fed_the_same_either_way(made: Callable[[str], Parts], examples: Examples) -> None:
    """Planes and columns are the same with what is kept and without; without it the model goes all the way."""
    parts, index = made("lora"), np.array([4, 1])
    kept, anew = (feed(parts, examples, "cpu", f)(index) for f in (computed(parts, examples, "cpu"), None))
    assert torch.equal(kept[0], anew[0])
    assert torch.equal(kept[2], anew[2])
    assert (kept[3] is None, anew[3] is None) == (False, True)
    parts.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(parts.model(*kept), parts.model(*anew), **HALF)


@pytest.mark.parametrize("method", METHODS)
def test_files_hold_what_would_be_computed(
    method: str, made: Callable[[str], Parts], backbone: Backbone, examples: Examples, tmp_path: Path
) -> None:
    """What is stored equals what is computed to the bit, is mapped and not read, and cannot be changed by a user."""
    parts = made(method)
    kept = stored(parts, examples, "cpu", backbone.card, tmp_path)
    assert same(kept, computed(parts, examples, "cpu"))
    arrays = [*kept.readouts.values(), *([] if kept.state is None else [kept.state])]
    assert all(isinstance(array, np.memmap) and not array.flags.writeable for array in arrays)
    values, state = kept.values(np.arange(3), "cpu")
    for tensor in (*values.values(), *([] if state is None else [state])):
        tensor.zero_()
    assert same(stored(parts, examples, "cpu", backbone.card, tmp_path), computed(parts, examples, "cpu"))


def test_files_are_computed_once(
    made: Callable[[str], Parts],
    backbone: Backbone,
    examples: Examples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second call computes nothing; another method shares the readouts and computes its own state alone."""
    first = stored(made("probe"), examples, "cpu", backbone.card, tmp_path)
    other = stored(replace(made("lora"), readouts=failing), examples, "cpu", backbone.card, tmp_path)
    assert first.readouts.keys() == other.readouts.keys()
    monkeypatch.setattr(Adapted, "frozen_state", failing)
    again = stored(replace(made("probe"), readouts=failing), examples, "cpu", backbone.card, tmp_path)
    assert same(again, first)
    stored(replace(made("full"), readouts=failing), examples, "cpu", backbone.card, tmp_path)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 3


def test_of_many_at_once_one_computes(
    made: Callable[[str], Parts], backbone: Backbone, examples: Examples, tmp_path: Path
) -> None:
    """Whoever asks meanwhile waits for the files and reads them."""
    parts, asked = made("full"), []

    def counting(x: Tensor) -> dict[str, Tensor]:
        asked.append(len(x))
        return parts.readouts(x)

    slow = replace(parts, readouts=counting)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: stored(slow, examples, "cpu", backbone.card, tmp_path), range(3)))
    assert sum(asked) == len(examples)
    assert all(same(found[0], other) for other in found[1:])


def test_a_failure_half_way_leaves_nothing(
    made: Callable[[str], Parts], backbone: Backbone, examples: Examples, tmp_path: Path
) -> None:
    """What was not computed to the end is no features: the next call begins again, and ends well."""
    parts, seen = made("full"), []

    def breaking(x: Tensor) -> dict[str, Tensor]:
        seen.append(x)
        return parts.readouts(x) if len(seen) < 3 else failing(x)

    with pytest.raises(AssertionError, match="computed again"):
        stored(replace(parts, readouts=breaking), examples, "cpu", backbone.card, tmp_path)
    assert len(seen) == 3
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert same(stored(parts, examples, "cpu", backbone.card, tmp_path), computed(parts, examples, "cpu"))


def test_what_differs_has_files_of_its_own(
    made: Callable[[str], Parts], backbone: Backbone, examples: Examples, tmp_path: Path
) -> None:
    """Other weights, options, architecture, windows, order, mirroring, fields or normalisation are other features."""
    parts, card, windows = made("full"), backbone.card, examples.windows
    n = parts.normalisation
    mirrored = replace(examples, windows=replace(windows, mirrored=~windows.mirrored))
    different = [
        (parts, examples, card),
        (parts, examples, replace(card, weights_sha256="0")),
        (parts, examples, replace(card, options={"masked": {"share": 0.5}})),
        (parts, examples, replace(card, architecture={"depth": 2, "heads": 4})),
        (parts, examples.subset(np.arange(5)), card),
        (parts, examples.subset(np.arange(len(examples))[::-1]), card),
        (parts, mirrored, card),
        (parts, replace(examples, store=replace(examples.store, sha256="0")), card),
        (replace(parts, normalisation=replace(n, mean=tuple(2 * m + 1e-9 for m in n.mean))), examples, card),
    ]
    for count, (model, of, described) in enumerate(different, 1):
        stored(model, of, "cpu", described, tmp_path)
        assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == count
    stored(parts, replace(examples, table=examples.table.assign(group="")), "cpu", replace(card, name="b"), tmp_path)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == len(different)


class Columns(nn.Module):
    """A head of one weight on the columns."""

    def __init__(self, _given: Given) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(()))

    def forward(self, features: Features) -> Tensor:
        """Return (b,)."""
        return self.weight * features.columns.sum(1)


def test_a_task_without_fields_has_nothing_to_keep(small_task: Task) -> None:
    """Its model is fed columns, with neither readouts nor state."""
    table = pd.DataFrame({"group": list("abcdef"), "height": np.arange(6.0)})
    task = replace(small_task, inputs=Inputs(columns=("height",)), head=Columns)
    parts = assemble(task, None, None, "scratch", Lora(), 0, fit_columns(table, ("height",)))
    rows = cut_examples(task, NO_FIELDS, table, np.full(6, True), 0)
    kept = computed(parts, rows, "cpu")
    assert (kept.readouts, kept.state) == ({}, None)
    x, readouts, columns, state = feed(parts, rows, "cpu", kept)(np.array([5, 2]))
    assert (x.shape, readouts, columns.shape, state) == ((2, 1, 0, 0), {}, (2, parts.columns.width), None)


def test_columns_are_encoded_once(small_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many batches are drawn, and their columns are to the bit those of their own rows."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"group": rng.choice(list("abc"), 200), "height": rng.lognormal(0, 2, 200)})
    table.loc[::7, "height"] = np.nan
    names, asked = ("height", "group"), []

    def counting(code: ColumnCode, table: pd.DataFrame) -> np.ndarray:
        asked.append(len(table))
        return encode_columns(code, table)

    monkeypatch.setattr("toolkit.frozen.encode_columns", counting)
    task = replace(small_task, inputs=Inputs(columns=names), head=Columns)
    parts = assemble(task, None, None, "scratch", Lora(), 0, fit_columns(table, names))
    rows = cut_examples(task, NO_FIELDS, table, np.full(200, True), 0)
    batch = feed(parts, rows, "cpu")
    for size in (1, 32, 64, 65, 200):
        index = rng.permutation(200)[:size]
        assert torch.equal(batch(index)[2], torch.from_numpy(encode_columns(parts.columns, table.iloc[index])))
    assert asked == [200]
