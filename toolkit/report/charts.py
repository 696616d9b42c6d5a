"""The figures every report has: the primary score by method, and the learning curves."""

from collections.abc import Mapping
from math import isfinite, nan

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from toolkit.report import theme
from toolkit.report.numbers import decimals, in_unit, interval, number, spans_decades
from toolkit.report.read import Results, Score
from toolkit.report.words import method_title, metric_title

_MOST_POINTS = 150


def draw_scores(axes: Axes, results: Results, metric: str) -> None:
    """Draw one metric by method, best on top: a point and, where there is one, its 95 % interval."""
    rows = _scores_by_method(results, metric)
    score = results.metrics[metric]
    places = decimals(row[1].value for row in rows)
    for height, (_, row, colour, marker) in enumerate(reversed(rows)):
        if isfinite(row.low):
            axes.plot([row.low, row.high], [height, height], color=colour, linewidth=2.4, solid_capstyle="round")
        axes.plot([row.value], [height], marker, color=colour, markersize=7, markeredgecolor=theme.SURFACE)
        said = f"{number(row.value, places)} {interval(row.low, row.high, places)}".strip()
        right = max(value for value in (row.value, row.high) if isfinite(value))
        axes.annotate(said, (right, height), (8, 0), textcoords="offset points", va="center", fontsize=8.5)
    _name_rows(axes, [theme.verbatim(name) for name, *_ in reversed(rows)])
    axes.margins(x=0.05)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + (0.55 if theme.is_narrow() else 0.28) * (high - low))  # room for the numbers
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(theme.verbatim(f"{in_unit(metric_title(metric), score.unit)} ({score.better} is better)"))


def primary_score(results: Results) -> Figure | None:
    """Return the figure of the primary metric by method, None where it is undefined for all."""
    rows = len(_scores_by_method(results, results.primary))
    if rows == 0:
        return None
    figure, (axes,) = theme.panels(1, height_in=0.95 + (0.42 if theme.is_narrow() else 0.3) * rows)
    draw_scores(axes, results, results.primary)
    return figure


def learning_curves(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Return training loss and, where there is one, validation score by step, for each method."""
    validated = any("validation" in curve and curve["validation"].notna().any() for curve in curves.values())
    figure, panels = theme.panels(2 if validated else 1, height_in=2.9)
    _draw_curves(panels[0], curves, "loss")
    panels[0].set_title("Training loss")
    if validated:
        _draw_curves(panels[1], curves, "validation")
        panels[1].set_title("Validation (lower is better)")
    if len(curves) > 1:
        panels[0].legend(loc="upper right")
    return figure


def _name_rows(axes: Axes, names: list[str]) -> None:
    """Write the names of the rows 0, 1, ... beside them, or above them on a phone, which has no room beside."""
    axes.set_yticks(range(len(names)), names, color=theme.INK, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.6, len(names) - 0.4)
    if theme.is_narrow():
        axes.set_yticklabels([])
        axes.set_ylim(-0.5, len(names) - 0.2)
        for height, name in enumerate(names):
            axes.text(0, height + 0.42, name, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)


def _scores_by_method(results: Results, metric: str) -> list[tuple[str, Score, str, str]]:
    """Return (name, score, colour, marker) of every method that has the score, best first."""
    score, comparison = results.metrics[metric], results.comparison
    rows = [(method_title(results.method), score, theme.MODEL, "o")]
    if comparison and metric in comparison.metrics:
        rows.append((method_title(comparison.method), comparison.metrics[metric], theme.SCRATCH, "s"))
    for name, values in results.baselines.items():
        rows.append((name, Score(values.get(metric, nan), nan, nan, score.unit, score.better), theme.BASELINE, "D"))
    known = [row for row in rows if isfinite(row[1].value)]
    return sorted(known, key=lambda row: row[1].value, reverse=score.better == "higher")


def _draw_curves(axes: Axes, curves: Mapping[str, pd.DataFrame], column: str) -> None:
    """Draw a column of each curve: means of neighbouring steps, and for the validation the step that was kept."""
    drawn = []
    last = max(curve["step"].max() for curve in curves.values())
    for (name, curve), colour, marker in zip(curves.items(), (theme.MODEL, theme.SCRATCH), "os", strict=False):
        known = curve[["step", column]].dropna() if column in curve else pd.DataFrame()
        if known.empty:
            continue
        if column == "validation":
            axes.plot(known["step"], known[column], color=colour, marker=marker, markersize=3.2, label=name)
            best = known.iloc[int(known[column].argmin())]
            axes.plot(
                best["step"], best[column], marker, markersize=9, markerfacecolor="none", color=colour,
                label=f"{name}, kept",
            )  # fmt: skip
            drawn.append(known[column].to_numpy())
            continue
        step, low, mean, high = _thinned(known["step"].to_numpy(float), known[column].to_numpy(float))
        axes.fill_between(step, low, high, color=colour, alpha=0.16, linewidth=0)
        axes.plot(step, mean, color=colour, label=name)
        drawn.append(mean)
    values = np.concatenate(drawn) if drawn else np.ones(1)
    if spans_decades(values):
        theme.log_values(axes)
    axes.set_xlim(-0.02 * last, 1.02 * last)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: number(step, 0)))


def _thinned(step: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return step, 10 % quantile, mean and 90 % quantile of at most `_MOST_POINTS` stretches of a curve."""
    stretches = np.array_split(np.arange(step.size), min(_MOST_POINTS, step.size))
    low, high = np.array([np.quantile(value[part], [0.1, 0.9]) for part in stretches]).T
    mean = np.array([value[part].mean() for part in stretches])
    return np.array([step[part].mean() for part in stretches]), low, mean, high
