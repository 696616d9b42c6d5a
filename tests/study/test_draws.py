import numpy as np
import pytest

from toolkit.errors import UserError
from toolkit.stats import bootstrap
from toolkit.study.draws import drawn_scores
from toolkit.study.table import Line

LORA, SCRATCH = Line("lora", "a", "pretrained"), Line("scratch", "", "scratch")


def test_scores_go_to_their_line_budget_and_seed(mean_error, scores_of) -> None:
    """Each seed's scores are found where they belong, in any order they are asked for, and drawn alike."""
    errors = np.random.default_rng(0).normal(size=(3, 8))
    one, two, three = (scores_of(row) for row in errors)
    drawn = drawn_scores(mean_error, {LORA: {16: {4: two, 1: one}, 8: {1: three}}, SCRATCH: {8: {1: three}}})
    assert list(drawn) == [LORA, SCRATCH]
    assert list(drawn[LORA]) == [8, 16]
    assert drawn[LORA][16].seeds == (1, 4)
    assert drawn[LORA][16].of([4, 1]).values == pytest.approx(errors[[1, 0]].mean(axis=1))
    assert (drawn[LORA][8].scores.drawn == drawn[SCRATCH][8].scores.drawn).all()
    low, high = np.quantile(drawn[LORA][16].of([1]).drawn, [0.1, 0.9])
    interval = bootstrap(mean_error, [one.sums_of(mean_error)])
    assert interval.low < low < interval.value < high < interval.high


def test_what_is_empty_is_left_out(mean_error, scores_of) -> None:
    """A line, and a budget, without any finished cell is not there."""
    drawn = drawn_scores(mean_error, {LORA: {8: {}, 16: {0: scores_of([1.0, 2.0])}}, SCRATCH: {8: {}}})
    assert {line: list(of_line) for line, of_line in drawn.items()} == {LORA: [16]}
    assert drawn_scores(mean_error, {LORA: {}}) == {}


def test_different_test_groups_fail(mean_error, scores_of) -> None:
    """Cells that were scored on different storms cannot be compared."""
    with pytest.raises(UserError, match="different groups"):
        drawn_scores(mean_error, {LORA: {8: {0: scores_of([1.0, 2.0])}}, SCRATCH: {8: {0: scores_of([1.0])}}})
