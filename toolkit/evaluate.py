"""From a model or a baseline to scores: outputs over many windows, decoded, selected on validation, scored on test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from toolkit.adapt import Adapted
from toolkit.backbones.features import planes
from toolkit.data.normalise import Normalisation
from toolkit.examples import Examples
from toolkit.metrics import Metric, Scores, evaluate_metrics
from toolkit.stats import bootstrap, holm, paired_difference
from toolkit.task import Task

CHUNK = 256
Readouts = Callable[[Tensor], dict[str, Tensor]]


@dataclass(frozen=True)
class Prediction:
    """What a method says of the test windows above its threshold, that threshold, and its scores."""

    table: pd.DataFrame
    threshold: float
    scores: Scores


def inputs(examples: Examples, normalisation: Normalisation, index: np.ndarray) -> Tensor:
    """Return the input planes (b, planes, h, w) of the examples at `index`."""
    return planes(examples.fields(normalisation, index), examples.latitudes(index))


@torch.no_grad()
def outputs(model: Adapted, readouts: Readouts, examples: Examples, normalisation: Normalisation) -> np.ndarray:
    """Return the model's output (n, ...) for all examples, a chunk at a time."""
    model.eval()
    device = next(model.parameters()).device
    parts = []
    for first in range(0, len(examples), CHUNK):
        x = inputs(examples, normalisation, np.arange(first, min(first + CHUNK, len(examples)))).to(device)
        parts.append(model(x, readouts(x)).float().cpu().numpy())
    return np.concatenate(parts)


def scored(task: Task, predict: Callable[[Examples], pd.DataFrame], validation: Examples, test: Examples) -> Prediction:
    """Choose the threshold on validation, then score what the test windows have above it."""
    threshold = task.choose(predict(validation), validation.truth, validation.table)
    table = task.keep(predict(test), threshold)
    return Prediction(table, threshold, evaluate_metrics(task.metrics, table, test.truth, test.table))


def metric_intervals(metrics: tuple[Metric, ...], runs: list[Scores]) -> dict[str, dict[str, Any]]:
    """Return each metric's value and 95 % interval over groups (and runs), unit, direction and meaning.

    Undefined is None.
    """
    out = {}
    for metric in metrics:
        interval = bootstrap(metric, [run.sums_of(metric) for run in runs])
        numbers = {"value": interval.value, "low": interval.low, "high": interval.high}
        about = {"unit": metric.unit, "better": metric.better, "meaning": metric.meaning}
        out[metric.name] = {k: _number(v) for k, v in numbers.items()} | about
    return out


def differences(metrics: tuple[Metric, ...], ours: list[Scores], theirs: list[Scores]) -> dict[str, dict[str, Any]]:
    """Return each metric's paired difference, ours minus theirs, with its 95 % interval."""
    out = {}
    for metric in metrics:
        d = paired_difference(metric, [s.sums_of(metric) for s in ours], [s.sums_of(metric) for s in theirs])
        numbers = {"value": d.value, "low": d.low, "high": d.high, "p_value": d.p_value}
        out[metric.name] = {k: _number(v) for k, v in numbers.items()} | {"excludes_zero": bool(d.excludes_zero)}
    return out


def corrected_differences(
    metrics: tuple[Metric, ...], ours: Scores, theirs: Mapping[str, Scores]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the paired differences from several others, {name: {metric: difference}}, ours minus theirs.

    Each has the p-value also after Holm's correction over all others of its metric, `p_holm`.
    """
    found = {name: differences(metrics, [ours], [scores]) for name, scores in theirs.items()}
    for metric in metrics:
        single = {name: of_metric[metric.name]["p_value"] for name, of_metric in found.items()}
        corrected = holm({name: np.nan if p is None else p for name, p in single.items()})
        for name, p in corrected.items():
            found[name][metric.name]["p_holm"] = _number(p)
    return found


def plain_values(scores: Scores) -> Mapping[str, float | None]:
    """Return each metric's value, None where it is undefined."""
    return {name: _number(value) for name, value in scores.values().items()}


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
