"""The rules on what a model is compared with: baselines, and what answers in its place for what it has found."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.conformance.problems import Problem, Stopped, at
from toolkit.conformance.subject import Subject
from toolkit.conformance.tables import by_example, difference, not_a_table, stated_of
from toolkit.conformance.withheld import as_compared
from toolkit.evaluate import scored
from toolkit.examples import Examples
from toolkit.split import TEST, VALIDATION
from toolkit.task import Baseline, Completion

MOST_TIMES = 4
"""So many times of examples whose truth is maps are asked for: each needs maps of its own."""

Restated = Callable[[NDArray[np.integer], Examples], pd.DataFrame]
"""(numbers of test windows, the same windows without truth) -> what is stated of them."""


def baselines(subject: Subject) -> Iterator[Problem]:
    """Each baseline is fitted, states a table that can be scored, the same each time and without the truth."""
    for name, baseline in subject.task.baselines.items():
        try:
            yield from _fitted(subject, f"baseline {name}", baseline)
        except Stopped as stopped:
            yield stopped.problem


def completions(subject: Subject) -> Iterator[Problem]:
    """Each completion is fitted, keeps rows and columns, can be scored, is the same each time and without the truth."""
    for name, completion in subject.task.completions.items():
        try:
            yield from _completed(subject, f"completion {name}", completion)
        except Stopped as stopped:
            yield stopped.problem


def _fitted(subject: Subject, place: str, baseline: Baseline) -> Iterator[Problem]:
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
    yield from _copied(subject, place, stated, lambda _, blind: predict(blind))


def _completed(subject: Subject, place: str, completion: Completion) -> Iterator[Problem]:
    test, task = subject.test, subject.task
    with at("decode"):
        given = {part: task.decode(subject.outputs[part], subject.parts[part]) for part in (VALIDATION, TEST)}
    before = given[TEST].copy()
    with at(place):
        complete, again = (completion(subject.train, subject.validation) for _ in range(2))
        stated, repeated = complete(given[TEST], test), again(before.copy(), test)
    if wrong := difference(before, given[TEST]):
        yield Problem(place, f"it changes the table that it is given: {wrong}.", "Work on a copy.")
        return
    if wrong := not_a_table(stated, test) or _moved(before, stated):
        yield Problem(place, f"{wrong}.", "Return the same rows and columns, with other values in some of the columns.")
        return
    if wrong := difference(stated, repeated):
        yield Problem(place, f"fitted twice, {wrong}.", "Give what draws at random a fixed seed.")
        return

    def predict(examples: Examples) -> pd.DataFrame:
        return complete(given[VALIDATION if examples is subject.validation else TEST], examples)

    with at(place):
        scored(task, predict, subject.validation, test)
    yield from _copied(subject, place, stated, lambda index, blind: complete(stated_of(given[TEST], index), blind))


def _moved(given: pd.DataFrame, stated: pd.DataFrame) -> str:
    """Return how the rows or columns of a completed table are not those that were given; nothing where they are."""
    if list(given.columns) != list(stated.columns):
        return difference(given, stated)
    return difference(given[["example"]], stated[["example"]])


def _copied(subject: Subject, place: str, stated: pd.DataFrame, restated: Restated) -> Iterator[Problem]:
    """Yield how what is stated of the test windows differs where the truth is withheld; nothing where it does not."""
    wrong = ""
    try:
        for index, blind in _withheld(subject):
            with at(place):
                found = by_example(restated(index, blind))
            if wrong := difference(stated_of(stated, index), found):
                break
    except Stopped as stopped:
        wrong = stopped.problem.wrong.removesuffix(".")
    if wrong:
        yield Problem(place, f"without the truth {wrong}.", "Predict from fields, times, groups, columns alone.")


def _withheld(subject: Subject) -> Iterator[tuple[NDArray[np.integer], Examples]]:
    """Yield test windows without their truth, and their numbers; where it is maps, those of a few times one by one."""
    task, test = subject.task, subject.test
    if task.maps is None:
        for blind in as_compared(task, test):
            yield np.arange(len(test)), blind
        return
    times = test.table["time"].unique()[:MOST_TIMES]
    some = test.subset(np.flatnonzero(test.table["time"].isin(times)))
    for blind in as_compared(task, some):
        yield np.flatnonzero(test.table["time"] == blind.table["time"].iloc[0]), blind
