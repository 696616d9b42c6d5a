"""The figures of the hurricane task, on the tables of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.hurricane import scores
from tasks.hurricane.figures import FIGURES, draw_error_by_intensity, draw_map, draw_position_24h, outcome
from toolkit.metrics import evaluate_metrics
from toolkit.report import theme
from toolkit.report.figure import Figure, RunTables
from toolkit.report.read import read_run


@pytest.fixture(scope="module")
def tables(finished_run: Path) -> RunTables:
    """The tables of a finished run."""
    return read_run(finished_run).tables


def test_the_figures_agree_with_the_scores(tables: RunTables) -> None:
    """Hits, false alarms and errors are those that the metrics count."""
    seen = outcome(tables)
    examples = tables.truth.drop_duplicates("example").set_index("example")[["group"]]
    known = evaluate_metrics(scores.METRICS, tables.predictions, tables.truth, examples).values()
    assert seen.storms["found"].mean() == pytest.approx(known["pod"])
    assert len(seen.alarms) / len(tables.predictions) == pytest.approx(known["far"])
    assert seen.storms["centre_error_km"].mean() == pytest.approx(known["mean_centre_error"])
    assert seen.storms["wind_error_kt"].mean() == pytest.approx(known["intensity_error"])


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


def test_a_run_that_found_nothing_is_drawn_as_such(tables: RunTables) -> None:
    """All storms are misses; there is no position in 24 h to speak of."""
    silent = replace(tables, predictions=tables.predictions.iloc[:0])
    with theme.style("wide"):
        drawn = draw_map(silent)
        assert drawn is not None
        drawn.draw_without_rendering()
        assert draw_error_by_intensity(silent) is not None
        assert draw_position_24h(silent) is None
    missed = next(line for line in drawn.axes[0].lines if line.get_label() == "missed")
    assert np.size(missed.get_xdata()) == len(tables.truth)


def test_each_wind_class_has_its_own_mean(tables: RunTables) -> None:
    """The circles are the means over the fixes of a class, in the order of the classes."""
    storms = outcome(tables).storms
    classes = pd.cut(storms["wind_kt"], [-np.inf, 34, 64, 96, np.inf], right=False)
    expected = storms.groupby(classes, observed=True)["centre_error_km"].mean().to_numpy()
    with theme.style("wide"):
        drawn = draw_error_by_intensity(tables)
    assert drawn is not None
    circles = [line for line in drawn.axes[0].lines if line.get_label() == "all, misses counted"]
    assert np.concatenate([line.get_ydata() for line in circles]) == pytest.approx(expected)


def test_tracks_are_not_torn_by_the_date_line(tables: RunTables) -> None:
    """Storms on both sides of it are drawn side by side."""
    moved = tables.truth.assign(longitude=np.linspace(176, 184, len(tables.truth)) % 360)
    moved["longitude"] = (moved["longitude"] + 180) % 360 - 180
    with theme.style("wide"):
        drawn = draw_map(replace(tables, truth=moved, predictions=tables.predictions.iloc[:0]))
    assert drawn is not None
    tracks = [line for line in drawn.axes[0].lines if line.get_label() == "best track"]
    assert all(np.ptp(line.get_xdata()) < 10 for line in tracks)
