"""The figures of the hurricane task, on the tables of a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.hurricane.figures import FIGURES, SHOWN
from tasks.hurricane.scores import METRICS
from toolkit.metrics import evaluate_metrics
from toolkit.report import theme
from toolkit.report.figure import Figure, RunTables
from toolkit.report.objects import outcome
from toolkit.report.read import read_run


@pytest.fixture(scope="module")
def tables(finished_run: Path) -> RunTables:
    """The tables of a finished run."""
    return read_run(finished_run).tables


def test_the_figures_agree_with_the_scores(tables: RunTables) -> None:
    """What counts as found and as an error of the wind is what the metrics count."""
    seen = outcome(tables, SHOWN)
    examples = tables.truth.drop_duplicates("example").set_index("example")[["group"]]
    known = evaluate_metrics(METRICS, tables.predictions, tables.truth, examples).values()
    assert seen.objects["found"].mean() == pytest.approx(known["pod"])
    assert seen.objects["centre_error_km"].mean() == pytest.approx(known["mean_centre_error"])
    assert seen.objects["strength_error"].mean() == pytest.approx(known["intensity_error"])


@pytest.mark.parametrize("figure", FIGURES, ids=[figure.title for figure in FIGURES])
@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_every_figure_is_drawn_at_both_widths(tables: RunTables, figure: Figure, width: theme.Width) -> None:
    """Each draws on the width it is asked for."""
    with theme.style(width):
        drawn = figure.draw(tables)
        assert drawn is not None
        assert drawn.get_size_inches()[0] == theme.WIDTH_IN[width]


@pytest.mark.parametrize("figure", FIGURES, ids=[figure.title for figure in FIGURES])
def test_no_storm_is_no_figure(tables: RunTables, figure: Figure) -> None:
    """A test without storms has nothing to show."""
    empty = replace(tables, truth=tables.truth.iloc[:0], predictions=tables.predictions.iloc[:0])
    with theme.style("wide"):
        assert figure.draw(empty) is None
