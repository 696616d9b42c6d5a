"""`toolkit evaluate RUN`: a saved model scored again, on the test part of its own world or of another one."""

import time
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

from toolkit.errors import UserError
from toolkit.evaluate import metric_intervals, outputs, stated
from toolkit.examples import Examples, cut_examples
from toolkit.files import write_json
from toolkit.finetune import TEST_SEED
from toolkit.origin import Material, Origin, gathered_material, identity
from toolkit.parts import check_store
from toolkit.plugins import task_named
from toolkit.runfolder import how_to_resume
from toolkit.saved import load_adapted
from toolkit.split import TEST
from toolkit.task import Task
from toolkit.told import Told

RESULT = "evaluation.json"


def recorded(run: Path) -> dict[str, Any]:
    """Return the settings that a run folder was made with; `UserError` where it has none."""
    if run.is_file() and (run.parent / "config.yaml").exists():
        raise UserError(f"{run} is a file of a run: give its folder, {run.parent}.")
    if not run.is_dir():
        raise UserError(f"There is no run folder {run}. Make one with `toolkit finetune TASK --out {quote(str(run))}`.")
    try:
        config = yaml.safe_load((run / "config.yaml").read_text())
    except FileNotFoundError:
        raise UserError(f"{run} is not a run folder: config.yaml is missing.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{run / 'config.yaml'} is not YAML: {error}") from error
    if not isinstance(config, dict) or "task" not in config:
        raise UserError(f"{run / 'config.yaml'} does not say which task it is of.")
    if "ladder" in config:
        raise UserError(
            f"{run} is a study, not a run: its report is {run / 'report.html'}, which is written again by "
            f"{how_to_resume(run)}"
        )
    return config


def recorded_task(config: dict[str, Any], data: Path | None = None) -> Task:
    """Return the task of a run, under the options it had, for its own labels or those at `data`."""
    return task_named(config["task"], config.get("options"), data or recorded_origin(config).data)


def recorded_origin(config: dict[str, Any], world: Path | None = None, data: Path | None = None) -> Origin:
    """Return where a run's fields and labels came from, or the world and data given in place of either."""
    was = {name: Path(config[name]["path"]) if config.get(name) else None for name in ("world", "data")}
    return Origin(world or was["world"], data or (None if world else was["data"]))


def evaluate_run(task: Task, run: Path, origin: Origin, told: Told) -> dict[str, Any]:
    """Score the model of `run` on the test part of a world and its labels; write and return evaluation.json.

    The thresholds are those the run chose on its validation part.
    """
    began = time.perf_counter()
    saved, parts = load_adapted(run, task)
    told.stage("preparing fields and labels")
    material = gathered_material(task, origin, saved.card.spec.grid_degrees if saved.card else None)
    if saved.card:
        check_store(task, saved.card, material.store)
    test = test_examples(task, material)
    told.stage(f"scoring {len(test)} test windows")
    result = stated(task, task.decode(outputs(parts, test), test), saved.thresholds, test)
    content = {
        "task": task.name,
        "method": saved.method,
        **identity(task, origin, material.store),
        "groups": len(material.groups(TEST)),
        "windows": len(test),
        "thresholds": dict(saved.thresholds),
        "metrics": metric_intervals(task.metrics, [result.scores]),
        "seconds": round(time.perf_counter() - began, 1),
    }
    write_json(run / RESULT, content)
    return content


def test_examples(task: Task, material: Material) -> Examples:
    """Return the examples of the test part: the same for every run, whatever its budget and seed."""
    rows = material.rows(TEST)
    return cut_examples(task, material.store, material.labels, rows, TEST_SEED, label_maps=material.label_maps)
