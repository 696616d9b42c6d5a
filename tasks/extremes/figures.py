"""The report's figures for extremes: maps of some windows, reliability of the probabilities, skill by lead."""

from collections.abc import Sequence
from functools import partial

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tasks.extremes.cells import at_lead, columns
from toolkit.data.label_kinds import KINDS
from toolkit.report import theme
from toolkit.report.figure import Figure, RunTables
from toolkit.report.reliability import curves_by_lead, draw_by_lead, draw_reliability
from toolkit.scores.cell_sums import STATED

COLOURS = theme.kind_colours(KINDS)
SHOWN = 4
"""Windows that are drawn: those with the most kinds in them, each of another time."""


def figures(leads: Sequence[int]) -> tuple[Figure, ...]:
    """Return the figures for these leads, those of single cells for the first."""
    first = leads[0]
    when = f"{first} days later" if first else "at the time"
    own = (
        Figure(
            "Windows with events",
            f"Four test windows of different days, {when}. Filled cells are where an event of the kind is, outlines "
            "where it is stated. Every window is drawn with the nearer pole above.",
            partial(_draw_windows, lead=first),
        ),
        Figure(
            "Are the probabilities honest?",
            "How often cells are under an event when it is stated with such a probability; on the diagonal they are as "
            "often as stated. Hollow marks rest on fewer than 20 cells; bars count the cells.",
            partial(_draw_reliability, lead=first),
        ),
    )
    by_lead = Figure(
        "Skill by lead",
        "The mean Brier skill of the four kinds, by how far ahead they are stated: 1 is perfect, 0 is what stating "
        "everywhere how often a kind occurs would reach. Bars are 95 % intervals over pentads.",
        partial(_draw_skill, leads=leads),
    )
    return (*own, by_lead) if len(leads) > 1 else own


def _draw_windows(tables: RunTables, lead: int) -> matplotlib.figure.Figure | None:
    """Draw the true and the stated cells of some windows."""
    names = columns((lead,))
    there = tables.truth.groupby("example")[names].max().sum(axis=1)
    times = tables.truth.drop_duplicates("example").set_index("example")["time"]
    ranked = there.sort_values(ascending=False, kind="stable").index
    chosen = times.loc[ranked].drop_duplicates().index[:SHOWN]
    if not len(chosen) or there.max() == 0:
        return None
    figure, panels = theme.panels(len(chosen), height_in=2.6)
    side = round(np.sqrt(tables.truth["cell"].max() + 1))
    for axes, example in zip(panels, chosen, strict=True):
        true = tables.truth[tables.truth["example"] == example].sort_values("cell")
        stated = tables.predictions[tables.predictions["example"] == example].sort_values("cell")
        for kind, name in zip(KINDS, names, strict=True):
            _draw_kind(axes, _grid(true[name], side), _grid(stated[name + STATED], side), COLOURS[kind])
        axes.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5), aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        axes.set_title(f"{times[example]:%Y-%m-%d}", fontsize=8.5)
    handles = [Line2D([], [], color=COLOURS[k], marker="s", linestyle="", label=k.replace("_", " ")) for k in KINDS]
    figure.legend(handles=handles, loc="outside lower left", ncols=2 if theme.is_narrow() else 4)
    return figure


def _grid(cells: pd.Series, side: int) -> np.ndarray:
    return cells.to_numpy(np.float64).reshape(side, side)


def _draw_kind(axes: Axes, true: np.ndarray, stated: np.ndarray, colour: str) -> None:
    """Fill the true cells and draw a line around the stated ones."""
    axes.contourf(np.nan_to_num(true), levels=(0.5, 1.5), colors=[colour], alpha=0.35)
    if stated.any() and not stated.all():
        axes.contour(stated, levels=(0.5,), colors=[colour], linewidths=1.4)


def _draw_reliability(tables: RunTables, lead: int) -> matplotlib.figure.Figure | None:
    """Draw a reliability diagram for each kind that the test has."""
    names = columns((lead,))
    there = [name for name in names if (tables.truth[name] == 1).any()]
    if not there:
        return None
    figure, panels = theme.panels(len(there), height_in=3.0)
    for axes, name in zip(panels, there, strict=True):
        draw_reliability(axes, tables.predictions, tables.truth, name)
        axes.set_title(name.replace("_", " "))
    return figure


def _draw_skill(tables: RunTables, leads: Sequence[int]) -> matplotlib.figure.Figure | None:
    """Draw the mean skill of the run, of the comparison and of the baselines by lead."""
    names = {24 * days: at_lead("mean_brier_skill", days) for days in leads}
    figure, (axes,) = theme.panels(1, height_in=3.4)
    curves = curves_by_lead(tables.results, names)
    draw_by_lead(axes, curves, "mean Brier skill (higher is better)", 0.0, "how often a kind occurs")
    return figure
