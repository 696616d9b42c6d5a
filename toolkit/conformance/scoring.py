"""Rules on the metrics: what they make of chunks, and of a prediction without a flaw."""

from collections.abc import Iterator
from functools import reduce
from operator import add

import numpy as np
import pandas as pd

from toolkit.conformance.problems import Problem, at
from toolkit.conformance.subject import Subject
from toolkit.conformance.tables import RELATIVE, not_a_table, stated_of
from toolkit.examples import Examples
from toolkit.metrics import Scores, evaluate_metrics
from toolkit.split import PARTS
from toolkit.task import Task, Thresholds

CHUNKS = 3
ANY_NUMBER = 1.0
"""What a perfect prediction states in a column that truth lacks, such as a probability."""


def truth(subject: Subject) -> Iterator[Problem]:
    """The truth is a table of the examples, and has rows."""
    for part, examples in subject.parts.items():
        with at("truth"):
            table = subject.task.truth(examples)
        if wrong := not_a_table(table, examples):
            yield Problem("truth", f"for {part} {wrong}.", "Return a table with the column example, then the targets.")
        elif table.empty:
            yield Problem("truth", f"for {part} it has no row.", "Give labels of something that is there.")


def scores(subject: Subject) -> Iterator[Problem]:
    """Thresholds can be chosen, what they keep is a table, and each statistic sums it up by group."""
    kept = _kept(subject)
    if wrong := not_a_table(kept, subject.test):
        yield Problem("keep", f"{wrong}.", "Return rows of the predictions, with what the thresholds make of them.")
        return
    _scores(subject.task, kept, subject.test)


def chunks(subject: Subject) -> Iterator[Problem]:
    """Each metric of all windows is that of the added sums of three chunks."""
    task, test, kept = subject.task, subject.test, _kept(subject)
    whole = _scores(task, kept, test)
    added = reduce(add, (_scores(task, stated_of(kept, index), test.subset(index)) for index in _thirds(len(test))))
    together = whole.values()
    for name, value in added.values().items():
        if not np.isclose(value, together[name], RELATIVE, equal_nan=True):
            yield Problem(
                f"metric {name}",
                f"it is {together[name]:.6g} in one chunk and {value:.6g} in three.",
                "Let the statistic sum over examples, and divide or take roots in `finish` alone.",
            )


def perfect(subject: Subject) -> Iterator[Problem]:
    """The truth, handed in as the prediction, has the best score that the metric's limits allow.

    A metric of what the labels have none of is not defined and cannot be judged; the primary one must be.
    """
    task = subject.task
    columns = list(_decoded(subject, "test").columns)
    validation = _flawless(task, subject.validation, columns)
    thresholds = _chosen(task, validation, subject.validation)
    values = []
    for part in reversed(PARTS):
        with at("keep"):
            kept = task.keep(_flawless(task, subject.parts[part], columns), thresholds)
        values.append(_scores(task, kept, subject.parts[part]).values())
    for metric in task.metrics:
        found = [value[metric.name] for value in values if np.isfinite(value[metric.name])]
        if not found and metric.name == task.primary:
            yield Problem(
                f"metric {metric.name}",
                "for a perfect prediction it is not defined.",
                "Mend `finish`, or take labels in which there is what it scores.",
            )
        if np.isfinite(metric.perfect) and not np.allclose(found, metric.perfect, rtol=1e-6, atol=1e-6):
            worst = max(found, key=lambda value: abs(value - metric.perfect))
            yield Problem(
                f"metric {metric.name}",
                f"for a perfect prediction it is {worst:.6g}, not {metric.perfect:g}.",
                "Mend `finish`, the units, or the limits; decode and truth should name the same columns.",
            )


def _decoded(subject: Subject, part: str) -> pd.DataFrame:
    with at("decode"):
        return subject.task.decode(subject.outputs[part], subject.parts[part])


def _kept(subject: Subject) -> pd.DataFrame:
    """Return what is worth stating of the test windows, by thresholds chosen on validation."""
    thresholds = _chosen(subject.task, _decoded(subject, "validation"), subject.validation)
    stated = _decoded(subject, "test")
    with at("keep"):
        return subject.task.keep(stated, thresholds)


def _flawless(task: Task, examples: Examples, columns: list[str]) -> pd.DataFrame:
    with at("truth"):
        table = task.truth(examples)
    return table.assign(**{name: ANY_NUMBER for name in columns if name not in table})


def _chosen(task: Task, predictions: pd.DataFrame, validation: Examples) -> Thresholds:
    with at("choose"):
        return task.choose(predictions, task.truth(validation), validation.table)


def _scores(task: Task, predictions: pd.DataFrame, examples: Examples) -> Scores:
    with at("truth"):
        table = task.truth(examples)
    with at("metrics"):
        return evaluate_metrics(task.metrics, predictions, table, examples.table)


def _thirds(n: int) -> list[np.ndarray]:
    return [index for index in np.array_split(np.arange(n), CHUNKS) if index.size]
