"""`toolkit evaluate RUN`: a saved model scored again, on the test part of its own world or of another one."""

import time
from pathlib import Path
from typing import Any

import yaml

from toolkit.data.prepare import prepared
from toolkit.data.store import Store
from toolkit.data.world_identity import world_identity
from toolkit.errors import UserError
from toolkit.evaluate import metric_intervals, outputs
from toolkit.examples import Examples, cut_examples, split_groups
from toolkit.files import write_json
from toolkit.finetune import TEST_SEED
from toolkit.fit import check_store
from toolkit.metrics import evaluate_metrics
from toolkit.plugins import task_named
from toolkit.saved import load_adapted
from toolkit.task import Task
from toolkit.told import Told

RESULT = "evaluation.json"


def recorded(run: Path) -> dict[str, Any]:
    """Return the settings that a run folder was made with; `UserError` where it has none."""
    if not run.is_dir():
        raise UserError(f"There is no run folder {run}. Make one with `toolkit finetune TASK --out {run}`.")
    try:
        config = yaml.safe_load((run / "config.yaml").read_text())
    except FileNotFoundError:
        raise UserError(f"{run} is not a run folder: config.yaml is missing.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{run / 'config.yaml'} is not YAML: {error}") from error
    if not isinstance(config, dict) or "task" not in config:
        raise UserError(f"{run / 'config.yaml'} does not say which task it is of.")
    return config


def evaluate_run(run: Path, world: Path | None, told: Told) -> dict[str, Any]:
    """Score the model of `run` on the test years of `world` (None: the run's own); write and return evaluation.json.

    The threshold is the one the run chose on its validation part.
    """
    began = time.perf_counter()
    config = recorded(run)
    task = task_named(config["task"])
    saved, parts = load_adapted(run, task)
    world = world or Path(config["world"]["path"])
    told.stage("preparing fields and labels")
    store = prepared(world, (*task.inputs.variables, *task.inputs.also))
    check_store(task, saved.card, store)
    test = cut_test_examples(task, world, store)
    told.stage(f"scoring {len(test)} test windows")
    stated = task.decode(outputs(parts.model, parts.readouts, test, parts.normalisation), test)
    table = task.keep(stated, saved.threshold)
    content = {
        "task": task.name,
        "method": saved.method,
        "world": world_identity(world, store),
        "groups": test.truth["group"].nunique(),
        "windows": len(test),
        "threshold": saved.threshold,
        "metrics": metric_intervals(task.metrics, [evaluate_metrics(task.metrics, table, test.truth, test.table)]),
        "seconds": round(time.perf_counter() - began, 1),
    }
    write_json(run / RESULT, content)
    return content


def cut_test_examples(task: Task, world: Path, store: Store) -> Examples:
    """Return the examples of a world's test part: the same for every run, whatever its budget and seed."""
    table = task.labels(world)
    _, groups = split_groups(table, store, task.split.gap_days)
    return cut_examples(task, store, table, groups["test"], TEST_SEED)
