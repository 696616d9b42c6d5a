"""Scores of numbers: against scikit-learn, by hand, over some of the examples, and what is refused."""

from collections.abc import Callable
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error as sklearn_mae
from sklearn.metrics import r2_score, root_mean_squared_error

from toolkit.errors import UserError
from toolkit.metrics import Metric, evaluate_metrics
from toolkit.scores.numbers import (
    Stated,
    absolute_bias,
    choose_exceedance,
    exceedance_csi,
    explained_variance,
    keep_exceedances,
    mean_absolute_error,
    root_mean_square_error,
)
from toolkit.stats import bootstrap

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
OZONE = Stated(("ozone",), "ppb", "ozone")
BOTH = Stated(("ozone", "later"), "ppb", "ozone now and later")
LIMIT = 45.0


def metrics(stated: Stated) -> tuple[Metric, ...]:
    """All metrics of a number."""
    return (
        root_mean_square_error("rmse", stated),
        mean_absolute_error("mae", stated),
        absolute_bias("absolute_bias", stated),
        explained_variance("r2", stated),
        exceedance_csi("csi", stated, LIMIT),
    )


def tables(n: int = 90, groups: int = 7) -> Tables:
    """Predictions, truth and examples of two numbers per example."""
    rng = np.random.default_rng(0)
    names = [f"station {k}" for k in rng.integers(groups, size=n)]
    examples = pd.DataFrame({"group": names, "area": rng.choice(["rural", "urban"], n)}, index=np.arange(n) + 100)
    truth = pd.DataFrame({"example": examples.index, "ozone": rng.normal(40, 10, n), "later": rng.normal(30, 10, n)})
    truth["region"] = rng.choice(["north", "south"], n)
    predictions = truth[["example"]].assign(
        ozone=truth["ozone"] + rng.normal(1, 5, n), later=truth["later"] + rng.normal(1, 5, n)
    )
    return predictions, truth, examples


def over(predictions: pd.DataFrame, limit: float = LIMIT) -> pd.DataFrame:
    """The predictions with what of them is over a limit."""
    return predictions.assign(
        **{f"{name}_exceeds": predictions[name] > limit for name in ("ozone", "later") if name in predictions}
    )


def part(data: Tables, chosen: np.ndarray) -> Tables:
    """The tables of the examples at these places."""
    predictions, truth, examples = data
    return predictions[chosen], truth[chosen], examples[chosen]


def values(stated: Stated, data: Tables) -> dict[str, float]:
    """Return the scores by name, with what is said to exceed the limit at the limit itself."""
    predictions, truth, examples = data
    return evaluate_metrics(metrics(stated), over(predictions), truth, examples).values()


def test_they_agree_with_scikit_learn() -> None:
    """RMSE, MAE and R^2 from sums equal those computed from the values; the absolute bias is the size of the mean."""
    data = tables()
    said, true = data[0]["ozone"], data[1]["ozone"]
    found = values(OZONE, data)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(true, said))
    assert found["mae"] == pytest.approx(sklearn_mae(true, said))
    assert found["r2"] == pytest.approx(r2_score(true, said))
    assert found["absolute_bias"] == pytest.approx(abs((said - true).mean()))


def test_the_interval_of_the_bias_reaches_zero_where_its_sign_is_not_certain() -> None:
    """Of errors without a bias the lower end is 0 about as often as intervals hold, and never of a plain one."""
    metric = absolute_bias("absolute_bias", OZONE)
    examples = pd.DataFrame({"group": [f"station {k}" for k in range(20)]})
    truth = pd.DataFrame({"example": examples.index, "ozone": 40.0})

    def low(offset: float, seed: int) -> float:
        noise = np.random.default_rng(seed).normal(offset, 5, len(truth))
        scores = evaluate_metrics([metric], truth.assign(ozone=40.0 + noise), truth, examples)
        return bootstrap(metric, [scores.sums_of(metric)], draws=500).low

    assert sum(low(0.0, seed) == 0 for seed in range(20)) >= 17
    assert all(low(offset, 0) > 0 for offset in (-20.0, 20.0))


def test_exceedances_by_hand() -> None:
    """Two hits, one miss, one false alarm: 2 / 4; the limit itself is not over it."""
    examples = pd.DataFrame({"group": "a"}, index=range(6))
    truth = pd.DataFrame({"example": range(6), "ozone": [70.0, 61, 65, 60, 30, np.nan]})
    said = truth.assign(ozone_exceeds=[True, True, False, True, False, True])
    metric = exceedance_csi("csi", OZONE, 60.0)
    assert evaluate_metrics([metric], said, truth, examples).values() == {"csi": 0.5}


@pytest.mark.slow
def test_the_value_that_counts_as_over_the_limit_is_the_best() -> None:
    """No other value gives a higher critical success index, column by column; a damped statement needs a lower one."""
    predictions, truth, examples = tables()
    damped = predictions.assign(ozone=35 + 0.4 * (predictions["ozone"] - 35))
    thresholds = choose_exceedance(damped, truth, examples, ["ozone", "later"], LIMIT)
    metric = exceedance_csi("csi", OZONE, LIMIT)

    def csi(threshold: float) -> float:
        kept = keep_exceedances(damped, {"ozone_exceeds": threshold})
        return evaluate_metrics([metric], kept, truth, examples).values()["csi"]

    assert list(thresholds) == ["ozone_exceeds", "later_exceeds"]
    assert thresholds["ozone_exceeds"] < LIMIT
    assert csi(thresholds["ozone_exceeds"]) == max(csi(value) for value in damped["ozone"]) > csi(LIMIT)


def test_equal_statements_are_over_the_limit_together() -> None:
    """Where all statements are the same, all exceed or none do, and the best is to say that all do."""
    _, truth, examples = tables()
    predictions = truth.assign(ozone=30.0)
    assert choose_exceedance(predictions, truth, examples, ["ozone"], LIMIT) == {"ozone_exceeds": 30.0}


def test_a_limit_that_nothing_exceeds_stays_as_it_is() -> None:
    """There is nothing to choose by."""
    predictions, truth, examples = tables()
    assert choose_exceedance(predictions, truth, examples, ["ozone"], 500.0) == {"ozone_exceeds": 500.0}


def test_a_perfect_prediction_scores_perfect() -> None:
    """The truth handed in as prediction reaches each metric's declared perfect value."""
    _, truth, examples = tables()
    found = values(OZONE, (truth, truth, examples))
    assert found == {metric.name: pytest.approx(metric.perfect) for metric in metrics(OZONE)}


def test_stating_the_mean_explains_nothing() -> None:
    """R^2 is zero, and so is the bias."""
    predictions, truth, examples = tables()
    found = values(OZONE, (predictions.assign(ozone=truth["ozone"].mean()), truth, examples))
    assert found["r2"] == pytest.approx(0, abs=1e-9)
    assert found["absolute_bias"] == pytest.approx(0, abs=1e-9)


def test_several_columns_are_scored_as_one() -> None:
    """Two numbers of each example count like one number of twice as many examples."""
    predictions, truth, examples = tables()
    stacked = (pd.concat([t, t.assign(ozone=t["later"], example=t["example"] + 1000)]) for t in (predictions, truth))
    twice = pd.concat([examples, examples.set_axis(examples.index + 1000)])
    assert values(BOTH, (predictions, truth, examples)) == pytest.approx(values(OZONE, (*stacked, twice)))


@pytest.mark.parametrize("stated", [OZONE, BOTH, Stated(("ozone",), "ppb", "ozone", ("area", "urban"))])
def test_chunks_add_to_the_whole(stated: Stated) -> None:
    """Scores of three chunks add to those of all examples, though groups straddle the chunks."""
    data = tables()
    data = (over(data[0]), *data[1:])
    place = np.arange(len(data[2])) % 3
    added = reduce(add, (evaluate_metrics(metrics(stated), *part(data, place == k)) for k in range(3)))
    assert added.values() == pytest.approx(values(stated, data))


@pytest.mark.parametrize(("column", "value"), [("area", "urban"), ("region", "north")])
def test_some_of_the_examples_can_be_scored_alone(column: str, value: str) -> None:
    """By a column of the examples or of the truth: as if there were no others, yet with every group in the sums."""
    data = tables()
    only = Stated(("ozone",), "ppb", "ozone", (column, value))
    chosen = (data[2] if column in data[2] else data[1])[column].to_numpy() == value
    assert 0 < chosen.sum() < len(chosen)
    scores = evaluate_metrics(metrics(only), over(data[0]), *data[1:])
    assert scores.values() == pytest.approx(values(OZONE, part(data, chosen)))
    assert len(scores.sums_of(metrics(only)[0])) == data[2]["group"].nunique()


def test_a_value_that_nothing_has_is_undefined() -> None:
    """No example of that kind, no score, and no error."""
    assert all(np.isnan(list(values(Stated(("ozone",), "ppb", "ozone", ("area", "remote")), tables()).values())))


def test_a_declared_gap_in_the_truth_is_left_out() -> None:
    """A true NaN is not scored, and needs no prediction; gaps of one number do not touch the other."""
    predictions, truth, examples = tables()
    known = np.arange(len(truth)) > 10
    gap = truth.assign(ozone=truth["ozone"].where(known))
    assert values(OZONE, (predictions[known], gap, examples)) == pytest.approx(
        values(OZONE, part((predictions, truth, examples), known))
    )
    late = Stated(("later",), "ppb", "ozone later")
    assert values(late, (predictions, gap, examples)) == values(late, (predictions, truth, examples))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: p.iloc[1:], "No prediction of 'ozone' for example 100"),
        (lambda p: p.assign(ozone=p["ozone"].where(p.index > 0)), "No prediction of 'ozone' for example 100"),
        (lambda p: pd.concat([p, p.iloc[:1]]), "predictions hold 'ozone' twice for example 100"),
        (lambda p: p.rename(columns={"ozone": "ozon"}), "No column of the predictions 'ozone'. Did you mean 'ozon"),
    ],
)
def test_what_is_not_answered_once_is_refused(spoil: Callable[[pd.DataFrame], pd.DataFrame], said: str) -> None:
    """A missing, empty or double prediction is named with its example, a missing column with the near miss."""
    predictions, truth, examples = tables()
    with pytest.raises(UserError, match=said):
        values(OZONE, (spoil(predictions), truth, examples))


def test_a_kind_that_no_table_knows_is_refused() -> None:
    """The column by which examples are chosen must be in the truth or in the examples."""
    with pytest.raises(UserError, match=r"No column of the truth or of the examples 'aera'\. Did you mean 'area'"):
        values(Stated(("ozone",), "ppb", "ozone", ("aera", "urban")), tables())


def test_each_says_what_it_measures_and_of_what() -> None:
    """The meaning names what is stated and which examples, and differs between metrics."""
    urban = Stated(("ozone",), "ppb", "ozone", ("area", "urban"))
    meanings = [metric.meaning for stated in (OZONE, urban) for metric in metrics(stated)[:3]]
    assert len(set(meanings)) == len(meanings)
    assert all("ozone" in meaning for meaning in meanings)
    assert all("area is urban" in meaning for meaning in meanings[3:])


def test_a_perfect_forecast_warns_from_the_limit_on() -> None:
    """However far above the limit the exceedances of validation are, others that are nearer are warned of too."""
    table = pd.DataFrame({"example": [0, 1, 2], "ozone": [30.0, LIMIT - 1, LIMIT + 40]})
    examples = pd.DataFrame({"group": "a"}, index=range(3))
    assert choose_exceedance(table, table, examples, ["ozone"], LIMIT) == {"ozone_exceeds": LIMIT}


def test_of_values_that_do_as_well_the_limit_is_taken() -> None:
    """Another is chosen only where it does better, however many are as good as the limit."""
    table = pd.DataFrame({"example": range(4), "ozone": [50.0, 60.0, 61.0, 80.0]})
    examples = pd.DataFrame({"group": "a"}, index=range(4))
    truth = table.assign(ozone=[75.0, 10.0, 10.0, 75.0])
    assert choose_exceedance(table, truth, examples, ["ozone"], 70.0) == {"ozone_exceeds": 70.0}
