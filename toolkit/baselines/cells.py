"""Probabilities of the cells of windows without a backbone: shares of like cells, and trees on hand-made features.

Shares and probabilities are arrays (n, k, rows, columns): window, column of the truth, cell.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from toolkit.examples import Examples

Array = NDArray[np.floating]
Of = Callable[[Examples], Array]
"""Examples -> an array of all cells: shares, probabilities (n, k, rows, columns) or features (n, rows, columns, f)."""
Bins = Callable[[Examples], NDArray[np.intp]]
"""Examples -> the bin of every cell, broadcastable to (n, k, rows, columns)."""
Fit = Callable[[Examples, Examples], Of]
"""Training and validation examples -> the function that states probabilities."""

PRIOR_CELLS = 50.0
"""A share is drawn to that of all cells as if so many more had been seen."""
MOST_TREES = 120
MOST_CELLS = 300_000
"""So many cells teach the trees, and judge them, drawn at random from all. On a large world a fifth of them find
filaments and heat less well, by 0.02 of IoU; all find heat better by 0.01, and take three times as long."""


def frequencies(true: Of, bins: Bins) -> Fit:
    """Return the fit that states the share of events among the training cells of the same bin."""

    def fit(train: Examples, _validation: Examples) -> Of:
        share = true(train)
        at = np.broadcast_to(bins(train), share.shape)
        size = int(at.max()) + 1
        tables = [_shares_by_bin(share[:, k], at[:, k], size) for k in range(share.shape[1])]

        def predict(examples: Examples) -> Array:
            cell_bin = bins(examples).clip(max=size - 1)
            out = np.empty((len(examples), *share.shape[1:]))
            for k, table in enumerate(tables):
                out[:, k] = table[np.broadcast_to(cell_bin, out.shape)[:, k]]
            return out

        return predict

    return fit


def best_of(true: Of, fits: Sequence[Fit]) -> Fit:
    """Return the fit that takes, for each column, the one of `fits` with the least squared error on validation."""

    def fit(train: Examples, validation: Examples) -> Of:
        fitted = [one(train, validation) for one in fits]
        share = true(validation)
        known = np.isfinite(share)
        errors = [np.sum((predict(validation) - share) ** 2, (0, 2, 3), where=known) for predict in fitted]
        best = np.argmin(errors, axis=0)[None, None, :, None, None]
        return lambda examples: np.take_along_axis(np.stack([predict(examples) for predict in fitted]), best, 0)[0]

    return fit


def boosted(true: Of, features: Of) -> Fit:
    """Return the fit of gradient-boosted trees to features (n, rows, columns, f), a model for each column.

    It has as many trees as suit the validation cells best, none where none helps.
    """

    def fit(train: Examples, validation: Examples) -> Of:
        rows, judged = (_by_row(features(part)) for part in (train, validation))
        share, judge = true(train), true(validation)
        some, others = (np.random.default_rng(0).permutation(len(part))[:MOST_CELLS] for part in (rows, judged))
        models = [
            _trees(rows[some], share[:, k].ravel()[some], judged[others], judge[:, k].ravel()[others])
            for k in range(share.shape[1])
        ]

        def predict(examples: Examples) -> Array:
            seen = features(examples)
            return np.stack([model(_by_row(seen)).reshape(seen.shape[:3]) for model in models], axis=1)

        return predict

    return fit


def _shares_by_bin(share: Array, at: NDArray[np.intp], size: int) -> Array:
    """Return the share of events in each bin, drawn to that of all."""
    known = np.isfinite(share)
    events = np.bincount(at[known], share[known] >= 0.5, size)
    counts = np.bincount(at[known], minlength=size)
    usual = events.sum() / max(counts.sum(), 1)
    return np.asarray((events + PRIOR_CELLS * usual) / (counts + PRIOR_CELLS))


def _by_row(features: Array) -> Array:
    return features.reshape(-1, features.shape[-1])


def _trees(features: Array, share: Array, judged: Array, judge: Array) -> Callable[[Array], Array]:
    """Fit as many trees as make the squared error of the judged cells least; without any, state the share of all."""
    known, judges = np.isfinite(share), np.isfinite(judge)
    is_event, is_judge = share[known] >= 0.5, judge[judges] >= 0.5
    level = float(is_event.mean()) if is_event.size else 0.0
    if level in (0.0, 1.0) or not judges.any():
        return lambda rows: np.full(len(rows), level)
    trees = HistGradientBoostingClassifier(random_state=0, max_iter=MOST_TREES, early_stopping=False)
    trees.fit(features[known], is_event)
    stages = [np.mean((p[:, 1] - is_judge) ** 2) for p in trees.staged_predict_proba(judged[judges])]
    best = int(np.argmin(stages))
    if stages[best] >= np.mean((level - is_judge) ** 2):
        return lambda rows: np.full(len(rows), level)
    trees.set_params(max_iter=best + 1).fit(features[known], is_event)
    return lambda rows: np.asarray(trees.predict_proba(rows)[:, 1])
