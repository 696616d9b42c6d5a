"""What usually is: the mean of a group, drawn to the mean of its kind where little is known of it."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import Ridge
from sklearn.preprocessing import OneHotEncoder

from toolkit.data.forecast_rows import season
from toolkit.errors import UserError
from toolkit.examples import Examples

SHRINKAGES = (1.0, 10.0, 100.0)
"""Strengths that are tried: with s, the mean of a group of n rows counts n / (n + s) against that of its kind."""
DAYS_OF_YEAR = 366
SEASON_FROM_DAYS = 60
"""Rows that cover no more days of the year than this show weather rather than a season."""


def climatology(
    train: Examples, validation: Examples, targets: Mapping[str, int], kind: str
) -> Callable[[Examples], pd.DataFrame]:
    """Fit the usual value of each target, a column of the truth that is so many days ahead.

    `kind` names a column of the examples, where they have it. How far groups are drawn to their kind, and kinds to all,
    is chosen on validation. Rows of more than 60 days of the year also give each a course through the year. A group
    without rows is given what its kind has. Raises `UserError` where no training row knows a target.
    """
    encoder = OneHotEncoder(handle_unknown="ignore").fit(_who(train, kind))
    seasonal = _days_covered(train.table["time"].dt.day_of_year) > SEASON_FROM_DAYS

    def design(examples: Examples, days: int) -> csr_matrix:
        who = encoder.transform(_who(examples, kind)).tocsr()
        if not seasonal:
            return who
        when = (examples.table["time"] + pd.Timedelta(days=days)).to_numpy("datetime64[s]")
        return hstack([who, *(who.multiply(wave[:, None]) for wave in season(when))]).tocsr()

    def known(examples: Examples, name: str) -> tuple[csr_matrix, np.ndarray]:
        if not len(examples):
            return csr_matrix((0, 0)), np.empty(0)
        truth = examples.truth[name].to_numpy(np.float64)
        there = np.isfinite(truth)
        return design(examples, targets[name])[there], truth[there]

    models = {name: _ridge(name, known(train, name), known(validation, name)) for name in targets}

    def predict(examples: Examples) -> pd.DataFrame:
        stated = {name: model.predict(design(examples, targets[name])) for name, model in models.items()}
        return pd.DataFrame({"example": np.arange(len(examples)), **stated})

    return predict


def _days_covered(day_of_year: pd.Series) -> int:
    """Return how many days of the year lie between the first and the last row, where the longest gap ends the year."""
    days = np.unique(day_of_year)
    return int(DAYS_OF_YEAR - np.diff(days, append=days[0] + DAYS_OF_YEAR).max())


def _ridge(name: str, train: tuple[csr_matrix, np.ndarray], validation: tuple[csr_matrix, np.ndarray]) -> Ridge:
    """Return the regression with the shrinkage that errs least in validation, or in training if that knows nothing."""
    if not len(train[1]):
        raise UserError(
            f"No training row knows '{name}': a climatology of it cannot be made. Leave it out of the targets."
        )
    x, truth = validation if len(validation[1]) else train
    choices = [Ridge(shrinkage).fit(*train) for shrinkage in SHRINKAGES]
    return min(choices, key=lambda model: float(np.mean((model.predict(x) - truth) ** 2)))


def _who(examples: Examples, kind: str) -> pd.DataFrame:
    return examples.table.reindex(columns=["group", kind]).astype(object).fillna("not known").astype(str)
