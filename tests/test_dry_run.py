"""What a fine-tuning is said to take, by hand from what a step, a window and its features take."""

from pathlib import Path

import pytest

from toolkit import dry_run
from toolkit.config import FinetuneSettings
from toolkit.dry_run import estimate
from toolkit.task import Task
from toolkit.timing import Timed
from toolkit.told import Told

TIMED = {"probe": Timed(1.0, 0.0, 10.0, 9, 3), "scratch": Timed(100.0, 0.0, 0.0, 9, 9)}


@pytest.mark.slow
def test_seconds_are_those_of_both_trainings(
    small_task: Task, tiny_world: Path, random_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the method and of the comparison from scratch, each by its own times; features are computed once a window."""
    monkeypatch.setattr(dry_run, "timed", lambda _task, _settings, method, *_: TIMED[method])
    settings = FinetuneSettings(
        task="hurricane", world=tiny_world, backbone=str(random_backbone), method="probe", limit_batches=5
    )
    both = estimate(small_task, settings, Told())
    assert both.steps == {"probe": 5, "scratch": 5}
    assert both.seconds == 5 * 1 + 10 * sum(both.windows.values()) + 5 * 100
    alone = estimate(small_task, settings.model_copy(update={"compare": False}), Told())
    assert alone.seconds == both.seconds - 500
    assert (alone.seconds_per_step, alone.parameters, alone.trainable) == (1, 9, 3)
