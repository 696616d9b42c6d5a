"""The report's figures for hurricanes: where storms were found, how the errors grow with intensity, and 24 h ahead."""

from dataclasses import dataclass
from typing import Any

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from tasks.hurricane.scores import CAP_KM, HIT_KM, match
from toolkit.geodesy import displacement_km, longitude_difference
from toolkit.metrics import Metric, Statistic, ratio
from toolkit.report import theme
from toolkit.report.charts import draw_scores
from toolkit.report.figure import Figure, RunTables
from toolkit.report.maps import Box, box_around, draw_ground
from toolkit.stats import bootstrap

CLASSES = (("TD", 0.0), ("TS", 34.0), ("Cat 1–2", 64.0), ("Cat 3+", 96.0))
"""Best-track wind classes and where each begins, kt: depression, tropical storm, Saffir-Simpson categories."""
MEAN = Metric(
    "mean",
    "1",
    "lower",
    "mean of the errors",
    Statistic("errors", lambda _, truth, __: truth),
    lambda s: ratio(s["sum"], s["count"]),
    (0, np.inf),
)
"""The mean of errors, from their sum and count per storm."""
FOUND = f"found (within {HIT_KM:.0f} km)"
ARROWS = 5
RINGS_KM = (50, 100, 200, 300, 400, 500)
"""Distances between rings to choose from: the smallest of which three rings hold nine errors in ten."""


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
    return Outcome(storms, predictions[~predictions.index.isin(own[found])])


def draw_map(tables: RunTables) -> matplotlib.figure.Figure | None:
    """Draw all storms of the test with what was stated about them, and the strongest of them close up."""
    if tables.truth.empty:
        return None
    seen = outcome(tables)
    strongest = _strongest(seen)
    shape = (1.0, 1.8) if theme.is_narrow() else (1.9, 3.2)
    boxes = [_box(seen).shaped(*shape), _box(strongest).shaped(*shape)]
    width = theme.WIDTH_IN["narrow" if theme.is_narrow() else "wide"]
    heights = [width / box.width_to_height for box in boxes]
    figure = matplotlib.figure.Figure(figsize=(width, sum(heights) + 1.3))
    whole, close = figure.subplots(2, 1, height_ratios=heights)
    draw_ground(whole, boxes[0], coastlines=not tables.simulated)
    _draw_storms(whole, boxes[0], seen, size=2.4 if theme.is_narrow() else 3.2)
    whole.set_title("All test storms")
    draw_ground(close, boxes[1], coastlines=not tables.simulated)
    _draw_errors(close, boxes[1], strongest.storms)
    _draw_storms(close, boxes[1], strongest, size=6.0)
    _draw_arrows(close, boxes[1], strongest.storms)
    close.set_title(theme.verbatim(f"The strongest, {strongest.storms['group'].iloc[0]}"))
    figure.legend(*_legend_entries(close), loc="outside lower left", ncols=2 if theme.is_narrow() else 3)
    return figure


def draw_error_by_intensity(tables: RunTables) -> matplotlib.figure.Figure | None:
    """Draw mean centre error and mean intensity error by the best track's wind class, with 95 % intervals."""
    storms = outcome(tables).storms.dropna(subset="wind_kt")
    if storms.empty:
        return None
    figure, (centre, wind) = theme.panels(2, height_in=3.1)
    _draw_by_class(centre, storms, "centre_error_km")
    centre.set_title("Mean centre error, km")
    centre.legend(*_legend_entries(centre))
    _draw_by_class(wind, storms, "wind_error_kt")
    wind.set_title("Mean intensity error, kt")
    return figure


def draw_position_24h(tables: RunTables) -> matplotlib.figure.Figure | None:
    """Draw how far and in which direction the stated 24 h positions are off, and that error by method."""
    storms = outcome(tables).storms
    known = storms.dropna(subset=["latitude_24h", "longitude_24h", "stated_latitude_24h", "stated_longitude_24h"])
    if known.empty:
        return None
    figure, (rose, bars) = theme.panels(2, height_in=3.5)
    east, north = displacement_km(*_pair(known, "", "_24h"), *_pair(known, "stated_", "_24h"))
    km = np.hypot(east, north)
    step = next((step for step in RINGS_KM if (km <= 3 * step).mean() >= 0.9), RINGS_KM[-1])
    reach = 3 * step
    inside = km <= reach
    for ring in (step, 2 * step, reach):
        rose.add_patch(Circle((0, 0), ring, fill=False, color=theme.LINE, linewidth=0.9))
        back = {"facecolor": theme.SURFACE, "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        rose.annotate(f"{ring} km", (0, ring), ha="center", va="center", fontsize=7.5, color=theme.MUTED, bbox=back)
    rose.plot(east[inside], north[inside], "o", color=theme.MODEL, alpha=0.45, markersize=3, markeredgewidth=0)
    rose.plot([0], [0], "+", color=theme.INK, markersize=11)
    rose.plot([east.mean()], [north.mean()], "D", color=theme.SCRATCH, markeredgecolor=theme.SURFACE, label="mean")
    rose.set(xlim=(-reach * 1.1, reach * 1.1), ylim=(-reach * 1.1, reach * 1.15), aspect="equal", xticks=[], yticks=[])
    rose.spines[:].set_visible(False)
    outside = f", {(~inside).sum()} beyond" if (~inside).any() else ""
    rose.set_title(f"Error of the position in 24 h\n{len(known):,} found fixes{outside}")
    rose.legend(loc="lower right")
    if "position_error_24h" in tables.results.metrics:
        draw_scores(bars, tables.results, "position_error_24h")
        bars.set_title("Over all fixes, misses counted")
    else:
        bars.set_visible(False)
    return figure


def _pair(table: pd.DataFrame, before: str, after: str) -> tuple[pd.Series, pd.Series]:
    return table[f"{before}latitude{after}"], table[f"{before}longitude{after}"]


def _legend_entries(axes: Axes) -> tuple[list[Any], list[str]]:
    """Return the handles and labels of a legend, each label once."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    return list(unique.values()), list(unique)


def _draw_by_class(axes: Axes, storms: pd.DataFrame, column: str) -> None:
    """Draw the mean of a column by wind class, over all fixes and over those found."""
    rank = np.digitize(storms["wind_kt"], [lowest for _, lowest in CLASSES]) - 1
    names = []
    for k, (name, _) in enumerate(CLASSES):
        members = storms[rank == k]
        found = members[members["found"]]
        _draw_mean(axes, k - 0.1, members, column, color=theme.MODEL, marker="o", label="all, misses counted")
        _draw_mean(axes, k + 0.1, found, column, color=theme.GOOD, marker="D", label="found ones only")
        share = f"\n{100 * len(found) / len(members):.0f} % found" if len(members) else ""
        names.append(f"{name}\n{len(members):,} fixes{share}")
    axes.set_xticks(range(len(CLASSES)), names)
    axes.set_xlim(-0.5, len(CLASSES) - 0.5)
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")


def _draw_mean(axes: Axes, x: float, rows: pd.DataFrame, column: str, **look: Any) -> None:
    """Draw the mean of a column and its interval, storms resampled whole; nothing without rows."""
    if rows.empty:
        return
    mean = bootstrap(MEAN, [rows.groupby("group")[column].agg(["sum", "count"])])
    axes.plot([x], [mean.value], markersize=6.5, linestyle="none", **look)
    axes.plot([x, x], [mean.low, mean.high], color=look["color"], linewidth=1.6, solid_capstyle="round")


def _strongest(seen: Outcome) -> Outcome:
    """Return the storm with the highest wind by itself, with the false alarms in its windows."""
    highest = seen.storms.sort_values(["wind_kt", "group"], ascending=[False, True], kind="stable")
    storms = seen.storms[seen.storms["group"] == highest["group"].iloc[0]].sort_values("time")
    return Outcome(storms, seen.alarms[seen.alarms["example"].isin(storms["example"])])


def _box(seen: Outcome) -> Box:
    """Return a box around everything that was there or stated."""
    latitude = pd.concat([seen.storms["latitude"], seen.alarms["latitude"]])
    longitude = pd.concat([seen.storms["longitude"], seen.alarms["longitude"]])
    return box_around(latitude, longitude, margin=3.0, least=15.0)


def _draw_storms(axes: Axes, box: Box, seen: Outcome, size: float) -> None:
    """Draw the tracks, the hits where they were stated, the misses where they were, and the false alarms."""
    for _, storm in seen.storms.sort_values("time").groupby("group"):
        track = box.unwrapped(storm["longitude"])
        torn = np.abs(np.diff(track, prepend=track[0])) > 180
        axes.plot(
            np.where(torn, np.nan, track), storm["latitude"], color=theme.MUTED, linewidth=0.8, label="best track"
        )
    hits, misses = seen.storms[seen.storms["found"]], seen.storms[~seen.storms["found"]]
    _mark(axes, box, hits, "stated_", label=FOUND, marker="o", color=theme.MODEL, markersize=size, markeredgewidth=0)
    _mark(axes, box, misses, "", label="missed", marker="x", color=theme.BAD, markersize=size)
    _mark(
        axes, box, seen.alarms, "", label="false alarm", marker="^", color=theme.SCRATCH, markersize=size,
        markerfacecolor="none", markeredgewidth=0.9,
    )  # fmt: skip


def _mark(axes: Axes, box: Box, rows: pd.DataFrame, before: str, **look: Any) -> None:
    latitude, longitude = _pair(rows, before, "")
    axes.plot(box.unwrapped(longitude), latitude, linestyle="none", zorder=2.5, **look)


def _draw_errors(axes: Axes, box: Box, storms: pd.DataFrame) -> None:
    """Draw a thin line from each true centre to the stated one."""
    known = storms[storms["found"]]
    true, stated = box.unwrapped(known["longitude"]), box.unwrapped(known["stated_longitude"])
    axes.plot([true, stated], [known["latitude"], known["stated_latitude"]], color=theme.MODEL, linewidth=0.6)


def _draw_arrows(axes: Axes, box: Box, storms: pd.DataFrame) -> None:
    """Draw the true and the stated way of the next 24 h for a few fixes of a storm."""
    known = storms.dropna(subset=["latitude_24h", "stated_latitude_24h"])
    known = known.iloc[np.unique(np.linspace(0, len(known) - 1, ARROWS).astype(int))] if len(known) else known
    for before, colour, label in (("", theme.INK, "true way in 24 h"), ("stated_", theme.MODEL, "stated way in 24 h")):
        (lat, lon), (lat_24h, lon_24h) = _pair(known, before, ""), _pair(known, before, "_24h")
        axes.quiver(
            box.unwrapped(lon), lat, longitude_difference(lon_24h, lon), lat_24h - lat, color=colour,
            angles="xy", scale_units="xy", scale=1, units="inches", width=0.018, headwidth=6, headlength=7, zorder=3,
        )  # fmt: skip
        axes.plot([], [], color=colour, linewidth=1.3, marker=">", label=label)


FIGURES = (
    Figure(
        "Where the storms were found",
        "Every test storm along its best track. A dot is a prediction within 300 km of its storm, a cross a storm that "
        "was missed, a triangle a prediction without a storm. Below, the strongest storm by itself: thin lines lead "
        "from its true centres to the stated ones, arrows from where it was, or was stated to be, to 24 h later.",
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
