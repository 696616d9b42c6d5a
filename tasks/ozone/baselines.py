"""Daily ozone without a model of the weather: what a station usually has, and what it had last."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from tasks.ozone.labels import NAME
from toolkit.baselines import climatology as usual
from toolkit.data.forecast_rows import lead_columns, past_columns
from toolkit.examples import Examples


def persistence(train: Examples, validation: Examples) -> Callable[[Examples], pd.DataFrame]:  # noqa: ARG001
    """Return the forecast that every day will be as the last one known; the training mean where none is."""
    targets = list(lead_columns(train.truth, NAME))
    mean = float(np.nanmean(train.truth[targets]))

    def predict(examples: Examples) -> pd.DataFrame:
        last = examples.table[past_columns(examples.table, NAME)].bfill(axis=1).iloc[:, 0].fillna(mean).to_numpy()
        return pd.DataFrame({"example": np.arange(len(examples)), **dict.fromkeys(targets, last)})

    return predict


def climatology(train: Examples, validation: Examples) -> Callable[[Examples], pd.DataFrame]:
    """Return the forecast of a station's usual maximum, drawn to that of its type of area where it has few rows."""
    return usual.climatology(train, validation, lead_columns(train.truth, NAME), "type_of_area")
