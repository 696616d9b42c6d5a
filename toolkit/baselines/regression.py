"""Regressions that choose their ridge on the validation windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

Array = NDArray[np.float64]

LOOSENESS = (0.01, 0.1, 0.3)
"""Inverse ridge strengths that the logistic regression tries."""
FEWEST = 3
"""With fewer rows than this a regression states their mean."""


class Classifier(Protocol):
    """A fitted answer to a question of yes or no."""

    def predict_proba(self, values: Array) -> Array:
        """Return the probabilities of no and of yes (k, 2)."""
        ...


class Regressor(Protocol):
    """A fitted regression."""

    def predict(self, values: Array) -> Array:
        """Return the prediction (k,) or (k, m)."""
        ...


@dataclass(frozen=True)
class Silence:
    """What is left to say where nothing was learned: NaN, in the shape of the target's rows."""

    shape: tuple[int, ...]

    def predict(self, values: Array) -> Array:
        """Return NaN (k, ...)."""
        return np.full((len(values), *self.shape), np.nan)


@dataclass(frozen=True, eq=False)
class Sample:
    """What is known of k things, values (k, p), and what is to be stated of them, target (k,) or (k, m)."""

    values: Array
    target: NDArray

    def complete(self) -> "Sample":
        """Return the rows whose target is known, that is, not NaN."""
        known = np.isfinite(self.target).all(axis=tuple(range(1, self.target.ndim)))
        return Sample(self.values[known], self.target[known])


def polynomial(degree: int, last: Any) -> Any:
    """Return the pipeline that hands `last` the standardised polynomial of degree `degree` of the values."""
    powers = PolynomialFeatures(degree, include_bias=False)
    return make_pipeline(StandardScaler(), powers, StandardScaler(), last)


def likeliest_classifier(degrees: Sequence[int], train: Sample, validation: Sample) -> Classifier:
    """Return the logistic regression on a polynomial of the values that makes the validation sample likeliest."""

    def loss(fitted: Classifier) -> float:
        return float(log_loss(validation.target, fitted.predict_proba(validation.values), labels=[False, True]))

    choices = [
        polynomial(degree, LogisticRegression(C=loose, max_iter=2000)) for degree in degrees for loose in LOOSENESS
    ]
    return min((choice.fit(train.values, train.target) for choice in choices), key=loss)


def nearest_regressor(choices: Sequence[Any], train: Sample, validation: Sample) -> Regressor:
    """Return the choice, fitted to `train`, with the least mean distance from the target in the validation sample.

    choices: scikit-learn regressions. Rows without a target are left out. Without validation rows the training
    rows choose; without those there is `Silence`.
    """
    train, validation = train.complete(), validation.complete()
    if not len(train.target):
        return Silence(train.target.shape[1:])
    if len(train.target) < FEWEST:
        return DummyRegressor().fit(train.values, train.target)
    judge = validation if len(validation.target) else train

    def distance(fitted: Regressor) -> float:
        error = (fitted.predict(judge.values) - judge.target).reshape(len(judge.target), -1)
        return float(np.linalg.norm(error, axis=1).mean())

    return min((choice.fit(train.values, train.target) for choice in choices), key=distance)
