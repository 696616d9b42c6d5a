"""Intervals and paired differences, against synthetic scores whose truth is known."""

from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from toolkit.errors import UserError
from toolkit.metrics import Metric, Statistic, ratio
from toolkit.stats import (
    Difference,
    bootstrap,
    difference_of,
    group_weights,
    holm,
    interval_of,
    paired_difference,
    resample,
    resampled_runs,
    rounded,
    student_p_value,
)

NONE = Statistic("none", lambda *tables: tables[2])
MEAN = Metric("mean", "km", "lower", "mean per group", NONE, lambda sums: ratio(sums["total"], sums["count"]))
SHARE = Metric(
    "share", "1", "higher", "share per group", NONE, lambda sums: ratio(sums["total"], sums["count"]), (0.0, 1.0)
)


def run(values: np.ndarray) -> pd.DataFrame:
    """Return sums of one value per group."""
    names = [f"AL{k:03d}" for k in range(len(values))]
    return pd.DataFrame({"total": values, "count": 1.0}, index=names)


def crossed(
    rng: np.random.Generator, seeds: int, groups: int, by_seed: float, noise: float = 0.5
) -> list[pd.DataFrame]:
    """Return runs of a model whose true score is 0: scatter over seeds, over groups (1), and over both."""
    of_seed, of_group = by_seed * rng.normal(size=(seeds, 1)), rng.normal(size=(1, groups))
    return [run(values) for values in of_seed + of_group + noise * rng.normal(size=(seeds, groups))]


@pytest.mark.slow
@pytest.mark.parametrize("groups", [8, 40])
def test_interval_covers_the_truth_at_its_level(groups: int) -> None:
    """About 95 % of the intervals of one run hold the true score, with few groups too."""
    rng = np.random.default_rng(0)
    found = [bootstrap(MEAN, crossed(rng, 1, groups, 0.0), draws=400) for _ in range(500)]
    assert 0.925 <= np.mean([interval.low <= 0 <= interval.high for interval in found]) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("by_seed", [0.0, 0.15, 0.5])
def test_interval_of_three_seeds_covers_the_truth(by_seed: float) -> None:
    """With three seeds the interval holds the true score about as often as it says, however much seeds matter."""
    rng = np.random.default_rng(1)
    found = [bootstrap(MEAN, crossed(rng, 3, 50, by_seed), draws=400) for _ in range(500)]
    assert 0.90 <= np.mean([interval.low <= 0 <= interval.high for interval in found]) <= 0.985


def test_no_difference_is_rarely_called_one() -> None:
    """Two methods equal in truth differ by chance in about 5 % of the tests, and interval and p-value agree."""
    rng = np.random.default_rng(2)
    found: list[Difference] = []
    for _ in range(500):
        shared = rng.normal(size=30)
        a, b = (run(shared + 0.5 * rng.normal(size=30)) for _ in range(2))
        found.append(paired_difference(MEAN, [a], [b], draws=400))
    wrong = np.array([difference.excludes_zero for difference in found])
    assert 0.025 <= wrong.mean() <= 0.075
    small = np.array([difference.p_value < 0.05 for difference in found])
    assert np.mean(wrong != small) < 0.01


def test_agrees_with_scipy_where_groups_are_many() -> None:
    """With many groups the interval of a ratio is scipy's percentile bootstrap, to a few per cent of its width."""
    rng = np.random.default_rng(3)
    sums = pd.DataFrame({"total": rng.gamma(2, 30, 800), "count": rng.integers(1, 9, 800).astype(float)})
    ours = bootstrap(MEAN, [sums], draws=4000)
    theirs = scipy_stats.bootstrap(
        (sums["total"], sums["count"]),
        lambda total, count, axis: total.sum(axis=axis) / count.sum(axis=axis),
        paired=True, n_resamples=4000, method="percentile", rng=np.random.default_rng(4),
    ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    assert [ours.low, ours.high] == pytest.approx([theirs.low, theirs.high], abs=0.06 * width)


def test_one_run_gives_student_s_interval_of_a_mean() -> None:
    """For a plain mean over few groups the interval is mean +- t s / sqrt(n), to a few per cent of its width."""
    rng = np.random.default_rng(12)
    ratios = []
    for _ in range(40):
        values = rng.normal(size=8)
        interval = bootstrap(MEAN, [run(values)], draws=4000)
        student = 2 * scipy_stats.t.ppf(0.975, 7) * values.std(ddof=1) / np.sqrt(8)
        ratios.append((interval.high - interval.low) / student)
    assert np.mean(ratios) == pytest.approx(1, abs=0.03)


def test_seeds_alone_give_student_s_interval_of_their_mean() -> None:
    """Where storms are all alike and three seeds differ, the interval is mean +- t s / sqrt(3)."""
    scores = np.array([1.0, 2.0, 4.0])
    interval = bootstrap(MEAN, [run(np.full(10, score)) for score in scores], draws=8000)
    half = scipy_stats.t.ppf(0.975, 2) * scores.std(ddof=1) / np.sqrt(3)
    assert [interval.low, interval.high] == pytest.approx([scores.mean() - half, scores.mean() + half], abs=0.05 * half)


def test_pairing_narrows_the_interval() -> None:
    """Where hard storms are hard for both, the paired interval is far narrower than two intervals combined."""
    rng = np.random.default_rng(5)
    shared = rng.normal(size=60)
    a, b = ([run(shared + 0.2 * rng.normal(size=60)) for _ in range(3)] for _ in range(2))
    paired = paired_difference(MEAN, a, b)
    width_a, width_b = (interval.high - interval.low for interval in (bootstrap(MEAN, a), bootstrap(MEAN, b)))
    unpaired = np.hypot(width_a, width_b)
    assert paired.high - paired.low < 0.5 * unpaired


def test_clear_difference_is_found_with_its_sign() -> None:
    """A difference many times its scatter is reported as A minus B, with a small p-value."""
    rng = np.random.default_rng(6)
    base = rng.normal(size=40)
    a, b = [run(base + 1 + 0.3 * rng.normal(size=40))], [run(base)]
    difference = paired_difference(MEAN, a, b)
    assert difference.low < 1 < difference.high
    assert difference.excludes_zero
    assert difference.p_value < 0.01
    mirrored = paired_difference(MEAN, b, a)
    assert [mirrored.value, mirrored.low, mirrored.high] == pytest.approx(
        [-difference.value, -difference.high, -difference.low]
    )


def test_method_against_itself_differs_by_nothing() -> None:
    """The same runs twice differ by exactly zero, which is no difference."""
    runs = crossed(np.random.default_rng(7), 3, 20, 0.3)
    assert paired_difference(MEAN, runs, runs) == Difference(0.0, 0.0, 0.0, p_value=1.0)


def test_scatter_over_seeds_widens_the_interval() -> None:
    """Three seeds that disagree leave more doubt than three that agree."""
    runs = crossed(np.random.default_rng(8), 1, 30, 0.0)
    apart = [one.assign(total=one["total"] + shift) for one, shift in zip(runs * 3, (-0.5, 0.0, 0.5), strict=True)]
    same, scattered = bootstrap(MEAN, runs * 3), bootstrap(MEAN, apart)
    assert scattered.value == pytest.approx(same.value)
    assert scattered.high - scattered.low > 1.5 * (same.high - same.low)


def test_same_seed_same_interval() -> None:
    """The interval is a function of the sums and the seed, not of the order of their rows."""
    runs = crossed(np.random.default_rng(9), 2, 25, 0.2)
    shuffled = [one.sample(frac=1, random_state=1) for one in runs]
    assert bootstrap(MEAN, runs, seed=4) == bootstrap(MEAN, shuffled, seed=4)
    assert bootstrap(MEAN, runs, seed=4) != bootstrap(MEAN, runs, seed=5)


def test_interval_stays_within_the_metric_s_limits() -> None:
    """A share near 1 in few storms has no interval beyond 1."""
    interval = bootstrap(SHARE, [run(np.array([1.0, 1.0, 0.9, 1.0, 0.7]))])
    assert interval.low < interval.value < interval.high <= 1.0


def test_undefined_draws_are_left_out() -> None:
    """Where some draws hold no storm at all, the interval rests on the others; without any storm there is none."""
    sums = run(np.array([3.0, 5.0, 0.0]))
    sums["count"] = [1.0, 1.0, 0.0]
    interval = bootstrap(MEAN, [sums])
    assert interval.low <= 4.0 <= interval.high
    empty = bootstrap(MEAN, [sums * 0])
    assert np.isnan([empty.value, empty.low, empty.high]).all()


def test_groups_without_a_sum_change_nothing() -> None:
    """Days without a storm are no storms: neither interval nor difference is narrower for them."""
    rng = np.random.default_rng(3)
    runs, others = crossed(rng, 2, 6, 0.2), crossed(rng, 2, 6, 0.2)
    empty = pd.DataFrame(0.0, index=[f"day {k}" for k in range(20)], columns=["total", "count"])
    wider = [[pd.concat([run, empty]) for run in some] for some in (runs, others)]
    assert astuple(bootstrap(MEAN, wider[0])) == pytest.approx(astuple(bootstrap(MEAN, runs)))
    apart, narrow = (astuple(paired_difference(MEAN, *both)) for both in (wider, (runs, others)))
    assert apart == pytest.approx(narrow)


def test_one_group_has_no_interval() -> None:
    """One storm says nothing about other storms: a value without limits, and no claim of a difference."""
    interval = bootstrap(MEAN, [run(np.array([3.0]))])
    assert interval.value == 3.0
    assert np.isnan([interval.low, interval.high]).all()
    difference = paired_difference(MEAN, [run(np.array([3.0]))], [run(np.array([1.0]))])
    assert not difference.excludes_zero
    assert np.isnan(difference.p_value)


def test_weights_draw_every_group_equally() -> None:
    """Each draw holds as many groups as there are, each group once on average."""
    weights = group_weights(12, 3000, seed=0)
    assert (weights.sum(axis=1) == 12).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(12), abs=0.1)


def test_resample_scores_each_run_under_each_draw() -> None:
    """The score under weights equals the score of the rows repeated that often."""
    runs = crossed(np.random.default_rng(10), 2, 6, 0.2)
    weights = group_weights(6, 4, seed=1)
    scores = resample(MEAN, runs, weights)
    assert scores.shape == (4, 2)
    repeated = runs[1].loc[runs[1].index.repeat(weights[3].astype(int))]
    assert scores[3, 1] == pytest.approx(MEAN.value(repeated))


def test_runs_resampled_once_serve_every_mean_and_difference() -> None:
    """Means and differences of some of the runs are what they are when resampled on their own."""
    runs = crossed(np.random.default_rng(14), 4, 20, 0.2)
    together = resampled_runs(SHARE, runs)
    assert interval_of(together[[1, 2]], SHARE.limits) == bootstrap(SHARE, runs[1:3])
    assert difference_of(together[[0, 1]], together[[3, 2]]) == paired_difference(SHARE, runs[:2], [runs[3], runs[2]])


def test_student_s_p_value_is_that_of_a_paired_t_test() -> None:
    """For the plain means of one run each it is the textbook's, far below what draws can tell."""
    rng = np.random.default_rng(15)
    a, b = rng.normal(size=40), rng.normal(size=40)
    for shift, close in ((0.3, 0.1), (5.0, 0.9)):
        together = resampled_runs(MEAN, [run(a + shift), run(b)], draws=20_000)
        expected = scipy_stats.ttest_rel(a + shift, b).pvalue
        assert student_p_value(together[[0]], together[[1]]) == pytest.approx(expected, rel=close)
    assert expected < 1e-9


def test_student_s_p_value_agrees_with_the_draws() -> None:
    """With seeds too, it is the share of draws beyond zero, where that is not too small to be counted."""
    rng = np.random.default_rng(16)
    for _ in range(10):
        apart = [one.assign(total=one["total"] + 0.5) for one in crossed(rng, 3, 40, 0.1)]
        together = resampled_runs(MEAN, apart + crossed(rng, 3, 40, 0.1))
        a, b = together[range(3)], together[range(3, 6)]
        assert student_p_value(a, b) == pytest.approx(difference_of(a, b).p_value, rel=0.2, abs=0.01)


def test_student_s_p_value_without_scatter() -> None:
    """What differs by nothing is chance, what differs always by the same is not, and one storm tells nothing."""
    values = np.arange(5.0)
    together = resampled_runs(MEAN, [run(values), run(values + 1)])
    assert student_p_value(together[[0]], together[[0]]) == 1.0
    assert student_p_value(together[[0]], together[[1]]) == pytest.approx(0.0, abs=1e-12)
    alone = resampled_runs(MEAN, [run(values[:1]), run(values[1:2])])
    assert np.isnan(student_p_value(alone[[0]], alone[[1]]))


def test_rounded_has_six_digits_or_is_none() -> None:
    """JSON knows neither NaN nor infinity."""
    assert [rounded(value) for value in (1234567.8, 2 / 3, float("nan"), float("inf"))] == [
        1234570,
        0.666667,
        None,
        None,
    ]


def test_holm_by_hand() -> None:
    """Holm's steps on four p-values, an undefined one aside."""
    given = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": float("nan")}
    adjusted = holm(given)
    assert list(adjusted) == list(given)
    assert [adjusted[name] for name in "dacb"] == pytest.approx([0.02, 0.03, 0.06, 0.06])
    assert np.isnan(adjusted["e"])


def test_holm_keeps_single_tests_and_the_ceiling() -> None:
    """One test needs no correction, and no p-value rises above 1."""
    assert holm({"only": 0.2}) == {"only": 0.2}
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_unequal_numbers_of_runs_fail() -> None:
    """A paired test with more seeds on one side is refused."""
    runs = crossed(np.random.default_rng(11), 2, 5, 0.1)
    with pytest.raises(UserError, match="A has 2 runs, B has 1"):
        paired_difference(MEAN, runs, runs[:1])


def test_different_groups_fail() -> None:
    """Runs scored on different storms are refused, and the odd ones are named."""
    first = run(np.ones(3))
    with pytest.raises(UserError, match=r"different groups .*AL002"):
        paired_difference(MEAN, [first], [first.iloc[:2]])


def test_no_runs_fail() -> None:
    """Nothing to score is refused."""
    with pytest.raises(UserError, match="No runs"):
        bootstrap(MEAN, [])


def test_no_draws_fail() -> None:
    """An interval of no draws is refused."""
    with pytest.raises(UserError, match="3 groups, 0 draws"):
        bootstrap(MEAN, [run(np.ones(3))], draws=0)
