"""Tasks that are broken in what predictions are scored by and held against: metrics, baselines, completions."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from toolkit.metrics import Metric, Statistic, sum_by_group
from toolkit.task import Task

breaks = pytest.mark.breaks


def raises(*_given: object) -> None:
    """Fail, as a plug-in does."""
    raise KeyError("rain_mm")


@breaks("truth", "truth", "no column 'example'")
def _truth_of_no_example(task: Task) -> Task:
    return replace(task, truth=lambda examples: examples.truth.drop(columns="example"))


@breaks("truth", "truth", "for train it has no row")
def _empty_truth(task: Task) -> Task:
    return replace(task, truth=lambda examples: examples.truth.iloc[:0])


def _with_metric(task: Task, compute: Callable, finish: Callable) -> Task:
    metric = Metric("odd", "m", "lower", "an odd error", Statistic("odd sums", compute), finish, (0.0, np.inf))
    return replace(task, metrics=(*task.metrics, metric))


def _absolute_errors(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    error = (predictions.set_index("example")["value"] - truth.set_index("example")["value"]).abs()
    rows = pd.DataFrame({"example": error.index, "error": error.to_numpy(), "count": 1.0})
    return sum_by_group(rows, examples)


@breaks("chunks", "metric odd", "in one chunk and")
def _mean_of_means(task: Task) -> Task:
    def compute(*tables: pd.DataFrame) -> pd.DataFrame:
        sums = _absolute_errors(*tables)
        return pd.DataFrame({"mean": sums["error"] / sums["count"]})

    return _with_metric(task, compute, lambda sums: sums["mean"])


@breaks("scores", "metrics", "must return one row per group")
def _statistic_of_all_groups(task: Task) -> Task:
    def compute(*tables: pd.DataFrame) -> pd.DataFrame:
        return _absolute_errors(*tables).sum().to_frame().T

    return _with_metric(task, compute, lambda sums: sums["error"])


@breaks("scores", "keep", "it returns list")
def _keep_of_a_list(task: Task) -> Task:
    return replace(task, keep=lambda predictions, _thresholds: [predictions])


@breaks("scores", "choose", "it raises KeyError: 'rain_mm'")
def _choose_that_raises(task: Task) -> Task:
    return replace(task, choose=raises)


@breaks("perfect", "metric odd", "for a perfect prediction it is 1, not 0")
def _score_one_off(task: Task) -> Task:
    return _with_metric(task, _absolute_errors, lambda sums: sums["error"] / sums["count"] + 1)


@breaks("perfect", "metric odd", "for a perfect prediction it is not defined")
def _primary_score_that_is_never_defined(task: Task) -> Task:
    return replace(_with_metric(task, _absolute_errors, lambda sums: sums["error"] * np.nan), primary="odd")


def _with_baseline(task: Task, predict: Callable[[object], object]) -> Task:
    return replace(task, baselines={"odd": lambda _train, _validation: predict})


@breaks("baselines", "baseline odd", "it raises KeyError: 'rain_mm'")
def _baseline_that_raises(task: Task) -> Task:
    return replace(task, baselines={"odd": raises})


@breaks("baselines", "baseline odd", "it returns int")
def _baseline_of_a_number(task: Task) -> Task:
    return _with_baseline(task, len)


@breaks("baselines", "baseline odd", "No column of the predictions 'value'. Did you mean 'val'?")
def _baseline_that_cannot_be_scored(task: Task) -> Task:
    return _with_baseline(task, lambda examples: pd.DataFrame({"example": np.arange(len(examples)), "val": 1.0}))


@breaks("baselines", "baseline odd", "fitted twice, 'value' differs")
def _baseline_of_chance(task: Task) -> Task:
    rng = np.random.default_rng()
    return _with_baseline(
        task, lambda examples: pd.DataFrame({"example": np.arange(len(examples)), "value": rng.normal(4, 1)})
    )


@breaks("baselines", "baseline odd", "without the truth 'value' differs")
def _baseline_that_knows(task: Task) -> Task:
    return _with_baseline(task, lambda examples: examples.truth[["example", "value"]].copy())


Completed = Callable[[pd.DataFrame, object], object]


def _with_completion(task: Task, complete: Completed) -> Task:
    return replace(task, completions={"odd": lambda _train, _validation: complete})


@breaks("completions", "completion odd", "it raises KeyError: 'rain_mm'")
def _completion_that_raises(task: Task) -> Task:
    return replace(task, completions={"odd": raises})


@breaks("completions", "completion odd", "it returns int")
def _completion_of_a_number(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: len(predictions))


@breaks("completions", "completion odd", "the columns differ (sure)")
def _completion_with_a_column_more(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: predictions.assign(sure=1.0))


@breaks("completions", "completion odd", "there are 40 and 39 rows")
def _completion_that_drops_a_row(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: predictions.iloc[1:])


@breaks("completions", "completion odd", "'example' differs in 40 rows")
def _completion_in_another_order(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: predictions.iloc[::-1])


@breaks("completions", "completion odd", "it changes the table that it is given: 'value' differs")
def _predictions_changed_in_place(task: Task) -> Task:
    def complete(predictions: pd.DataFrame, _examples: object) -> pd.DataFrame:
        predictions["value"] += 1
        return predictions

    return _with_completion(task, complete)


@breaks("completions", "completion odd", "fitted twice, 'value' differs")
def _completion_of_chance(task: Task) -> Task:
    rng = np.random.default_rng()
    return _with_completion(task, lambda predictions, _examples: predictions.assign(value=rng.normal(4, 1)))


@breaks("completions", "completion odd", "it raises ValueError")
def _completion_that_cannot_be_scored(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: predictions.assign(value="high"))


@breaks("completions", "completion odd", "without the truth 'value' differs")
def _completion_that_knows(task: Task) -> Task:
    return _with_completion(
        task, lambda predictions, examples: predictions.assign(value=examples.truth["value"].to_numpy())
    )
