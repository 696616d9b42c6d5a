"""Matching of predictions with objects, against a plain loop and against the best assignment."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from toolkit.errors import UserError
from toolkit.geodesy import distance_km
from toolkit.scores.matching import Objects, match, matched

Drawn = Callable[[int, int], tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]


def distances(predictions: pd.DataFrame, truth: pd.DataFrame, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return km between every prediction and every object of a window, and the rows they come from."""
    p, t = predictions[predictions["example"] == window], truth[truth["example"] == window]
    p_lat, p_lon, t_lat, t_lon = (table[name].to_numpy() for table in (p, t) for name in ("latitude", "longitude"))
    km = distance_km(p_lat[:, None], p_lon[:, None], t_lat[None], t_lon[None])
    return km, p.index.to_numpy(), t.index.to_numpy()


@pytest.mark.parametrize("seed", range(3))
def test_matching_agrees_with_a_plain_loop(seed: int, random_tables: Drawn) -> None:
    """All windows at once give what taking the nearest pair, window by window, gives."""
    predictions, truth, _ = random_tables(seed, 300)
    own = np.full(len(truth), -1)
    for window in truth["example"].unique():
        km, rows, columns = distances(predictions, truth, window)
        while km.size and km.min() <= 800:
            i, j = np.unravel_index(km.argmin(), km.shape)
            own[columns[j]] = rows[i]
            km[i], km[:, j] = np.inf, np.inf
    found, distance = match(predictions, truth, 800)
    np.testing.assert_array_equal(found, own)
    assert np.isinf(distance[own < 0]).all()


@pytest.mark.parametrize("seed", range(3))
def test_matching_finds_nearly_as_many_hits_as_the_best_assignment(seed: int, random_tables: Drawn) -> None:
    """Nearest pairs first can lose a few hits against the assignment with most hits, and never gains one."""
    predictions, truth, _ = random_tables(seed, 300)
    most = 0
    for window in truth["example"].unique():
        km, _, _ = distances(predictions, truth, window)
        i, j = linear_sum_assignment(np.where(km <= 300, km, 1e6))
        most += int((km[i, j] <= 300).sum())
    hits = int((match(predictions, truth, 1000)[1] <= 300).sum())
    assert 0.95 * most <= hits <= most


@pytest.mark.parametrize("seed", range(3))
def test_a_smaller_radius_only_cuts_off_the_far_pairs(seed: int, random_tables: Drawn) -> None:
    """Pairs within a radius are the same whether or not farther ones are allowed too."""
    predictions, truth, _ = random_tables(seed, 300)
    own, km = match(predictions, truth, 1000)
    near, _ = match(predictions, truth, 300)
    np.testing.assert_array_equal(near, np.where(km <= 300, own, -1))


def test_what_a_prediction_says_belongs_to_its_object(eddies: Objects, random_tables: Drawn) -> None:
    """A column of the own prediction is that of the nearest pairs, NaN without one, whatever the order of rows."""
    predictions, truth, _ = random_tables(0, 300)
    found = matched(predictions.sample(frac=1, random_state=1), truth, eddies, ("speed",))
    own, km = match(predictions, truth, eddies.cap_km)
    expected = pd.DataFrame({"true": truth["speed"], "km": km, "stated": np.append(predictions["speed"], np.nan)[own]})
    seen = pd.DataFrame({"true": found.true["speed"], "km": found.km, "stated": found.of_own("speed")})
    pd.testing.assert_frame_equal(*(t.sort_values("true", ignore_index=True) for t in (seen, expected)))


def test_an_object_without_a_place_is_refused(eddies: Objects, random_tables: Drawn) -> None:
    """NaN in a predicted position is an error, not a miss."""
    predictions, truth, _ = random_tables(0, 3)
    predictions.loc[predictions.index[0], "latitude"] = np.nan
    with pytest.raises(UserError, match=r"1 of \d+ rows have no finite 'latitude'. An eddy needs a place"):
        matched(predictions, truth, eddies)


def test_a_missing_column_is_named(eddies: Objects, random_tables: Drawn) -> None:
    """A table without a column of the contract is an error that names it, and whose table it is."""
    predictions, truth, _ = random_tables(0, 3)
    with pytest.raises(UserError, match=r"Tables of eddies need .*; missing: speed"):
        matched(predictions.drop(columns="speed"), truth, eddies, ("speed",))
