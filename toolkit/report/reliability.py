"""Figures of probabilities: how often what is said to be likely comes true, and skill by how far ahead it is said."""

from collections.abc import Mapping
from math import isfinite, nan

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from toolkit.metrics import ratio
from toolkit.report import theme
from toolkit.report.read import Results
from toolkit.report.words import method_title
from toolkit.scores.cells import known_cells, probabilities

CURVE = ("lead_hours", "value", "low", "high")
BINS = 10
TOPS = (0.1, 0.2, 0.5, 1.0)
"""The bins end at the first of these that no probability exceeds: those of rare events are all near 0."""
FEW = 20
"""A bin with fewer cases is drawn hollow: its frequency is mostly chance."""
_STRIP = 0.3
"""Height of the strip of counts below the diagram, in units of its axis."""
_COLOURS, _MARKERS = (
    (theme.MODEL, theme.SCRATCH, theme.BASELINE, theme.GOOD, theme.BAD, theme.MUTED, theme.INK),
    "osD^vPX",
)


def reliability(predictions: pd.DataFrame, truth: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return, for each of ten bins of probability, its `edge` above, `stated` (mean), `observed` (frequency), `count`.

    Tables as in `toolkit.scores.probabilities`. Empty bins have NaN.
    """
    everything = pd.DataFrame({"group": ""}, index=pd.Index(truth["example"].unique(), name="example"))
    cells = known_cells(predictions, truth, everything, column)
    stated = probabilities(predictions, column, cells.rows_stated)
    top = next(top for top in TOPS if top >= stated.max(initial=0.0))
    number = np.minimum((stated / top * BINS).astype(int), BINS - 1)
    count, said, came = (
        np.bincount(number, weights, BINS) for weights in (np.ones(len(stated)), stated, cells.true.astype(float))
    )
    edge = np.arange(1, BINS + 1) * top / BINS
    return pd.DataFrame(
        {"edge": edge, "stated": ratio(said, count), "observed": ratio(came, count), "count": count.astype(int)}
    )


def draw_reliability(axes: Axes, predictions: pd.DataFrame, truth: pd.DataFrame, column: str) -> None:
    """Draw observed frequency by stated probability over the diagonal of honest ones, and how many cases each bin has.

    The strip below shows the counts on a logarithmic scale. The dashed line is how often the event happens at all.
    """
    table = reliability(predictions, truth, column)
    count, top = table["count"].to_numpy(), float(table["edge"].iloc[-1])
    there = count > 0
    stated, observed = (table[name].to_numpy()[there] for name in ("stated", "observed"))
    axes.plot([0, top], [0, top], color=theme.MUTED, linewidth=1, zorder=1)
    if there.any():
        usual = float(observed @ count[there] / count.sum())
        axes.axhline(usual, color=theme.MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            "overall frequency", (top, usual), (0, 3), textcoords="offset points", ha="right", color=theme.MUTED,
            fontsize=8,
        )  # fmt: skip
    axes.plot(stated, observed, color=theme.MODEL, zorder=2)
    for x, y, number in zip(stated, observed, count[there], strict=True):
        face = theme.MODEL if number >= FEW else theme.SURFACE
        axes.plot([x], [y], "o", color=theme.MODEL, markerfacecolor=face, markersize=6, zorder=3)
    _draw_counts(axes, count, top)
    axes.set_xlim(-0.02 * top, 1.02 * top)
    axes.set_ylim(-(_STRIP + 0.02) * top, max(1.02 * top, 1.05 * observed.max(initial=0.0)))
    axes.set_xticks(np.linspace(0, top, 6))
    axes.yaxis.set_major_locator(FixedLocator(np.linspace(0, 1, round(5 / top) + 1).tolist()))
    axes.set_xlabel("stated probability")
    axes.set_ylabel("observed frequency")


def _draw_counts(axes: Axes, count: NDArray[np.integer], top: float) -> None:
    """Draw the counts of the bins as bars in the strip below 0, tall by their logarithm, with the number on each."""
    axes.axhline(0, color=theme.LINE, linewidth=1)
    tall = np.log10(1 + count) / np.log10(1 + max(int(count.max()), 9)) * (_STRIP - 0.1) * top
    middle = (np.arange(BINS) + 0.5) * top / BINS
    axes.bar(middle, tall, 0.7 * top / BINS, bottom=-_STRIP * top, color=theme.LINE, zorder=1)
    for place, height, number in zip(middle, tall, count, strict=True):
        if number:
            axes.annotate(
                short(int(number)), (place, height - _STRIP * top), (0, 2), textcoords="offset points", ha="center",
                color=theme.MUTED, fontsize=6.5,
            )  # fmt: skip


def short(count: int) -> str:
    """Return a count in at most four characters: 950, 1.2k, 34k, 1.2M."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= 0.9995 * size:
            value = count / size
            return f"{value:.1f}{letter}" if value < 9.95 else f"{value:.0f}{letter}"
    return str(count)


def curves_by_lead(results: Results, metrics: Mapping[int, str]) -> dict[str, pd.DataFrame]:
    """Return the curves that `draw_by_lead` draws: of the run, of the comparison, of every baseline.

    metrics: which metric is the score at a lead, {hours: name}.
    """
    learned = {method_title(results.method): results.metrics}
    if results.comparison:
        learned[method_title(results.comparison.method)] = results.comparison.metrics
    curves = {
        method: [(hours, *(getattr(scores[name], part) for part in CURVE[1:])) for hours, name in metrics.items()]
        for method, scores in learned.items()
    }
    for baseline, values in results.baselines.items():
        curves[baseline] = [(hours, values.get(name, nan), nan, nan) for hours, name in metrics.items()]
    return {method: pd.DataFrame(rows, columns=list(CURVE)) for method, rows in curves.items()}


def draw_by_lead(
    axes: Axes, scores: Mapping[str, pd.DataFrame], label: str, reference: float | None = 0.0, name: str = ""
) -> None:
    """Draw a score by lead time for each method: a line through its values, and its intervals.

    `scores`: method -> table of lead_hours, value, low, high (the last two NaN where there is no interval). `label`
    says what the score is and which way is better. `reference` is the score of what `name` says, drawn as a line.
    """
    leads = sorted({float(lead) for table in scores.values() for lead in table["lead_hours"]})
    span = (leads[-1] - leads[0]) or 24.0 if leads else 24.0
    if reference is not None:
        axes.axhline(reference, color=theme.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        if name:
            axes.annotate(
                theme.verbatim(name), (0.01, reference), (0, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="left", color=theme.MUTED, fontsize=8,
            )  # fmt: skip
    for number, (method, table) in enumerate(scores.items()):
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        known = table[np.isfinite(table["value"])].sort_values("lead_hours")
        # Beside each other, so that the intervals of two methods do not hide one another.
        place = known["lead_hours"] + (number - (len(scores) - 1) / 2) * 0.015 * span
        for at, row in zip(place, known.itertuples(), strict=True):
            if isfinite(row.low) and isfinite(row.high):
                axes.plot(
                    [at, at], [row.low, row.high], color=colour, linewidth=2.2, alpha=0.55, solid_capstyle="round"
                )
        axes.plot(
            place, known["value"], color=colour, marker=marker, markersize=6, markeredgecolor=theme.SURFACE,
            label=theme.verbatim(method),
        )  # fmt: skip
    axes.set_xticks(leads if len(leads) <= 8 else MaxNLocator(6).tick_values(leads[0], leads[-1]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda hours, _: f"{hours:g}"))
    axes.set_xlim((leads[0] if leads else 0) - 0.06 * span, (leads[-1] if leads else span) + 0.06 * span)
    axes.set_xlabel("lead time, h")
    axes.set_ylabel(theme.verbatim(label))
    if len(scores) > 1:
        axes.legend(loc="best")
