"""The contract of statistics and metrics: sums add, metrics finish them once."""

from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import UserError
from toolkit.metrics import (
    Metric,
    Scores,
    Statistic,
    evaluate_metrics,
    histogram_by_group,
    median_of_histogram,
    ratio,
    sum_by_group,
    weighed_median,
)
from toolkit.scores.numbers import Stated, explained_variance, mean_absolute_error, root_mean_square_error

STATED = Stated(("ozone",), "ppb", "ozone")
OZONE = (
    root_mean_square_error("rmse", STATED),
    mean_absolute_error("mae", STATED),
    explained_variance("r2", STATED),
)
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def tables(n: int = 60, groups: int = 7) -> Tables:
    """Return predictions, truth and examples of one number per example."""
    rng = np.random.default_rng(0)
    names = [f"station {k}" for k in rng.integers(groups, size=n)]
    examples = pd.DataFrame({"group": names}, index=pd.Index(np.arange(n) + 100, name="example"))
    truth = pd.DataFrame({"example": examples.index, "ozone": rng.normal(40, 10, n)})
    return truth.assign(ozone=truth["ozone"] + rng.normal(0, 5, n)), truth, examples


def part(data: Tables, chosen: pd.Index) -> Tables:
    """Return the tables of some of the examples."""
    predictions, truth, examples = data
    return (
        predictions[predictions["example"].isin(chosen)],
        truth[truth["example"].isin(chosen)],
        examples.loc[chosen],
    )


def counting(name: str, calls: list[str]) -> Metric:
    """Return a metric whose statistic notes each of its calls."""

    def compute(_: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
        calls.append(name)
        return sum_by_group(truth.assign(n=1.0)[["example", "n"]], examples)

    return Metric(name, "1", "higher", "number of rows", Statistic(name, compute), lambda sums: sums["n"])


def test_chunks_add_to_the_whole() -> None:
    """Scores of three chunks add to those of all windows, though groups straddle the chunks."""
    data = tables()
    chunks = [data[2].index[k::3] for k in range(3)]
    whole = evaluate_metrics(OZONE, *data)
    added = reduce(add, (evaluate_metrics(OZONE, *part(data, chunk)) for chunk in chunks))
    assert added.values() == pytest.approx(whole.values())
    pd.testing.assert_frame_equal(added.sums_of(OZONE[0]), whole.sums_of(OZONE[0]))


def test_row_order_does_not_matter() -> None:
    """Shuffled rows of all three tables give the same sums, groups in the same order."""
    data = tables()
    shuffled = [table.sample(frac=1, random_state=k) for k, table in enumerate(data)]
    first, second = evaluate_metrics(OZONE, *data), evaluate_metrics(OZONE, *shuffled)
    pd.testing.assert_frame_equal(first.sums_of(OZONE[0]), second.sums_of(OZONE[0]))


def test_shared_statistic_is_computed_once() -> None:
    """Two metrics on one statistic cost one computation."""
    calls: list[str] = []
    metric = counting("count", calls)
    other = Metric("double", "1", "higher", "twice as many", metric.statistic, lambda sums: 2 * sums["n"])
    values = evaluate_metrics((metric, other), *tables()).values()
    assert values == {"count": 60.0, "double": 120.0}
    assert calls == ["count"]


def test_group_without_rows_is_kept_at_zero() -> None:
    """A group whose windows hold no object still gets its row of sums."""
    _, truth, examples = tables()
    gone = examples.index[examples["group"] == "station 3"]
    sums = sum_by_group(truth[~truth["example"].isin(gone)], examples)
    assert sums.loc["station 3", "ozone"] == 0.0
    assert len(sums) == examples["group"].nunique()


def test_weights_count_groups() -> None:
    """A group with weight 2 counts like a group that occurs twice."""
    data = tables()
    metric = OZONE[0]
    sums = evaluate_metrics(OZONE, *data).sums_of(metric)
    weights = np.ones((1, len(sums)))
    weights[0, 2] = 2
    assert metric.values(sums, weights)[0] == pytest.approx(metric.value(pd.concat([sums, sums.iloc[[2]]])))


def test_prediction_for_unknown_example_fails() -> None:
    """A row about a window that does not exist is an error that names it."""
    predictions, truth, examples = tables()
    with pytest.raises(UserError, match="predictions speak of example 7"):
        evaluate_metrics(OZONE, predictions.assign(example=7), truth, examples)


def test_rows_without_example_fail() -> None:
    """A table without the column that says where its rows belong is an error."""
    predictions, truth, examples = tables()
    with pytest.raises(UserError, match="truth need a column 'example'"):
        evaluate_metrics(OZONE, predictions, truth.drop(columns="example"), examples)


def test_repeated_example_fails() -> None:
    """An example listed twice is an error that names it."""
    predictions, truth, examples = tables()
    with pytest.raises(UserError, match="Example 100 occurs twice"):
        evaluate_metrics(OZONE, predictions, truth, pd.concat([examples, examples.iloc[:1]]))


def test_window_without_group_fails() -> None:
    """A window that belongs to no group is an error."""
    predictions, truth, examples = tables()
    with pytest.raises(UserError, match="column 'group' without gaps"):
        evaluate_metrics(
            OZONE, predictions, truth, examples.assign(group=examples["group"].where(examples.index > 100))
        )


def test_statistic_that_sums_to_nan_fails() -> None:
    """A statistic that lets NaN through is an error that names the statistic and the column."""
    nan = Statistic("leaky", lambda _, truth, examples: sum_by_group(truth, examples) * np.nan)
    with pytest.raises(UserError, match="'leaky' sums to NaN or infinity in 'ozone'"):
        evaluate_metrics([Metric("m", "1", "lower", "sum", nan, lambda s: s["ozone"])], *tables())


def test_statistic_that_forgets_a_group_fails() -> None:
    """A statistic must answer for each group, since intervals resample groups."""
    short = Statistic("short", lambda _, truth, examples: sum_by_group(truth, examples).iloc[1:])
    with pytest.raises(UserError, match="'short' must return one row per group"):
        evaluate_metrics([Metric("m", "1", "lower", "sum", short, lambda s: s["ozone"])], *tables())


def test_one_name_for_two_statistics_fails() -> None:
    """Sums are kept by name, so a name stands for one statistic."""
    with pytest.raises(UserError, match="Two different statistics are called 'count'"):
        evaluate_metrics((counting("count", []), counting("count", [])), *tables())


def test_scores_of_different_metrics_do_not_add() -> None:
    """Adding scores of different metrics is an error, not a silent loss."""
    data = tables()
    whole = evaluate_metrics(OZONE, *data)
    with pytest.raises(UserError, match="do not add"):
        _ = whole + Scores(OZONE[:1], whole.sums)


def test_direction_is_one_of_two() -> None:
    """A misspelt direction is refused when the metric is made."""
    with pytest.raises(UserError, match="better is 'up'"):
        Metric("m", "1", "up", "sum", OZONE[0].statistic, lambda s: s["count"])  # type: ignore[arg-type]


def test_ratio_is_nan_where_undefined() -> None:
    """Nothing divided by nothing is NaN, without a warning, in any shape."""
    np.testing.assert_array_equal(ratio([[1.0, 0.0], [3.0, 2.0]], [2.0, 0.0]), [[0.5, np.nan], [1.5, np.nan]])


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_histogram_median_of_repeated_integers(values: list[int]) -> None:
    """Values spread evenly over their unit bins have the median of the histogram, to half a unit."""
    examples = pd.DataFrame({"group": "a"}, index=range(len(values)))
    sums = histogram_by_group(np.array(values, float), np.arange(len(values)), examples, 50)
    low, high = np.percentile(values, 50, method="lower"), np.percentile(values, 50, method="higher")
    median = median_of_histogram({str(c): sums[c].to_numpy() for c in sums})[0]
    assert low - 0.5 <= median <= high + 0.5


def test_histogram_median_of_many_values() -> None:
    """The median of many real values, counted per group and added, is right to a fraction of a unit."""
    rng = np.random.default_rng(1)
    values = rng.gamma(2, 60, 20001)
    examples = pd.DataFrame({"group": rng.integers(9, size=values.size)}, index=range(values.size))
    sums = histogram_by_group(values, examples.index, examples, 1000)
    metric = Metric("median", "km", "lower", "median", Statistic("h", lambda *_: sums), median_of_histogram)
    assert metric.value(sums) == pytest.approx(np.median(values), abs=0.5)


@pytest.mark.parametrize(("value", "median"), [(0.0, 0.0), (7.0, 7.0), (2000.0, 100.0)])
def test_histogram_median_of_one_value(value: float, median: float) -> None:
    """Equal whole values have themselves as median; values above the highest bin count as the highest."""
    examples = pd.DataFrame({"group": ["a", "b"]}, index=[0, 1])
    sums = histogram_by_group(np.full(2, value), [0, 1], examples, 100)
    assert median_of_histogram({str(c): sums[c].to_numpy() for c in sums}).tolist() == [median, median]


def test_histogram_median_of_nothing_is_nan() -> None:
    """A group without values has no median."""
    examples = pd.DataFrame({"group": ["a", "b"]}, index=[0, 1])
    sums = histogram_by_group(np.array([3.0]), [1], examples, 10)
    np.testing.assert_array_equal(median_of_histogram({str(c): sums[c].to_numpy() for c in sums}), [np.nan, 3.0])


def test_median_of_every_draw_is_that_of_its_totals() -> None:
    """Histograms are not totalled for their medians, which are the same to the last bit; none where all is empty."""
    rng = np.random.default_rng(13)
    words, statistic = ("median", "km", "lower", "median"), Statistic("h", lambda *_: histogram)
    slow, quick = (Metric(*words, statistic, median_of_histogram, weighed=w) for w in (None, weighed_median))
    counts = rng.poisson(0.3 * np.exp(-np.arange(90) / 20), size=(7, 90)).astype(float)
    counts[:3] = 0
    histogram = pd.DataFrame(counts, columns=[str(k) for k in range(90)])
    weights = np.concatenate([rng.multinomial(7, np.full(7, 1 / 7), 300), np.diag(np.ones(7))]).astype(float)
    drawn = quick.values(histogram, weights)
    assert np.isnan(drawn[-7:-4]).all()
    assert np.array_equal(drawn, slow.values(histogram, weights), equal_nan=True)
