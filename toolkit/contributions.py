"""What a model takes from the fields and what from the columns beside them, seen by taking each away.

One of the two is dealt out anew among the examples: the model then sees another example's, as likely in itself but
telling nothing of this one (permutation importance, Breiman 2001, doi:10.1023/A:1010933404324).
"""

from dataclasses import replace

import numpy as np

from toolkit.data.windows import Windows
from toolkit.evaluate import outputs, stated
from toolkit.examples import Examples
from toolkit.parts import Parts
from toolkit.stats import rounded
from toolkit.task import Task, Thresholds

SEED, MOST = 5, 1500
OWN = "own"


def contributions(task: Task, parts: Parts, thresholds: Thresholds, test: Examples) -> dict[str, float | None]:
    """Return the primary score as it is, and where the fields, and where the columns, are those of other examples.

    Of many examples some are taken, at random. Undefined is None; empty for a task that does not look at both.
    """
    if not (task.sees_fields and task.inputs.columns):
        return {}
    rng = np.random.default_rng(SEED)
    test = test.subset(np.sort(rng.permutation(len(test))[:MOST]))
    order = rng.permutation(len(test))
    dealt = {OWN: test, "fields": _other_windows(test, order), "columns": _other_columns(task, test, order)}
    scores = {}
    for name, examples in dealt.items():
        predictions = task.decode(outputs(parts, examples), test)
        scores[name] = rounded(stated(task, predictions, thresholds, test).scores.values()[task.primary])
    return scores


def _other_windows(test: Examples, order: np.ndarray) -> Examples:
    w = test.windows
    return replace(test, windows=Windows(w.time[order], w.row[order], w.column[order], w.mirrored[order], w.size))


def _other_columns(task: Task, test: Examples, order: np.ndarray) -> Examples:
    names = list(task.inputs.columns)
    dealt = test.table[names].iloc[order].set_index(test.table.index)
    return replace(test, table=test.table.assign(**{name: dealt[name] for name in names}))
