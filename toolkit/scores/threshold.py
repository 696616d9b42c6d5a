"""From which probability on a prediction is worth stating: as often a false alarm in a window as an object is missed.

Each method has its own threshold, chosen on validation windows. A method that states few objects has a good far and a
bad pod, one that states many the reverse; only where all state as many can both be compared. At one object a window
this states as many as there are (a frequency bias of one). It is steadier than the threshold of the highest csi, which
on the few objects that validate a small budget is often far from the best one for others.

Rates, not counts, because windows that validate few objects are not like those of a test: what shows an object that is
not labelled cannot be used, so the windows that are left show one object each, where those of the test show several.
As many as there are in them would be too few: with eight simulated storms, one in nine others was missed, while one in
sixteen statements was false.
"""

from bisect import bisect_left
from collections.abc import Mapping

import numpy as np
import pandas as pd

from toolkit.errors import UserError
from toolkit.metrics import check_tables
from toolkit.scores.matching import Objects, matched


def keep_likely(predictions: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Return the predictions whose probability is at least the threshold "probability"."""
    return predictions[predictions["probability"] >= thresholds["probability"]]


def choose_threshold(
    predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame, objects: Objects
) -> dict[str, float]:
    """Return {"probability": p}, where false alarms / windows come to equal misses / objects, or to exceed them.

    It is found by bisection. Where they never do, all predictions are kept; without predictions any threshold is as
    good: 0.5. Raises `UserError` if no window holds an object, and for a missing column.
    """
    check_tables(predictions, truth, examples)
    if truth.empty:
        raise UserError(
            f"There are no {objects.many} in the validation windows: a threshold cannot be chosen. "
            f"Add windows with {objects.many}."
        )
    if predictions.empty:
        return {"probability": 0.5}

    def false_rather_than_missed(probability: float) -> float:
        kept = keep_likely(predictions, {"probability": probability})
        hits = int((matched(kept, truth, objects).km <= objects.hit_km).sum())
        return (len(kept) - hits) / len(examples) - (len(truth) - hits) / len(truth)

    falling = np.unique(predictions["probability"].to_numpy(np.float64))[::-1]
    first = bisect_left(falling, 0.0, key=false_rather_than_missed)
    return {"probability": float(falling[min(first, len(falling) - 1)])}
