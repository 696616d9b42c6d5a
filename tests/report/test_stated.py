from typing import Any

import numpy as np
import pandas as pd

from toolkit.report import theme
from toolkit.report.figure import RunTables
from toolkit.report.read import Results
from toolkit.report.reliability import curves_by_lead
from toolkit.report.stated import draw_stated


def tables(rows: int = 200) -> RunTables:
    """Numbers that are stated 2 too high in the north and right in the south; the last one's truth is not known."""
    rng = np.random.default_rng(0)
    truth = pd.DataFrame({"example": np.arange(rows), "depth": rng.normal(20, 5, rows)})
    truth["half"] = np.where(truth["example"] % 2, "north", "south")
    predictions = truth[["example", "depth"]].assign(depth=truth["depth"] + 2.0 * (truth["half"] == "north"))
    truth.loc[rows - 1, "depth"] = np.nan
    nothing: Any = None
    return RunTables({}, nothing, predictions, truth)


def test_every_known_number_is_drawn_against_what_was_stated() -> None:
    """The cloud has a dot for each row whose truth is known, at the true and the stated value."""
    with theme.style("wide"):
        figure = draw_stated(tables(), "depth", "m", "half")
    assert figure is not None
    cloud = figure.axes[0].lines[0]
    assert len(cloud.get_xdata()) == 199
    difference = np.asarray(cloud.get_ydata()) - np.asarray(cloud.get_xdata())
    assert set(np.round(difference, 6)) == {0.0, 2.0}


def test_bars_are_the_errors_of_the_kinds() -> None:
    """Each kind's bar is its root mean squared error, with the number of its rows; kinds with few rows have none."""
    with theme.style("wide"):
        figure = draw_stated(tables(), "depth", "m", "half")
        few = draw_stated(tables(40), "depth", "m", "half")
    assert figure is not None
    assert few is not None
    bars = figure.axes[1]
    named = dict(zip([label.get_text() for label in bars.get_yticklabels()], bars.patches, strict=True))
    assert {name: round(bar.get_width(), 6) for name, bar in named.items()} == {"south, 100": 0.0, "north, 99": 2.0}
    assert not few.axes[1].get_visible()


def test_without_the_kind_or_any_truth_there_is_less_to_draw() -> None:
    """A table without the column hides its panel; without a known number there is no figure."""
    with theme.style("wide"):
        figure = draw_stated(tables(), "depth", "m", "region")
        unknown = tables()
        unknown.truth["depth"] = np.nan
        assert draw_stated(unknown, "depth", "m", "half") is None
    assert figure is not None
    assert not figure.axes[1].get_visible()


def test_curves_hold_every_method_at_every_lead(results: Results) -> None:
    """The run and the comparison have intervals, baselines have none; leads are hours."""
    curves = curves_by_lead(results, {6: "csi", 24: "pod"})
    assert list(curves) == ["LoRA", "From scratch", *results.baselines]
    own = curves["LoRA"].set_index("lead_hours")
    assert own.loc[24, "value"] == results.metrics["pod"].value
    assert own.loc[6, "low"] == results.metrics["csi"].low
    baseline = next(iter(results.baselines))
    assert curves[baseline]["low"].isna().all()
    assert curves[baseline]["value"].tolist() == [results.baselines[baseline][name] for name in ("csi", "pod")]
