"""Rules on what is made of a model's output."""

from collections.abc import Iterator

import numpy as np

from toolkit.conformance.problems import Problem, Stopped, at
from toolkit.conformance.subject import Subject
from toolkit.conformance.tables import by_example, difference, not_a_table, stated_of
from toolkit.conformance.withheld import as_predicted


def decode(subject: Subject) -> Iterator[Problem]:
    """Predictions are a table, the same each time, and the same for an example in any company."""
    task, examples, output = subject.task, subject.test, subject.outputs["test"]
    before = output.copy()
    with at("decode"):
        whole, again = task.decode(output, examples), task.decode(output, examples)
    if not np.array_equal(before, output, equal_nan=True):
        yield Problem("decode", "it changes the output that it is given.", "Work on a copy.")
        return
    if wrong := not_a_table(whole, examples):
        yield Problem("decode", f"{wrong}.", "Return a table with the column example, then what is stated of it.")
        return
    if wrong := difference(whole, again):
        yield Problem("decode", f"called twice, {wrong}.", "Draw nothing at random.")
        return
    index = np.arange(0, len(examples), 2)
    with at("decode"):
        some = task.decode(output[index], examples.subset(index))
    if wrong := difference(stated_of(whole, index), by_example(some)):
        yield Problem("decode", f"for every other example, asked for alone, {wrong}.", "Decode each by itself.")


def blind_decode(subject: Subject) -> Iterator[Problem]:
    """Predictions are the same where the truth is not known, as it is not for `toolkit predict`."""
    task, examples, output = subject.task, subject.test, subject.outputs["test"]
    with at("decode"):
        known = task.decode(output, examples)
    try:
        with at("decode"):
            blind = task.decode(output, as_predicted(task, examples))
    except Stopped as stopped:
        wrong = f"without the truth {stopped.problem.wrong}"
    else:
        wrong = f"without the truth {found}." if (found := difference(known, blind)) else ""
    if wrong:
        yield Problem("decode", wrong, "Use the output, examples.table, examples.degrees and examples.mirrored alone.")
