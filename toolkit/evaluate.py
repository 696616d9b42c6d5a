"""From a model or a baseline to scores: outputs over many windows, decoded, selected on validation, scored on test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from toolkit.examples import Examples
from toolkit.frozen import Frozen, chunks, feed
from toolkit.metrics import Metric, Scores, evaluate_metrics
from toolkit.parts import Parts
from toolkit.stats import bootstrap, distinct, holm, paired_difference, rounded
from toolkit.task import Task, Thresholds

Predict = Callable[[Examples], pd.DataFrame]


@dataclass(frozen=True)
class Prediction:
    """What a method says of the test windows that is worth stating, by which thresholds, and its scores."""

    table: pd.DataFrame
    thresholds: Thresholds
    scores: Scores


@torch.no_grad()
def outputs(parts: Parts, examples: Examples, frozen: Frozen | None = None) -> np.ndarray:
    """Return the model's output (n, ...) for all examples, a chunk at a time."""
    parts.model.eval()
    batch = feed(parts, examples, str(next(parts.model.parameters()).device), frozen)
    return np.concatenate([parts.model(*batch(index)).float().cpu().numpy() for index in chunks(len(examples))])


def predictor(task: Task, parts: Parts, frozen: Frozen | None = None) -> Predict:
    """Return the function from examples to what a model says of them; `frozen` is that of these examples."""
    return lambda examples: task.decode(outputs(parts, examples, frozen), examples)


def scored(task: Task, predict: Predict, validation: Examples, test: Examples) -> Prediction:
    """Choose the thresholds on validation, then score what is stated of the test windows."""
    return stated(task, predict(test), chosen(task, predict, validation), test)


def chosen(task: Task, predict: Predict, validation: Examples) -> Thresholds:
    """Return the thresholds that suit validation best."""
    return task.choose(predict(validation), task.truth(validation), validation.table)


def stated(task: Task, predictions: pd.DataFrame, thresholds: Thresholds, test: Examples) -> Prediction:
    """Score the predictions that are worth stating by the thresholds."""
    table = task.keep(predictions, thresholds)
    return Prediction(table, thresholds, evaluate_metrics(task.metrics, table, task.truth(test), test.table))


def metric_intervals(metrics: tuple[Metric, ...], runs: list[Scores]) -> dict[str, dict[str, Any]]:
    """Return each metric's value and 95 % interval over groups (and runs), unit, direction and meaning.

    Undefined is None.
    """
    out = {}
    for metric in metrics:
        interval = bootstrap(metric, [run.sums_of(metric) for run in runs])
        numbers = {"value": interval.value, "low": interval.low, "high": interval.high}
        about = {"unit": metric.unit, "better": metric.better, "meaning": metric.meaning}
        out[metric.name] = {k: rounded(v) for k, v in numbers.items()} | about
    return out


def differences(metrics: tuple[Metric, ...], ours: list[Scores], theirs: list[Scores]) -> dict[str, dict[str, Any]]:
    """Return each metric's paired difference, ours minus theirs, with its 95 % interval."""
    out = {}
    for metric in metrics:
        d = paired_difference(metric, [s.sums_of(metric) for s in ours], [s.sums_of(metric) for s in theirs])
        numbers = {"value": d.value, "low": d.low, "high": d.high, "p_value": d.p_value}
        out[metric.name] = {k: rounded(v) for k, v in numbers.items()} | {"excludes_zero": bool(d.excludes_zero)}
    return out


def corrected_differences(
    metrics: tuple[Metric, ...], ours: Scores, theirs: Mapping[str, Scores]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the paired differences from several others, {name: {metric: difference}}, ours minus theirs.

    Each has the p-value also after Holm's correction over the others of its metric that are `distinct`, `p_holm`.
    """
    found = {name: differences(metrics, [ours], [scores]) for name, scores in theirs.items()}
    for metric in metrics:
        others = distinct({name: {"test": scores.sums_of(metric)} for name, scores in theirs.items()})
        single = {name: found[name][metric.name]["p_value"] for name in others}
        corrected = holm({name: np.nan if p is None else p for name, p in single.items()})
        for name, p in corrected.items():
            for twin in others[name]:
                found[twin][metric.name]["p_holm"] = rounded(p)
    return found


def plain_values(scores: Scores) -> Mapping[str, float | None]:
    """Return each metric's value, None where it is undefined."""
    return {name: rounded(value) for name, value in scores.values().items()}
