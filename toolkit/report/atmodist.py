"""Figures of what AtmoDist learned, drawn from the tables that `toolkit.pretexts.atmodist_examine` writes.

confusion.png  accuracy.png  distance.png  predictability.png
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.special import ndtri

from toolkit.pretexts.lag_answers import CELL_DEGREES
from toolkit.pretexts.lag_curves import FIELD_DISTANCES, as_distance
from toolkit.report import theme
from toolkit.report.detection_map import DPI
from toolkit.report.maps import Box, draw_ground
from toolkit.report.svg import write_png
from toolkit.stats import LEVEL

SHADES = LinearSegmentedColormap.from_list("shares", [theme.SURFACE, theme.MODEL])
TITLES = {"l2": "L2", "l1": "L1", "psnr": "50 − PSNR, dB", "ssim": "(1 − SSIM) / 2"}
MEASURES = {"top_1": "likeliest lag is true", "top_3": "among the likeliest 3", "entropy": "entropy / log(classes)"}
COLOURS = (theme.SCRATCH, theme.BASELINE, theme.GOOD, theme.BAD)
MARKERS = "sD^v"
CERTAIN = float(ndtri((1 + LEVEL) / 2))
"""Standard errors to either side of a share that hold 95 % of its chance."""
FAR_NORTH = 60.0
MOST_TICKS = 12
SPANS = {"month": (0.5, 12.5), "hour": (-0.5, 23.5)}


def write_figures(folder: Path, coastlines: bool) -> None:
    """Draw the tables in a folder as PNG beside them; `coastlines` is for worlds that have the Earth's continents."""
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in ("confusion", "accuracy", "predictability")}
    numbers = json.loads((folder / "summary.json").read_text())
    scale = json.loads((folder / "scale.json").read_text())
    distance = pd.read_csv(folder / "distance.csv")
    with theme.style("wide"):
        for name, figure in (
            ("confusion", confusion(tables["confusion"])),
            ("accuracy", accuracy(tables["accuracy"], numbers)),
            ("distance", distances(distance, scale, numbers)),
            ("predictability", predictability(tables["predictability"], numbers, coastlines)),
        ):
            write_png(figure, folder / f"{name}.png", DPI, trimmed=False)


def confusion(table: pd.DataFrame) -> Figure:
    """Return which lags are taken for which: of the pairs taken for one, the share that truly is of each."""
    shares = table.pivot_table(index="true_hours", columns="predicted_hours", values="share")
    hours = [int(hour) for hour in shares.index]
    figure = Figure(figsize=(6.4, 5.4))
    axes = figure.subplots()
    picture = axes.imshow(shares.to_numpy(), vmin=0, vmax=1, cmap=SHADES, origin="lower")
    few = slice(None, None, -(-len(hours) // MOST_TICKS))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(range(len(hours))[few], [str(hour) for hour in hours[few]])
    axes.grid(visible=False)
    axes.set_xlabel("predicted time apart, h")
    axes.set_ylabel("true time apart, h")
    axes.set_title("Of the pairs taken for a lag: how far apart they are")
    figure.colorbar(picture, label="share of the column").outline.set_edgecolor(theme.LINE)
    return figure


def accuracy(table: pd.DataFrame, numbers: Mapping[str, Any]) -> Figure:
    """Return how often each lag is told, against chance, with 95 % intervals."""
    figure, (axes,) = theme.panels(1, height_in=3.6)
    for column, colour, marker, few in (("top_1", theme.MODEL, "o", 1), ("top_3", theme.SCRATCH, "s", 3)):
        share = table[column]
        spread = CERTAIN * np.sqrt(share * (1 - share) / table["windows"])
        axes.fill_between(table["hours"], share - spread, share + spread, color=colour, alpha=0.16, linewidth=0)
        said = f"{MEASURES[column]}: {numbers[column]:.3f}, {numbers[f'{column}_over_chance']:.1f} times chance"
        axes.plot(table["hours"], share, color=colour, marker=marker, markersize=4, label=said)
        axes.axhline(few / numbers["classes"], color=colour, linestyle=":", linewidth=1.2)
    axes.set_ylim(0, 1)
    _name_hours(axes, table["hours"].to_numpy(), MOST_TICKS)
    axes.set_ylabel("share of pairs")
    axes.set_title("How often the time apart is told (dotted: by chance)")
    axes.legend(loc="upper right")
    return figure


def distances(table: pd.DataFrame, scale: Mapping[str, float], numbers: Mapping[str, Any]) -> Figure:
    """Return the scaled distance beside each distance of fields, mean and standard deviation, and all by their growth.

    In the last panel every curve is divided by its own value at the middle lag.
    """
    figure = Figure(figsize=(theme.WIDTH_IN["wide"], 5.4))
    (*single, growth), hours = list(figure.subplots(2, 3).ravel()), table["hours"].to_numpy(float)
    middle = int(np.flatnonzero(hours == numbers["middle_hours"])[0])
    ours, scatter = table["distance"].to_numpy(), table["distance_std"].to_numpy()
    growth.plot(hours, ours / ours[middle], color=theme.MODEL, marker="o", markersize=3.5, label="AtmoDist distance")
    for axes, name, colour, marker in zip(single, FIELD_DISTANCES, COLOURS, MARKERS, strict=False):
        values = as_distance(name, table[name].to_numpy())
        spread = table[f"{name}_std"].to_numpy() * (0.5 if name == "ssim" else 1)
        _band(axes, hours, scale[name] * ours, scale[name] * scatter, theme.MODEL, "o")
        _band(axes, hours, values, spread, colour, marker)
        axes.set_title(TITLES[name], color=colour)
        growth.plot(hours, values / values[middle], color=colour, marker=marker, markersize=3.5, label=TITLES[name])
    growth.axvspan(hours[middle], hours[-1], color=theme.LINE, alpha=0.4, linewidth=0, zorder=0)
    growth.set_title("Over its value at the middle lag")
    _tell(single[-1], numbers, growth)
    for axes in (*single[:-1], growth):
        _name_hours(axes, hours, MOST_TICKS // 2)
    return figure


def predictability(table: pd.DataFrame, numbers: Mapping[str, Any], coastlines: bool) -> Figure:
    """Return how well the middle lag is told by place, by month and by hour of the day."""
    figure = Figure(figsize=(12.0, 5.6))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(0.8, 1))[:, 0]
    said = f"Two windows {numbers['middle_hours']} h apart: how well that is told"
    above.suptitle(said, x=0.008, ha="left", fontsize=11, fontweight="bold")
    places = table[table["by"] == "place"]
    for axes, (name, title) in zip(above.subplots(1, 3), MEASURES.items(), strict=True):
        _draw_cells(axes, places, name, coastlines)
        axes.set_title(f"{title[0].upper()}{title[1:]}")
    for axes, by, said in zip(below.subplots(1, 2), ("month", "hour"), ("month", "hour of the day, UTC"), strict=True):
        rows = table[table["by"] == by]
        for name, colour, marker in zip(MEASURES, (theme.MODEL, *COLOURS), "osD", strict=False):
            axes.plot(rows[by], rows[name], color=colour, marker=marker, markersize=4, label=MEASURES[name])
        axes.set_ylim(0, 1.03)
        axes.set_xlim(*SPANS[by])
        axes.xaxis.set_major_locator(MaxNLocator(MOST_TICKS, integer=True))
        axes.set_xlabel(said)
    below.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(MEASURES))
    return figure


def _name_hours(axes: Axes, hours: np.ndarray, most: int) -> None:
    axes.set_xticks(hours[:: -(-len(hours) // most)])
    axes.set_xlabel("time apart, h")


def _band(axes: Axes, hours: np.ndarray, mean: np.ndarray, spread: np.ndarray, colour: str, marker: str) -> None:
    axes.fill_between(hours, mean - spread, mean + spread, color=colour, alpha=0.14, linewidth=0)
    axes.plot(hours, mean, color=colour, marker=marker, markersize=3.5)


def _tell(axes: Axes, numbers: Mapping[str, Any], growth: Axes) -> None:
    """Write what the colours mean and the number of the figure into a panel of its own."""
    axes.set_axis_off()
    handles, labels = growth.get_legend_handles_labels()
    axes.legend(handles, labels, loc="upper left", borderpad=0)
    ratio, low, high = (numbers[f"slope_ratio{end}"] for end in ("", "_low", "_high"))
    said = "L2 does not grow" if ratio is None else f"{ratio:.2f} ({_or_more(low)} to {_or_more(high)})"
    axes.text(
        0, 0.05, "Bands: one standard deviation of the windows.\nBlue: AtmoDist distance, scaled for each panel.\n"
        f"Growth over the upper half of the lags,\nAtmoDist distance / L2: {said}.",
        transform=axes.transAxes, fontsize=8, color=theme.MUTED, va="bottom",
    )  # fmt: skip


def _or_more(value: float | None) -> str:
    return "no bound" if value is None else f"{value:.2f}"


def _draw_cells(axes: Axes, places: pd.DataFrame, name: str, coastlines: bool) -> None:
    """Draw a measure by place as coloured cells."""
    height, width = CELL_DEGREES
    south, west = np.arange(-FAR_NORTH, FAR_NORTH, height), np.arange(0, 360, width)
    values = places.pivot_table(index="south", columns="west", values=name).reindex(index=south, columns=west)
    draw_ground(axes, Box(-FAR_NORTH, FAR_NORTH, 0, 360), coastlines)
    edges = np.append(west, 360), np.append(south, FAR_NORTH)
    picture = axes.pcolormesh(*edges, values.to_numpy(), cmap=SHADES, alpha=0.8, zorder=1.5)
    axes.grid(visible=False)
    colours = axes.figure.colorbar(picture, ax=axes, orientation="horizontal", fraction=0.06, pad=0.02)
    colours.outline.set_edgecolor(theme.LINE)
