"""Figures of numbers: what is stated against what is true, and how the error differs from kind to kind."""

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from toolkit.report import theme
from toolkit.report.figure import RunTables

FEWEST = 30
"""A kind with fewer rows is not drawn: its error is mostly chance."""
MOST = 10


def draw_stated(tables: RunTables, column: str, unit: str, by: str) -> matplotlib.figure.Figure | None:
    """Draw stated against true values of a column, and the error by another column of the truth, where it has that."""
    both = tables.truth.merge(tables.predictions[["example", column]], on="example", suffixes=("", "_stated"))
    both = both.dropna(subset=[column])
    if both.empty:
        return None
    figure, (cloud, bars) = theme.panels(2, height_in=3.6)
    true, stated = both[column].to_numpy(), both[f"{column}_stated"].to_numpy()
    ends = min(true.min(), stated.min()), max(true.max(), stated.max())
    cloud.plot(true, stated, "o", color=theme.MODEL, alpha=0.25, markersize=2.5, markeredgewidth=0, rasterized=True)
    cloud.plot(ends, ends, color=theme.INK, linewidth=1)
    cloud.set(xlabel=f"true, {unit}", ylabel=f"stated, {unit}", aspect="equal")
    cloud.set_title(f"{len(both):,} test rows")
    _draw_errors(bars, both.assign(square=(stated - true) ** 2), by, unit)
    return figure


def _draw_errors(axes: Axes, rows: pd.DataFrame, by: str, unit: str) -> None:
    """Draw the root mean squared error of each value of a column, those with most rows, and the number of rows."""
    sums = rows.groupby(by)["square"].agg(["mean", "size"]).query(f"size >= {FEWEST}") if by in rows else rows[:0]
    if sums.empty:
        axes.set_visible(False)
        return
    sums = sums.sort_values("size", ascending=False).head(MOST).iloc[::-1]
    names = [theme.verbatim(f"{name}, {size:,}") for name, size in zip(sums.index, sums["size"], strict=True)]
    axes.barh(np.arange(len(sums)), np.sqrt(sums["mean"]), 0.6, color=theme.MODEL)
    axes.set_yticks(np.arange(len(sums)), names)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"root mean squared error, {unit}")
    axes.set_title(f"By {by.replace('_', ' ')}, with the number of rows")
