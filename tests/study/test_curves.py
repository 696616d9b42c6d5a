from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.evaluate import differences, metric_intervals
from toolkit.metrics import Metric, Scores
from toolkit.stats import holm
from toolkit.study.curves import metric_curves
from toolkit.study.table import Line

LORA, PROBE = Line("lora", "a", "pretrained"), Line("probe", "a", "pretrained")
SCRATCH, STEERED = Line("scratch", "", "scratch"), Line("steering flow", "", "classical")
PAIRS = [(LORA, SCRATCH), (LORA, STEERED), (PROBE, SCRATCH), (PROBE, STEERED), (LORA, PROBE)]
LEVEL = {LORA: 10.0, PROBE: 12.0, SCRATCH: 14.0, STEERED: 13.0}


@pytest.fixture(scope="module")
def study_scores(scores_of: Callable[..., Scores]) -> dict[Line, dict[int, dict[int, Scores]]]:
    """Four lines at two budgets, three seeds each, on twenty storms."""
    rng = np.random.default_rng(0)
    hard, count = 3 * rng.normal(size=20), rng.integers(1, 9, 20)
    return {
        line: {
            labels: {seed: scores_of(level + 24 / labels + hard + rng.normal(size=20), count) for seed in range(3)}
            for labels in (8, 16)
        }
        for line, level in LEVEL.items()
    }


def test_points_are_those_of_an_evaluation(mean_error: Metric, study_scores) -> None:
    """Mean and interval of a point are what evaluating the same runs gives, and every seed has its own value."""
    table = metric_curves((mean_error,), study_scores, "storms")["error"]
    assert [curve.line for curve in table.curves] == list(study_scores)
    for curve in table.curves:
        assert [point.labels for point in curve.points] == [8, 16]
        for point in curve.points:
            runs = study_scores[curve.line][point.labels]
            expected = metric_intervals((mean_error,), list(runs.values()))["error"]
            assert [point.value, point.low, point.high] == [expected[name] for name in ("value", "low", "high")]
            assert point.seeds == pytest.approx({seed: run.values()["error"] for seed, run in runs.items()}, rel=1e-5)


def test_contrasts_are_paired_differences_at_every_budget(mean_error: Metric, study_scores) -> None:
    """Each pretrained line is compared with each other kind of line, and the difference is that of the same runs."""
    contrasts = metric_curves((mean_error,), study_scores, "storms")["error"].contrasts
    pairs = [(*pair, labels) for pair in PAIRS for labels in (8, 16)]
    assert [(contrast.ours, contrast.theirs, contrast.labels) for contrast in contrasts] == pairs
    for contrast in contrasts:
        ours, theirs = (list(study_scores[of][contrast.labels].values()) for of in (contrast.ours, contrast.theirs))
        expected = differences((mean_error,), ours, theirs)["error"]
        assert [contrast.value, contrast.low, contrast.high] == [expected[name] for name in ("value", "low", "high")]


def test_holm_s_correction_is_over_all_contrasts_of_a_metric(mean_error: Metric, study_scores) -> None:
    """With one pair at one budget nothing is corrected; what all of them are raised to are Holm's steps."""
    contrasts = metric_curves((mean_error,), study_scores, "storms")["error"].contrasts
    alone = {}
    for contrast in contrasts:
        few = {
            line: {contrast.labels: study_scores[line][contrast.labels]} for line in (contrast.ours, contrast.theirs)
        }
        (single,) = metric_curves((mean_error,), few, "storms")["error"].contrasts
        alone[f"{contrast.ours.name}, {contrast.theirs.name}, {contrast.labels}"] = single.p_holm
    assert [contrast.p_holm for contrast in contrasts] == pytest.approx(list(holm(alone).values()), rel=1e-5)
    assert all(contrast.p_holm < 0.05 for contrast in contrasts if contrast.ours == LORA and contrast.theirs != PROBE)


def test_what_is_compared_has_a_saving(mean_error: Metric, study_scores) -> None:
    """Each pretrained line has a saving against each line from scratch, each classical one, and its neighbours."""
    savings = metric_curves((mean_error,), study_scores, "storms")["error"].savings
    assert [(one.ours, one.theirs) for one in savings] == PAIRS
    assert all(one.full == 16 for one in savings)
    assert savings[0].words == "at least 2.0 times"


def test_pretrained_lines_are_compared_that_differ_in_one_thing(mean_error: Metric, steady) -> None:
    """Methods on one backbone, and backbones by one method, the first that is named against those after it."""
    lora, probe = (Line(method, "b", "pretrained") for method in ("lora", "probe"))
    scores = {line: steady({8: 3.0}) for line in (LORA, lora, PROBE, probe)}
    contrasts = metric_curves((mean_error,), scores, "storms")["error"].contrasts
    assert [(one.ours, one.theirs) for one in contrasts] == [
        (LORA, lora), (LORA, PROBE), (lora, probe), (PROBE, probe),
    ]  # fmt: skip


def test_what_has_the_same_scores_is_compared_once(mean_error: Metric, study_scores) -> None:
    """A completion that changes nothing of a metric adds a curve to it, and no hypothesis."""
    steered = Line("scratch + steering flow", "", "scratch")
    alone, beside = (
        metric_curves((mean_error,), scores, "storms")["error"]
        for scores in (study_scores, study_scores | {steered: study_scores[SCRATCH]})
    )
    assert [curve.line for curve in beside.curves] == [*study_scores, steered]
    assert (beside.contrasts, beside.savings) == (alone.contrasts, alone.savings)


def test_only_what_both_have_is_compared(mean_error: Metric, steady) -> None:
    """A contrast needs a budget and a seed that both have; a line without scores is no line."""
    scores = {
        LORA: steady({8: 3.0, 16: 2.0}, seeds=(0, 1)),
        SCRATCH: steady({8: 5.0}, seeds=(1, 2)) | steady({16: 4.0}, seeds=(5,)) | steady({32: 3.5}, seeds=(0,)),
        STEERED: {8: {}},
    }
    table = metric_curves((mean_error,), scores, "storms")["error"]
    assert [curve.line for curve in table.curves] == [LORA, SCRATCH]
    assert [(contrast.labels, contrast.value) for contrast in table.contrasts] == [(8, -2.0)]
    assert [(one.theirs, one.saved) for one in table.savings] == [(SCRATCH, 4.0)]


def test_an_undefined_score_is_none_and_claims_nothing(mean_error: Metric, scores_of, steady) -> None:
    """Where a seed's score is undefined, so are the mean and the difference, and Holm's correction leaves it out."""
    nothing = {8: {0: scores_of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 1: scores_of([0.0] * 6, 0.0)}}
    errors = {8: {0: scores_of([3.0, 3.5, 4.0, 6.5, 7.0, 9.0]), 1: scores_of([3.5, 3.0, 4.0, 7.0, 6.5, 9.5])}}
    table = metric_curves((mean_error,), {LORA: nothing, PROBE: errors, SCRATCH: steady({8: 2.0})}, "storms")["error"]
    point = table.curves[0].points[0]
    assert (point.value, point.low, point.high, point.seeds[1]) == (None, None, None, None)
    assert point.seeds[0] == 3.5
    *undefined, other = sorted(table.contrasts, key=lambda one: one.ours == PROBE)
    assert [(one.value, one.low, one.high, one.p_holm) for one in undefined] == [(None, None, None, None)] * 2
    (alone,) = metric_curves((mean_error,), {PROBE: errors, SCRATCH: steady({8: 2.0})}, "storms")["error"].contrasts
    assert other.p_holm == alone.p_holm


def test_every_metric_has_its_curves(mean_error: Metric, study_scores) -> None:
    """What a metric is stands beside its curves, and metrics do not mix."""
    doubled = replace(mean_error, name="doubled", finish=lambda sums: 2 * mean_error.finish(sums))
    tables = metric_curves((mean_error, doubled), study_scores, "storms")
    assert list(tables) == ["error", "doubled"]
    table = tables["doubled"]
    assert (table.metric, table.unit, table.better, table.meaning) == ("doubled", "km", "lower", "mean error")
    values = [[curve.points[0].value for curve in one.curves] for one in tables.values()]
    assert values[1] == pytest.approx(2 * np.array(values[0]), rel=1e-5)
