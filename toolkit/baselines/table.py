"""Numbers without a network: ridge regression, forests and boosted trees on the columns of the examples.

Each is fitted for every target on the training rows that know it. Its settings are those of a small grid that are best
on the validation rows; where `refit` is asked for, it is then fitted again, so set, on the rows of both parts. Where a
column is named that targets lie `around`, such as the usual value of a place, the choice is also between the target and
its departure from that column, which trees cannot find by themselves beyond the values that they were shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, QuantileTransformer, StandardScaler

from toolkit.errors import UserError
from toolkit.examples import Examples
from toolkit.numbers import stating
from toolkit.task import Baseline

Make = Callable[[list[str], list[str], Any, int], Any]
"""(number columns, word columns, setting, number of rows) -> a scikit-learn regression."""
Known = tuple[pd.DataFrame, np.ndarray]
"""Rows that know a target, and what it is there."""
RIDGES = (1.0, 10.0, 100.0, 1000.0)
QUANTILES = 100
"""So many mark the shape of a column, or one for each row where there are fewer."""
LEAVES = (1, 2, 5, 20)
"""Fewest rows in a leaf of a forest's tree."""
RATES = (0.03, 0.1)
"""Learning rates of the boosting; the number of trees is chosen with each."""
MOST_ROWS = 8000
"""Rows that each tree of a forest is grown on at most; of many rows more make it slow and little better."""
MOST_TREES = 400


@dataclass(frozen=True)
class Usual:
    """What a regression states departures from: a column, `otherwise` where that is not known; zero for no column."""

    column: str | None
    otherwise: float

    def of(self, rows: pd.DataFrame) -> np.ndarray:
        """Return it for each row (n,)."""
        if self.column is None:
            return np.zeros(len(rows))
        return rows[self.column].fillna(self.otherwise).to_numpy(np.float64)


Model = tuple[Usual, Any]
"""What is usual, and the fitted scikit-learn regression of departures from it."""


def ridge(targets: Sequence[str], columns: Sequence[str], refit: bool = False, around: str | None = None) -> Baseline:
    """Return ridge regression of the numbers, standardised or brought to a normal distribution, and of the words."""

    def make(numbers: list[str], words: list[str], setting: tuple[float, bool], rows: int) -> Any:
        strength, normal = setting
        scaled = StandardScaler()
        if normal:
            quantiles = min(QUANTILES, rows)
            scaled = QuantileTransformer(n_quantiles=quantiles, output_distribution="normal", random_state=0)
        filled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), scaled)
        return make_pipeline(_columns(numbers, filled, words, _one_hot()), Ridge(strength))

    return _tuned(targets, columns, make, tuple(product(RIDGES, (False, True))), refit, around)


def forest(
    targets: Sequence[str], columns: Sequence[str], trees: int = 300, refit: bool = False, around: str | None = None
) -> Baseline:
    """Return a random forest, of which the size of the leaves is chosen."""

    def make(numbers: list[str], words: list[str], leaf: float, rows: int) -> Any:
        filled = SimpleImputer(strategy="median", add_indicator=True)
        model = RandomForestRegressor(
            trees, min_samples_leaf=int(leaf), max_features=1 / 3, max_samples=min(rows, MOST_ROWS), random_state=0
        )
        return make_pipeline(_columns(numbers, filled, words, _one_hot()), model)

    return _tuned(targets, columns, make, LEAVES, refit, around)


def boosting(
    targets: Sequence[str], columns: Sequence[str], refit: bool = False, around: str | None = None
) -> Baseline:
    """Return gradient-boosted trees, which take gaps as they are, of which rate and number are chosen."""

    def fit(train: Examples, validation: Examples) -> Callable[[Examples], pd.DataFrame]:
        models = []
        for target in targets:
            rows, true = _known(train, target)
            judged, judge = _known(validation, target, train)
            numbers, words = _kinds(rows, columns)
            coded = _columns(numbers, "passthrough", words, _ordinal()).fit(rows)
            categorical = [False] * len(numbers) + [True] * len(words)
            seen, asked, trials = coded.transform(rows), coded.transform(judged), []
            for usual, rate in product(_usuals(around, rows), RATES):
                model = HistGradientBoostingRegressor(
                    learning_rate=rate, max_iter=MOST_TREES, l2_regularization=1.0, max_features=0.5,
                    categorical_features=categorical, early_stopping=False, random_state=0,
                )  # fmt: skip
                model.fit(seen, true - usual.of(rows))
                said = (usual.of(judged) + stage for stage in model.staged_predict(asked))
                stages = [_error(values, judge) for values in said]
                trials.append((min(stages), int(np.argmin(stages)) + 1, usual, model))
            _, count, usual, best = min(trials, key=lambda trial: trial[0])
            rows, true = _both((rows, true), (judged, judge)) if refit else (rows, true)
            models.append(_fitted(usual, make_pipeline(coded, best.set_params(max_iter=count)), rows, true))
        return stating(targets, lambda examples: _stacked(models, examples.table))

    return fit


def mean(targets: Sequence[str]) -> Baseline:
    """Return the baseline that states the training rows' mean of everything."""

    def fit(train: Examples, validation: Examples) -> Callable[[Examples], pd.DataFrame]:  # noqa: ARG001
        means = train.truth[list(targets)].mean().to_numpy()
        return stating(targets, lambda examples: np.tile(means, (len(examples), 1)))

    return fit


def _tuned(
    targets: Sequence[str], columns: Sequence[str], make: Make, settings: Sequence[Any], refit: bool, around: str | None
) -> Baseline:
    """Return the baseline that fits a regression for each target, under the setting that suits validation best."""

    def fit(train: Examples, validation: Examples) -> Callable[[Examples], pd.DataFrame]:
        models = []
        for target in targets:
            rows, true = _known(train, target)
            judged, judge = _known(validation, target, train)
            numbers, words = _kinds(rows, columns)
            choices = product(_usuals(around, rows), settings)
            fitted = [_fitted(usual, make(numbers, words, how, len(rows)), rows, true) for usual, how in choices]
            best = min(fitted, key=lambda model: _error(_said(model, judged), judge))
            models.append(_fitted(*best, *_both((rows, true), (judged, judge))) if refit else best)
        return stating(targets, lambda examples: _stacked(models, examples.table))

    return fit


def _usuals(around: str | None, rows: pd.DataFrame) -> tuple[Usual, ...]:
    """Return what may be usual: nothing, or the column, if any row has a value there."""
    known = around is not None and rows[around].notna().any()
    return (Usual(None, 0.0), *((Usual(around, float(rows[around].mean())),) if known else ()))


def _fitted(usual: Usual, model: Any, rows: pd.DataFrame, true: np.ndarray) -> Model:
    return usual, model.fit(rows, true - usual.of(rows))


def _said(model: Model, rows: pd.DataFrame) -> np.ndarray:
    usual, regression = model
    return usual.of(rows) + regression.predict(rows)


def _stacked(models: Sequence[Model], rows: pd.DataFrame) -> np.ndarray:
    return np.stack([_said(model, rows) for model in models], axis=1)


def _both(train: Known, validation: Known) -> Known:
    """Return the rows of both parts; those of training alone where they stand in for validation."""
    if train[0] is validation[0]:
        return train
    return pd.concat([train[0], validation[0]]), np.concatenate([train[1], validation[1]])


def _known(examples: Examples, target: str, instead: Examples | None = None) -> Known:
    """Return the table's rows that know the target, and what it is there; those of `instead` where none does."""
    true = examples.truth[target].to_numpy(np.float64)
    there = np.isfinite(true)
    if there.any():
        return examples.table[there], true[there]
    if instead is None:
        raise UserError(f"No training row knows '{target}', so a baseline has nothing to learn from. Add labels.")
    return _known(instead, target)


def _kinds(table: pd.DataFrame, columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns that hold numbers, and those that hold words; a column of gaps alone is neither."""
    known = [name for name in columns if table[name].notna().any()]
    numbers = [name for name in known if pd.api.types.is_numeric_dtype(table[name])]
    return numbers, [name for name in known if name not in numbers]


def _columns(numbers: list[str], of_numbers: Any, words: list[str], of_words: Any) -> ColumnTransformer:
    return ColumnTransformer([("numbers", of_numbers, numbers), ("words", of_words, words)])


def _one_hot() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore")


def _ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan, max_categories=250
    )


def _error(stated: np.ndarray, true: np.ndarray) -> float:
    return float(np.mean((stated - true) ** 2))
