"""How figures look: one palette with a light and a dark side, one style, and two widths.

Figures are drawn in the light colours; the page swaps each for its dark twin where the reader prefers dark. The
categorical colours keep apart for colour-blind eyes and stand beside different markers, never alone.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

LIGHT: Mapping[str, str] = {
    "page": "#f6f8f9",
    "surface": "#ffffff",
    "ink": "#16212c",
    "muted": "#566472",
    "line": "#dbe2e8",
    "land": "#e7e8e0",
    "coast": "#b4b9aa",
    "model": "#0a62a3",
    "scratch": "#ad5510",
    "baseline": "#6b5aa8",
    "good": "#1f7345",
    "bad": "#b5281f",
}
DARK: Mapping[str, str] = {
    "page": "#0e151c",
    "surface": "#151f28",
    "ink": "#e4ebf1",
    "muted": "#9cabb8",
    "line": "#2c3944",
    "land": "#232e32",
    "coast": "#566468",
    "model": "#64b5f0",
    "scratch": "#f0a15a",
    "baseline": "#b3a4ee",
    "good": "#79cc9a",
    "bad": "#ff8f85",
}
INK, MUTED, LINE, SURFACE = LIGHT["ink"], LIGHT["muted"], LIGHT["line"], LIGHT["surface"]
LAND, COAST = LIGHT["land"], LIGHT["coast"]
MODEL, SCRATCH, BASELINE, GOOD, BAD = (LIGHT[role] for role in ("model", "scratch", "baseline", "good", "bad"))
HEADLINE: dict[str, Any] = {"x": 0.008, "ha": "left", "fontsize": 11, "fontweight": "bold"}
"""How the title of a figure of several panels is written."""
KIND_COLOURS = (SCRATCH, MODEL, BASELINE, BAD, GOOD, MUTED)

Width = Literal["wide", "narrow"]
WIDTH_IN: Mapping[Width, float] = {"wide": 9.0, "narrow": 3.7}
_HEIGHT_IN = 3.2

_STYLE: Any = {
    "text.color": INK,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.titlecolor": INK,
    "axes.labelsize": 9,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=[MODEL, SCRATCH, BASELINE, GOOD, BAD, MUTED]),
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",  # the page's own typeface, and text that can be found
    "svg.hashsalt": "report",
}


def kind_colours(kinds: Sequence[str]) -> dict[str, str]:
    """Return a colour for each of some kinds, by their order; after the sixth they come again."""
    return dict(zip(kinds, itertools.cycle(KIND_COLOURS), strict=False))


@contextmanager
def style(width: Width) -> Iterator[None]:
    """Draw under the report's style at one of its widths, whatever the user's own matplotlib settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        mpl.rcParams["figure.figsize"] = (WIDTH_IN[width], _HEIGHT_IN)
        yield


def is_narrow() -> bool:
    """Tell whether the figure is drawn for a phone."""
    return bool(mpl.rcParams["figure.figsize"][0] <= WIDTH_IN["narrow"])


def verbatim(name: str) -> str:
    """Return a name so that matplotlib writes it as it is, dollar signs included."""
    return name.replace("$", r"\$")


def log_values(axes: Axes) -> None:
    """Give the values a logarithmic axis, which says that it is one, after what it is labelled with."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel(", ".join(filter(None, (axes.get_ylabel(), "log scale"))))


def panels(count: int, height_in: float = _HEIGHT_IN) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` axes, each `height_in` high: side by side on a wide page, stacked on a phone."""
    rows, columns = (count, 1) if is_narrow() else (1, count)
    figure = Figure(figsize=(mpl.rcParams["figure.figsize"][0], height_in * rows))
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())
