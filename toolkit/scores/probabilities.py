"""Scores of probabilities of yes or no, by cell and by window, and the thresholds from which on a yes is stated.

Predictions: `example`, `cell`, and for each column (a kind of event, or one at a lead time such as `heat_72h`) its
probability; `keep` adds what is stated: `<column>_stated` for the cell, `<column>_window_stated` for its window, which
is stated from the highest probability in it. Truth: `example`, `cell` and the columns, 0, 1, or NaN, as in
`toolkit.scores.cells`. A window is true where one of its cells is, and not known where none is and one is not known.

Thresholds maximise F1 on validation, of cells and of windows each. F1 = 2 IoU / (1 + IoU) rises with the intersection
over union, so that one threshold is best for both; of cells the critical success index is the intersection over union.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.metrics import Array, Finish, Metric, Statistic, critical_success, ratio, totals
from toolkit.scores.cell_sums import (
    BINS,
    STATED,
    WINDOW,
    brier_sums,
    probability_sums,
    statements,
    window_statements,
    windows,
)
from toolkit.scores.cells import column_of, known_cells, probabilities

NEUTRAL = 0.5
Sums = Mapping[str, Array]


def keep(predictions: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Return the predictions with what is stated from these thresholds on, of columns and of `<column>_window`."""
    stated = {}
    for name, threshold in thresholds.items():
        if name not in predictions and name.endswith(WINDOW):
            column = column_of(predictions, name.removesuffix(WINDOW), "predictions")
            values = column.groupby(predictions["example"]).transform("max")
        else:
            values = column_of(predictions, name, "predictions")
        stated[name + STATED] = values.to_numpy() >= threshold
    return predictions.assign(**stated)


def choose(
    predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame, columns: tuple[str, ...]
) -> dict[str, float]:
    """Return the threshold of the highest F1 of each column and of its windows, {column, column_window: probability}.

    0.5 where the truth knows no event: any threshold is as good then.
    """
    thresholds = {}
    for column in columns:
        cells = known_cells(predictions, truth, examples, column)
        stated = probabilities(predictions, column, cells.rows_stated)
        thresholds[column] = _best_threshold(stated, cells.true)
        example, true = windows(cells, truth, column)
        highest = predictions[column].groupby(predictions["example"]).max().reindex(example)
        thresholds[column + WINDOW] = _best_threshold(highest.to_numpy(np.float64), true)
    return thresholds


def _best_threshold(stated: Array, true: NDArray[np.bool_]) -> float:
    from sklearn.metrics import precision_recall_curve

    if not true.any():
        return NEUTRAL
    precision, recall, thresholds = precision_recall_curve(true, stated)
    f1 = ratio(2 * precision * recall, precision + recall)[: len(thresholds)]
    return float(thresholds[np.nanargmax(f1)])


def iou(column: str) -> Metric:
    """Return the metric intersection over union of the cells: hits / (hits + misses + false alarms)."""
    meaning = f"cells of {_words(column)} found, among those found, missed and stated in vain"
    return _share(f"iou_{column}", "higher", meaning, statements(column), _csi(column))


def mean_iou(columns: tuple[str, ...], suffix: str = "") -> Metric:
    """Return the metric mean of the intersections over union of several columns, of those that the sample defines."""
    meaning = f"mean intersection over union of {', '.join(map(_words, columns))}"
    statistic = statements(*columns)
    return _mean(f"mean_iou{suffix}", meaning, statistic, columns, lambda column, sums, _: _csi(column)(sums), 0.0)


def f1(column: str) -> Metric:
    """Return the metric F1 of the cells: 2 hits / (2 hits + misses + false alarms)."""
    meaning = f"harmonic mean of precision and recall of cells of {_words(column)}"
    return _share(f"f1_{column}", "higher", meaning, statements(column), _f1(column))


def precision(column: str) -> Metric:
    """Return the metric precision of the cells: hits / (hits + false alarms)."""
    meaning = f"share of cells stated to be of {_words(column)} that are"
    return _share(f"precision_{column}", "higher", meaning, statements(column), _part(column, "false alarms"))


def recall(column: str) -> Metric:
    """Return the metric recall of the cells: hits / (hits + misses)."""
    meaning = f"share of cells of {_words(column)} that are stated"
    return _share(f"recall_{column}", "higher", meaning, statements(column), _part(column, "misses"))


def window_csi(column: str) -> Metric:
    """Return the metric critical success index of windows: hits / (hits + misses + false alarms)."""
    meaning = f"windows with {_words(column)} found, among those found, missed and stated in vain"
    return _share(f"window_csi_{column}", "higher", meaning, window_statements(column), _csi(column))


def window_f1(column: str) -> Metric:
    """Return the metric F1 of windows: 2 hits / (2 hits + misses + false alarms)."""
    meaning = f"harmonic mean of precision and recall of windows with {_words(column)}"
    return _share(f"window_f1_{column}", "higher", meaning, window_statements(column), _f1(column))


def brier(column: str) -> Metric:
    """Return the metric Brier score: mean((probability - truth)^2) over the cells."""
    meaning = f"mean squared error of the probability of {_words(column)}"
    return _share(
        f"brier_{column}",
        "lower",
        meaning,
        probability_sums(column),
        lambda sums: ratio(sums["square"], sums["count"]),
    )


def mean_brier_skill(columns: tuple[str, ...], suffix: str = "") -> Metric:
    """Return the metric mean over columns of 1 - Brier score / (f (1 - f)), f being how often the sample has the event.

    The second is the Brier score of stating f everywhere. Columns whose event the sample lacks are left out.

    In draws of groups f stays that of the whole sample, and the ratio is linear in both scores: 1 - r - (B - r U) / U',
    where B and U are the scores of the draw, U' that of f in the whole sample and r the ratio there. The ratio itself
    grows beyond all bounds where a draw has hardly an event.
    """

    def skill(column: str, sums: Sums, whole: Sums) -> Array:
        frequency = ratio(whole[f"{column} events"], whole[f"{column} count"])

        def scores(of: Sums) -> tuple[Array, Array]:
            events = ratio(of[f"{column} events"], of[f"{column} count"])
            return ratio(of[f"{column} square"], of[f"{column} count"]), events + frequency * (frequency - 2 * events)

        (own, usual), (whole_own, whole_usual) = scores(sums), scores(whole)
        share = ratio(whole_own, whole_usual)
        return 1.0 - share - ratio(own - share * usual, whole_usual)

    meaning = f"share of the variance of {', '.join(map(_words, columns))} that the probabilities explain"
    return _mean(f"mean_brier_skill{suffix}", meaning, brier_sums(*columns), columns, skill, -np.inf)


def average_precision(column: str) -> Metric:
    """Return the metric area under the curve of precision over recall: sum over thresholds (R_k - R_k-1) P_k.

    Thresholds are the edges of 100 bins of probability, so that it is the average precision of probabilities rounded
    to them.
    """

    def finish(sums: Sums) -> Array:
        false, true = (
            np.cumsum(np.stack([sums[f"{kind} {k}"] for k in reversed(range(BINS))], -1), -1)
            for kind in ("false", "true")
        )
        gained = np.diff(true, axis=-1, prepend=0.0)
        precise = np.divide(true, true + false, out=np.zeros(true.shape), where=true + false > 0)
        return ratio((gained * precise).sum(-1), true[..., -1])

    meaning = f"area under the curve of precision over recall of {_words(column)}; chance gives its frequency"
    return _share(f"average_precision_{column}", "higher", meaning, probability_sums(column), finish)


def _share(name: str, better: Literal["higher", "lower"], meaning: str, statistic: Statistic, finish: Finish) -> Metric:
    return Metric(name, "1", better, meaning, statistic, finish, (0.0, 1.0))


def _mean(
    name: str,
    meaning: str,
    statistic: Statistic,
    columns: tuple[str, ...],
    score: Callable[[str, Sums, Sums], Array],
    lowest: float,
) -> Metric:
    """Return the metric mean of `score` (column, sums, sums of the whole sample) over columns.

    The whole sample says which columns count, those that it has a score of. A draw in which one of them is undefined
    has no mean: that of the others would be another score, higher by far where a kind is rare and badly found.
    """

    def mean(sums: Sums, whole: Sums) -> Array:
        drawn, known = (np.stack([score(column, of, whole) for column in columns]) for of in (sums, whole))
        counted = ~np.isnan(known)
        return ratio(np.where(counted, drawn, 0.0).sum(0), counted.sum(0))

    return Metric(
        name,
        "1",
        "higher",
        meaning,
        statistic,
        finish=lambda sums: mean(sums, sums),
        limits=(lowest, 1.0),
        weighed=lambda sums, weights: mean(totals(sums, weights), totals(sums, np.ones((1, len(sums))))),
    )


def _csi(column: str) -> Finish:
    return lambda sums: critical_success(*_counts(sums, column))


def _f1(column: str) -> Finish:
    def finish(sums: Sums) -> Array:
        hits, misses, alarms = _counts(sums, column)
        return ratio(2 * hits, 2 * hits + misses + alarms)

    return finish


def _part(column: str, others: str) -> Finish:
    return lambda sums: ratio(sums[f"{column} hits"], sums[f"{column} hits"] + sums[f"{column} {others}"])


def _counts(sums: Sums, column: str) -> tuple[Array, Array, Array]:
    return sums[f"{column} hits"], sums[f"{column} misses"], sums[f"{column} false alarms"]


def _words(column: str) -> str:
    return column.replace("_", " ")
