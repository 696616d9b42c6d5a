from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.report import theme
from toolkit.report.figure import RunTables
from toolkit.report.objects import Shown
from toolkit.report.objects_map import draw_objects_map
from toolkit.report.read import read_run
from toolkit.scores.matching import Objects

EDDIES = Objects("an eddy", "eddies", hit_km=300.0, near_km=225.0, cap_km=1000.0)
SHOWN = Shown(EDDIES, rows="days", track="path", strength="wind_kt", missed=0.0, ahead_h=24)


@pytest.fixture(scope="module")
def tables(finished_run: Path) -> RunTables:
    """The tables of a finished run."""
    return read_run(finished_run).tables


def test_the_map_speaks_in_the_words_of_the_task(tables: RunTables) -> None:
    """Objects, their tracks, the radius of a hit and the time ahead are called what the task calls them."""
    with theme.style("wide"):
        drawn = draw_objects_map(tables, SHOWN)
    assert drawn is not None
    whole, close = drawn.axes
    assert whole.get_title(loc="left") == "All test eddies"
    strongest = tables.truth.sort_values(["wind_kt", "group"], ascending=[False, True])["group"].iloc[0]
    assert close.get_title(loc="left") == f"The strongest, {strongest}"
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == [
        "path", "found (within 300 km)", "missed", "false alarm", "true way in 24 h", "stated way in 24 h"
    ]  # fmt: skip


def test_a_run_that_found_nothing_is_drawn_as_such(tables: RunTables) -> None:
    """All objects are misses."""
    with theme.style("wide"):
        drawn = draw_objects_map(replace(tables, predictions=tables.predictions.iloc[:0]), SHOWN)
        assert drawn is not None
        drawn.draw_without_rendering()
    missed = next(line for line in drawn.axes[0].lines if line.get_label() == "missed")
    assert np.size(missed.get_xdata()) == len(tables.truth)


def test_tracks_are_not_torn_by_the_date_line(tables: RunTables) -> None:
    """Objects on both sides of it are drawn side by side."""
    moved = tables.truth.assign(longitude=np.linspace(176, 184, len(tables.truth)) % 360)
    moved["longitude"] = (moved["longitude"] + 180) % 360 - 180
    with theme.style("wide"):
        drawn = draw_objects_map(replace(tables, truth=moved, predictions=tables.predictions.iloc[:0]), SHOWN)
    assert drawn is not None
    tracks = [line for line in drawn.axes[0].lines if line.get_label() == "path"]
    assert tracks
    assert all(np.ptp(line.get_xdata()) < 10 for line in tracks)
