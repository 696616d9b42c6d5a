"""Extreme events without a backbone: how often they are there, where they are now, and what hand-made features tell.

Every baseline states probabilities, as `toolkit.baselines.cells` does. Those that look at winds see more than a model.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.extremes.cells import CELL, shares, stated
from toolkit.baselines.cells import Array, Bins, Fit, best_of, boosted, frequencies
from toolkit.baselines.smoothed import SMOOTHING_KM, cell_features
from toolkit.examples import Examples
from toolkit.task import Baseline

BAND_DEGREES = 5.0
VORTICITY_BINS = np.array([-8, -5, -3, -2, -1.4, -1, -0.6, -0.3, 0, 0.3, 0.6, 1, 1.4, 2, 2.6, 3.4, 4.5, 6, 8, 12.0])
"""Edges of the bins of smoothed cyclonic vorticity, 1e-5 s-1."""


def baselines(leads: Sequence[int]) -> dict[str, Baseline]:
    """Return the baselines by name; persistence is none where events are asked for as they are now."""

    def true(examples: Examples) -> Array:
        return shares(examples, leads)

    def seen(examples: Examples) -> Array:
        features, _ = cell_features(examples, CELL)
        return np.concatenate([features, *(_now(examples) if min(leads) > 0 else ())], axis=-1)

    def states(examples: Examples) -> NDArray[np.intp]:
        return np.tile(_states(examples), (1, len(leads), 1, 1))

    later = {"persistence": frequencies(true, states)} if min(leads) > 0 else {}
    always = {
        "climatology": frequencies(true, _bands),
        "vorticity rule": best_of(true, [frequencies(true, _vorticity(km)) for km in SMOOTHING_KM]),
        "gradient boosting": boosted(true, seen),
    }
    return {name: _stating(leads, fit) for name, fit in (later | always).items()}


def _stating(leads: Sequence[int], fit: Fit) -> Baseline:
    """Return a fit of arrays as a baseline of tables."""

    def baseline(train: Examples, validation: Examples) -> Callable[[Examples], pd.DataFrame]:
        predict = fit(train, validation)
        return lambda examples: stated(predict(examples), examples, leads)

    return baseline


def _bands(examples: Examples) -> NDArray[np.intp]:
    """Return bins of the distance from the equator: climatology."""
    latitude = np.abs(examples.latitudes())
    cells = latitude.reshape(len(latitude), -1, CELL).mean(-1)
    return (cells // BAND_DEGREES).astype(np.intp)[:, None, :, None]


def _now(examples: Examples) -> tuple[Array, Array]:
    """Return the events at the analysis time, known without error: their share of the cell, and of the cells around.

    Each (n, rows, columns, kinds).
    """
    now = np.nan_to_num(shares(examples, (0,)))
    padded = np.pad(now, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(2, 3)).mean((-1, -2))
    return np.moveaxis(now, 1, -1), np.moveaxis(near, 1, -1)


def _states(examples: Examples) -> NDArray[np.intp]:
    """Return bins of what of a kind is in the cell and around it at the analysis time: persistence."""
    now, near = (np.moveaxis(part, -1, 1) for part in _now(examples))
    return np.digitize(now, [0.5]) * 5 + np.digitize(near, [0.01, 0.2, 0.5, 0.9])


def _vorticity(km: float) -> Bins:
    """Return the function to bins of vorticity at one scale, by latitude: a threshold rule with many thresholds."""

    def bins(examples: Examples) -> NDArray[np.intp]:
        seen, names = cell_features(examples, CELL, (km,))
        level = np.digitize(np.nan_to_num(seen[..., 0]), VORTICITY_BINS)
        band = (seen[..., names.index("latitude")] // BAND_DEGREES).astype(np.intp)
        return (level + (len(VORTICITY_BINS) + 1) * band)[:, None]

    return bins
