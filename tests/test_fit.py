import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from toolkit.adapt import Lora
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.data.store import Store
from toolkit.evaluate import outputs
from toolkit.examples import Examples, cut_examples
from toolkit.fit import Seen, batch_index, fit, seen
from toolkit.frozen import stored
from toolkit.parts import Parts, assemble
from toolkit.task import Task
from toolkit.train import Run, Schedule


@pytest.fixture(scope="module")
def backbone(random_backbone: Path) -> Backbone:
    """A small backbone with random weights."""
    return load_backbone(random_backbone)


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """The windows of two storms."""
    own = storm_labels["group"].isin(("AL002020", "AL032020")).to_numpy()
    return cut_examples(small_task, smooth_store, storm_labels, own, seed=0)


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 9), st.integers(0, 5))
def test_an_epoch_is_a_permutation(examples: int, batch_size: int, seed: int, epoch: int) -> None:
    """In the batches of an epoch no example comes twice, and as many are left out as do not fill a batch."""
    size = min(batch_size, examples)
    steps = examples // size
    batches = [batch_index(examples, batch_size, seed, epoch * steps + k) for k in range(steps)]
    assert all(len(batch) == size for batch in batches)
    drawn = np.concatenate(batches)
    assert len(set(drawn.tolist())) == len(drawn) > examples - size
    assert drawn.min() >= 0
    assert drawn.max() < examples


def test_batches_depend_on_seed_and_step_alone() -> None:
    """A step's batch is the same whatever ran before; other epochs and seeds draw others; in the end all take part."""
    torch.manual_seed(0)
    first = batch_index(50, 8, 0, 13)
    batch_index(50, 8, 3, 2)
    np.testing.assert_array_equal(batch_index(50, 8, 0, 13), first)
    assert not np.array_equal(batch_index(50, 8, 1, 13), first)
    assert not np.array_equal(batch_index(50, 8, 0, 13 + 6), first)
    counts = Counter(int(k) for step in range(300) for k in batch_index(50, 8, 0, step))
    assert len(counts) == 50
    assert max(counts.values()) - min(counts.values()) < 15


@pytest.mark.slow
@pytest.mark.parametrize("method", ["probe", "lora", "full", "scratch"])
def test_a_fit_learns_and_predicts(
    method: str, small_task: Task, backbone: Backbone, examples: Examples, tmp_path: Path
) -> None:
    """Every method brings the loss down, validates on the way, and returns how that went; the backbone stays."""
    used = None if method == "scratch" else backbone
    before = {name: value.clone() for name, value in backbone.module.state_dict().items()}
    parts = assemble(small_task, backbone.card, used, method, Lora(2, 4, blocks=1), seed=0)
    schedule = Schedule(18, 8, {"head": 1e-2, "backbone": 1e-3}, validate_every=6)
    windows = seen(parts, examples, "cpu")
    progress = fit(small_task, parts, windows, windows, schedule, Run(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {"centre", "wind", "displacement"} <= set(lines[0])
    validations = [line["validation"] for line in lines if "validation" in line]
    assert len(validations) == 3
    assert validations[-1] < validations[0]
    assert progress.best_step == 6 * (validations.index(min(validations)) + 1)
    assert progress.best == pytest.approx(min(validations), rel=1e-6)
    assert all(torch.equal(before[name], value) for name, value in backbone.module.state_dict().items())


@pytest.mark.slow
def test_the_validation_loss_is_that_of_the_best_weights(
    small_task: Task, backbone: Backbone, examples: Examples, tmp_path: Path
) -> None:
    """The returned model's loss on the validation windows is the lowest that was logged."""
    parts = assemble(small_task, backbone.card, backbone, "lora", Lora(2, 4, blocks=1), seed=0)
    schedule = Schedule(12, 8, {"head": 0.05, "backbone": 0.05}, validate_every=3)
    windows = seen(parts, examples, "cpu")
    fit(small_task, parts, windows, windows, schedule, Run(tmp_path))
    output = torch.from_numpy(outputs(parts, examples))
    targets = {name: torch.from_numpy(target) for name, target in small_task.encode(examples).items()}
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    lowest = min(line["validation"] for line in lines if "validation" in line)
    total = sum(part.item() for part in small_task.loss(output, targets).values())
    assert total == pytest.approx(lowest, rel=0.02)  # readouts and state are kept in half precision while training


@pytest.mark.slow
@pytest.mark.parametrize("method", ["probe", "lora"])
def test_features_from_files_give_the_same_weights(
    method: str, small_task: Task, backbone: Backbone, examples: Examples, tmp_path: Path
) -> None:
    """Whether what is frozen was computed now or read from files, a fit ends in the same bits."""
    schedule = Schedule(4, 8, {"head": 1e-2, "backbone": 1e-2}, validate_every=2)

    def trained(name: str, windows_of: Callable[[Parts], Seen]) -> dict[str, Tensor]:
        parts = assemble(small_task, backbone.card, backbone, method, Lora(2, 4, blocks=1), seed=0)
        windows = windows_of(parts)
        fit(small_task, parts, windows, windows, schedule, Run(tmp_path / name))
        return parts.model.state_dict()

    def from_files(parts: Parts) -> Seen:
        return Seen(examples, stored(parts, examples, "cpu", backbone.card, tmp_path / "cache"))

    now = trained("now", lambda parts: seen(parts, examples, "cpu"))
    for name in ("first", "again"):
        kept = trained(name, from_files)
        assert all(torch.equal(value, kept[key]) for key, value in now.items())


def test_a_fit_learns_what_it_would_without_anything_kept(
    small_task: Task, backbone: Backbone, examples: Examples, tmp_path: Path
) -> None:
    """To half precision, LoRA learns from what is kept as it does where all is computed in every step."""
    losses = []
    for name in ("kept", "anew"):
        parts = assemble(small_task, backbone.card, backbone, "lora", Lora(2, 4, blocks=1), seed=0)
        windows = seen(parts, examples, "cpu") if name == "kept" else Seen(examples, None)
        fit(small_task, parts, windows, windows, Schedule(6, 8, {"": 3e-3}), Run(tmp_path / name))
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-3)
