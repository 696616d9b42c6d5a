"""The picture of what channels of a backbone look for: the windows that excite them most, and the input made to."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from toolkit.feature_view import Channel, Exciting, FeatureView
from toolkit.report import theme
from toolkit.report.detection_map import ANTICYCLONIC, CYCLONIC, DPI, OVER_LAND
from toolkit.report.maps import Box, draw_ground
from toolkit.report.svg import write_png

WIDTH_IN = 12.0
STRONG = 99.5
"""Percentile of the fields that gets the full colour."""
SHADED, LINED = "vorticity", (-4.0, -2.0, 2.0, 4.0)
"""The variable that is shaded where it is there, and where the next one has its lines, in standard deviations."""
_RED, _BLUE = to_rgb(CYCLONIC), to_rgb(ANTICYCLONIC)
_STOPS = ((0.0, (*_BLUE, 1.0)), (0.5, (*_BLUE, 0.0)), (0.5, (*_RED, 0.0)), (1.0, (*_RED, 1.0)))
DIVERGING = LinearSegmentedColormap.from_list("turning", list(_STOPS)).with_extremes(bad=theme.LINE)
"""The colours of the map of detections: positive red, negative blue, the stronger the less transparent."""


def draw_channels(path: Path, view: FeatureView, coastlines: bool) -> None:
    """Write as PNG, for each channel, its strongest windows and below them every plane of the input made for it.

    Fields are in standard deviations of their variable. Windows of the south are shown turned over, as the backbone
    sees them, under the signs that it sees.
    """
    with theme.style("narrow"):
        figure = Figure(figsize=(WIDTH_IN, 4.7 * len(view.channels) + 0.3))
        parts = figure.subfigures(len(view.channels), 1, squeeze=False)[:, 0]
        for part, channel in zip(parts, view.channels, strict=True):
            above, below = part.subfigures(2, 1, height_ratios=(1.05, 1))
            _draw_strongest(above, view, channel, coastlines)
            _draw_image(below, view, channel)
        _save(figure, path, view)


def draw_sheet(path: Path, view: FeatureView, coastlines: bool) -> None:
    """Write as PNG a line per channel: the last frame of the input made for it, then its strongest windows."""
    across = 1 + max(len(channel.strongest) for channel in view.channels)
    shaded = _shaded(view)
    limit = _limit([window.fields[-1, shaded] for channel in view.channels for window in channel.strongest])
    made_limit = _limit([channel.image[-1, shaded] for channel in view.channels])
    with theme.style("narrow"):
        figure = Figure(figsize=(WIDTH_IN, 2.0 * len(view.channels) + 0.6))
        figure.suptitle(f"{_headline(view)}: the most selective channels", **theme.HEADLINE)
        lines = figure.subplots(len(view.channels), across, squeeze=False)
        for (made, *real), channel in zip(lines, view.channels, strict=True):
            _draw_made(made, view, channel.image[-1, shaded], made_limit)
            made.set_ylabel(f"channel {channel.number}", color=theme.INK, fontsize=10, fontweight="bold")
            _name(made, f"made for it\n{_sigmas(channel, channel.after)}", 7.5)
            for axes, window in zip(real, channel.strongest, strict=False):
                _draw_window(axes, view, window, limit, coastlines)
                axes.tick_params(labelbottom=False, labelleft=False, length=0)
                _name(axes, f"{_day(window)}\n{_place(window)}   {_sigmas(channel, window.activation)}", 7.5)
            for axes in real[len(channel.strongest) :]:
                axes.set_axis_off()
        _save(figure, path, view, f", in full colour at {limit:.1f} standard deviations, {made_limit:.1f} where made")


def _save(figure: Figure, path: Path, view: FeatureView, scale: str = "") -> None:
    """Write the figure, with what its signs mean below it."""
    names, other = view.spec.variables, _other(view)
    lines = f"lines: {names[other]} at 2 and 4, dashed where negative; " if other >= 0 else ""
    said = (
        f"Shaded: {names[_shaded(view)]}{scale}; {lines}grey: missing; framed: the token that answers.\n"
        "σ: activation above its mean, in its standard deviations. Windows of the south are turned over, "
        "with the signs that the backbone sees."
    )
    figure.supxlabel(theme.verbatim(said), x=0.008, ha="left", fontsize=8, color=theme.MUTED)
    write_png(figure, path, DPI, trimmed=False)


def _draw_strongest(part: SubFigure, view: FeatureView, channel: Channel, coastlines: bool) -> None:
    """Draw the windows that excite a channel most, side by side on one scale."""
    said = f"{_headline(view)}, channel {channel.number}: what excites it most among {view.windows} windows"
    part.suptitle(said, **theme.HEADLINE)
    shaded = _shaded(view)
    limit = _limit([window.fields[-1, shaded] for window in channel.strongest])
    panels = part.subplots(1, len(channel.strongest), squeeze=False)[0]
    for axes, window in zip(panels, channel.strongest, strict=True):
        _draw_window(axes, view, window, limit, coastlines)
        axes.tick_params(labelsize=7, length=2, pad=2)
        _name(axes, f"{_day(window)}\n{_place(window)}   {_sigmas(channel, window.activation)}", 8)
    _colour_bar(part, list(panels), limit, f"{view.spec.variables[shaded]}, std. dev.")


def _draw_image(part: SubFigure, view: FeatureView, channel: Channel) -> None:
    """Draw every plane of the input that was made for a channel on one scale, and how often it answers how strongly."""
    spec, limit = view.spec, _limit([channel.image])
    degrees = _degrees(channel.latitude, "NS")
    part.suptitle(f"The input made to excite it most, centred at {degrees}", **theme.HEADLINE | {"fontsize": 10})
    count = len(spec.frames) * len(spec.variables)
    *panels, answers = part.subplots(1, count + 1, width_ratios=[1.0] * count + [1.55], squeeze=False)[0]
    for k, axes in enumerate(panels):
        frame, variable = divmod(k, len(spec.variables))
        _draw_made(axes, view, channel.image[frame, variable], limit)
        _name(axes, f"{spec.variables[variable]}, {_hours(spec.frames[frame])}", 8.5)
    _colour_bar(part, panels, limit, "std. dev.")
    _draw_answers(answers, channel)


def _draw_answers(axes: Axes, channel: Channel) -> None:
    """Draw how many tokens answer how strongly, and where the windows shown and the input made for it lie."""
    scale = max(channel.deviation, 1e-12)
    edges = (channel.edges - channel.mean) / scale
    axes.stairs(np.maximum(channel.counts, 0.5), edges, fill=True, color=theme.LINE, baseline=0.5)
    axes.set_yscale("log")
    axes.set_ylim(0.5, channel.counts.max() * 12)
    shown = [(window.activation - channel.mean) / scale for window in channel.strongest]
    made = (channel.after - channel.mean) / scale
    height = 1.2 * channel.counts.max()
    axes.plot(shown, [1.0] * len(shown), "|", color=theme.MODEL, markersize=9)
    axes.annotate("windows", (shown[0], 2.5), color=theme.MODEL, ha="center", fontsize=8)
    axes.axvline(made, color=theme.SCRATCH, linewidth=1.4)
    axes.annotate(
        f"made: {made:+.1f} σ", (made, height), (-4, 0), textcoords="offset points", ha="right", fontsize=8,
        color=theme.SCRATCH,
    )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.tick_params(labelsize=7, length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("activation, σ", fontsize=8)
    _name(axes, "how many tokens answer how strongly", 8.5)


def _draw_window(axes: Axes, view: FeatureView, window: Exciting, limit: float, coastlines: bool) -> None:
    """Draw the last frame of a window as the backbone sees it, and a frame around the token."""
    upright = window.fields[-1][:, ::-1] if window.mirrored else window.fields[-1]
    (h, w), (rows, columns), (row, column) = upright.shape[1:], view.grid, window.token
    south, north = sorted((window.rows[0], window.rows[-1]))
    tall, wide = (north - south) / (h - 1), (window.columns[-1] - window.columns[0]) / (w - 1)
    box = Box(south - tall / 2, north + tall / 2, window.columns[0] - wide / 2, window.columns[-1] + wide / 2)
    draw_ground(axes, box, coastlines)
    extent = (box.west, box.east, box.south, box.north)
    axes.imshow(upright[_shaded(view)], extent=extent, zorder=OVER_LAND, **_look(limit))
    if (other := _other(view)) >= 0:
        axes.contour(
            window.columns, np.linspace(north, south, h), upright[other], levels=LINED, colors=[theme.INK],
            linewidths=0.45, negative_linestyles="dashed", zorder=2.2,
        )  # fmt: skip
    down = rows - 1 - row if window.mirrored else row
    corner = (box.west + column * w * wide / columns, box.north - (down + 1) * h * tall / rows)
    _frame(axes, corner, w * wide / columns, h * tall / rows)
    axes.set_xlim(box.west, box.east)
    axes.set_ylim(*((box.north, box.south) if window.mirrored else (box.south, box.north)))
    axes.set_aspect("equal")
    axes.grid(visible=False)


def _draw_made(axes: Axes, view: FeatureView, plane: NDArray[np.float32], limit: float) -> None:
    """Draw a plane of a made input, and a frame around its middle token."""
    (h, w), (rows, columns) = plane.shape, view.grid
    axes.imshow(plane, **_look(limit))
    _frame(axes, (columns // 2 * w / columns - 0.5, rows // 2 * h / rows - 0.5), w / columns, h / rows)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right"]].set_visible(True)


def _frame(axes: Axes, corner: tuple[float, float], width: float, height: float) -> None:
    frame = Rectangle(corner, width, height, fill=False, edgecolor=theme.INK, linewidth=1.2, zorder=4)
    frame.set_path_effects([withStroke(linewidth=2.8, foreground=theme.SURFACE)])
    axes.add_patch(frame)


def _look(limit: float) -> dict[str, Any]:
    return {"cmap": DIVERGING, "norm": Normalize(-limit, limit), "interpolation": "bilinear", "aspect": "equal"}


def _colour_bar(part: SubFigure, panels: list[Axes], limit: float, said: str) -> None:
    bar = part.colorbar(
        ScalarMappable(Normalize(-limit, limit), DIVERGING), ax=panels, fraction=0.02, pad=0.01, shrink=0.8
    )
    bar.outline.set_edgecolor(theme.LINE)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label(theme.verbatim(said), fontsize=8)


def _headline(view: FeatureView) -> str:
    return theme.verbatim(f"{view.backbone}, {view.layer}")


def _name(axes: Axes, said: str, size: float) -> None:
    axes.set_title(theme.verbatim(said), fontsize=size, fontweight="normal", pad=4)


def _shaded(view: FeatureView) -> int:
    """Which variable is shaded."""
    return view.spec.variables.index(SHADED) if SHADED in view.spec.variables else 0


def _other(view: FeatureView) -> int:
    """Which variable is drawn as lines; -1 where there is but one."""
    return (_shaded(view) + 1) % len(view.spec.variables) if len(view.spec.variables) > 1 else -1


def _limit(fields: list[NDArray[np.float32]]) -> float:
    """The value that gets the full colour."""
    known = np.abs(np.stack(fields))
    return float(np.percentile(known[np.isfinite(known)], STRONG)) if np.isfinite(known).any() else 1.0


def _sigmas(channel: Channel, activation: float) -> str:
    return f"{(activation - channel.mean) / max(channel.deviation, 1e-12):+.1f} σ"


def _day(window: Exciting) -> str:
    return f"{np.datetime_as_string(window.time, 'm').replace('T', ' ')} UTC"


def _place(window: Exciting) -> str:
    return f"{_degrees(window.latitude, 'NS')} {_degrees((window.longitude + 180) % 360 - 180, 'EW')}"


def _degrees(value: float, sides: str) -> str:
    return f"{abs(value):.1f}°{sides[0] if value >= 0 else sides[1]}"


def _hours(hours: int) -> str:
    return f"{hours:+d} h".replace("-", "−") if hours else "0 h"
