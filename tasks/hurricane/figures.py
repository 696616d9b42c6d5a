"""The report's figures for hurricanes: where storms were found, how the errors grow with intensity, and 24 h ahead."""

from dataclasses import dataclass

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from tasks.hurricane.scores import CAP_KM, HIT_KM, match
from toolkit.geodesy import displacement_km, distance_km, longitude_difference
from toolkit.report import theme
from toolkit.report.charts import draw_scores
from toolkit.report.figure import Figure, RunTables
from toolkit.report.maps import Box, box_around, draw_ground
from toolkit.stats import LEVEL, group_weights

CLASSES = (("TD", 0.0), ("TS", 34.0), ("Cat 1–2", 64.0), ("Cat 3+", 96.0))
"""Best-track wind classes and where each begins, kt: depression, tropical storm, Saffir-Simpson categories."""
ARROWS = 6
RINGS_KM = (200, 400, 600)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of every storm and every prediction, by the matching of `tasks.hurricane.scores`.

    `storms`: the rows of the truth with `found` (a prediction within 300 km), the own prediction's columns with the
    prefix `stated_` (NaN where not found), centre_error_km (at most 1000) and wind_error_kt (0 kt stated where not
    found). `alarms`: the predictions that are no storm's hit.
    """

    storms: pd.DataFrame
    alarms: pd.DataFrame


def outcome(tables: RunTables) -> Outcome:
    """Match the run's predictions with its storms."""
    truth, predictions = tables.truth.reset_index(drop=True), tables.predictions.reset_index(drop=True)
    own, km = match(predictions, truth)
    found = km <= HIT_KM
    stated = predictions.reindex(np.where(found, own, -1)).reset_index(drop=True).add_prefix("stated_")
    storms = pd.concat([truth, stated], axis=1).assign(found=found, centre_error_km=np.fmin(km, CAP_KM))
    storms["wind_error_kt"] = (storms["stated_wind_kt"].fillna(0.0) - storms["wind_kt"]).abs()
    return Outcome(storms, predictions.drop(index=own[found]))


def draw_map(tables: RunTables) -> matplotlib.figure.Figure | None:
    """Draw all storms of the test with what was stated about them, and one storm with its surroundings close up."""
    if tables.truth.empty:
        return None
    seen = outcome(tables)
    places = pd.concat([seen.storms[["latitude", "longitude"]], seen.alarms[["latitude", "longitude"]]])
    shape = (1.0, 1.8) if theme.is_narrow() else (1.9, 3.2)
    whole = box_around(places["latitude"], places["longitude"], margin=4.0, least=20.0).shaped(*shape)
    close = _busiest(seen).shaped(*shape)
    width = theme.WIDTH_IN["narrow" if theme.is_narrow() else "wide"]
    heights = [width / box.width_to_height for box in (whole, close)]
    figure = matplotlib.figure.Figure(figsize=(width, sum(heights) + 1.3))
    top, bottom = figure.subplots(2, 1, height_ratios=heights)
    _draw_storms(top, whole, seen, tables, size=9.0)
    top.set_title("All test storms")
    _draw_storms(bottom, close, seen, tables, size=26.0)
    _draw_arrows(bottom, close, seen.storms)
    bottom.set_title("Close up, with where each storm goes in 24 h")
    handles, labels = bottom.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    columns = 2 if theme.is_narrow() else 3
    figure.legend(list(unique.values()), list(unique), loc="outside lower left", ncols=columns)
    return figure


def draw_error_by_intensity(tables: RunTables) -> matplotlib.figure.Figure | None:
    """Draw mean centre error and mean intensity error by the best track's wind class, with 95 % intervals."""
    storms = outcome(tables).storms.dropna(subset="wind_kt")
    if storms.empty:
        return None
    figure, panels = theme.panels(2, height_in=3.1)
    edges = [low for _, low in CLASSES] + [np.inf]
    rank = np.digitize(storms["wind_kt"], edges) - 1
    for axes, column, title in (
        (panels[0], "centre_error_km", "Mean centre error, km"),
        (panels[1], "wind_error_kt", "Mean intensity error, kt"),
    ):
        for k in range(len(CLASSES)):
            members = storms[rank == k]
            _draw_mean(axes, k - 0.1, members, column, theme.MODEL, "o", "all, misses counted")
            _draw_mean(axes, k + 0.1, members[members["found"]], column, theme.GOOD, "D", "found ones only")
        counts = [(rank == k).sum() for k in range(len(CLASSES))]
        found = [storms["found"][rank == k].mean() if n else np.nan for k, n in enumerate(counts)]
        labels = [
            f"{name}\n{n} fixes" + (f"\n{100 * hit:.0f} % found" if n else "")
            for (name, _), n, hit in zip(CLASSES, counts, found, strict=True)
        ]
        axes.set_xticks(range(len(CLASSES)), labels)
        axes.set_xlim(-0.5, len(CLASSES) - 0.5)
        axes.set_ylim(bottom=0)
        axes.grid(visible=False, axis="x")
        axes.set_title(title)
    handles, labels = panels[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    panels[0].legend(list(unique.values()), list(unique))
    return figure


def draw_position_24h(tables: RunTables) -> matplotlib.figure.Figure | None:
    """Draw how far and in which direction the stated 24 h positions are off, and that error by method."""
    storms = outcome(tables).storms
    known = storms.dropna(subset=["latitude_24h", "longitude_24h", "stated_latitude_24h", "stated_longitude_24h"])
    if known.empty:
        return None
    figure, (rose, bars) = theme.panels(2, height_in=3.5)
    east, north = displacement_km(*_pair(known, "", "_24h"), *_pair(known, "stated_", "_24h"))
    reach = max(RINGS_KM)
    inside = np.hypot(east, north) <= reach
    for ring in RINGS_KM:
        rose.add_patch(Circle((0, 0), ring, fill=False, color=theme.LINE, linewidth=0.9))
        back = {"facecolor": theme.SURFACE, "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        rose.annotate(f"{ring} km", (0, ring), ha="center", va="center", fontsize=7.5, color=theme.MUTED, bbox=back)
    rose.scatter(east[inside], north[inside], s=9, color=theme.MODEL, alpha=0.45, linewidth=0)
    rose.plot([0], [0], "+", color=theme.INK, markersize=11)
    rose.plot([east.mean()], [north.mean()], "D", color=theme.SCRATCH, markeredgecolor=theme.SURFACE, label="mean")
    rose.set(xlim=(-reach * 1.1, reach * 1.1), ylim=(-reach * 1.1, reach * 1.15), aspect="equal", xticks=[], yticks=[])
    rose.spines[:].set_visible(False)
    outside = f", {(~inside).sum()} beyond" if (~inside).any() else ""
    rose.set_title(f"Error of the position in 24 h\n{len(known)} found fixes{outside}")
    rose.legend(loc="lower right")
    if "position_error_24h" in tables.results.metrics:
        draw_scores(bars, tables.results, "position_error_24h")
        bars.set_title("Over all fixes, misses counted")
    else:
        bars.set_visible(False)
    return figure


def _pair(table: pd.DataFrame, before: str, after: str) -> tuple[pd.Series, pd.Series]:
    return table[f"{before}latitude{after}"], table[f"{before}longitude{after}"]


def _draw_mean(axes: Axes, x: float, rows: pd.DataFrame, column: str, colour: str, marker: str, label: str) -> None:
    """Draw the mean of a column and its interval, storms resampled whole; nothing without rows."""
    if rows.empty:
        return
    sums = rows.groupby("group")[column].agg(["sum", "count"]).to_numpy(float)
    axes.plot([x], [rows[column].mean()], marker, color=colour, markersize=6.5, label=label)
    if len(sums) > 1:
        totals = group_weights(len(sums), draws=2000, seed=0) @ sums
        low, high = np.quantile(totals[:, 0] / totals[:, 1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        axes.plot([x, x], [low, high], color=colour, linewidth=1.6, solid_capstyle="round")


def _draw_storms(axes: Axes, box: Box, seen: Outcome, tables: RunTables, size: float) -> None:
    """Draw the tracks, the hits where they were stated, the misses where they were, and the false alarms."""
    draw_ground(axes, box, coastlines=not tables.simulated)
    for _, storm in seen.storms.sort_values("time").groupby("group"):
        longitude = box.unwrapped(storm["longitude"])
        torn = np.abs(np.diff(longitude, prepend=longitude[0])) > 180
        axes.plot(
            np.where(torn, np.nan, longitude), storm["latitude"], color=theme.MUTED, linewidth=0.8, alpha=0.8,
            label="best track",
        )  # fmt: skip
    hits, misses = seen.storms[seen.storms["found"]], seen.storms[~seen.storms["found"]]
    for rows, before, marker, label, look in (
        (hits, "stated_", "o", f"found (within {HIT_KM:.0f} km)", {"color": theme.MODEL, "alpha": 0.75, "linewidth": 0}),
        (misses, "", "x", "missed", {"color": theme.BAD, "linewidth": 1.1}),
        (seen.alarms, "", "^", "false alarm", {"facecolor": "none", "edgecolor": theme.SCRATCH, "linewidth": 0.9}),
    ):
        latitude, longitude = _pair(rows, before, "")
        axes.scatter(box.unwrapped(longitude), latitude, s=size, marker=marker, label=label, **look)


def _draw_arrows(axes: Axes, box: Box, storms: pd.DataFrame) -> None:
    """Draw the true and the stated way of the next 24 h for a few fixes, spread over the box."""
    known = storms.dropna(subset=["latitude_24h", "stated_latitude_24h"])
    x = box.unwrapped(known["longitude"])
    known = known[(x > box.west) & (x < box.east) & known["latitude"].between(box.south, box.north)]
    known = known.iloc[np.unique(np.linspace(0, len(known) - 1, ARROWS).round().astype(int))] if len(known) else known
    for before, colour, label in (("", theme.INK, "true way in 24 h"), ("stated_", theme.MODEL, "stated way in 24 h")):
        (lat, lon), (lat_24h, lon_24h) = _pair(known, before, ""), _pair(known, before, "_24h")
        axes.quiver(
            box.unwrapped(lon), lat, longitude_difference(lon_24h, lon), lat_24h - lat, color=colour,
            angles="xy", scale_units="xy", scale=1, units="dots", width=1.4, headwidth=6, headlength=7, zorder=3,
        )  # fmt: skip
        axes.plot([], [], color=colour, linewidth=1.4, marker=">", label=label)


def _busiest(seen: Outcome) -> Box:
    """Return a box around the storm with the most fixes, at least 24 degrees wide and high."""
    most = seen.storms["group"].value_counts(sort=False).sort_index().idxmax()
    storm = seen.storms[seen.storms["group"] == most]
    return box_around(storm["latitude"], storm["longitude"], margin=4.0, least=24.0)


FIGURES = (
    Figure(
        "Where the storms were found",
        "Every test storm along its best track. A dot is a prediction within 300 km of its storm, a cross a storm that "
        "was missed, a triangle a prediction without a storm. Below, the surroundings of the storm with the most fixes.",
        draw_map,
    ),
    Figure(
        "Errors by intensity",
        "Means over best-track fixes by wind class: tropical depression (TD, under 34 kt), tropical storm (TS, 34 to "
        "63 kt), categories 1 and 2 (64 to 95 kt), category 3 and above. Circles count a miss as 1,000 km and as 0 kt, "
        "as the scores do; diamonds leave misses out. Bars are 95 % intervals over storms.",
        draw_error_by_intensity,
    ),
    Figure(
        "Where each storm will be in 24 h",
        "How far the stated position in 24 h lies from the true one, north up: a cloud around the cross has no bias. "
        "Beside it, the mean distance for every method; a storm that was missed counts 1,000 km.",
        draw_position_24h,
    ),
)
"""The figures of the hurricane task, in the order of the page."""
