"""The map of a run's objects: all of them with what was stated about them, and the strongest close up."""

from typing import Any

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from toolkit.geodesy import longitude_difference
from toolkit.report import theme
from toolkit.report.figure import RunTables
from toolkit.report.maps import Box, box_around, draw_ground
from toolkit.report.objects import STATED, Outcome, Shown, legend_entries, outcome, places

ARROWS = 5


def draw_objects_map(tables: RunTables, shown: Shown) -> matplotlib.figure.Figure | None:
    """Draw all objects of the test with what was stated about them, and the strongest of them close up."""
    if tables.truth.empty:
        return None
    seen = outcome(tables, shown)
    strongest = _strongest(seen, shown)
    shape = (1.0, 1.8) if theme.is_narrow() else (1.9, 3.2)
    boxes = [_box(seen).shaped(*shape), _box(strongest).shaped(*shape)]
    width = theme.WIDTH_IN["narrow" if theme.is_narrow() else "wide"]
    heights = [width / box.width_to_height for box in boxes]
    figure = matplotlib.figure.Figure(figsize=(width, sum(heights) + 1.3))
    whole, close = figure.subplots(2, 1, height_ratios=heights)
    draw_ground(whole, boxes[0], coastlines=not tables.simulated)
    _draw_objects(whole, boxes[0], seen, shown, size=2.4 if theme.is_narrow() else 3.2)
    whole.set_title(theme.verbatim(f"All test {shown.objects.many}"))
    draw_ground(close, boxes[1], coastlines=not tables.simulated)
    _draw_errors(close, boxes[1], strongest.objects)
    _draw_objects(close, boxes[1], strongest, shown, size=6.0)
    _draw_arrows(close, boxes[1], strongest.objects, shown)
    close.set_title(theme.verbatim(f"The strongest, {strongest.objects['group'].iloc[0]}"))
    figure.legend(*legend_entries(close), loc="outside lower left", ncols=2 if theme.is_narrow() else 3)
    return figure


def _strongest(seen: Outcome, shown: Shown) -> Outcome:
    """Return the group with the highest strength by itself, with the false alarms in its windows."""
    highest = seen.objects.sort_values([shown.strength, "group"], ascending=[False, True], kind="stable")
    objects = seen.objects[seen.objects["group"] == highest["group"].iloc[0]].sort_values("time")
    return Outcome(objects, seen.alarms[seen.alarms["example"].isin(objects["example"])])


def _box(seen: Outcome) -> Box:
    """Return a box around everything that was there or stated."""
    latitude, longitude = (pd.concat(pair) for pair in zip(places(seen.objects), places(seen.alarms), strict=True))
    return box_around(latitude, longitude, margin=3.0, least=15.0)


def _draw_objects(axes: Axes, box: Box, seen: Outcome, shown: Shown, size: float) -> None:
    """Draw the tracks, the hits where they were stated, the misses where they were, and the false alarms."""
    for _, rows in seen.objects.sort_values("time").groupby("group"):
        track = box.unwrapped(rows["longitude"])
        torn = np.abs(np.diff(track, prepend=track[0])) > 180
        axes.plot(np.where(torn, np.nan, track), rows["latitude"], color=theme.MUTED, linewidth=0.8, label=shown.track)
    hits, misses = seen.objects[seen.objects["found"]], seen.objects[~seen.objects["found"]]
    found = f"found (within {shown.objects.hit_km:.0f} km)"
    _mark(axes, box, hits, STATED, label=found, marker="o", color=theme.MODEL, markersize=size, markeredgewidth=0)
    _mark(axes, box, misses, "", label="missed", marker="x", color=theme.BAD, markersize=size)
    _mark(
        axes, box, seen.alarms, "", label="false alarm", marker="^", color=theme.SCRATCH, markersize=size,
        markerfacecolor="none", markeredgewidth=0.9,
    )  # fmt: skip


def _mark(axes: Axes, box: Box, rows: pd.DataFrame, before: str, **look: Any) -> None:
    latitude, longitude = places(rows, before)
    axes.plot(box.unwrapped(longitude), latitude, linestyle="none", zorder=2.5, **look)


def _draw_errors(axes: Axes, box: Box, objects: pd.DataFrame) -> None:
    """Draw a thin line from each true centre to the stated one."""
    known = objects[objects["found"]]
    true, stated = box.unwrapped(known["longitude"]), box.unwrapped(known["stated_longitude"])
    axes.plot([true, stated], [known["latitude"], known["stated_latitude"]], color=theme.MODEL, linewidth=0.6)


def _draw_arrows(axes: Axes, box: Box, objects: pd.DataFrame, shown: Shown) -> None:
    """Draw the true and the stated way of the next hours for a few rows of a group."""
    known = objects.dropna(subset=[f"latitude{shown.later}", f"{STATED}latitude{shown.later}"])
    known = known.iloc[np.unique(np.linspace(0, len(known) - 1, ARROWS).astype(int))] if len(known) else known
    for before, colour, whose in (("", theme.INK, "true"), (STATED, theme.MODEL, "stated")):
        (lat, lon), (later_lat, later_lon) = places(known, before), places(known, before, shown.later)
        axes.quiver(
            box.unwrapped(lon), lat, longitude_difference(later_lon, lon), later_lat - lat, color=colour,
            angles="xy", scale_units="xy", scale=1, units="inches", width=0.018, headwidth=6, headlength=7, zorder=3,
        )  # fmt: skip
        label = f"{whose} way in {shown.ahead_h} h"
        axes.plot([], [], color=colour, linewidth=1.3, marker=">", label=label)
