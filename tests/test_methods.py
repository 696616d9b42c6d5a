import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.columns import NO_COLUMNS
from toolkit.config import FinetuneSettings
from toolkit.data.store import Store
from toolkit.examples import Examples, cut_examples
from toolkit.fit import Seen
from toolkit.frozen import stored
from toolkit.methods import BACKBONE_RATE, Fitted, See, built, fitted, in_memory, schedule_of
from toolkit.parts import Parts
from toolkit.split import TRAIN, VALIDATION
from toolkit.task import Task
from toolkit.told import Told
from toolkit.train import Run

STORMS = {TRAIN: ("AL002020", "AL032020"), VALIDATION: ("AL042020",)}


@pytest.fixture(scope="module")
def backbone(random_backbone: Path) -> Backbone:
    """A small backbone with random weights."""
    return load_backbone(random_backbone)


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> dict[str, Examples]:
    """The windows of two storms to train on, and of one to validate."""
    own = {part: storm_labels["group"].isin(storms).to_numpy() for part, storms in STORMS.items()}
    return {part: cut_examples(small_task, smooth_store, storm_labels, rows, seed=0) for part, rows in own.items()}


def settings(**given: object) -> FinetuneSettings:
    """The settings of a short run."""
    return FinetuneSettings(
        task="hurricane", lr=1e-2, batch_size=8, epochs=0.1, least_steps=6, lora_rank=2, lora_alpha=4, lora_blocks=1,
        validations=3,
    ).model_copy(update=given)  # fmt: skip


def trained(
    task: Task, method: str, backbone: Backbone | None, examples: dict[str, Examples], see: See, folder: Path
) -> tuple[Fitted, list[str]]:
    """What comes of a method, and the stages that were told."""
    stages: list[str] = []
    told = Told(stage=stages.append)
    return fitted(task, settings(), method, backbone, examples, see, Run(folder), told), stages


def losses(folder: Path) -> list[float]:
    """The validation losses of a run, in order."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["validation"] for line in lines if "validation" in line]


@pytest.mark.slow
@pytest.mark.parametrize("method", BACKBONE_RATE)
def test_a_method_is_trained_and_judged_on_validation(
    method: str, small_task: Task, backbone: Backbone, examples: dict[str, Examples], tmp_path: Path
) -> None:
    """What comes back is the lowest validation loss, thresholds, and a model; the backbone stays as it is."""
    before = {name: value.clone() for name, value in backbone.module.state_dict().items()}
    found, stages = trained(small_task, method, backbone, examples, in_memory(examples, "cpu"), tmp_path)
    assert found.validation == pytest.approx(min(losses(tmp_path)), rel=1e-6)
    assert set(found.thresholds) == {"probability"}
    assert stages == [f"training {method} on {len(examples[TRAIN])} windows, 6 steps"]
    assert all(torch.equal(before[name], value) for name, value in backbone.module.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["probe", "lora"])
def test_features_from_files_change_nothing(
    method: str, small_task: Task, backbone: Backbone, examples: dict[str, Examples], tmp_path: Path
) -> None:
    """With what is frozen in files, weights, thresholds and loss are those of a run that computes it."""

    def from_files(parts: Parts, name: str) -> Seen:
        return Seen(examples[name], stored(parts, examples[name], "cpu", backbone.card, tmp_path / "cache"))

    ways = {"memory": in_memory(examples, "cpu"), "files": from_files}
    one, other = (trained(small_task, method, backbone, examples, see, tmp_path / k)[0] for k, see in ways.items())
    assert (one.thresholds, one.validation) == (other.thresholds, other.validation)
    weights = other.parts.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in one.parts.model.state_dict().items())


@pytest.mark.slow
def test_a_refit_learns_from_validation_too(
    small_task: Task, backbone: Backbone, examples: dict[str, Examples], tmp_path: Path
) -> None:
    """A task that asks for it is trained anew on both parts for the best number of epochs; the loss stays."""
    task = replace(small_task, refit=True)
    found, stages = trained(task, "lora", backbone, examples, in_memory(examples, "cpu"), tmp_path)
    once, _ = trained(small_task, "lora", backbone, examples, in_memory(examples, "cpu"), tmp_path / "once")
    assert (found.thresholds, found.validation) == (once.thresholds, once.validation)
    validated = losses(tmp_path)
    train, both = len(examples[TRAIN]), len(examples[TRAIN]) + len(examples[VALIDATION])
    steps = round(2 * (1 + validated.index(min(validated))) * both / train)
    assert stages[1:] == [f"training lora again on {both} windows with those of validation, {steps} steps"]
    assert len((tmp_path / "refit" / "metrics.jsonl").read_text().splitlines()) == steps
    assert not losses(tmp_path / "refit")
    weights = once.parts.model.state_dict()
    assert any(not torch.equal(value, weights[name]) for name, value in found.parts.model.state_dict().items())


def test_a_schedule_follows_windows_and_method() -> None:
    """Steps are the epochs', no fewer than the least and no more than the limit; the backbone has its method's rate."""
    of = settings(epochs=2.5, least_steps=10, batch_size=8, validations=4)
    assert schedule_of(of, "lora", 320).steps == 100
    assert schedule_of(of, "lora", 8).steps == 10
    assert schedule_of(of.model_copy(update={"limit_batches": 3}), "lora", 320).steps == 3
    assert schedule_of(of, "lora", 320).validate_every == schedule_of(of, "lora", 320).checkpoint_every == 25
    for method, share in BACKBONE_RATE.items():
        rates = schedule_of(of, method, 320).learning_rates
        assert rates == {"head": 1e-2, "backbone": pytest.approx(1e-2 * share)}


def test_scratch_has_the_backbones_shape_alone(small_task: Task, backbone: Backbone) -> None:
    """From scratch, weights are those of the seed and no readout is handed; LoRA has the blocks of the settings."""
    scratch, lora = (built(small_task, settings(), method, backbone, NO_COLUMNS) for method in ("scratch", "lora"))
    assert (scratch.handed, scratch.model.entry, lora.model.entry) == ((), None, 1)
    pretrained = backbone.module.state_dict()
    weights = scratch.model.backbone.state_dict()
    assert {name: value.shape for name, value in weights.items()} == {k: v.shape for k, v in pretrained.items()}
    assert not np.allclose(weights["patch_embed.weight"], pretrained["patch_embed.weight"])
