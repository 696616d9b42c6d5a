"""From which probability on a prediction is worth stating: as many are stated as there are objects.

Each method has its own threshold, chosen on validation windows: the one at which it states as many objects as there
are (a frequency bias of one). A method that states few objects has a good far and a bad pod, one that states many the
reverse; only where all state as many can both be compared. It is also steadier than the threshold of the highest csi,
which on the few objects that validate a small budget is often far from the best one for others.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from toolkit.errors import UserError
from toolkit.metrics import check_tables
from toolkit.scores.matching import Objects


def keep_likely(predictions: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Return the predictions whose probability is at least the threshold "probability"."""
    return predictions[predictions["probability"] >= thresholds["probability"]]


def choose_threshold(
    predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame, objects: Objects
) -> dict[str, float]:
    """Return {"probability": p} from which on as many are kept as there are objects, all where there are fewer.

    Predictions as probable as the last one come along. Without predictions any threshold is as good: 0.5. Raises
    UserError if no window holds an object.
    """
    check_tables(predictions, truth, examples)
    if truth.empty:
        raise UserError(
            f"There are no {objects.many} in the validation windows: a threshold cannot be chosen. "
            f"Add windows with {objects.many}."
        )
    if predictions.empty:
        return {"probability": 0.5}
    falling = predictions["probability"].sort_values(ascending=False).to_numpy(np.float64)
    return {"probability": float(falling[min(len(truth), len(falling)) - 1])}
