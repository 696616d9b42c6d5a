"""The scores of finished runs, from what their folders hold: the predictions, and the world with its truth."""

from pathlib import Path

import pandas as pd

from toolkit.errors import UserError
from toolkit.evaluate_run import recorded, recorded_origin, test_examples
from toolkit.examples import Examples
from toolkit.metrics import Scores, evaluate_metrics
from toolkit.origin import gathered_material, identity
from toolkit.task import Task


def recorded_test(task: Task, run: Path, grid_degrees: float | None) -> Examples:
    """Return the test windows that a run was scored on, on the grid of its backbone, None where it has none.

    `UserError` where its world is no longer what it was.
    """
    config = recorded(run)
    origin = recorded_origin(config)
    material = gathered_material(task, origin, grid_degrees)
    for name, now in identity(task, origin, material.store).items():
        if now != config.get(name):
            raise UserError(f"The {name} of {run} is no longer what it was: {config.get(name)} -> {now}.")
    return test_examples(task, material)


def recorded_scores(task: Task, run: Path, test: Examples) -> Scores:
    """Score a run's predictions.csv on its test windows."""
    return evaluate_metrics(task.metrics, pd.read_csv(run / "predictions.csv"), task.truth(test), test.table)
