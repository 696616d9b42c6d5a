"""Labels saved, worked by hand, and on simulated studies whose answer is known."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

import numpy as np
import pytest

from toolkit.metrics import Metric, Scores
from toolkit.study.draws import drawn_scores
from toolkit.study.saving import labels_saved_content, saving
from toolkit.study.table import Line, MetricCurves, Saving

OURS, THEIRS = Line("lora", "a", "pretrained"), Line("scratch", "", "scratch")
OfLabels = Mapping[int, Mapping[int, Scores]]
BUDGETS = (8, 16, 32, 64, 128)


def _saving(metric: Metric, ours: OfLabels, theirs: OfLabels) -> Saving:
    drawn = drawn_scores(metric, {OURS: ours, THEIRS: theirs})
    return saving(metric, drawn[OURS], drawn[THEIRS], OURS, THEIRS, "storms")


@pytest.fixture(scope="module")
def simulated(scores_of: Callable[..., Scores]) -> Callable[..., tuple[OfLabels, OfLabels]]:
    """Simulate two lines with errors 100 + 400 labels^-1/2, of which ours needs so many times fewer labels.

    Storms are hard for both (60 km) and for one of them (15 km), and hold 5 to 30 errors; seeds scatter, less with
    many labels (5 km with 8), and so does every seed at every storm (20 km).
    """

    def simulate(
        rng: np.random.Generator, seeds: int, storms: int, times: float, by_line: float = 15.0
    ) -> tuple[OfLabels, OfLabels]:
        hard, count = 60 * rng.normal(size=storms), rng.integers(5, 30, storms).astype(float)

        def line(times: float) -> OfLabels:
            own = hard + by_line * rng.normal(size=storms)

            def errors(labels: int) -> np.ndarray:
                by_seed = 5 * np.sqrt(8 / labels) * rng.normal()
                return 100 + 400 / np.sqrt(times * labels) + own + by_seed + 20 * rng.normal(size=storms)

            return {n: {seed: scores_of(errors(n), count) for seed in range(seeds)} for n in BUDGETS}

        return line(times), line(1.0)

    return simulate


def test_between_budgets_by_hand(mean_error: Metric, steady) -> None:
    """Halfway down from 5 km too much to 5 km too little is half an octave from 16 to 32."""
    found = _saving(mean_error, steady({8: 30.0, 16: 20.0, 32: 10.0}), steady({8: 40.0, 32: 15.0}))
    assert found.full == 32
    assert [found.needed, found.saved] == pytest.approx([16 * 2**0.5, 2**0.5], rel=1e-5)
    assert [found.low, found.high] == pytest.approx([2**0.5] * 2, rel=1e-3)
    assert (found.at_least, found.words) == (False, "1.4 times [1.4, 1.5]")


def test_budgets_out_of_order_are_pooled(mean_error: Metric, steady) -> None:
    """20 km and then 30 km are 25 km twice: a curve that does not rise with labels."""
    found = _saving(mean_error, steady({8: 20.0, 16: 30.0, 32: 10.0}), steady({32: 15.0}))
    assert found.needed == pytest.approx(16 * 2 ** (2 / 3), rel=1e-5)
    kinked = _saving(mean_error, steady({8: 10.0, 16: 16.0, 32: 5.0}), steady({32: 15.0}))
    assert (kinked.needed, kinked.at_least) == (8.0, True)


def test_reached_with_the_fewest_labels(mean_error: Metric, steady) -> None:
    """Where the fewest labels are enough, more may be saved than can be seen."""
    found = _saving(mean_error, steady({8: 10.0, 16: 9.0}), steady({8: 20.0, 128: 15.0}))
    assert (found.needed, found.at_least, found.saved, found.low, found.high) == (8.0, True, 16.0, 16.0, None)
    assert found.words == "at least 16 times"


def test_not_reached(mean_error: Metric, steady) -> None:
    """Where all labels are too few it is said so, and nothing is extrapolated."""
    found = _saving(mean_error, steady({8: 30.0, 125: 20.0}), steady({125: 15.0}))
    assert (found.needed, found.at_least, found.saved, found.low, found.high) == (None, False, None, None, 1.0)
    assert found.words == "not reached with 125 storms"


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ({8: 6.0, 16: 0.2, 32: -6.0}, "2.0 times [1.8, 2.1]"),
        ({8: 6.0, 16: 0.2, 32: -0.2}, "1.4 times (..., 2.1]"),
        ({8: 0.2, 16: -0.2, 32: -6.0}, "2.8 times [1.9, ...)"),
        ({8: 0.2, 16: -0.1, 32: -0.2}, "2.5 times, not certain"),
        ({8: -0.2, 16: -1.0, 32: -6.0}, "at least 4.0 times [3.1, ...)"),
        ({8: 6.0, 16: 4.0, 32: 0.2}, "not reached with 32 storms, at most 1.1 times"),
    ],
)
def test_what_is_not_certain_is_said(mean_error: Metric, scores_of, ours: dict[int, float], words: str) -> None:
    """An end of the interval is open where zero may lie beyond the budgets."""
    scatter = np.random.default_rng(0).normal(size=12)
    line = {labels: {0: scores_of(error + scatter - scatter.mean())} for labels, error in ours.items()}
    found = _saving(mean_error, line, {32: {0: scores_of(np.zeros(12))}})
    assert found.words == words
    assert (found.low is None) == (ours[32] > -1)
    assert (found.high is None) == (ours[8] < 1)


def test_a_line_saves_nothing_against_itself(mean_error: Metric, simulated) -> None:
    """The same scores are reached with all labels, no fewer and no more, whatever the scatter."""
    line, _ = simulated(np.random.default_rng(0), 3, 20, 1.0)
    found = _saving(mean_error, line, line)
    assert (found.needed, found.at_least, found.saved, found.words) == (128.0, False, 1.0, "1.0 times [1.0, 1.0]")


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "storms"), [(3, 20), (5, 60)])
@pytest.mark.parametrize("times", [8.0, 5.6])
def test_interval_covers_the_truth_at_its_level(mean_error: Metric, simulated, seeds, storms, times) -> None:
    """About 95 % of the intervals hold the truth, at a budget and between budgets, and half of the values exceed it."""
    rng = np.random.default_rng(1)
    found = [_saving(mean_error, *simulated(rng, seeds, storms, times)) for _ in range(200)]
    held = [(one.low or 0.0) <= times <= (one.high or np.inf) for one in found]
    assert 0.91 <= np.mean(held) <= 0.995
    assert np.median([one.saved or 0.0 for one in found]) == pytest.approx(times, rel=0.12)


def test_a_planted_saving_of_eight_times_is_recovered(mean_error: Metric, simulated) -> None:
    """Where ours needs an eighth of the labels, that is what is found."""
    found = _saving(mean_error, *simulated(np.random.default_rng(2), 5, 60, 8.0, by_line=5.0))
    assert 4 < found.low < 8 < found.high < 16
    assert found.saved == pytest.approx(8, rel=0.25)


def test_no_saving_gives_an_interval_that_contains_one(mean_error: Metric, simulated) -> None:
    """Where both lines are equal in truth, more than one time is not claimed, but for about one study in forty."""
    rng = np.random.default_rng(3)
    found = [_saving(mean_error, *simulated(rng, 3, 30, 1.0)) for _ in range(40)]
    assert sum((one.low or 0.0) > 1 or (one.high or np.inf) < 1 for one in found) <= 2


def test_does_not_depend_on_unit_direction_or_order(mean_error: Metric, simulated) -> None:
    """Metres for kilometres, a negative score where higher is better, seeds and storms in another order: no matter."""
    ours, theirs = simulated(np.random.default_rng(4), 3, 20, 8.0)
    found = _saving(mean_error, ours, theirs)
    metres = replace(mean_error, finish=lambda sums: 1024 * mean_error.finish(sums))
    score = replace(mean_error, better="higher", finish=lambda sums: -mean_error.finish(sums))
    assert _saving(metres, ours, theirs) == _saving(score, ours, theirs) == found
    others = [
        {
            n: {seed: Scores(run.metrics, {"sums": run.sums["sums"].iloc[::-1]}) for seed, run in reversed(of.items())}
            for n, of in reversed(line.items())
        }
        for line in (ours, theirs)
    ]
    assert _saving(mean_error, *others) == found


def test_seeds_and_budgets_that_are_missing_are_left_out(mean_error: Metric, steady, scores_of) -> None:
    """Seeds count that all budgets have, and budgets at which the score is defined."""
    nothing = {seed: scores_of([0.0] * 6, 0.0) for seed in range(3)}
    ours = steady({8: 30.0, 32: 10.0}) | steady({16: 20.0}, seeds=(1, 2)) | {4: nothing}
    theirs = steady({32: 15.0}, seeds=(2, 7)) | steady({8: 99.0})
    expected = _saving(mean_error, steady({8: 30.0, 16: 20.0, 32: 10.0}), steady({32: 15.0}))
    assert _saving(mean_error, ours, theirs) == expected


@pytest.mark.parametrize("count", [0.0, 1.0])
def test_nothing_in_common_is_not_known(mean_error: Metric, steady, scores_of, count: float) -> None:
    """Without a shared seed, or a reference that is defined, there is no answer rather than a wrong one."""
    theirs = {32: {9 if count else 0: scores_of([15.0] * 6, count)}}
    found = _saving(mean_error, steady({8: 30.0, 32: 10.0}), theirs)
    assert found == Saving(OURS, THEIRS, 32, None, False, None, None, None, "not known", known=False)


def test_one_storm_has_no_interval(mean_error: Metric, scores_of) -> None:
    """What one test storm says is a value and no more."""
    found = _saving(mean_error, {8: {0: scores_of([4.0])}, 32: {0: scores_of([0.0])}}, {32: {0: scores_of([2.0])}})
    assert (found.needed, found.saved, found.low, found.high) == (16.0, 2.0, None, None)
    assert found.words == "2.0 times, not certain"


def test_content_is_a_flat_list_over_metrics(mean_error: Metric, steady) -> None:
    """The file names the metric, both lines and everything that is known of a saving."""
    found = _saving(mean_error, steady({8: 10.0, 16: 9.0}), steady({128: 15.0}))
    tables = [MetricCurves(name, "km", "lower", "mean error", (), (), (found,)) for name in ("error", "error_24h")]
    first, second = labels_saved_content(tables)
    assert (first["metric"], second["metric"]) == ("error", "error_24h")
    names = {"ours": "lora", "backbone": "a", "reference": "scratch", "reference_backbone": ""}
    plain = {name: value for name, value in asdict(found).items() if name not in ("ours", "theirs")}
    assert first == {"metric": "error"} | names | plain
