"""The table of scores."""

import math
from dataclasses import replace

from toolkit.report.read import Difference, Results
from toolkit.report.tables import Row, score_table


def row_of(results: Results, name: str) -> Row:
    """Return the row of a metric."""
    return next(row for row in score_table(results).rows if row.name == name)


def test_every_metric_is_a_row_and_every_method_a_column(results: Results) -> None:
    """The primary metric comes first; the method, its comparison and the baselines follow each other."""
    table = score_table(results)
    assert table.rows[0].name == results.primary
    assert {row.name for row in table.rows} == set(results.metrics)
    assert table.columns == ("LoRA", "From scratch", "vorticity maximum", "climatology", "steering flow")
    assert all(len(row.cells) == len(table.columns) for row in table.rows)


def test_the_best_of_a_row_is_marked_by_the_direction_of_its_metric(results: Results) -> None:
    """Lowest error and highest score are the best, whoever has them."""
    assert [cell.best for cell in row_of(results, "intensity_error").cells] == [False, True, False, False, False]
    assert [cell.best for cell in row_of(results, "csi").cells] == [True, False, False, False, False]


def test_equal_scores_are_best_together(results: Results) -> None:
    """Scores that read the same are both marked."""
    tied = replace(results, baselines={"twin": {"csi": results.metrics["csi"].value + 1e-9}})
    assert [cell.best for cell in row_of(tied, "csi").cells] == [True, False, True]


def test_an_undefined_score_is_said_and_never_the_best(results: Results) -> None:
    """A baseline without the score is undefined; a score without rivals is no winner."""
    assert row_of(results, "intensity_error").cells[-1].value == "undefined"
    alone = replace(results, comparison=None, baselines={"silence": {"csi": math.nan}})
    assert not any(cell.best for cell in row_of(alone, "csi").cells)


def test_a_row_shares_its_decimals(results: Results) -> None:
    """A small number beside a large one is not more exact."""
    assert [cell.value for cell in row_of(results, "mean_centre_error").cells] == ["183", "274", "403", "811", "403"]


def test_differences_are_judged_by_their_interval(results: Results) -> None:
    """Only an interval without zero is better or worse."""
    certain, unsure = row_of(results, "csi").difference, row_of(results, "intensity_error").difference
    assert certain is not None
    assert unsure is not None
    assert certain.verdict == "better, more than chance"
    assert (unsure.direction, unsure.verdict) == ("", "could be chance")


def test_without_a_comparison_there_is_no_difference(results: Results) -> None:
    """The column of differences goes with the comparison."""
    table = score_table(replace(results, comparison=None))
    assert (table.learned, table.compared_with) == (1, "")
    assert all(row.difference is None for row in table.rows)


def test_baselines_that_differ_by_more_than_chance_have_a_star(results: Results) -> None:
    """The interval of the paired difference decides; learned methods have no star, nor has an undefined difference."""
    assert [cell.star for cell in row_of(results, "intensity_error").cells] == ["", "", "*", "*", ""]
    close = {"climatology": {"csi": Difference(0.6, -0.1, 1.3, excludes_zero=False, p_holm=0.1)}}
    assert not any(cell.star for cell in row_of(replace(results, baseline_differences=close), "csi").cells)
    assert score_table(results).judged_baselines == 3


def test_a_difference_that_the_correction_takes_back_has_a_star_in_brackets(results: Results) -> None:
    """An interval without zero is not enough where several baselines are compared."""
    known = {"climatology": {"csi": Difference(0.6, 0.1, 1.1, excludes_zero=True, p_holm=0.06)}}
    cells = row_of(replace(results, baseline_differences=known), "csi").cells
    assert [cell.star for cell in cells] == ["", "", "", "(*)", ""]


def test_results_without_baseline_differences_give_a_table(results: Results) -> None:
    """Older runs know the baselines' scores alone."""
    table = score_table(replace(results, baseline_differences={}))
    assert table.judged_baselines == 0
    assert not any(cell.star for row in table.rows for cell in row.cells)
