"""Errors of a run's objects: how they grow with strength, and how far off their later places are, and which way."""

from collections.abc import Sequence
from typing import Any

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from toolkit.geodesy import displacement_km
from toolkit.metrics import Metric, Statistic, ratio
from toolkit.report import theme
from toolkit.report.charts import draw_scores
from toolkit.report.figure import RunTables
from toolkit.report.objects import STATED, Shown, legend_entries, outcome, places
from toolkit.stats import bootstrap

MEAN = Metric(
    "mean",
    "1",
    "lower",
    "mean of the errors",
    Statistic("errors", lambda _, truth, __: truth),
    lambda s: ratio(s["sum"], s["count"]),
    (0, np.inf),
)
"""The mean of errors, from their sum and count per group."""
RINGS_KM = (50, 100, 200, 300, 400, 500)
"""Distances between rings to choose from: the smallest of which three rings hold nine errors in ten."""


def draw_errors_by_class(
    tables: RunTables, shown: Shown, classes: Sequence[tuple[str, float]], title: str
) -> matplotlib.figure.Figure | None:
    """Draw mean centre error and mean error of the strength by class, with 95 % intervals.

    classes: the name of each and the strength from which on it begins, rising. title: that of the strength's error,
    with its unit.
    """
    objects = outcome(tables, shown).objects.dropna(subset=shown.strength)
    if objects.empty:
        return None
    figure, (centre, strength) = theme.panels(2, height_in=3.1)
    rank = np.digitize(objects[shown.strength], [lowest for _, lowest in classes]) - 1
    parts = [(name, objects[rank == k]) for k, (name, _) in enumerate(classes)]
    _draw_by_class(centre, parts, "centre_error_km", shown.rows)
    centre.set_title("Mean centre error, km")
    centre.legend(*legend_entries(centre))
    _draw_by_class(strength, parts, "strength_error", shown.rows)
    strength.set_title(theme.verbatim(title))
    return figure


def draw_later_places(tables: RunTables, shown: Shown, metric: str) -> matplotlib.figure.Figure | None:
    """Draw how far and in which direction the stated later places are off, and that error, `metric`, by method."""
    objects = outcome(tables, shown).objects
    later = [f"{before}{name}{shown.later}" for before in ("", STATED) for name in ("latitude", "longitude")]
    known = objects.dropna(subset=later)
    if known.empty:
        return None
    figure, (rose, bars) = theme.panels(2, height_in=3.5)
    east, north = displacement_km(*places(known, "", shown.later), *places(known, STATED, shown.later))
    beyond = _draw_rose(rose, east, north)
    outside = f", {beyond} beyond" if beyond else ""
    rose.set_title(f"Error of the position in {shown.ahead_h} h\n{len(known):,} found {shown.rows}{outside}")
    rose.legend(loc="lower right")
    if metric in tables.results.metrics:
        draw_scores(bars, tables.results, metric)
        bars.set_title(f"Over all {shown.rows}, misses counted")
    else:
        bars.set_visible(False)
    return figure


def _draw_rose(axes: Axes, east: np.ndarray, north: np.ndarray) -> int:
    """Draw errors (km) around a cross, with rings, and their mean; return how many lie beyond the outermost ring."""
    km = np.hypot(east, north)
    step = next((step for step in RINGS_KM if (km <= 3 * step).mean() >= 0.9), RINGS_KM[-1])
    reach = 3 * step
    inside = km <= reach
    for ring in (step, 2 * step, reach):
        axes.add_patch(Circle((0, 0), ring, fill=False, color=theme.LINE, linewidth=0.9))
        back = {"facecolor": theme.SURFACE, "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        axes.annotate(f"{ring} km", (0, ring), ha="center", va="center", fontsize=7.5, color=theme.MUTED, bbox=back)
    axes.plot(east[inside], north[inside], "o", color=theme.MODEL, alpha=0.45, markersize=3, markeredgewidth=0)
    axes.plot([0], [0], "+", color=theme.INK, markersize=11)
    axes.plot([east.mean()], [north.mean()], "D", color=theme.SCRATCH, markeredgecolor=theme.SURFACE, label="mean")
    axes.set(xlim=(-reach * 1.1, reach * 1.1), ylim=(-reach * 1.1, reach * 1.15), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return int((~inside).sum())


def _draw_by_class(axes: Axes, parts: Sequence[tuple[str, pd.DataFrame]], column: str, rows: str) -> None:
    """Draw the mean of a column by class, over all rows and over those found."""
    names = []
    for k, (name, members) in enumerate(parts):
        found = members[members["found"]]
        _draw_mean(axes, k - 0.1, members, column, color=theme.MODEL, marker="o", label="all, misses counted")
        _draw_mean(axes, k + 0.1, found, column, color=theme.GOOD, marker="D", label="found ones only")
        share = f"\n{100 * len(found) / len(members):.0f} % found" if len(members) else ""
        names.append(f"{name}\n{len(members):,} {rows}{share}")
    axes.set_xticks(range(len(parts)), names)
    axes.set_xlim(-0.5, len(parts) - 0.5)
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")


def _draw_mean(axes: Axes, x: float, rows: pd.DataFrame, column: str, **look: Any) -> None:
    """Draw the mean of a column and its interval, groups resampled whole; nothing without rows."""
    if rows.empty:
        return
    mean = bootstrap(MEAN, [rows.groupby("group")[column].agg(["sum", "count"])])
    axes.plot([x], [mean.value], markersize=6.5, linestyle="none", **look)
    axes.plot([x, x], [mean.low, mean.high], color=look["color"], linewidth=1.6, solid_capstyle="round")
