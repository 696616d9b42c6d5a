from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from toolkit.errors import UserError
from toolkit.metrics import evaluate_metrics
from toolkit.scores.matching import Objects
from toolkit.scores.objects import far, pod
from toolkit.scores.threshold import choose_threshold, keep_likely

EXAMPLES = pd.DataFrame({"group": list("abcde")}, index=range(5))


def stated(*probability: float) -> pd.DataFrame:
    """One prediction a window, as probable as this."""
    return pd.DataFrame({"example": np.arange(len(probability)), "probability": probability})


def true(count: int) -> pd.DataFrame:
    """So many objects, one a window."""
    return pd.DataFrame({"example": np.arange(count)})


@pytest.mark.parametrize("seed", range(3))
def test_as_many_are_stated_as_there_are(seed: int, eddies: Objects, random_tables: Callable) -> None:
    """At the chosen threshold pod and 1 - far are the same number: hits / objects and hits / predictions."""
    predictions, truth, examples = random_tables(seed, 80)
    predictions = predictions.assign(probability=np.random.default_rng(seed).permutation(len(predictions)) / 1000)
    assert len(predictions) > len(truth)
    kept = keep_likely(predictions, choose_threshold(predictions, truth, examples, eddies))
    assert len(kept) == len(truth)
    values = evaluate_metrics((pod(eddies), far(eddies)), kept, truth, examples).values()
    assert values["pod"] == pytest.approx(1 - values["far"])


def test_equals_are_taken_together(eddies: Objects) -> None:
    """Predictions as probable as the last one that is kept are kept too; no threshold could part them."""
    predictions = stated(0.9, 0.5, 0.5, 0.4, 0.3)
    chosen = choose_threshold(predictions, true(2), EXAMPLES, eddies)
    assert chosen == {"probability": 0.5}
    assert keep_likely(predictions, chosen)["probability"].tolist() == [0.9, 0.5, 0.5]


def test_all_are_kept_where_fewer_are_stated_than_there_are(eddies: Objects) -> None:
    """A method that states less than there is keeps everything it states."""
    assert choose_threshold(stated(0.9, 0.2), true(3), EXAMPLES, eddies) == {"probability": 0.2}


def test_the_threshold_without_predictions_is_a_half(eddies: Objects) -> None:
    """A method that predicts nothing gets the threshold one half."""
    assert choose_threshold(stated(), true(1), EXAMPLES, eddies) == {"probability": 0.5}


def test_without_objects_there_is_no_threshold(eddies: Objects) -> None:
    """Validation windows without objects cannot choose a threshold."""
    with pytest.raises(UserError, match="There are no eddies in the validation windows"):
        choose_threshold(stated(0.9), true(0), EXAMPLES, eddies)
