"""What a method takes, counted by hand from the time of a step, of a window and of its features."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.config import FinetuneSettings
from toolkit.data.store import Store
from toolkit.examples import Examples, cut_examples
from toolkit.fit import Seen
from toolkit.methods import fitted, in_memory, schedule_of
from toolkit.parts import Parts
from toolkit.split import PARTS, TRAIN, VALIDATION
from toolkit.task import Task
from toolkit.timing import Timed, fine_tuning_seconds, timed
from toolkit.told import Told
from toolkit.train import Run, Schedule

STEP, WINDOW, FEATURES = Timed(1.0, 0.0, 0.0, 1, 1), Timed(0.0, 1.0, 0.0, 1, 1), Timed(0.0, 0.0, 1.0, 1, 1)
WINDOWS = dict(zip(PARTS, (100, 20, 30), strict=True))


@pytest.fixture(scope="module")
def backbone(random_backbone: Path) -> Backbone:
    """A small backbone with random weights."""
    return load_backbone(random_backbone)


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> dict[str, Examples]:
    """The windows of one storm each."""
    own = {part: (storm_labels["group"] == f"AL{k:02d}2020").to_numpy() for k, part in enumerate(PARTS)}
    return {part: cut_examples(small_task, smooth_store, storm_labels, rows, 0) for part, rows in own.items()}


def scheduled(steps: int, validate_every: int) -> Schedule:
    """A schedule of so many steps."""
    return Schedule(steps, 8, {"": 1e-3}, validate_every=validate_every)


def test_all_that_a_fine_tuning_does_is_counted(small_task: Task) -> None:
    """Every step, the features that are computed, each once, and the windows that are validated and scored."""
    schedule = scheduled(10, 3)
    assert fine_tuning_seconds(STEP, small_task, schedule, WINDOWS, uncached=150) == 10
    assert fine_tuning_seconds(FEATURES, small_task, schedule, WINDOWS, uncached=150) == 150
    assert fine_tuning_seconds(FEATURES, small_task, schedule, WINDOWS, uncached=0) == 0
    assert fine_tuning_seconds(WINDOW, small_task, schedule, WINDOWS, uncached=150) == (4 + 1) * 20 + 30


def test_a_refit_is_counted_too(small_task: Task) -> None:
    """Steps grow with the windows of validation, whose features and those of training are computed once more."""
    task, schedule = replace(small_task, refit=True), scheduled(10, 3)
    assert fine_tuning_seconds(STEP, task, schedule, WINDOWS, uncached=0) == pytest.approx(10 + 12)
    assert fine_tuning_seconds(FEATURES, task, schedule, WINDOWS, uncached=150) == 150 + 120
    once = fine_tuning_seconds(WINDOW, small_task, schedule, WINDOWS, uncached=0)
    assert fine_tuning_seconds(WINDOW, task, schedule, WINDOWS, uncached=0) == once


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "validations"), [(7, 3), (6, 2), (2, 9)])
def test_what_is_counted_is_what_is_done(
    steps: int, validations: int, small_task: Task, backbone: Backbone, examples: dict[str, Examples], tmp_path: Path
) -> None:
    """A training does as many steps and validations, and asks for features once for each of its parts."""
    settings = FinetuneSettings(task="hurricane", limit_batches=steps, batch_size=4, validations=validations)
    asked = []

    def see(parts: Parts, name: str) -> Seen:
        asked.append(name)
        return in_memory(examples, "cpu")(parts, name)

    fitted(small_task, settings, "probe", backbone, examples, see, Run(tmp_path), Told())
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    windows, schedule = dict.fromkeys(PARTS, 1) | {"test": 0}, schedule_of(settings, "probe", len(examples[TRAIN]))
    assert fine_tuning_seconds(STEP, small_task, schedule, windows, uncached=2) == len(lines) == steps
    validated = sum("validation" in line for line in lines)
    assert fine_tuning_seconds(WINDOW, small_task, schedule, windows, uncached=2) == validated + 1
    assert sorted(asked) == sorted((TRAIN, VALIDATION))


@pytest.mark.slow
def test_what_is_timed_takes_time(small_task: Task, backbone: Backbone, examples: dict[str, Examples]) -> None:
    """A step, a window and its features; the model has as many parameters as are trained, and those that are not."""
    settings = FinetuneSettings(task="hurricane", batch_size=4)
    of = timed(small_task, settings, "probe", backbone, examples[TRAIN].subset(np.arange(6)), "cpu")
    assert min(of.step, of.window, of.features) > 0
    assert 0 < of.trainable < of.parameters
