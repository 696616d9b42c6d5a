"""What is a hurricane's own among the scores: its words, its wind, and the day ahead."""

import numpy as np
import pandas as pd
import pytest

from tasks.hurricane.scores import METRICS, choose
from toolkit.errors import UserError
from toolkit.geodesy import KM_PER_DEGREE
from toolkit.metrics import evaluate_metrics

STORM = {"latitude": 15.0, "longitude": 300.0, "wind_kt": 60.0, "latitude_24h": 16.0, "longitude_24h": 295.0}


def score(stated: pd.DataFrame, true: pd.DataFrame) -> dict[str, float]:
    """Return all scores of two windows, each a group of its own."""
    return evaluate_metrics(METRICS, stated, true, pd.DataFrame({"group": ["a", "b"]})).values()


def storms(**changed: float | list[float]) -> pd.DataFrame:
    """A storm in each of two windows, and what is changed of it."""
    return pd.DataFrame({"example": [0, 1], **STORM} | changed)


def test_the_scores_are_called_what_they_are() -> None:
    """Names, units and the words that a reader gets."""
    said = {metric.name: (metric.unit, metric.meaning) for metric in METRICS}
    assert said == {
        "pod": ("1", "share of storms that are found within 300 km"),
        "far": ("1", "share of predictions without a storm of their own within 300 km"),
        "csi": ("1", "share of storms found among storms found, storms missed and false alarms"),
        "hit_rate": (
            "1",
            "share of storms alone in their window that the most probable prediction finds within 225 km",
        ),
        "mean_centre_error": ("km", "mean distance of storms from their predictions, 1000 km where there is none"),
        "median_centre_error": ("km", "distance from their predictions within which half of the storms are"),
        "intensity_error": ("kt", "mean error of the maximum wind, 0 kt being stated of a storm that is not found"),
        "position_error_24h": (
            "km",
            "mean distance of storms from where they were said to be in 24 h, at most 1000 km each",
        ),
    }


def test_wind_and_the_day_ahead_are_scored() -> None:
    """The errors of found storms are those of their wind and of their place in 24 h."""
    stated = storms(probability=0.9, wind_kt=[50.0, 80.0], latitude_24h=16 + 200 / KM_PER_DEGREE)
    values = score(stated, storms())
    assert values["intensity_error"] == pytest.approx(15.0)
    assert values["position_error_24h"] == pytest.approx(200.0)
    assert values["mean_centre_error"] == 0.0


def test_a_miss_costs_its_wind_and_1000_km() -> None:
    """Of a storm that is not found 0 kt is stated, and it is 1000 km off, now and in 24 h."""
    values = score(storms(probability=0.9).iloc[:0], storms(wind_kt=[60.0, 120.0]))
    assert (values["pod"], values["intensity_error"]) == (0.0, 90.0)
    assert values["mean_centre_error"] == values["position_error_24h"] == 1000.0


def test_a_storm_that_dies_has_no_position_in_24_h() -> None:
    """The error of the day ahead is a mean over storms that live on."""
    dies = storms(latitude_24h=[16.0, np.nan], longitude_24h=[295.0, np.nan])
    assert score(storms(probability=0.9).iloc[1:], dies)["position_error_24h"] == 1000.0
    assert score(storms(probability=0.9).iloc[:1], dies)["position_error_24h"] == 0.0


def test_perfect_prediction_scores_perfect() -> None:
    """The truth handed in as prediction reaches the perfect value of every score."""
    assert score(storms(probability=1.0), storms()) == {metric.name: metric.perfect for metric in METRICS}


def test_as_many_storms_are_stated_as_there_are() -> None:
    """The threshold is that of the second most probable prediction where there are two storms, and needs storms."""
    stated = pd.concat([storms(probability=[0.9, 0.4]), storms(probability=[0.8, 0.1])])
    examples = pd.DataFrame({"group": ["a", "b"]})
    assert choose(stated, storms(), examples) == {"probability": 0.8}
    with pytest.raises(UserError, match="There are no storms in the validation windows"):
        choose(stated, storms().iloc[:0], examples)
