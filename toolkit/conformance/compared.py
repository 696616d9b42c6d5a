"""The rule on the baselines."""

from collections.abc import Iterator

import numpy as np

from toolkit.conformance.problems import Problem, Stopped, at
from toolkit.conformance.subject import Subject
from toolkit.conformance.tables import by_example, difference, not_a_table, stated_of
from toolkit.conformance.withheld import as_compared
from toolkit.evaluate import Predict, scored
from toolkit.task import Baseline

MOST_TIMES = 4
"""So many times of examples whose truth is maps are asked for: each needs maps of its own."""


def baselines(subject: Subject) -> Iterator[Problem]:
    """Each baseline is fitted, states a table that can be scored, the same each time and without the truth."""
    for name, baseline in subject.task.baselines.items():
        try:
            yield from _one(subject, f"baseline {name}", baseline)
        except Stopped as stopped:
            yield stopped.problem


def _one(subject: Subject, place: str, baseline: Baseline) -> Iterator[Problem]:
    test = subject.test
    with at(place):
        predict, again = (baseline(subject.train, subject.validation) for _ in range(2))
        stated, repeated = predict(test), again(test)
    if wrong := not_a_table(stated, test):
        yield Problem(place, f"{wrong}.", "Return a table with the columns that decode returns.")
        return
    if wrong := difference(by_example(stated), by_example(repeated)):
        yield Problem(place, f"fitted twice, {wrong}.", "Give what draws at random a fixed seed.")
        return
    with at(place):
        scored(subject.task, predict, subject.validation, test)
    try:
        wrong = _copied(subject, place, predict)
    except Stopped as stopped:
        wrong = stopped.problem.wrong.removesuffix(".")
    if wrong:
        yield Problem(place, f"without the truth {wrong}.", "Predict from fields, times, groups, columns alone.")


def _copied(subject: Subject, place: str, predict: Predict) -> str:
    """Return how what is stated differs where the truth is withheld; nothing where it does not."""
    test = subject.test
    if subject.task.maps is not None:
        times = test.table["time"].unique()[:MOST_TIMES]
        test = test.subset(np.flatnonzero(test.table["time"].isin(times)))
    for blind in as_compared(subject.task, test):
        if subject.task.maps is None:
            index = np.arange(len(test))
        else:
            index = np.flatnonzero(test.table["time"] == blind.table["time"].iloc[0])
        with at(place):
            known, found = stated_of(predict(test), index), by_example(predict(blind))
        if wrong := difference(known, found):
            return wrong
    return ""
