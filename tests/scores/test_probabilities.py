"""Scores of probabilities: second implementations, laws, and an example by hand."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from toolkit.errors import UserError
from toolkit.metrics import Metric, evaluate_metrics
from toolkit.scores.cell_sums import BINS, bin_of
from toolkit.scores.probabilities import (
    average_precision,
    brier,
    choose,
    f1,
    iou,
    keep,
    mean_brier_skill,
    mean_iou,
    precision,
    recall,
    window_csi,
    window_f1,
)
from toolkit.stats import bootstrap

COLUMNS = ("heat", "blocking_72h")
WINDOWS, CELLS = 30, 16
EXAMPLES = pd.DataFrame({"group": [f"p{k // 4}" for k in range(WINDOWS)]}).rename_axis("example")
METRICS = (
    mean_iou(COLUMNS),
    mean_iou(("blocking_72h",), "_72h"),
    *(make(column) for column in COLUMNS for make in (
        iou, f1, precision, recall, brier, average_precision, window_csi, window_f1
    )),
    mean_brier_skill(COLUMNS),
)  # fmt: skip


def tables(seed: int = 0, gaps: float = 0.1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Probabilities that tell a little, of events that are seldom; some of the truth is not known."""
    rng = np.random.default_rng(seed)
    keys = {"example": np.repeat(np.arange(WINDOWS), CELLS), "cell": np.tile(np.arange(CELLS), WINDOWS)}
    stated, true = {}, {}
    for column in COLUMNS:
        chance = rng.beta(0.3, 3, WINDOWS * CELLS)
        stated[column] = np.clip(chance + rng.normal(0, 0.03, chance.size), 0, 1).astype(np.float32)
        event = (rng.random(chance.size) < chance).astype(float)
        true[column] = np.where(rng.random(chance.size) < gaps, np.nan, event)
        true[f"{column}_climatology"] = np.full(chance.size, 0.09)
    return pd.DataFrame(keys | stated), pd.DataFrame(keys | true)


def values(predictions: pd.DataFrame, truth: pd.DataFrame, *metrics: Metric) -> dict[str, float]:
    """The scores of predictions of which it is already said what is stated."""
    return evaluate_metrics(metrics or METRICS, predictions, truth, EXAMPLES).values()


def kept(seed: int = 0, gaps: float = 0.1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables, with what is stated from the best thresholds on."""
    predictions, truth = tables(seed, gaps)
    return keep(predictions, choose(predictions, truth, EXAMPLES, COLUMNS)), truth


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("column", COLUMNS)
def test_sklearn_agrees(seed: int, column: str) -> None:
    """Cell by cell, where the truth is known; the average precision is that of probabilities rounded to the bins."""
    predictions, truth = kept(seed)
    scores = values(predictions, truth)
    known = truth[column].notna()
    true, stated = truth[column][known] == 1, predictions[f"{column}_stated"][known]
    chance = predictions[column][known].astype(float)
    assert scores[f"iou_{column}"] == pytest.approx(jaccard_score(true, stated))
    assert scores[f"f1_{column}"] == pytest.approx(f1_score(true, stated))
    assert scores[f"precision_{column}"] == pytest.approx(precision_score(true, stated))
    assert scores[f"recall_{column}"] == pytest.approx(recall_score(true, stated))
    assert scores[f"brier_{column}"] == pytest.approx(brier_score_loss(true, chance))
    assert scores[f"average_precision_{column}"] == pytest.approx(
        average_precision_score(true, bin_of(chance.to_numpy()))
    )
    assert scores[f"average_precision_{column}"] == pytest.approx(average_precision_score(true, chance), abs=0.03)


def test_sklearn_agrees_on_windows() -> None:
    """A window is stated where its highest probability is, and true where one of its cells is."""
    predictions, truth = kept(gaps=0.0)
    scores = values(predictions, truth)
    thresholds = choose(predictions, truth, EXAMPLES, COLUMNS)
    for column in COLUMNS:
        true = truth.groupby("example")[column].max() == 1
        stated = predictions.groupby("example")[column].max() >= thresholds[f"{column}_window"]
        assert scores[f"window_csi_{column}"] == pytest.approx(jaccard_score(true, stated))
        assert scores[f"window_f1_{column}"] == pytest.approx(f1_score(true, stated))


def test_the_mean_over_kinds_is_of_those_that_are_defined() -> None:
    """A kind that is neither stated nor there has no intersection over union, and does not spoil the mean."""
    predictions, truth = kept()
    scores = values(predictions, truth)
    assert scores["mean_iou"] == pytest.approx(np.mean([scores[f"iou_{column}"] for column in COLUMNS]))
    assert scores["mean_iou_72h"] == scores["iou_blocking_72h"]
    nothing = predictions.assign(heat_stated=False), truth.assign(heat=0.0)
    scores = values(*nothing, iou("heat"), iou("blocking_72h"), mean_iou(COLUMNS))
    assert np.isnan(scores["iou_heat"])
    assert scores["mean_iou"] == scores["iou_blocking_72h"]


def test_a_draw_of_groups_is_a_mean_over_the_same_kinds() -> None:
    """Where it lacks a kind that the whole sample knows it is undefined, rather than a mean over the others."""
    predictions, truth = kept()
    elsewhere = truth["example"] >= 4  # all but the first group
    rare = predictions["heat_stated"] & ~elsewhere, truth["heat"].mask(elsewhere, 0.0)
    metric = mean_iou(COLUMNS)
    scores = evaluate_metrics(
        (metric, *map(iou, COLUMNS)), predictions.assign(heat_stated=rare[0]), truth.assign(heat=rare[1]), EXAMPLES
    )
    sums = scores.sums_of(metric)
    with_it, without = np.ones(len(sums)), np.arange(len(sums)) > 0
    once, never = metric.values(sums, np.array([with_it, without]))
    assert once == pytest.approx(np.mean([scores.values()[f"iou_{column}"] for column in COLUMNS]))
    assert np.isnan(never)


def test_an_example_by_hand() -> None:
    """Two windows of two cells: one hit, one miss, one false alarm."""
    keys = {"example": [0, 0, 1, 1], "cell": [0, 1, 0, 1]}
    truth = pd.DataFrame(keys | {"heat": [1.0, 1.0, 0.0, 0.0]})
    predictions = keep(pd.DataFrame(keys | {"heat": [0.9, 0.2, 0.6, 0.1]}), {"heat": 0.5, "heat_window": 0.8})
    assert predictions["heat_stated"].tolist() == [True, False, True, False]
    assert predictions["heat_window_stated"].tolist() == [True, True, False, False]
    examples = pd.DataFrame({"group": ["a", "b"]}).rename_axis("example")
    metrics = (iou("heat"), f1("heat"), brier("heat"), average_precision("heat"), window_csi("heat"))
    scores = evaluate_metrics(metrics, predictions, truth, examples).values()
    assert scores["iou_heat"] == pytest.approx(1 / 3)
    assert scores["f1_heat"] == pytest.approx(1 / 2)
    assert scores["brier_heat"] == pytest.approx((0.01 + 0.64 + 0.36 + 0.01) / 4)
    assert scores["average_precision_heat"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores["window_csi_heat"] == 1.0


@pytest.mark.parametrize("cuts", [(1,), (14,), (3, 11, 29)])
def test_scores_do_not_depend_on_how_windows_are_cut_into_chunks(cuts: tuple[int, ...]) -> None:
    """One chunk and several give the same."""
    predictions, truth = kept()
    whole = evaluate_metrics(METRICS, predictions, truth, EXAMPLES).values()
    total = None
    for low, high in pairwise((0, *cuts, WINDOWS)):
        chunk = [table[table["example"].between(low, high - 1)] for table in (predictions, truth)]
        part = evaluate_metrics(METRICS, *chunk, EXAMPLES.iloc[low:high])
        total = part if total is None else total + part
    assert total is not None
    assert total.values() == pytest.approx(whole, nan_ok=True)


def test_scores_do_not_depend_on_the_order_of_rows() -> None:
    """The tables are matched by their keys."""
    predictions, truth = kept()
    shuffled = predictions.sample(frac=1, random_state=1), truth.sample(frac=1, random_state=2)
    assert values(*shuffled) == pytest.approx(values(predictions, truth))


def test_a_flawless_prediction_has_the_perfect_score() -> None:
    """Every metric that says what is perfect gives it to the truth itself."""
    _, truth = tables()
    told = truth.fillna(0.5).drop(columns=[f"{column}_climatology" for column in COLUMNS])
    predictions = keep(told, choose(told, truth.dropna(), EXAMPLES, ()) | dict.fromkeys(COLUMNS, 0.9))
    predictions = keep(predictions, {f"{column}_window": 0.9 for column in COLUMNS})
    scores = values(predictions, truth)
    assert scores == pytest.approx({metric.name: metric.perfect for metric in METRICS})


@pytest.mark.parametrize("column", COLUMNS)
def test_the_threshold_chosen_is_the_best_of_all(column: str) -> None:
    """No other probability gives a higher F1, nor a higher intersection over union, of cells or of windows."""
    predictions, truth = tables()
    thresholds = choose(predictions, truth, EXAMPLES, (column,))
    assert list(thresholds) == [column, f"{column}_window"]
    metrics = (f1(column), iou(column), window_f1(column), window_csi(column))
    best = values(keep(predictions, thresholds), truth, *metrics)
    for other in np.unique(predictions[column])[::11]:
        scores = values(keep(predictions, dict.fromkeys(thresholds, float(other))), truth, *metrics)
        assert all(scores[name] <= best[name] or np.isnan(scores[name]) for name in scores)


def test_a_kind_without_an_event_has_a_neutral_threshold() -> None:
    """Where validation knows nothing of a kind, one half is as good as any."""
    predictions, truth = tables()
    assert choose(predictions, truth.assign(heat=0.0), EXAMPLES, ("heat",)) == {"heat": 0.5, "heat_window": 0.5}
    assert choose(predictions, truth.assign(heat=np.nan), EXAMPLES, ("heat",)) == {"heat": 0.5, "heat_window": 0.5}


def test_a_window_is_not_known_where_an_event_might_be_hidden() -> None:
    """A gap beside no event leaves the window out; beside an event it does not matter."""
    predictions, truth = kept(gaps=0.0)
    truth["heat"] = 0.0
    truth.loc[truth["example"] < 10, "heat"] = 1.0
    truth.loc[truth["cell"] == 0, "heat"] = np.nan
    stated = predictions.assign(heat_window_stated=True)
    assert values(stated, truth, window_csi("heat")) == {"window_csi_heat": 1.0}


def test_skill_is_the_mean_over_columns_against_their_own_frequency() -> None:
    """One less the ratio, by scikit-learn, to stating the frequency everywhere; columns without events do not count."""
    predictions, truth = kept()
    skills = []
    for column in COLUMNS:
        known = truth[column].notna()
        true, chance = truth[column][known] == 1, predictions[column][known].astype(float)
        usual = np.full(known.sum(), true.mean())
        skills.append(1 - brier_score_loss(true, chance) / brier_score_loss(true, usual))
    assert values(predictions, truth, mean_brier_skill(COLUMNS))["mean_brier_skill"] == pytest.approx(np.mean(skills))
    constant = predictions.assign(**{column: truth[column].mean() for column in COLUMNS})
    assert values(constant, truth, mean_brier_skill(COLUMNS))["mean_brier_skill"] == pytest.approx(0, abs=1e-6)
    without = truth.assign(**{COLUMNS[0]: 0.0})
    rest = values(predictions, without, mean_brier_skill(COLUMNS))["mean_brier_skill"]
    assert rest == pytest.approx(np.mean(skills[1:]))


def test_skill_in_draws_is_bounded_however_few_events_they_have() -> None:
    """Where nearly all groups have hardly an event its interval stays within what the groups together can tell."""
    rng = np.random.default_rng(0)
    few = np.array([40.0, 1, 1, 1, 1, 1, 1, 1])
    sums = pd.DataFrame({"heat count": 1e4, "heat events": few, "heat square": 0.7 * few + rng.uniform(0, 3, 8)})
    metric = mean_brier_skill(("heat",))
    interval = bootstrap(metric, [sums])
    frequency = few.sum() / 8e4
    assert interval.value == pytest.approx(1 - sums["heat square"].sum() / 8e4 / (frequency * (1 - frequency)))
    assert -0.5 < interval.low < interval.value < interval.high < 1


def test_skill_in_draws_does_not_hang_on_how_many_events_they_have() -> None:
    """Where errors are in proportion to those of stating the frequency, group by group, the skill is certain."""
    count, events = 1e3, np.array([10.0, 50.0, 90.0])
    frequency = events.mean() / count
    usual = events * (1 - frequency) ** 2 + (count - events) * frequency**2
    sums = pd.DataFrame({"heat count": count, "heat events": events, "heat square": 0.4 * usual})
    drawn = mean_brier_skill(("heat",)).values(sums, np.array([[3.0, 0, 0], [0, 0, 3], [1, 1, 1], [2, 1, 0]]))
    np.testing.assert_allclose(drawn, 0.6)


def test_bins_are_in_the_order_of_probabilities_and_narrow_at_both_ends() -> None:
    """From 0 to 99, never falling; a probability of 1 in 1000 is not in the bin of 0."""
    chance = np.linspace(0, 1, 10001)
    number = bin_of(chance)
    assert (np.diff(number) >= 0).all()
    assert (number[0], number[-1]) == (0, BINS - 1)
    assert bin_of(np.array([1e-3]))[0] > 0
    assert bin_of(np.array([1 - 1e-3]))[0] < BINS - 1


def test_statements_that_were_never_made_are_missed() -> None:
    """Predictions that `keep` has not seen have no statements."""
    predictions, truth = tables()
    with pytest.raises(UserError, match=r"No column of the predictions 'heat_stated'"):
        values(predictions, truth, iou("heat"))
    with pytest.raises(UserError, match=r"No column of the predictions 'haet'. Did you mean 'heat'"):
        keep(predictions, {"haet_window": 0.5})
