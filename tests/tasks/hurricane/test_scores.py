"""Detection scores, one hand-made case at a time, then laws on random windows."""

from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from tasks.hurricane.scores import CAP_KM, HIT_KM, METRICS, choose_threshold, keep_likely, match
from toolkit.errors import UserError
from toolkit.geodesy import KM_PER_DEGREE, distance_km
from toolkit.metrics import Scores, evaluate_metrics

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
STATED = ["example", "latitude", "longitude", "probability", "wind_kt", "latitude_24h", "longitude_24h"]
TRUE = ["example", "storm", "latitude", "longitude", "wind_kt", "latitude_24h", "longitude_24h"]
NAN = float("nan")


def km_north(km: float, latitude: float = 0.0) -> float:
    """Return the latitude that lies so many km further north."""
    return latitude + km / KM_PER_DEGREE


def stated(*rows: tuple[float, ...]) -> pd.DataFrame:
    """Return predictions on longitude 300 from rows (example, latitude, probability), 50 kt, 5 degrees west in 24 h."""
    full = [(int(e), lat, 300.0, p, 50.0, lat, 295.0) for e, lat, p in rows]
    return pd.DataFrame(full, columns=STATED).astype({"example": int})


def true(*rows: tuple[float, ...]) -> pd.DataFrame:
    """Return storms on longitude 300 from rows (example, latitude), 60 kt, 5 degrees west in 24 h."""
    full = [(int(e), f"AL{k}", lat, 300.0, 60.0, lat, 295.0) for k, (e, lat) in enumerate(rows)]
    return pd.DataFrame(full, columns=TRUE).astype({"example": int})


def score(predictions: pd.DataFrame, truth: pd.DataFrame, windows: int = 2) -> dict[str, float]:
    """Return all scores of windows 0, 1, ..., each a group of its own."""
    examples = pd.DataFrame({"group": [f"window {k}" for k in range(windows)]}, index=range(windows))
    return evaluate_metrics(METRICS, predictions, truth, examples).values()


def world(seed: int, windows: int = 300) -> Tables:
    """Return random windows with 0 to 3 storms and 0 to 4 predictions, in degrees around the date line."""
    rng = np.random.default_rng(seed)
    examples = pd.DataFrame({"group": [f"AL{k:02d}" for k in rng.integers(20, size=windows)]}, index=range(windows))

    def table(most: int, columns: list[str]) -> pd.DataFrame:
        example = np.repeat(np.arange(windows), rng.integers(most + 1, size=windows))
        n = example.size
        values = {"example": example, "storm": "AL", "probability": rng.integers(1, 40, n) / 40}
        values |= {"latitude": rng.uniform(10, 20, n), "longitude": (rng.uniform(175, 185, n) + 180) % 360 - 180}
        values |= {"wind_kt": rng.uniform(30, 120, n), "latitude_24h": rng.uniform(10, 20, n)}
        values |= {"longitude_24h": rng.uniform(175, 185, n)}
        dies = rng.random(n) < 0.2
        return pd.DataFrame(values)[columns].where(~pd.DataFrame({c: dies & c.endswith("24h") for c in columns}))

    return table(4, STATED), table(3, TRUE), examples


def test_only_hits() -> None:
    """Every storm found and nothing else: full marks, and the errors are those of the hits."""
    values = score(stated((0, km_north(100), 0.9), (1, km_north(200, 20), 0.8)), true((0, 0.0), (1, 20.0)))
    assert [values[name] for name in ("pod", "far", "csi", "hit_rate")] == [1.0, 0.0, 1.0, 1.0]
    assert values["mean_centre_error"] == pytest.approx(150.0)
    assert values["median_centre_error"] == pytest.approx(100.5, abs=0.5)
    assert values["intensity_error"] == pytest.approx(10.0)
    assert 100 < values["position_error_24h"] < 201


def test_only_false_alarms() -> None:
    """Alarms in windows without storms: far is 1, csi 0, and what needs a storm is undefined."""
    values = score(stated((0, 10.0, 0.9), (1, 10.0, 0.9)), true())
    assert (values.pop("far"), values.pop("csi")) == (1.0, 0.0)
    assert np.isnan(list(values.values())).all()


def test_only_misses() -> None:
    """No predictions: far is undefined, and each miss counts its stated cap."""
    values = score(stated(), true((0, 10.0), (1, 10.0)))
    assert np.isnan(values.pop("far"))
    assert values == {
        "pod": 0.0, "csi": 0.0, "hit_rate": 0.0, "mean_centre_error": CAP_KM, "median_centre_error": CAP_KM,
        "intensity_error": 60.0, "position_error_24h": CAP_KM,
    }  # fmt: skip


def test_nothing_at_all() -> None:
    """Calm windows and no alarms leave every score undefined."""
    assert np.isnan(list(score(stated(), true()).values())).all()


def test_two_predictions_for_one_storm() -> None:
    """The nearer one is the hit, the other a false alarm."""
    values = score(stated((0, km_north(100), 0.4), (0, km_north(-50), 0.3)), true((0, 0.0)))
    assert [values[name] for name in ("pod", "far", "csi")] == [1.0, 0.5, 0.5]
    assert values["mean_centre_error"] == pytest.approx(50.0)


def test_one_prediction_between_two_storms() -> None:
    """It belongs to the nearer storm; the other is missed, though it lies within the radius too."""
    values = score(stated((0, km_north(100), 0.9)), true((0, 0.0), (0, km_north(250))))
    assert [values[name] for name in ("pod", "far", "csi")] == [0.5, 0.0, 0.5]
    assert values["mean_centre_error"] == pytest.approx((100 + CAP_KM) / 2)
    assert np.isnan(values["hit_rate"])


def test_nearest_pair_is_not_given_up_for_a_second_match() -> None:
    """A storm keeps its close prediction even where giving it away would save a second storm."""
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


def test_miss_costs_its_wind() -> None:
    """A prediction too far for a hit states no wind for the storm: 0 kt."""
    assert score(stated((0, km_north(400), 0.9)), true((0, 0.0)))["intensity_error"] == 60.0


def test_predictions_of_another_window_do_not_count() -> None:
    """Windows are scored apart even where they show the same place."""
    values = score(stated((1, 0.0, 0.9)), true((0, 0.0)))
    assert (values["pod"], values["far"]) == (0.0, 1.0)


def test_date_line() -> None:
    """A prediction across the date line is as near as it is on the globe, in either convention of longitude."""
    truth = true((0, 10.0)).assign(longitude=179.5, longitude_24h=-179.5)
    near = stated((0, 10.0, 0.9)).assign(longitude=-179.5, longitude_24h=179.5)
    values = score(near, truth)
    assert values["pod"] == 1.0
    assert values["mean_centre_error"] == pytest.approx(distance_km(10, 0, 10, 1))
    assert values["position_error_24h"] == pytest.approx(distance_km(10, 0, 10, 1))
    assert score(near.assign(longitude=180.5), truth) == pytest.approx(values)


def test_storm_that_dies_has_no_position_in_24_hours() -> None:
    """The 24 h error is a mean over storms that live on; the others still count as storms."""
    truth = true((0, 0.0), (1, 0.0))
    truth.loc[1, ["latitude_24h", "longitude_24h"]] = NAN
    values = score(stated((0, km_north(50), 0.9)), truth)
    assert values["position_error_24h"] == pytest.approx(50.0)
    assert values["pod"] == 0.5


def test_prediction_without_24_hours_or_wind_is_a_miss_there() -> None:
    """A detector that says nothing of wind and displacement is scored as if it had missed in those two."""
    silent = stated((0, 0.0, 0.9)).assign(wind_kt=NAN, latitude_24h=NAN, longitude_24h=NAN)
    values = score(silent, true((0, 0.0)))
    assert (values["pod"], values["intensity_error"], values["position_error_24h"]) == (1.0, 60.0, CAP_KM)


def test_unknown_true_wind_is_left_out() -> None:
    """A storm whose wind the best track does not know counts in all other scores."""
    truth = true((0, 0.0), (1, 0.0))
    truth.loc[1, "wind_kt"] = NAN
    values = score(stated((0, 0.0, 0.9)), truth)
    assert (values["intensity_error"], values["pod"]) == (10.0, 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_perfect_prediction_scores_perfect(seed: int) -> None:
    """The truth handed in as prediction reaches the perfect value of every score."""
    _, truth, examples = world(seed)
    oracle = truth.assign(probability=1.0).drop(columns="storm")
    values = evaluate_metrics(METRICS, oracle, truth, examples).values()
    assert values == {metric.name: metric.perfect for metric in METRICS}


@pytest.mark.parametrize("seed", range(3))
def test_chunks_add_to_the_whole(seed: int) -> None:
    """Three chunks of windows, scored apart and added, score as the whole."""
    predictions, truth, examples = world(seed)

    def part(k: int) -> Scores:
        p, t = (table[table["example"] % 3 == k] for table in (predictions, truth))
        return evaluate_metrics(METRICS, p, t, examples[examples.index % 3 == k])

    whole = evaluate_metrics(METRICS, predictions, truth, examples).values()
    assert reduce(add, map(part, range(3))).values() == pytest.approx(whole)


@pytest.mark.parametrize("seed", range(3))
def test_row_order_does_not_matter(seed: int) -> None:
    """Shuffled rows score the same, though some probabilities and positions are equal."""
    predictions, truth, examples = world(seed)
    predictions = pd.concat([predictions, predictions.assign(wind_kt=10.0)])
    shuffled = tuple(t.sample(frac=1, random_state=seed) for t in (predictions, truth, examples))
    values = evaluate_metrics(METRICS, predictions, truth, examples).values()
    assert evaluate_metrics(METRICS, *shuffled).values() == pytest.approx(values)
    assert choose_threshold(*shuffled) == choose_threshold(predictions, truth, examples)


@pytest.mark.parametrize("seed", range(5))
def test_bounds(seed: int) -> None:
    """0 <= csi <= pod <= 1, csi <= 1 - far, and every score lies within its declared limits."""
    values = evaluate_metrics(METRICS, *world(seed)).values()
    assert 0 <= values["csi"] <= min(values["pod"], 1 - values["far"]) <= 1
    for metric in METRICS:
        assert metric.limits[0] <= values[metric.name] <= metric.limits[1]


def _distances(
    predictions: pd.DataFrame, truth: pd.DataFrame, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return km between every prediction and every storm of a window, and the rows they come from."""
    p, t = predictions[predictions["example"] == window], truth[truth["example"] == window]
    p_lat, p_lon, t_lat, t_lon = p["latitude"], p["longitude"], t["latitude"], t["longitude"]
    km = distance_km(
        p_lat.to_numpy()[:, None], p_lon.to_numpy()[:, None], t_lat.to_numpy()[None], t_lon.to_numpy()[None]
    )
    return km, p.index.to_numpy(), t.index.to_numpy()


@pytest.mark.parametrize("seed", range(3))
def test_matching_agrees_with_a_plain_loop(seed: int) -> None:
    """All windows at once give what taking the nearest pair, window by window, gives."""
    predictions, truth, _ = world(seed)
    own = np.full(len(truth), -1)
    for window in truth["example"].unique():
        km, rows, columns = _distances(predictions, truth, window)
        while km.size and km.min() <= CAP_KM:
            i, j = np.unravel_index(km.argmin(), km.shape)
            own[columns[j]] = rows[i]
            km[i], km[:, j] = np.inf, np.inf
    found, distance = match(predictions, truth)
    np.testing.assert_array_equal(found, own)
    assert np.isinf(distance[own < 0]).all()


@pytest.mark.parametrize("seed", range(3))
def test_matching_finds_nearly_as_many_hits_as_the_best_assignment(seed: int) -> None:
    """Nearest pairs first can lose a few hits against the assignment with most hits, and never gains one."""
    predictions, truth, _ = world(seed)
    most = 0
    for window in truth["example"].unique():
        km, _, _ = _distances(predictions, truth, window)
        i, j = linear_sum_assignment(np.where(km <= HIT_KM, km, 1e6))
        most += int((km[i, j] <= HIT_KM).sum())
    hits = int((match(predictions, truth)[1] <= HIT_KM).sum())
    assert 0.95 * most <= hits <= most


@pytest.mark.parametrize("seed", range(3))
def test_as_many_are_stated_as_there_are(seed: int) -> None:
    """At the chosen threshold pod and 1 - far are the same number: hits / storms and hits / predictions."""
    predictions, truth, examples = world(seed, windows=80)
    predictions = predictions.assign(probability=np.random.default_rng(seed).permutation(len(predictions)) / 1000)
    assert len(predictions) > len(truth)
    kept = keep_likely(predictions, choose_threshold(predictions, truth, examples))
    assert len(kept) == len(truth)
    values = evaluate_metrics(METRICS, kept, truth, examples).values()
    assert values["pod"] == pytest.approx(1 - values["far"])


def test_threshold_takes_equals_together() -> None:
    """Predictions as probable as the last one that is kept are kept too; no threshold could part them."""
    predictions = stated((0, 0.0, 0.9), (1, 0.0, 0.5), (2, 0.0, 0.5), (3, 0.0, 0.4), (4, 0.0, 0.3))
    examples = pd.DataFrame({"group": list("abcde")}, index=range(5))
    chosen = choose_threshold(predictions, true((0, 0.0), (1, 0.0)), examples)
    assert chosen == 0.5
    assert keep_likely(predictions, chosen)["probability"].tolist() == [0.9, 0.5, 0.5]


def test_threshold_keeps_all_where_fewer_are_stated_than_there_are() -> None:
    """A method that states less than there is keeps everything it states."""
    predictions = stated((0, 0.0, 0.9), (1, 0.0, 0.2))
    examples = pd.DataFrame({"group": list("abc")}, index=range(3))
    assert choose_threshold(predictions, true((0, 0.0), (1, 0.0), (2, 0.0)), examples) == 0.2


def test_threshold_without_predictions() -> None:
    """A method that predicts nothing gets the threshold one half."""
    assert choose_threshold(stated(), true((0, 0.0)), pd.DataFrame({"group": ["a"]})) == 0.5


def test_threshold_without_storms_fails() -> None:
    """Validation windows without storms cannot choose a threshold."""
    with pytest.raises(UserError, match="No storm in the validation windows"):
        choose_threshold(stated((0, 0.0, 0.9)), true(), pd.DataFrame({"group": ["a"]}))


def test_prediction_without_a_place_fails() -> None:
    """NaN in a predicted position is an error, not a miss."""
    with pytest.raises(UserError, match="1 of 2 rows have no finite 'latitude'"):
        score(stated((0, NAN, 0.9), (1, 0.0, 0.9)), true((0, 0.0)))


def test_missing_column_fails() -> None:
    """A table without a column of the contract is an error that names it."""
    with pytest.raises(UserError, match="missing: wind_kt"):
        score(stated((0, 0.0, 0.9)).drop(columns="wind_kt"), true((0, 0.0)))


def test_every_score_has_a_meaning_of_its_own() -> None:
    """A reader gets one short phrase per score, with the radius where there is one."""
    meanings = {metric.name: metric.meaning for metric in METRICS}
    assert all(0 < len(meaning) <= 100 for meaning in meanings.values())
    assert len(set(meanings.values())) == len(METRICS)
    assert "300 km" in meanings["pod"]
    assert "225 km" in meanings["hit_rate"]
