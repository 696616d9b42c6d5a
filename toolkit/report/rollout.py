"""The picture of rollouts: how the error grows with the lead time, and maps of what came and of what was predicted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from toolkit.report import theme
from toolkit.report.detection_map import DPI, OVER_LAND, WIDTH_IN
from toolkit.report.feature_sheet import DIVERGING
from toolkit.report.maps import Box, draw_ground
from toolkit.report.numbers import spans_decades
from toolkit.report.svg import write_png

TABLE, MAPS, PICTURE = "rollout.csv", "rollout.npz", "rollout.png"
STYLE = {
    "next frame": (theme.MODEL, "o"),
    "persistence": (theme.BASELINE, "D"),
    "linear extrapolation": (theme.SCRATCH, "s"),
}
GROWTH_IN, MAP_IN = 3.3, 1.95
"""Heights of the curves and of a line of maps."""
STRONG = 99.5
"""Percentile of the true fields that gets the full colour."""


def write_rollout_figure(folder: Path, coastlines: bool = False) -> Path | None:
    """Draw rollout.csv and rollout.npz of a folder into rollout.png beside them and return its path.

    Above, the error of every method against the lead time, with its 95 % interval; below, a line of maps per lead time:
    truth, prediction, and their difference, on one scale. None where the folder holds no rollout.
    """
    if not (folder / TABLE).exists():
        return None
    table = pd.read_csv(folder / TABLE)
    with np.load(folder / MAPS, allow_pickle=False) as stored:
        maps = dict(stored)
    heights = (GROWTH_IN, 0.5 + MAP_IN * len(maps["hours"]))
    with theme.style("narrow"):
        figure = Figure(figsize=(WIDTH_IN, sum(heights)))
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
        _draw_growth(above, table)
        _draw_maps(below, maps, coastlines)
        write_png(figure, folder / PICTURE, DPI, trimmed=False)
    return folder / PICTURE


def _draw_growth(part: SubFigure, table: pd.DataFrame) -> None:
    """Draw the error of each method against the lead time."""
    axes: Axes = part.subplots()
    part.suptitle(
        "How the error of rollouts grows from 60°S to 60°N, mean and 95 % interval over starts", **theme.HEADLINE
    )
    for method, rows in table.groupby("method", sort=False):
        colour, marker = STYLE[str(method)]
        axes.fill_between(rows["hours"], rows["low"], rows["high"], color=colour, alpha=0.16, linewidth=0)
        end = f"{method}, {rows['rmse'].iloc[-1]:.2f} at the end"
        axes.plot(
            rows["hours"], rows["rmse"], color=colour, marker=marker, markersize=5.5, markeredgecolor=theme.SURFACE,
            label=end,
        )  # fmt: skip
    axes.set_ylabel("RMSE, standard deviations")
    errors = table["rmse"][table["rmse"] > 0]
    if spans_decades(errors):
        theme.log_values(axes)
    else:
        axes.set_ylim(bottom=0)
    hours = np.unique(table["hours"])
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(FixedLocator(hours.tolist()))
    axes.set_xlabel("hours after the last true frame")
    axes.legend(loc="upper left", fontsize=9.5)


def _draw_maps(part: SubFigure, maps: dict[str, NDArray[Any]], coastlines: bool) -> None:
    """Draw truth, prediction and difference, a line per lead time."""
    moment, variable = str(maps["time"]).replace("T", " "), str(maps["variable"])
    part.suptitle(theme.verbatim(f"One of them: {variable} after {moment} UTC"), **theme.HEADLINE)
    truth, predicted = (maps[name].astype(np.float32) for name in ("truth", "predicted"))
    known = np.abs(truth[np.isfinite(truth)])
    limit = float(np.percentile(known, STRONG)) if known.size else 1.0
    latitude, longitude = maps["latitude"], maps["longitude"]
    tall, wide = latitude[0] - latitude[1], longitude[1] - longitude[0]
    extent = (longitude[0] - wide / 2, longitude[-1] + wide / 2, latitude[-1] - tall / 2, latitude[0] + tall / 2)
    box = Box(max(extent[2], -90.0), min(extent[3], 90.0), float(longitude[0]), float(longitude[0]) + 360)
    panels = part.subplots(len(truth), 3, squeeze=False)
    for k, line in enumerate(panels):
        fields = {"truth": truth[k], "prediction": predicted[k], "prediction − truth": predicted[k] - truth[k]}
        for axes, (name, field) in zip(line, fields.items(), strict=True):
            draw_ground(axes, box, coastlines)
            axes.imshow(
                field, extent=extent, cmap=DIVERGING, norm=Normalize(-limit, limit), interpolation="bilinear",
                aspect="auto", zorder=OVER_LAND,
            )  # fmt: skip
            axes.set_aspect(box.aspect)
            axes.set_xlim(box.west, box.east)
            axes.set_ylim(box.south, box.north)
            axes.grid(visible=False)
            axes.tick_params(labelsize=7, length=2, pad=2, labelbottom=k == len(panels) - 1, labelleft=axes is line[0])
            if k == 0:
                axes.set_title(name)
        line[0].set_ylabel(f"+{maps['hours'][k]} h", color=theme.INK, fontsize=11, fontweight="bold")
    bar = part.colorbar(
        ScalarMappable(Normalize(-limit, limit), DIVERGING), ax=panels.ravel().tolist(), fraction=0.02, pad=0.01,
        shrink=0.6,
    )  # fmt: skip
    bar.outline.set_edgecolor(theme.LINE)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label(theme.verbatim(f"{variable}, standard deviations"), fontsize=8.5)
