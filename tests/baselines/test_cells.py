from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from toolkit.baselines.cells import best_of, boosted, frequencies


class Windows(SimpleNamespace):
    """Stand-ins for examples: so many windows, whatever is asked of them kept ready."""

    def __len__(self) -> int:
        return len(self.share)


def windows(seed: int, n: int = 200, unknown: float = 0.0) -> Any:
    """Windows of 4 x 4 cells: the first column's events are likelier the higher the feature, the second's never."""
    rng = np.random.default_rng(seed)
    feature = rng.normal(size=(n, 4, 4, 1))
    share = np.zeros((n, 2, 4, 4))
    share[:, 0] = rng.random((n, 4, 4)) < 1 / (1 + np.exp(-3 * feature[..., 0]))
    share[rng.random(share.shape) < unknown] = np.nan
    return Windows(share=share, feature=feature)


def true(examples: Any) -> np.ndarray:
    """The shares."""
    return examples.share


def halves(examples: Any) -> np.ndarray:
    """Two bins, of a low and of a high feature."""
    return (examples.feature[..., 0] > 0).astype(np.intp)[:, None]


def error(predict: Any, examples: Any) -> float:
    """The squared error of the first column, over what is known."""
    return float(np.nanmean((predict(examples) - examples.share)[:, 0] ** 2))


def test_frequencies_are_the_shares_of_the_bins() -> None:
    """With many cells the stated probability is the share of events in the bin; a column without events has none."""
    train = windows(0)
    stated = frequencies(true, halves)(train, train)(train)
    high = halves(train)[:, 0] == 1
    assert stated[:, 0][high].max() == pytest.approx(train.share[:, 0][high].mean(), abs=0.02)
    assert (stated[:, 1] == 0).all()


def test_what_is_not_known_does_not_count() -> None:
    """Gaps in the truth leave the shares nearly as they were."""
    whole, gappy = (frequencies(true, halves)(part, part)(windows(1)) for part in (windows(0), windows(0, unknown=0.5)))
    np.testing.assert_allclose(whole, gappy, atol=0.06)


def test_trees_tell_more_than_two_bins_and_never_less_than_the_share() -> None:
    """Trees see the feature itself; on a feature that tells nothing they state the share of all."""
    train, judge, test = windows(0), windows(1), windows(2)
    trees = boosted(true, lambda examples: examples.feature)(train, judge)
    assert error(trees, test) < error(frequencies(true, halves)(train, judge), test)
    noise = boosted(true, lambda examples: np.random.default_rng(0).normal(size=examples.feature.shape))(train, judge)
    assert error(noise, test) < 0.27
    assert (trees(test)[:, 1] == 0).all()


def test_the_better_fit_is_taken_for_each_column() -> None:
    """Of a fit that is good and one that inverts it, validation takes the good one, column by column."""
    good = frequencies(true, halves)

    def bad(train: Any, validation: Any) -> Any:
        predict = good(train, validation)
        return lambda examples: 1 - predict(examples)

    train = windows(0)
    best = best_of(true, [bad, good])(train, windows(1))
    np.testing.assert_array_equal(best(windows(2)), good(train, train)(windows(2)))
