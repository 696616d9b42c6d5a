"""Regressions on a table: they find what is there, choose on validation, and take gaps and unknown words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit.baselines.table import boosting, forest, mean, ridge
from toolkit.errors import UserError
from toolkit.task import Baseline

pytestmark = pytest.mark.slow

COLUMNS = ["height", "people", "kind"]
TARGETS = ["ozone", "days"]
Make = Callable[[list[str], list[str]], Baseline]


def small_forest(targets: list[str], columns: list[str], refit: bool = False, around: str | None = None) -> Baseline:
    """A forest of few trees."""
    return forest(targets, columns, trees=30, refit=refit, around=around)


FITTED: list[Make] = [ridge, small_forest, boosting]


@dataclass(frozen=True)
class Rows:
    """Examples without windows."""

    table: pd.DataFrame
    truth: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)


def rows(n: int, seed: int, noise: float = 0.5) -> Any:
    """Rows whose ozone follows height, people and kind; days follow height alone; one in ten has gaps."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"height": rng.normal(size=n), "people": rng.lognormal(3, 2, n)})
    table["kind"] = rng.choice(["rural", "urban", "traffic"], n)
    table["group"] = "a"
    ozone = 40 + 4 * table["height"] - np.log(table["people"]) - 5 * (table["kind"] == "traffic")
    truth = pd.DataFrame({"example": np.arange(n), "ozone": ozone + rng.normal(0, noise, n)})
    truth["days"] = (3 * table["height"]).where(rng.random(n) > 0.3)
    for name in COLUMNS:
        table[name] = table[name].mask(rng.random(n) < 0.1)
    return Rows(table, truth)


def share_explained(stated: pd.DataFrame, examples: Any, target: str) -> float:
    """Return R^2 over the rows that know the target."""
    true = examples.truth[target]
    return float(1 - ((stated[target] - true) ** 2).sum() / ((true - true.mean()) ** 2).sum())


@pytest.mark.parametrize("make", FITTED)
def test_they_find_what_is_there(make: Make) -> None:
    """Of unseen rows most of the variation is explained, for each target, with gaps in the columns."""
    train, validation, test = rows(400, 0), rows(150, 1), rows(150, 2)
    stated = make(TARGETS, COLUMNS)(train, validation)(test)
    assert list(stated) == ["example", *TARGETS]
    assert stated["example"].tolist() == list(range(150))
    for target in TARGETS:
        assert share_explained(stated, test, target) > 0.6


@pytest.mark.parametrize("make", [ridge, small_forest, boosting])
def test_departures_from_a_column_reach_beyond_what_was_shown(make: Callable[..., Baseline]) -> None:
    """Of places far above all that training had, the departure from their own usual value is right; a gap is taken."""
    train, validation, test = (rows(200, seed) for seed in range(3))
    for part, shift in ((train, 0.0), (validation, 60.0), (test, 90.0)):
        part.table["so_far"] = shift + 10 * np.random.default_rng(9).normal(size=len(part))
        part.truth["ozone"] += part.table["so_far"]
    test.table.loc[0, "so_far"] = np.nan
    with_it, without = (
        make(["ozone"], [*COLUMNS, "so_far"], around=around)(train, validation)(test) for around in ("so_far", None)
    )
    assert np.isfinite(with_it["ozone"]).all()
    errors = [(stated["ozone"] - test.truth["ozone"])[1:].abs().mean() for stated in (with_it, without)]
    assert errors[0] < 5
    assert make is ridge or errors[1] > 20


def test_the_mean_of_training_is_stated_of_everything() -> None:
    """Over the rows that know it, target by target."""
    train, test = rows(50, 0), rows(3, 1)
    stated = mean(TARGETS)(train, train)(test)
    for target in TARGETS:
        np.testing.assert_allclose(stated[target], train.truth[target].mean())


@pytest.mark.parametrize("make", FITTED)
def test_words_and_numbers_that_training_did_not_have_are_taken(make: Make) -> None:
    """An unknown word, a column that is all gaps here, and one that was so in training give finite numbers."""
    train, validation, test = rows(100, 0), rows(50, 1), rows(20, 2)
    train.table["people"] = train.table["people"].where(train.truth["days"].isna())
    asked = Rows(test.table.assign(kind="remote", height=np.nan), test.truth)
    stated = make(TARGETS, COLUMNS)(train, validation)(asked)
    assert np.isfinite(stated[TARGETS].to_numpy()).all()


@pytest.mark.parametrize("make", FITTED)
def test_the_test_rows_are_not_learned_from(make: Make) -> None:
    """What is true of the rows that are asked for, and of validation beyond the choice of a setting, has no say."""
    train, validation, test = rows(100, 0), rows(50, 1), rows(20, 2)
    blind = Rows(test.table, test.truth.assign(ozone=np.nan, days=np.nan))
    fitted = make(TARGETS, COLUMNS)(train, validation)
    pd.testing.assert_frame_equal(fitted(test), fitted(blind))


@pytest.mark.parametrize("make", [ridge, small_forest, boosting])
def test_a_refit_learns_from_validation_too(make: Callable[..., Baseline]) -> None:
    """With few training rows beside many of validation, a refit states unseen rows far better."""
    train, validation, test = rows(45, 0), rows(400, 1), rows(200, 2)
    once, again = (make(["ozone"], COLUMNS, refit=refit)(train, validation)(test) for refit in (False, True))
    assert share_explained(again, test, "ozone") > share_explained(once, test, "ozone") + 0.02


@pytest.mark.parametrize("make", FITTED)
def test_they_say_the_same_every_time(make: Make) -> None:
    """Fitted twice on the same rows, the same is stated."""
    train, validation, test = rows(100, 0), rows(50, 1), rows(20, 2)
    one, two = (make(["ozone"], COLUMNS)(train, validation)(test) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize("make", FITTED)
def test_the_setting_is_the_best_on_validation(make: Make) -> None:
    """Where what is to be learned is noise, a cautious setting is taken and hardly more than the mean is stated."""
    train, validation = rows(100, 0), rows(400, 1)
    rng = np.random.default_rng(3)
    for part in (train, validation):
        part.truth["ozone"] = rng.normal(size=len(part))
    stated = make(["ozone"], COLUMNS)(train, validation)(validation)
    assert share_explained(stated, validation, "ozone") > -0.1
    assert stated["ozone"].std() < 0.5


@pytest.mark.parametrize("make", FITTED)
def test_numbers_alone_and_words_alone_are_enough(make: Make) -> None:
    """A table of one kind of column works."""
    train, test = rows(200, 0), rows(50, 1)
    for columns in (["height"], ["kind"]):
        stated = make(["ozone"], columns)(train, train)(test)
        assert share_explained(stated, test, "ozone") > 0.05


@pytest.mark.parametrize("make", FITTED)
def test_a_target_that_no_row_knows_is_refused(make: Make) -> None:
    """The target is named."""
    train = rows(30, 0)
    train.truth["days"] = np.nan
    with pytest.raises(UserError, match="No training row knows 'days'"):
        make(TARGETS, COLUMNS)(train, train)
