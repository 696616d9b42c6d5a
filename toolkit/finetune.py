"""`toolkit finetune`: from a task, a world and a backbone to a run folder that says how well it went."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import PartialState

from toolkit.adapt import Lora, trainable_share
from toolkit.backbones.card import backbone_folder, shipped
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.config import FinetuneSettings
from toolkit.data.prepare import prepared
from toolkit.data.store import Store
from toolkit.evaluate import (
    Prediction,
    corrected_differences,
    differences,
    metric_intervals,
    plain_values,
    scored,
)
from toolkit.examples import Examples, Years, chosen_groups, cut_examples, split_groups
from toolkit.files import write_json
from toolkit.fit import Parts, assemble, check_store, fit
from toolkit.metrics import Scores
from toolkit.runfolder import write_split
from toolkit.saved import Saved, save_adapted
from toolkit.task import Task
from toolkit.told import Told
from toolkit.train import Run, Schedule

VALIDATION_SHARE = 3
"""One validation storm for every three labelled ones: a small budget has a small validation set too."""
FEWEST_VALIDATION_GROUPS = 4
TEST_SEED = 77
"""The test windows are the same for every seed and budget."""
BACKBONE_RATE = {"probe": 0.0, "lora": 1.0, "full": 0.3, "scratch": 1.0}
"""The backbone's learning rate relative to the head's."""
VALIDATIONS = 2


@dataclass(frozen=True)
class Data:
    """The three parts of a task's examples on one store, and the years they come from."""

    store: Store
    years: Years
    train: Examples
    validation: Examples
    test: Examples

    @property
    def parts(self) -> dict[str, Examples]:
        """The parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load_data(task: Task, world: Path, labels: int | None, seed: int) -> Data:
    """Prepare the store, read the labels, split them by year and group, and cut the windows."""
    store = prepared(world, (*task.inputs.variables, *task.inputs.also))
    table = task.labels(world)
    years, groups = split_groups(table, store, task.split.gap_days)
    few = (
        None
        if labels is None
        else min(max(FEWEST_VALIDATION_GROUPS, labels // VALIDATION_SHARE), len(groups["validation"]))
    )
    train = cut_examples(task, store, table, chosen_groups(groups["train"], labels, seed), seed, recut=True)
    validation = cut_examples(task, store, table, chosen_groups(groups["validation"], few, seed), seed + 1)
    return Data(store, years, train, validation, cut_examples(task, store, table, groups["test"], TEST_SEED))


def schedule_of(settings: FinetuneSettings, method: str, examples: int) -> Schedule:
    """Return how a method is trained on this many windows."""
    steps = max(settings.least_steps, round(settings.epochs * examples / settings.batch_size))
    steps = min(steps, settings.limit_batches or steps)
    return Schedule(
        steps=steps,
        batch_size=settings.batch_size,
        learning_rates={"head": settings.lr, "backbone": settings.lr * BACKBONE_RATE[method]},
        warmup_share=settings.warmup_share,
        validate_every=max(1, steps // VALIDATIONS),
        checkpoint_every=max(1, min(100, steps // 4)),
        seed=settings.seed,
    )


def opened_backbone(task: Task, settings: FinetuneSettings, store: Store) -> Backbone:
    """Load the backbone and refuse it where it does not fit the task or the store."""
    backbone = load_backbone(backbone_folder(settings.backbone))
    check_store(task, backbone.card, store)
    return backbone


def finetune(task: Task, settings: FinetuneSettings, world: Path, run: Run, told: Told) -> dict[str, Any]:
    """Fit the method, the comparison from scratch and the baselines; write the run folder; return the results.

    Of several processes launched together all train, and the first one alone fits the baselines and writes.
    """
    began = time.perf_counter()
    state = PartialState(cpu=run.device == "cpu")
    told.stage("preparing fields and labels")
    data = load_data(task, world, settings.labels, settings.seed)
    backbone = opened_backbone(task, settings, data.store)
    state.on_main_process(write_split)(run.folder, data.years, data.parts, settings.seed)
    parts, ours = _fitted(task, settings, settings.method, backbone, data, run, told)
    found = settings.backbone if settings.backbone in shipped() else str(Path(settings.backbone).resolve())
    saved = Saved(task.name, settings.method, backbone.card, ours.threshold, found)
    state.on_main_process(save_adapted)(run.folder, saved, parts.model)
    results = _results(task, settings, backbone, data, parts, ours)
    if settings.compare and settings.method != "scratch":
        scratch_run = replace(run, folder=run.folder / "scratch")
        _, scratch = _fitted(task, settings, "scratch", backbone, data, scratch_run, told)
        results["comparison"] = {
            "method": "scratch",
            "metrics": metric_intervals(task.metrics, [scratch.scores]),
            "differences": differences(task.metrics, [ours.scores], [scratch.scores]),
        }
    if settings.baselines and state.is_main_process:
        baselines = _baselines(task, data, told)
        results["baselines"] = {name: plain_values(scores) for name, scores in baselines.items()}
        results["baseline_differences"] = corrected_differences(task.metrics, ours.scores, baselines)
    results["seconds"] = {"total": round(time.perf_counter() - began, 1)}
    state.on_main_process(_write_tables)(run.folder, data.test, ours.table)
    state.on_main_process(write_json)(run.folder / "results.json", results)
    return results


def _fitted(
    task: Task, settings: FinetuneSettings, method: str, backbone: Backbone, data: Data, run: Run, told: Told
) -> tuple[Parts, Prediction]:
    used = None if method == "scratch" else backbone
    lora = Lora(settings.lora_rank, settings.lora_alpha, settings.lora_blocks)
    parts = assemble(task, backbone.card, used, method, lora, settings.seed)
    own_share = -(-len(data.train) // PartialState().num_processes)  # each process sees batches of its own
    schedule = schedule_of(settings, method, own_share)
    told.stage(f"training {method} on {len(data.train)} windows, {schedule.steps} steps")
    reporting = replace(run, report=lambda numbers: told.step(numbers, schedule.steps))
    predict = fit(task, parts, data.train, data.validation, schedule, reporting)
    told.stage(f"scoring {method} on {len(data.test)} test windows")
    return parts, scored(task, predict, data.validation, data.test)


def _results(
    task: Task, settings: FinetuneSettings, backbone: Backbone, data: Data, parts: Parts, ours: Prediction
) -> dict[str, Any]:
    trainable, total = trainable_share(parts.model)
    return {
        "task": task.name,
        "method": settings.method,
        "backbone": None if settings.method == "scratch" else backbone.card.name,
        "labels": data.train.truth["group"].nunique(),
        "groups": task.groups,
        "seed": settings.seed,
        "primary": task.primary,
        "metrics": metric_intervals(task.metrics, [ours.scores]),
        "baselines": {},
        "baseline_differences": {},
        "model": {"parameters": total, "trainable": trainable},
        "threshold": ours.threshold,
        "notes": [f"{count} labelled rows have no window: {why}" for why, count in data.train.left_out.items()],
    }


def _baselines(task: Task, data: Data, told: Told) -> dict[str, Scores]:
    scores = {}
    for name, baseline in task.baselines.items():
        told.stage(f"fitting the baseline {name}")
        predict = baseline(data.train, data.validation)
        scores[name] = scored(task, predict, data.validation, data.test).scores
    return scores


def _write_tables(folder: Path, test: Examples, predictions: pd.DataFrame) -> None:
    times = test.table["time"]
    for name, table in (("predictions", predictions), ("truth", test.truth)):
        timed = table.assign(time=times.loc[table["example"]].to_numpy())
        columns = ["example", "time", *(c for c in timed.columns if c not in ("example", "time"))]
        timed[columns].to_csv(folder / f"{name}.csv", index=False, float_format="%.4f")
