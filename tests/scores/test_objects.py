"""Scores of point objects, one hand-made case at a time, then laws on random windows."""

from collections.abc import Callable
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import pytest

from toolkit.geodesy import KM_PER_DEGREE, distance_km
from toolkit.metrics import Metric, Scores, evaluate_metrics
from toolkit.scores.matching import Objects
from toolkit.scores.objects import column_errors, detection_metrics, place_errors, share

VORTICES = Objects("a vortex", "vortices", hit_km=300.0, near_km=225.0, cap_km=1000.0)
SPEED = Metric("speed", "m s-1", "lower", "", column_errors(VORTICES, "speed", 5.0), share("error", "count"), (0, 1e3))
LATER = Metric("later", "km", "lower", "", place_errors(VORTICES, "_6h"), share("error", "count"), (0, 1e3))
METRICS = (*detection_metrics(VORTICES), SPEED, LATER)
COLUMNS = ["example", "latitude", "longitude", "probability", "speed", "latitude_6h", "longitude_6h"]
NAN = float("nan")
Drawn = Callable[[int, int], tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]


def km_north(km: float, latitude: float = 0.0) -> float:
    """Return the latitude that lies so many km further north."""
    return latitude + km / KM_PER_DEGREE


def stated(*rows: tuple[float, ...]) -> pd.DataFrame:
    """Return predictions on longitude 300 from rows (example, latitude, probability), 50 m/s, 5 degrees west in 6 h."""
    full = [(int(e), lat, 300.0, p, 50.0, lat, 295.0) for e, lat, p in rows]
    return pd.DataFrame(full, columns=COLUMNS).astype({"example": int})


def true(*rows: tuple[float, ...]) -> pd.DataFrame:
    """Return objects on longitude 300 from rows (example, latitude), 60 m/s, 5 degrees west in 6 h."""
    full = [(int(e), lat, 300.0, 1.0, 60.0, lat, 295.0) for e, lat in rows]
    return pd.DataFrame(full, columns=COLUMNS).astype({"example": int}).drop(columns="probability")


def score(predictions: pd.DataFrame, truth: pd.DataFrame, windows: int = 2) -> dict[str, float]:
    """Return all scores of windows 0, 1, ..., each a group of its own."""
    examples = pd.DataFrame({"group": [f"window {k}" for k in range(windows)]}, index=range(windows))
    return evaluate_metrics(METRICS, predictions, truth, examples).values()


def test_only_hits() -> None:
    """Every object found and nothing else: full marks, and the errors are those of the hits."""
    values = score(stated((0, km_north(100), 0.9), (1, km_north(200, 20), 0.8)), true((0, 0.0), (1, 20.0)))
    assert [values[name] for name in ("pod", "far", "csi", "hit_rate")] == [1.0, 0.0, 1.0, 1.0]
    assert values["mean_centre_error"] == pytest.approx(150.0)
    assert values["median_centre_error"] == pytest.approx(100.5, abs=0.5)
    assert values["speed"] == pytest.approx(10.0)
    assert 100 < values["later"] < 201


def test_only_false_alarms() -> None:
    """Alarms in windows without objects: far is 1, csi 0, and what needs an object is undefined."""
    values = score(stated((0, 10.0, 0.9), (1, 10.0, 0.9)), true())
    assert (values.pop("far"), values.pop("csi")) == (1.0, 0.0)
    assert np.isnan(list(values.values())).all()


def test_only_misses() -> None:
    """No predictions: far is undefined, and each miss counts as declared."""
    values = score(stated(), true((0, 10.0), (1, 10.0)))
    assert np.isnan(values.pop("far"))
    errors = {"mean_centre_error": 1000.0, "median_centre_error": 1000.0, "speed": 55.0, "later": 1000.0}
    assert values == {"pod": 0.0, "csi": 0.0, "hit_rate": 0.0} | errors


def test_nothing_at_all() -> None:
    """Calm windows and no alarms leave every score undefined."""
    assert np.isnan(list(score(stated(), true()).values())).all()


def test_two_predictions_for_one_object() -> None:
    """The nearer one is the hit, the other a false alarm."""
    values = score(stated((0, km_north(100), 0.4), (0, km_north(-50), 0.3)), true((0, 0.0)))
    assert [values[name] for name in ("pod", "far", "csi")] == [1.0, 0.5, 0.5]
    assert values["mean_centre_error"] == pytest.approx(50.0)


def test_one_prediction_between_two_objects() -> None:
    """It belongs to the nearer object; the other is missed, though it lies within the radius too."""
    values = score(stated((0, km_north(100), 0.9)), true((0, 0.0), (0, km_north(250))))
    assert [values[name] for name in ("pod", "far", "csi")] == [0.5, 0.0, 0.5]
    assert values["mean_centre_error"] == pytest.approx((100 + 1000) / 2)
    assert np.isnan(values["hit_rate"])


def test_nearest_pair_is_not_given_up_for_a_second_match() -> None:
    """An object keeps its close prediction even where giving it away would save a second object."""
    predictions = stated((0, km_north(280), 0.9), (0, km_north(570), 0.9))
    values = score(predictions, true((0, 0.0), (0, km_north(290))))
    assert values["pod"] == 0.5
    assert values["mean_centre_error"] == pytest.approx((10 + 570) / 2)


@pytest.mark.parametrize(("km", "pod", "hit_rate"), [(224, 1, 1), (226, 1, 0), (299, 1, 0), (301, 0, 0)])
def test_radii(km: float, pod: float, hit_rate: float) -> None:
    """A hit lies within 300 km; the hit rate asks for 225 km; beyond 300 km the distance still counts as it is."""
    values = score(stated((0, km_north(km), 0.9)), true((0, 0.0)))
    assert (values["pod"], values["hit_rate"]) == (pod, hit_rate)
    assert values["mean_centre_error"] == pytest.approx(km)


def test_hit_rate_trusts_the_most_probable_prediction() -> None:
    """A second, less probable guess that is right raises pod but not the hit rate."""
    values = score(stated((0, 15.0, 0.9), (0, 0.0, 0.6)), true((0, 0.0)))
    assert (values["pod"], values["hit_rate"]) == (1.0, 0.0)


def test_what_is_said_of_no_object_is_not_said() -> None:
    """A prediction too far for a hit says nothing of the object's speed, but its later place counts."""
    values = score(stated((0, km_north(400), 0.9)), true((0, 0.0)))
    assert values["speed"] == 55.0
    assert 399 < values["later"] < 401


def test_predictions_of_another_window_do_not_count() -> None:
    """Windows are scored apart even where they show the same place."""
    values = score(stated((1, 0.0, 0.9)), true((0, 0.0)))
    assert (values["pod"], values["far"]) == (0.0, 1.0)


def test_date_line() -> None:
    """A prediction across the date line is as near as it is on the globe, in either convention of longitude."""
    truth = true((0, 10.0)).assign(longitude=179.5, longitude_6h=-179.5)
    near = stated((0, 10.0, 0.9)).assign(longitude=-179.5, longitude_6h=179.5)
    values = score(near, truth)
    assert values["pod"] == 1.0
    assert values["mean_centre_error"] == values["later"] == pytest.approx(distance_km(10, 0, 10, 1))
    assert score(near.assign(longitude=180.5), truth) == pytest.approx(values)


def test_an_object_without_a_later_place_does_not_count_there() -> None:
    """The error of the later place is a mean over objects that have one; the others still count as objects."""
    truth = true((0, 0.0), (1, 0.0))
    truth.loc[1, ["latitude_6h", "longitude_6h"]] = NAN
    values = score(stated((0, km_north(50), 0.9)), truth)
    assert values["later"] == pytest.approx(50.0)
    assert values["pod"] == 0.5


def test_a_statement_not_made_is_a_miss() -> None:
    """A method that says nothing of speed and later place is scored as if it had missed in those two."""
    silent = stated((0, 0.0, 0.9)).assign(speed=NAN, latitude_6h=NAN, longitude_6h=NAN)
    values = score(silent, true((0, 0.0)))
    assert (values["pod"], values["speed"], values["later"]) == (1.0, 55.0, 1000.0)


def test_what_is_not_known_is_left_out() -> None:
    """An object whose speed is not known counts in all other scores."""
    truth = true((0, 0.0), (1, 0.0))
    truth.loc[1, "speed"] = NAN
    values = score(stated((0, 0.0, 0.9)), truth)
    assert (values["speed"], values["pod"]) == (10.0, 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_perfect_prediction_scores_perfect(seed: int, random_tables: Drawn) -> None:
    """The truth handed in as prediction reaches the perfect value of every score."""
    _, truth, examples = random_tables(seed, 300)
    values = evaluate_metrics(METRICS, truth.assign(probability=1.0), truth, examples).values()
    assert values == {metric.name: metric.perfect for metric in METRICS}


@pytest.mark.parametrize("seed", range(3))
def test_chunks_add_to_the_whole(seed: int, random_tables: Drawn) -> None:
    """Three chunks of windows, scored apart and added, score as the whole."""
    predictions, truth, examples = random_tables(seed, 300)

    def part(k: int) -> Scores:
        p, t = (table[table["example"] % 3 == k] for table in (predictions, truth))
        return evaluate_metrics(METRICS, p, t, examples[examples.index % 3 == k])

    whole = evaluate_metrics(METRICS, predictions, truth, examples).values()
    assert reduce(add, map(part, range(3))).values() == pytest.approx(whole)


@pytest.mark.parametrize("seed", range(3))
def test_row_order_does_not_matter(seed: int, random_tables: Drawn) -> None:
    """Shuffled rows score the same, though some probabilities and positions are equal."""
    predictions, truth, examples = random_tables(seed, 300)
    predictions = pd.concat([predictions, predictions.assign(speed=10.0)])
    shuffled = tuple(t.sample(frac=1, random_state=seed) for t in (predictions, truth, examples))
    values = evaluate_metrics(METRICS, predictions, truth, examples).values()
    assert evaluate_metrics(METRICS, *shuffled).values() == pytest.approx(values)


@pytest.mark.parametrize("seed", range(5))
def test_bounds(seed: int, random_tables: Drawn) -> None:
    """0 <= csi <= pod <= 1, csi <= 1 - far, and every score lies within its declared limits."""
    values = evaluate_metrics(METRICS, *random_tables(seed, 300)).values()
    assert 0 <= values["csi"] <= min(values["pod"], 1 - values["far"]) <= 1
    for metric in METRICS:
        assert metric.limits[0] <= values[metric.name] <= metric.limits[1]


def test_meanings_speak_of_the_objects() -> None:
    """A reader gets one short phrase per score, in the task's word, with the radius where there is one."""
    meanings = {metric.name: metric.meaning for metric in detection_metrics(VORTICES)}
    assert all(0 < len(meaning) <= 100 for meaning in meanings.values())
    assert len(set(meanings.values())) == len(meanings)
    assert meanings["pod"] == "share of vortices that are found within 300 km"
    assert meanings["far"] == "share of predictions without a vortex of their own within 300 km"
    assert "225 km" in meanings["hit_rate"]
