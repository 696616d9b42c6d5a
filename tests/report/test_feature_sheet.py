"""The picture of what channels look for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from toolkit.backbones.features import FeatureSpec
from toolkit.feature_view import Channel, Exciting, FeatureView
from toolkit.report import maps
from toolkit.report.feature_sheet import DIVERGING, draw_channels, draw_sheet

pytestmark = pytest.mark.slow

SPEC = FeatureSpec(("divergence", "vorticity"), ("s-1", "s-1"), (-6, 0), 2.0, 4, 16)
SIDE = 32


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Draw without the mask of the land, which takes seconds to unpack, and keep the figures."""
    kept: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(maps, "_draw_land", lambda *_: None)

    def keep(figure: Figure, *args: Any, **named: Any) -> None:
        kept.append(figure)
        save(figure, *args, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def exciting(mirrored: bool = False, token: tuple[int, int] = (2, 5)) -> Exciting:
    """A window across the date line with a vortex at a token, in the north or in the south."""
    y, x = (4 * t + 1.5 for t in token)
    vortex = np.exp(-((np.arange(SIDE)[:, None] - y) ** 2 + (np.arange(SIDE) - x) ** 2) / 8)
    fields = np.zeros((2, 2, SIDE, SIDE), np.float32)
    fields[:, 1] = 8 * vortex
    rows = 2.0 * np.arange(SIDE) - 70 if mirrored else 70 - 2.0 * np.arange(SIDE)
    columns = 150.0 + 2 * np.arange(SIDE)
    latitude, longitude = (axis[4 * t : 4 * t + 4].mean() for axis, t in zip((rows, columns), token, strict=True))
    time = np.datetime64("2020-08-03T06", "s")
    return Exciting(3.0, time, float(latitude), float(longitude), token, mirrored, fields, rows, columns)


def view(*strongest: Exciting, channels: int = 1, spec: FeatureSpec = SPEC) -> FeatureView:
    """A view of some channels, all alike."""
    shape = (len(spec.frames), len(spec.variables), SIDE, SIDE)
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    counts, edges = np.histogram(np.random.default_rng(1).normal(size=5000), 60)
    one = Channel(7, 0.0, 1.0, 2.0, counts, edges.astype(np.float32), strongest, image, 20.0, 0.1, 9.0)
    return FeatureView("toy$", spec, "blocks.1", (8, 8), 300, tuple([one] * channels))


def panels(figure: Figure) -> list[Axes]:
    """The axes that show a field."""
    return [axes for axes in figure.axes if axes.get_images() and axes.get_images()[0].cmap.name == DIVERGING.name]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("token", [(0, 0), (2, 5), (7, 3)])
def test_the_frame_is_around_what_excites(
    tmp_path: Path, figures: list[Figure], mirrored: bool, token: tuple[int, int]
) -> None:
    """On both hemispheres and across the date line the vortex lies in the frame, and the frame where the token is."""
    window = exciting(mirrored, token)
    draw_channels(tmp_path / "a.png", view(window), coastlines=True)
    axes = panels(figures[0])[0]
    (frame,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    centre = frame.get_x() + frame.get_width() / 2, frame.get_y() + frame.get_height() / 2
    assert centre == pytest.approx((window.longitude, window.latitude))
    picture = axes.get_images()[0]
    west, east, south, north = picture.get_extent()
    row, column = np.unravel_index(np.argmax(picture.get_array()), (SIDE, SIDE))
    assert abs(west + (column + 0.5) * (east - west) / SIDE - centre[0]) <= 2
    assert abs(north - (row + 0.5) * (north - south) / SIDE - centre[1]) <= 2
    bottom, top = axes.get_ylim()
    assert (bottom < top) != mirrored
    assert "2020-08-03 06:00 UTC" in axes.get_title(loc="left")
    assert "+3.0 σ" in axes.get_title(loc="left")


def test_colours_are_symmetric_about_zero(tmp_path: Path, figures: list[Figure]) -> None:
    """Every panel has limits of the same size on both sides; zero is transparent, the ends are red and blue."""
    draw_channels(tmp_path / "a.png", view(exciting(), exciting(True)), coastlines=False)
    for axes in panels(figures[0]):
        norm = axes.get_images()[0].norm
        assert norm.vmin == -norm.vmax
    negative, zero, positive = DIVERGING([0.0, 0.5, 1.0])
    assert zero[3] == pytest.approx(0, abs=0.02)
    assert negative[2] > negative[0]
    assert positive[0] > positive[2]


def test_every_plane_of_what_was_made_has_a_panel(tmp_path: Path, figures: list[Figure]) -> None:
    """Each channel has its windows and one panel per variable and frame, named; the latitude is stated."""
    draw_channels(tmp_path / "a.png", view(exciting(), exciting(True), channels=2), coastlines=False)
    titles = [axes.get_title(loc="left") for axes in panels(figures[0])]
    assert len(titles) == 2 * (2 + 4)
    assert titles[2:6] == ["divergence, −6 h", "vorticity, −6 h", "divergence, 0 h", "vorticity, 0 h"]
    said = [part._suptitle.get_text() for whole in figures[0].subfigs for part in whole.subfigs]
    assert said[0] == r"toy\$, blocks.1, channel 7: what excites it most among 300 windows"
    assert "20.0°N" in said[1]
    assert matplotlib.image.imread(tmp_path / "a.png").shape[1] == 1800


def test_a_sheet_has_a_line_per_channel(tmp_path: Path, figures: list[Figure]) -> None:
    """A line is what was made and the windows; a channel with fewer windows leaves room, none is cut off."""
    many = view(exciting(), exciting(True), channels=2)
    few = replace(many.channels[1], strongest=many.channels[1].strongest[:1])
    draw_sheet(tmp_path / "a.png", replace(many, channels=(many.channels[0], few)), coastlines=False)
    assert len(panels(figures[0])) == 3 + 2
    assert [axes.get_ylabel() for axes in panels(figures[0])] == ["channel 7", "", "", "channel 7", ""]


def test_one_variable_and_gaps_are_drawn_too(tmp_path: Path, figures: list[Figure]) -> None:
    """A backbone of one variable that is not vorticity has no lines; missing values are no warning."""
    spec = replace(SPEC, variables=("temperature",), units=("K",), frames=(0,))
    window = exciting()
    window.fields[:, :, :5] = np.nan
    draw_channels(tmp_path / "a.png", view(replace(window, fields=window.fields[1:, 1:]), spec=spec), coastlines=False)
    assert [axes.get_title(loc="left") for axes in panels(figures[0])][1:] == ["temperature, 0 h"]
    assert "lines" not in figures[0]._supxlabel.get_text()
    draw_sheet(tmp_path / "b.png", view(window), coastlines=False)
