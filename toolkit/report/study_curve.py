"""The picture of a study: the primary metric against the number of labels, and how many labels were saved."""

from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from scipy.optimize import isotonic_regression

from toolkit.report import theme
from toolkit.report.numbers import counted, in_unit, or_nan, spans_decades
from toolkit.report.study_looks import Look, looks
from toolkit.report.study_words import drawn_over, last_point, lead_saving, line_title, saved_times, seeds_of
from toolkit.report.svg import write_png
from toolkit.report.words import metric_title
from toolkit.study.table import Curve, MetricCurves, Saving, StudyTable

CURVE = "curve.png"
HEIGHT_IN = 4.7
LEGEND_ROW_IN = 0.19
DODGE, MOST_DODGE = 0.035, 0.28
"""By how many doublings of the labels neighbouring lines, and the outermost, stand apart, so that bars can be seen."""
LABEL_GAP_PT = 12.5
BESIDE_AXES_IN = 0.85
"""What title and ticks take of the figure's height."""
LETTER_PT = 6.0
AXES_PT: Mapping[theme.Width, float] = {"wide": 430.0, "narrow": 225.0}
"""About how wide a letter and the axes are."""
STRIP = 0.11
"""The share of the axes' height that is kept free of curves for the words of the guide."""


def write_curve(folder: Path, table: StudyTable) -> Path:
    """Write curve.png and return its path; the same study gives the same bytes."""
    with theme.style("wide"):
        write_png(figure(table), folder / CURVE)
    return folder / CURVE


def figure(table: StudyTable) -> Figure:
    """Return the curves of the primary metric on logarithmic labels.

    Bars are 95 % intervals; the two lines whose labels are compared have bands. A guide runs from the score that the
    one has with all labels to where the other reaches it. Lines are named at their ends, below on a phone.
    """
    metric = table.metrics[table.primary]
    curves = [curve for curve in metric.curves if last_point(curve) is not None]
    rows = len(curves) if theme.is_narrow() else 0
    height = 0.72 * HEIGHT_IN + LEGEND_ROW_IN * rows if rows else _height_in(curves)
    drawn, (axes,) = theme.panels(1, height)
    look, saving = looks([curve.line for curve in metric.curves]), lead_saving(metric)
    compared = (saving.ours, saving.theirs) if saving else ()
    for k, curve in enumerate(curves):
        _draw(axes, curve, look[curve.line], _dodge(k, len(curves)), curve.line in compared)
    _scale(axes, metric)
    if saving is not None and saving.needed is not None:
        _guide(axes, curves, saving)
    if rows:
        _legend(drawn, curves, [look[curve.line] for curve in curves])
    else:
        _name_ends(axes, curves, [look[curve.line] for curve in curves])
    axes.set_title(theme.verbatim(f"{in_unit(metric_title(metric.metric), metric.unit)} ({metric.better} is better)"))
    axes.set_xlabel(theme.verbatim(f"labelled {table.groups}"))
    return drawn


def is_logarithmic(metric: MetricCurves) -> bool:
    """Whether values are drawn on a logarithmic axis: where they span much, and are not shares.

    Of shares, from 0 to 1, it would stretch what the poorest line does over half of the picture.
    """
    ends = (or_nan(end) for c in metric.curves for p in c.points for end in (p.value, p.low, p.high))
    return metric.unit != "1" and spans_decades(ends)


def caption(table: StudyTable) -> str:
    """Return what the picture shows, for those who read it and for those who hear it."""
    metric = table.metrics[table.primary]
    seeds = counted(seeds_of(table), "seeds")
    told = (
        f"{metric_title(metric.metric)} by the number of labelled {table.groups}, mean over {seeds}. "
        f"Bars and bands are 95 % intervals over {drawn_over(table, table.test_groups)}. "
        "Solid lines are pretrained, dashed ones trained from scratch, dotted ones classical."
    )
    saving = lead_saving(metric)
    if saving is None or saving.needed is None:
        return told
    return (
        f"{told} The dashed guide leads from the score of {line_title(saving.theirs)} with all labels to where "
        f"{line_title(saving.ours)} reaches it; below stands what lies between."
    )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return heights from 0 to 1 at least `gap` apart, in the same order, with the smallest sum of squared moves.

    Taking k gaps off the k-th height makes this an isotonic regression, whose bounds are kept by clipping (Barlow et
    al. 1972). Raises ValueError where so many do not fit.
    """
    room = 1 - gap * (len(heights) - 1)
    if room < 0:
        raise ValueError(f"{len(heights)} names do not fit at a distance of {gap}")
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(heights))
    moved = np.empty(len(heights))
    moved[order] = np.clip(isotonic_regression(np.asarray(heights, float)[order] - steps).x, 0, room) + steps
    return moved.tolist()


def _draw(axes: Axes, curve: Curve, look: Look, dodge: float, band: bool) -> None:
    """Draw a line, its markers and its intervals; an undefined value is a gap."""
    labels = np.array([point.labels for point in curve.points]) * 2.0**dodge
    value, low, high = (
        np.array([or_nan(getattr(point, name)) for point in curve.points]) for name in ("value", "low", "high")
    )
    if band:
        axes.fill_between(labels, low, high, color=look.light, alpha=0.13, linewidth=0)
    axes.vlines(labels, low, high, color=look.light, linewidth=0.9, alpha=0.6)
    strong = curve.line.kind == "pretrained"
    axes.plot(
        labels, value, color=look.light, linewidth=look.width, linestyle=(0, look.dash) if look.dash else "-",
        marker=look.marker, markersize=7, markeredgewidth=1.3 if look.hollow else 0.8, zorder=2.3 if strong else 2.1,
        markerfacecolor=theme.SURFACE if look.hollow else look.light,
        markeredgecolor=look.light if look.hollow else theme.SURFACE,
    )  # fmt: skip


def _dodge(number: int, count: int) -> float:
    return (number - (count - 1) / 2) * min(DODGE, MOST_DODGE / count)


def _height_in(curves: Sequence[Curve]) -> float:
    """Return a height at which the names of all lines fit beside the axes."""
    return max(HEIGHT_IN, LABEL_GAP_PT * len(curves) / 72 + BESIDE_AXES_IN)


def _scale(axes: Axes, metric: MetricCurves) -> None:
    """Set a base-2 axis with a tick per budget, and a logarithmic one of values that span much."""
    curves = [curve for curve in metric.curves if last_point(curve) is not None]
    budgets = sorted({point.labels for curve in curves for point in curve.points})
    axes.set_xscale("log", base=2)
    if budgets:
        axes.set_xlim(budgets[0] * 2**-0.3, budgets[-1] * 2**0.3)
        axes.xaxis.set_major_locator(FixedLocator(budgets))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda labels, _: f"{labels:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    if is_logarithmic(metric):
        theme.log_values(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _guide(axes: Axes, curves: Sequence[Curve], saving: Saving) -> None:
    """Lead from the score that theirs has with all labels to where ours reaches it; below, say what lies between."""
    end = last_point(next((curve for curve in curves if curve.line == saving.theirs), None))
    if end is None or end.value is None or not saving.needed:
        return
    _make_room_below(axes)
    bottom, height = axes.get_ylim()[0], STRIP * 0.45
    thin: dict[str, Any] = {"color": theme.INK, "linewidth": 1.0, "zorder": 1.8}
    axes.plot([saving.needed, saving.full], [end.value, end.value], linestyle=(0, (3, 2)), **thin)
    for labels in (saving.needed, saving.full):
        axes.plot([labels, labels], [bottom, end.value], linestyle=(0, (1, 2)), **thin)
    across = axes.get_xaxis_transform()
    arrow = {"arrowstyle": "<|-" if saving.at_least else "<|-|>", "color": theme.INK, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (saving.full, height), (saving.needed, height), across, arrowprops=arrow)
    said, doublings = saved_times(saving), log2(saving.full / saving.needed)
    if theme.is_narrow():
        said = said.replace(" times fewer labels", "× fewer")
    left, right = axes.get_xlim()
    room = doublings / log2(right / left) * AXES_PT["narrow" if theme.is_narrow() else "wide"]
    fits = room > LETTER_PT * len(said) + 20
    middle = saving.needed * 2 ** (doublings / 2)
    words = axes.annotate(
        said, (middle if fits else saving.needed, height), (0 if fits else -4, 0), xycoords=across, va="center",
        textcoords="offset points", ha="center" if fits else "right", fontsize=9, fontweight="bold",
        bbox={"facecolor": theme.SURFACE, "edgecolor": "none", "pad": 2.5},
    )  # fmt: skip
    words.set_in_layout(False)


def _make_room_below(axes: Axes) -> None:
    """Lower the bottom of the axes by the share `STRIP` of their height."""
    to_linear = axes.transScale
    low, high = to_linear.transform([(1, end) for end in axes.get_ylim()])[:, 1]
    below = to_linear.inverted().transform((0, low - STRIP / (1 - STRIP) * (high - low)))[1]
    axes.set_ylim(bottom=float(below), top=axes.get_ylim()[1])


def _name_ends(axes: Axes, curves: Sequence[Curve], look: Sequence[Look]) -> None:
    """Write each line's name beside its last point, apart from each other, with a thread from the one to the other."""
    ends = [point for curve in curves if (point := last_point(curve)) is not None]
    to_axes = axes.transScale + axes.transLimits
    at = [
        to_axes.transform((point.labels * 2 ** _dodge(k, len(ends)), or_nan(point.value)))
        for k, point in enumerate(ends)
    ]
    gap = LABEL_GAP_PT / (72 * (_height_in(curves) - BESIDE_AXES_IN))
    for curve, drawn, (x, y), moved in zip(curves, look, at, spread([y for _, y in at], gap), strict=True):
        axes.plot(
            [x + 0.012, 1.015, 1.035], [y, moved, moved], color=drawn.light, linewidth=0.9, transform=axes.transAxes,
            clip_on=False, zorder=1.5,
        )  # fmt: skip
        axes.text(
            1.042, moved, theme.verbatim(line_title(curve.line)), transform=axes.transAxes, va="center", fontsize=8.5,
            fontweight="bold" if curve.line.kind == "pretrained" else "normal",
        )  # fmt: skip


def _legend(drawn: Figure, curves: Sequence[Curve], look: Sequence[Look]) -> None:
    """Name the lines below the axes in the order of their ends from top to bottom."""
    handles = [
        Line2D(
            [], [], color=one.light, linewidth=one.width, linestyle=(0, one.dash) if one.dash else "-",
            marker=one.marker, markersize=6, markerfacecolor=theme.SURFACE if one.hollow else one.light,
            markeredgecolor=one.light, label=theme.verbatim(line_title(curve.line)),
        )
        for curve, one in sorted(zip(curves, look, strict=True), key=lambda pair: -_end(pair[0]))
    ]  # fmt: skip
    drawn.legend(handles=handles, loc="outside lower left", handlelength=3.4, fontsize=8)


def _end(curve: Curve) -> float:
    point = last_point(curve)
    return or_nan(point.value if point else None)
