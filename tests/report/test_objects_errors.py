from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.geodesy import distance_km
from toolkit.report import theme
from toolkit.report.figure import RunTables
from toolkit.report.objects import Shown, outcome
from toolkit.report.objects_errors import draw_errors_by_class, draw_later_places
from toolkit.report.read import read_run
from toolkit.scores.matching import Objects

STORMS = Objects("a storm", "storms", hit_km=300.0, near_km=225.0, cap_km=1000.0)
SHOWN = Shown(STORMS, rows="fixes", track="best track", strength="wind_kt", missed=0.0, ahead_h=24)
CLASSES = (("weak", 0.0), ("fair", 34.0), ("strong", 64.0), ("fierce", 96.0))


@pytest.fixture(scope="module")
def tables(finished_run: Path) -> RunTables:
    """The tables of a finished run."""
    return read_run(finished_run).tables


def test_each_class_has_its_own_mean(tables: RunTables) -> None:
    """The circles are the means over the rows of a class, in the order of the classes."""
    objects = outcome(tables, SHOWN).objects
    classes = pd.cut(objects["wind_kt"], [-np.inf, 34, 64, 96, np.inf], right=False)
    with theme.style("wide"):
        drawn = draw_errors_by_class(tables, SHOWN, CLASSES, "Mean error of the wind, kt")
    assert drawn is not None
    for axes, column in zip(drawn.axes, ("centre_error_km", "strength_error"), strict=True):
        circles = [line for line in axes.lines if line.get_label() == "all, misses counted"]
        expected = objects.groupby(classes, observed=True)[column].mean().to_numpy()
        assert np.concatenate([line.get_ydata() for line in circles]) == pytest.approx(expected)
        assert [label.get_text().split("\n")[0] for label in axes.get_xticklabels()] == [name for name, _ in CLASSES]


def test_the_rose_holds_the_errors_of_the_later_place(tables: RunTables) -> None:
    """Points lie as far from the cross as the stated places lie from the true ones; those beyond are counted."""
    known = outcome(tables, SHOWN).objects.dropna(subset=["latitude_24h", "stated_latitude_24h"])
    km = distance_km(*(known[f"{b}{n}_24h"] for b in ("", "stated_") for n in ("latitude", "longitude")))
    with theme.style("wide"):
        drawn = draw_later_places(tables, SHOWN, "position_error_24h")
    assert drawn is not None
    rose = drawn.axes[0]
    x, y = rose.lines[0].get_data()
    title = rose.get_title(loc="left")
    assert f"{len(known):,} found fixes" in title
    assert len(x) + int(title.split(", ")[-1].split()[0]) == len(known)
    assert np.sort(np.hypot(x, y)) == pytest.approx(np.sort(km)[: len(x)], rel=0.02)


def test_a_run_that_found_nothing_has_no_later_places(tables: RunTables) -> None:
    """Errors by class are those of misses; there is no later place to speak of."""
    silent = replace(tables, predictions=tables.predictions.iloc[:0])
    with theme.style("wide"):
        assert draw_errors_by_class(silent, SHOWN, CLASSES, "Mean error of the wind, kt") is not None
        assert draw_later_places(silent, SHOWN, "position_error_24h") is None


def test_a_score_that_was_not_computed_is_not_drawn(tables: RunTables) -> None:
    """Without the metric the rose stands by itself."""
    with theme.style("wide"):
        drawn = draw_later_places(tables, SHOWN, "position_error_72h")
    assert drawn is not None
    assert [axes.get_visible() for axes in drawn.axes] == [True, False]
