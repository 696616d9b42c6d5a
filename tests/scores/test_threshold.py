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
PLACE = {"latitude": 15.0, "longitude": 180.0}


def stated(*probability: float) -> pd.DataFrame:
    """One prediction a window, at one and the same place, as probable as this."""
    return pd.DataFrame({"example": np.arange(len(probability)), "probability": probability}).assign(**PLACE)


def true(count: int) -> pd.DataFrame:
    """So many objects at that place, one a window."""
    return pd.DataFrame({"example": np.arange(count)}).assign(**PLACE)


def rates(kept: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame, eddies: Objects) -> tuple[float, float]:
    """False alarms for each window, and misses for each object, by the scores themselves."""
    values = evaluate_metrics((pod(eddies), far(eddies)), kept, truth, examples).values()
    return values["far"] * len(kept) / len(examples), 1 - values["pod"]


@pytest.mark.parametrize("seed", range(3))
def test_a_false_alarm_in_a_window_is_as_frequent_as_a_miss(
    seed: int, eddies: Objects, random_tables: Callable
) -> None:
    """At the threshold there are as many false alarms a window as misses an object or more, above it fewer."""
    predictions, truth, examples = random_tables(seed, 80)
    predictions = predictions.assign(probability=np.random.default_rng(seed).permutation(len(predictions)) / 1000)
    chosen = choose_threshold(predictions, truth, examples, eddies)
    false, missed = rates(keep_likely(predictions, chosen), truth, examples, eddies)
    assert 0 < missed <= false + 1e-9
    false, missed = rates(predictions[predictions["probability"] > chosen["probability"]], truth, examples, eddies)
    assert missed > false


def test_with_an_object_in_every_window_as_many_are_stated_as_there_are(eddies: Objects) -> None:
    """One object a window makes the frequency bias one."""
    truth = true(5).assign(longitude=[180.0, 180.0, 180.0, 190.0, 190.0])
    predictions = pd.concat([stated(0.9, 0.5, 0.3, 0.8, 0.7), stated(0.1, 0.2).assign(latitude=25.0)])
    assert len(keep_likely(predictions, choose_threshold(predictions, truth, EXAMPLES, eddies))) == 5


@pytest.mark.parametrize("seed", range(3))
def test_more_windows_of_each_kind_change_no_threshold(seed: int, eddies: Objects, random_tables: Callable) -> None:
    """All windows twice, with what is in them, give the same threshold."""
    predictions, truth, examples = random_tables(seed, 80)
    twice = [pd.concat([table, table.assign(example=table["example"] + 80)]) for table in (predictions, truth)]
    windows = pd.concat([examples, examples], ignore_index=True)
    assert choose_threshold(*twice, windows, eddies) == choose_threshold(predictions, truth, examples, eddies)


def test_equals_are_taken_together(eddies: Objects) -> None:
    """Predictions as probable as the last one that is kept are kept too; no threshold could part them."""
    predictions = stated(0.9, 0.5, 0.4, 0.5, 0.3)
    chosen = choose_threshold(predictions, true(2), EXAMPLES, eddies)
    assert chosen == {"probability": 0.5}
    assert keep_likely(predictions, chosen)["probability"].tolist() == [0.9, 0.5, 0.5]


def test_all_are_kept_where_more_are_missed_whatever_is_stated(eddies: Objects) -> None:
    """A method that states less than there is keeps everything it states."""
    assert choose_threshold(stated(0.9, 0.2), true(3), EXAMPLES, eddies) == {"probability": 0.2}


def test_the_threshold_without_predictions_is_a_half(eddies: Objects) -> None:
    """A method that predicts nothing gets the threshold one half."""
    assert choose_threshold(stated(), true(1), EXAMPLES, eddies) == {"probability": 0.5}


def test_without_objects_there_is_no_threshold(eddies: Objects) -> None:
    """Validation windows without objects cannot choose a threshold."""
    with pytest.raises(UserError, match="There are no eddies in the validation windows"):
        choose_threshold(stated(0.9), true(0), EXAMPLES, eddies)
