"""The map of what a model states over the field it looked at: objects, how sure it is of each, where they go; kinds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from toolkit.geodesy import longitude_difference
from toolkit.report import theme
from toolkit.report.maps import Box, box_around, draw_ground

SEAM = 25.0
"""A global map is cut at this longitude, so that no ocean is torn."""
WIDTH_IN, DPI = 12.0, 150
STRONG = 99.8
"""Percentile of the field that gets the full colour."""
CYCLONIC, ANTICYCLONIC = "#b0322a", "#31689b"
OVER_LAND = 1.5
"""Above matplotlib's order of filled areas, below that of the coasts."""
SQUARE = 22.0
"""Area of the mark of a place, square points."""
LARGEST = 260.0
"""Area of the mark of a certain object, square points."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One time: the field shown behind, (h, w) on a global grid from 90 north and 0 east, and what is stated.

    objects: latitude, longitude, and, where the task states them, probability and the place some time later, such as
    latitude_24h and longitude_24h; or `kind`, what is there: then each row is a place of that kind, not an object.
    """

    time: np.datetime64
    field: NDArray[np.float32]
    objects: pd.DataFrame


def draw_detections(
    path: Path, panels: list[Panel], covered: NDArray[np.bool_], known_kinds: Sequence[str] = ()
) -> None:
    """Write the map as PNG, one panel a time; `covered` (h, w) is where there are data.

    `known_kinds`: what the task can state, in its own order, so that every map has the same colours.
    """
    box = _frame(covered)
    later = _later([panel.objects for panel in panels])
    kinds = _kinds([panel.objects for panel in panels], known_kinds)
    with theme.style("wide"):
        height = WIDTH_IN / box.width_to_height
        figure = Figure(figsize=(WIDTH_IN, (min(height, WIDTH_IN) + 0.45) * len(panels) + 0.6))
        strongest = np.nanpercentile(np.abs([panel.field for panel in panels]), STRONG)
        for axes, panel in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
            draw_ground(axes, box, coastlines=True)
            _draw_field(axes, box, panel.field, strongest)
            if kinds:
                _draw_kinds(axes, box, panel.objects, kinds)
            else:
                _draw_objects(axes, box, panel.objects, later)
            moment = np.datetime_as_string(panel.time, "m").replace("T", " ")
            axes.set_title(f"{moment} UTC   {len(panel.objects)} {'places' if kinds else 'objects'} stated")
        figure.legend(**_legend(kinds, later))
        figure.savefig(path, dpi=DPI, facecolor=theme.SURFACE)


def _frame(covered: NDArray[np.bool_]) -> Box:
    """The part of the globe that holds the data."""
    spacing = 180 / (len(covered) - 1)
    latitude, longitude = 90 - spacing * np.flatnonzero(covered.any(1)), spacing * np.flatnonzero(covered.any(0))
    if len(longitude) == covered.shape[1]:
        return Box(float(latitude.min()), float(latitude.max()), SEAM, SEAM + 360)
    return box_around(latitude, longitude, 0.0).shaped(0.6, 2.6)


def _draw_field(axes: Axes, box: Box, field: NDArray[np.float32], strongest: float) -> None:
    """Draw cyclonic values in one colour and anticyclonic in the other, the stronger the less transparent."""
    spacing = 180 / (len(field) - 1)
    latitude = 90 - spacing * np.arange(len(field))
    first = round(box.west / spacing)
    columns = np.arange(first, first + int(np.ceil((box.east - box.west) / spacing)) + 1)
    turning = field[:, columns % field.shape[1]] * np.where(latitude < 0, -1, 1)[:, None]
    share = np.clip(np.nan_to_num(turning / strongest), -1, 1)
    colours = np.where(share[..., None] > 0, to_rgb(CYCLONIC), to_rgb(ANTICYCLONIC))
    picture = np.concatenate([colours, np.abs(share[..., None]) ** 0.8], axis=-1)
    west, east = (columns[0] - 0.5) * spacing, (columns[-1] + 0.5) * spacing
    limits = axes.get_xlim(), axes.get_ylim()
    extent = (west, east, -90 - spacing / 2, 90 + spacing / 2)
    axes.imshow(picture, extent=extent, interpolation="bilinear", aspect="auto", zorder=OVER_LAND)
    axes.set_aspect(box.aspect)
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])


def _draw_objects(axes: Axes, box: Box, objects: pd.DataFrame, later: str | None) -> None:
    x, y = box.unwrapped(objects["longitude"]), objects["latitude"].to_numpy()
    probability = objects["probability"].to_numpy() if "probability" in objects else np.ones(len(objects))
    if later:
        east = longitude_difference(objects[f"longitude_{later}"], objects["longitude"])
        north = objects[f"latitude_{later}"] - objects["latitude"]
        for k in np.flatnonzero(np.isfinite(east) & np.isfinite(north)):
            arrow = {"arrowstyle": "-|>", "color": theme.INK, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0}
            axes.annotate(
                "", (x[k] + east[k], y[k] + north.iloc[k]), (x[k], y[k]), arrowprops=arrow, annotation_clip=True
            )
    axes.scatter(x, y, LARGEST * probability, facecolors="none", edgecolors=theme.INK, linewidths=1.4, zorder=4)
    axes.scatter(x, y, LARGEST * probability, facecolors="none", edgecolors=theme.SURFACE, linewidths=3.0, zorder=3)


def _draw_kinds(axes: Axes, box: Box, places: pd.DataFrame, kinds: dict[str, str]) -> None:
    """Draw a square at each place, in the colour of its kind; kinds at one place stand beside each other."""
    x, y = box.unwrapped(places["longitude"]), places["latitude"].to_numpy()
    for kind, colour in kinds.items():
        own = (places["kind"] == kind).to_numpy()
        axes.scatter(x[own], y[own], SQUARE, marker="s", color=colour, alpha=0.55, linewidths=0, zorder=3)


def _kinds(tables: list[pd.DataFrame], known: Sequence[str]) -> dict[str, str]:
    """The kinds that are stated anywhere, with a colour each; none where the rows are objects."""
    if not all("kind" in table for table in tables):
        return {}
    there = {kind for table in tables for kind in table["kind"]}
    colours = theme.kind_colours((*known, *sorted(there - set(known))))
    return {kind: colour for kind, colour in colours.items() if kind in there}


def _legend(kinds: dict[str, str], later: str | None) -> dict[str, object]:
    def mark(probability: float) -> Line2D:
        size = np.sqrt(LARGEST * probability)
        return Line2D(
            [], [], marker="o", linestyle="", markersize=size, markerfacecolor="none", markeredgecolor=theme.INK
        )

    handles = [] if kinds else [mark(0.25), mark(0.5), mark(1.0)]
    labels = [] if kinds else ["probability 0.25", "0.5", "1"]
    for kind, colour in kinds.items():
        handles.append(Line2D([], [], marker="s", linestyle="", markersize=7, color=colour, alpha=0.55))
        labels.append(kind.replace("_", " "))
    for colour, label in ((CYCLONIC, "cyclonic vorticity"), (ANTICYCLONIC, "anticyclonic")):
        handles.append(Line2D([], [], color=colour, linewidth=7, alpha=0.8))
        labels.append(label)
    if later:
        handles.append(Line2D([], [], color=theme.INK, marker=">", markevery=(1, 1), linewidth=1.1))
        labels.append(f"where it will be in {later.replace('h', ' h')}")
    return {"handles": handles, "labels": labels, "loc": "outside lower center", "ncols": min(len(handles), 6)}


def _later(tables: list[pd.DataFrame]) -> str | None:
    """The suffix of a second place that the objects have, such as 24h."""
    names = [name.removeprefix("latitude_") for name in tables[0].columns if name.startswith("latitude_")]
    return next((name for name in names if f"longitude_{name}" in tables[0]), None)
