"""`toolkit finetune`: from a task, a world and a backbone to a run folder that says how well it went."""

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import PartialState

from toolkit.adapt import trainable_share
from toolkit.backbones.card import backbone_folder, read_card, shipped
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.config import FinetuneSettings
from toolkit.contributions import contributions
from toolkit.errors import UserError
from toolkit.evaluate import (
    Prediction,
    corrected_differences,
    differences,
    metric_intervals,
    plain_values,
    predictor,
    scored,
    stated,
)
from toolkit.examples import Examples, cut_examples, unseen_maps
from toolkit.fan_out import attempted
from toolkit.files import write_json
from toolkit.known_weather import known_weather
from toolkit.methods import fitted, in_memory
from toolkit.metrics import Scores
from toolkit.origin import Material, Origin, gathered_material
from toolkit.parts import Parts, check_store
from toolkit.runfolder import write_split
from toolkit.saved import Saved, save_adapted
from toolkit.split import TEST, TRAIN, VALIDATION, chosen_groups, group_strata, validation_count
from toolkit.task import Task
from toolkit.told import Told
from toolkit.train import Run

TEST_SEED = 77
"""The test windows are the same for every seed and budget."""


@dataclass(frozen=True)
class Data:
    """The three parts of a task's examples, and the labelled rows of each."""

    material: Material
    train: Examples
    validation: Examples
    test: Examples
    rows: dict[str, pd.DataFrame]

    @property
    def parts(self) -> dict[str, Examples]:
        """The parts by name."""
        return {TRAIN: self.train, VALIDATION: self.validation, TEST: self.test}


def load_data(task: Task, origin: Origin, settings: FinetuneSettings) -> Data:
    """Gather fields and labels, choose the budget's groups, and cut the windows of the three parts."""
    material = gathered_material(task, origin, grid_of(task, settings))
    there = {part: material.groups(part) for part in (TRAIN, VALIDATION)}
    seed, count = settings.seed, {TRAIN: settings.labels}
    count[VALIDATION] = validation_count(settings.labels, *map(len, there.values()))
    kinds = {part: group_strata(material.labels[material.rows(part)], task.strata) for part in there}
    rows = {part: material.rows(part, chosen_groups(there[part], count[part], seed, kinds[part])) for part in there}
    rows[TEST] = material.rows(TEST)
    for name, own in rows.items():
        if not own.any():
            raise UserError(f"No labelled row falls into the {name} part. Add labels, or years, groups or places.")
    store, maps, labels = material.store, material.label_maps, material.labels
    train = cut_examples(task, store, labels, rows[TRAIN], seed, recut=True, label_maps=maps)
    validation = cut_examples(task, store, labels, rows[VALIDATION], seed + 1, label_maps=maps)
    test = cut_examples(task, store, labels, rows[TEST], TEST_SEED, label_maps=maps)
    return Data(material, train, validation, test, {name: labels[own] for name, own in rows.items()})


def grid_of(task: Task, settings: FinetuneSettings) -> float | None:
    """Return the grid spacing of the backbone of a run, None for a task that looks at no fields."""
    return read_card(backbone_folder(settings.backbone)).spec.grid_degrees if task.sees_fields else None


def opened_backbone(task: Task, settings: FinetuneSettings, data: Data) -> Backbone | None:
    """Load the backbone and refuse it where it does not fit the task or the store; None where no fields are seen."""
    if not task.sees_fields:
        return None
    backbone = load_backbone(backbone_folder(settings.backbone))
    check_store(task, backbone.card, data.material.store)
    return backbone


def finetune(
    task: Task, settings: FinetuneSettings, data: Data, backbone: Backbone | None, run: Run, told: Told
) -> dict[str, Any]:
    """Fit the method, the comparison from scratch and the baselines; write the run folder; return the results.

    Of several processes launched together all train, and the first one alone fits the baselines and writes.
    """
    began = time.perf_counter()
    state = PartialState(cpu=run.device == "cpu")
    state.on_main_process(write_split)(run.folder, task.split.apart, data.parts, data.rows, settings.seed)
    parts, ours = _fitted(task, settings, settings.method, backbone, data, run, told)
    found = settings.backbone if settings.backbone in shipped() else str(Path(settings.backbone).resolve())
    saved = Saved(task.name, settings.method, backbone.card if backbone else None, ours.thresholds, found)
    state.on_main_process(save_adapted)(run.folder, saved, parts)
    results = _results(task, settings, backbone, data, parts, ours)
    results["contributions"] = contributions(task, parts, ours.thresholds, data.test)
    if settings.compare and settings.method != "scratch":
        scratch_run = replace(run, folder=run.folder / "scratch")
        _, scratch = _fitted(task, settings, "scratch", backbone, data, scratch_run, told)
        results["comparison"] = {
            "method": "scratch",
            "metrics": metric_intervals(task.metrics, [scratch.scores]),
            "differences": differences(task.metrics, [ours.scores], [scratch.scores]),
        }
    if settings.baselines and state.is_main_process:
        baselines, failed = _baselines(task, data, told)
        results["notes"] += [f"the baseline {name} could not be fitted: {error}" for name, error in failed.items()]
        results["baselines"] = {name: plain_values(scores) for name, scores in baselines.items()}
        results["baseline_differences"] = corrected_differences(task.metrics, ours.scores, baselines)
    results["seconds"] = {"total": round(time.perf_counter() - began, 1)}
    state.on_main_process(_write_tables)(run.folder, task, data.test, ours.table)
    state.on_main_process(write_json)(run.folder / "results.json", results)
    return results


def _fitted(
    task: Task, settings: FinetuneSettings, method: str, backbone: Backbone | None, data: Data, run: Run, told: Told
) -> tuple[Parts, Prediction]:
    see = in_memory(data.parts, run.device)
    model = fitted(task, settings, method, backbone, data.parts, see, run, told)
    told.stage(f"scoring {method} on {len(data.test)} test windows")
    predictions = predictor(task, model.parts)(data.test)
    return model.parts, stated(task, predictions, model.thresholds, data.test)


def _results(
    task: Task,
    settings: FinetuneSettings,
    backbone: Backbone | None,
    data: Data,
    parts: Parts,
    ours: Prediction,
) -> dict[str, Any]:
    trainable, total = trainable_share(parts.model)
    used = None if settings.method == "scratch" else backbone
    return {
        "task": task.name,
        "method": settings.method,
        "backbone": None if used is None else used.card.name,
        "labels": data.rows[TRAIN]["group"].nunique(),
        "groups": task.groups,
        "seed": settings.seed,
        "primary": task.primary,
        "metrics": metric_intervals(task.metrics, [ours.scores]),
        "baselines": {},
        "baseline_differences": {},
        "model": {"parameters": total, "trainable": trainable},
        "thresholds": dict(ours.thresholds),
        "notes": _notes(task, data, used),
    }


def _notes(task: Task, data: Data, used: Backbone | None) -> list[str]:
    """Return what must be said: rows that are left out, kinds without an example, weather known from pretraining."""
    notes = [f"{count} labelled rows are left out: {why}" for why, count in _left_out(data).items()]
    unseen = unseen_maps(task, data.train)
    notes += [f"no training window has an example of {name.replace('_', ' ')}" for name in unseen]
    return notes + (known_weather(used.card, data.material.made_by, data.rows[TEST]["time"]) if used else [])


def _left_out(data: Data) -> dict[str, int]:
    """Return why rows are in no window, with counts: those of all labels, then those of the training part."""
    return data.material.left_out | {f"{why} (training part)": count for why, count in data.train.left_out.items()}


def _baselines(task: Task, data: Data, told: Told) -> tuple[dict[str, Scores], dict[str, str]]:
    """Return the scores of the baselines, and the errors of those that cannot be fitted to so few labels."""
    scores, failed = dict[str, Scores](), dict[str, str]()

    def score(name: str) -> None:
        predict = task.baselines[name](data.train, data.validation)
        scores[name] = scored(task, predict, data.validation, data.test).scores

    for name in task.baselines:
        told.stage(f"fitting the baseline {name}")
        if error := attempted(partial(score, name)):
            failed[name] = error
    return scores, failed


def _write_tables(folder: Path, task: Task, test: Examples, predictions: pd.DataFrame) -> None:
    for name, table in (("predictions", predictions), ("truth", task.truth(test))):
        about = test.table.loc[table["example"], [c for c in ("time", "group") if c in test.table and c not in table]]
        whole = pd.concat([table[["example"]], about.set_axis(table.index), table.drop(columns="example")], axis=1)
        whole.to_csv(folder / f"{name}.csv", index=False, float_format="%.7g")
