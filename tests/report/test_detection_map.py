"""The map of detections."""

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from toolkit.data.regrid import regular_grid
from toolkit.geodesy import distance_km
from toolkit.report import detection_map, maps, theme
from toolkit.report.detection_map import Panel, draw_detections

pytestmark = pytest.mark.slow

LATITUDE, LONGITUDE = regular_grid(2.5)
EVERYWHERE = np.ones((len(LATITUDE), len(LONGITUDE)), bool)
REGION = EVERYWHERE & (np.abs(LATITUDE - 10) <= 30)[:, None] & ((LONGITUDE < 40) | (LONGITUDE >= 340))


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


def panel(latitude: float, longitude: float, probability: float = 0.8, hour: int = 0) -> Panel:
    """A vortex, and the statement that it is there and moves to the west."""
    km = distance_km(LATITUDE[:, None], LONGITUDE, latitude, longitude)
    field = (np.sign(latitude) * 1e-4 * np.exp(-((km / 800) ** 2))).astype(np.float32)
    place = {"latitude": [latitude], "longitude": [longitude], "probability": [probability]}
    later = {"latitude_24h": [latitude + 2], "longitude_24h": [(longitude - 4) % 360]}
    return Panel(np.datetime64(f"2020-08-01T{hour:02d}", "s"), field, pd.DataFrame(place | later))


def colours(axes: Axes) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The picture behind a panel's objects, and where it lies."""
    (picture,) = axes.get_images()
    west, east, south, north = picture.get_extent()
    return np.asarray(picture.get_array()), (west, east, south, north)


def marks(axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """Where a panel's marks are, (n, 2) in degrees east and north, and their areas (n,)."""
    collection = axes.collections[-1]
    assert isinstance(collection, PathCollection)
    return np.asarray(collection.get_offsets(), float), np.asarray(collection.get_sizes())


@pytest.mark.parametrize(("covered", "shape"), [(EVERYWHERE, 2.0), (REGION, 1.6)])
def test_the_map_is_a_picture_of_what_is_covered(
    tmp_path: Path, figures: list[Figure], covered: np.ndarray, shape: float
) -> None:
    """The globe, or a region across Greenwich, is written as PNG with one panel a time, the objects inside."""
    draw_detections(tmp_path / "map.png", [panel(15, 5), panel(-12, 350, hour=6)], covered)
    picture = matplotlib.image.imread(tmp_path / "map.png")
    assert picture.shape[1] == 1800
    assert picture.std() > 0.02
    assert [axes.get_title(loc="left")[:16] for axes in figures[0].axes] == ["2020-08-01 00:00", "2020-08-01 06:00"]
    for axes in figures[0].axes:
        ((x, y),) = marks(axes)[0]
        assert axes.get_xlim()[0] <= x <= axes.get_xlim()[1]
        assert axes.get_ylim()[0] <= y <= axes.get_ylim()[1]
        width, height = np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())
        assert width / height == pytest.approx(shape, rel=0.6)


@pytest.mark.parametrize(("latitude", "longitude"), [(20.0, 130.0), (-20.0, 300.0), (40.0, 10.0)])
def test_a_cyclone_has_the_cyclonic_colour_where_it_is(
    tmp_path: Path, figures: list[Figure], latitude: float, longitude: float
) -> None:
    """On both hemispheres, and across the map's seam, a cyclone lies under its mark in the same colour."""
    draw_detections(tmp_path / "map.png", [panel(latitude, longitude)], EVERYWHERE)
    axes = figures[0].axes[0]
    picture, (west, east, south, north) = colours(axes)
    row, column = np.argwhere(picture[:, 2:-2, 3] == picture[..., 3].max()).mean(0)
    x = west + (column + 2.5) * (east - west) / picture.shape[1]
    y = north - (row + 0.5) * (north - south) / picture.shape[0]
    ((mark_x, mark_y),) = marks(axes)[0]
    assert abs(x - mark_x) < 3
    assert abs(y - mark_y) < 3
    np.testing.assert_allclose(picture[round(row), round(column) + 2, :3], to_rgb(detection_map.CYCLONIC))


def test_marks_grow_with_the_probability(tmp_path: Path, figures: list[Figure]) -> None:
    """The area of a mark is proportional to the probability."""
    draw_detections(tmp_path / "map.png", [panel(20, 130, 0.2), panel(20, 130, 0.8)], EVERYWHERE)
    small, large = (marks(axes)[1][0] for axes in figures[0].axes)
    assert large == pytest.approx(4 * small)


def test_nothing_found_and_missing_fields_are_still_a_map(tmp_path: Path, figures: list[Figure]) -> None:
    """A time without objects, and gaps in the field, are drawn without a warning."""
    empty = panel(20, 130)
    empty.field[:30] = np.nan
    draw_detections(tmp_path / "map.png", [Panel(empty.time, empty.field, empty.objects.iloc[:0])], EVERYWHERE)
    assert "0 objects stated" in figures[0].axes[0].get_title(loc="left")


def test_objects_need_no_later_place_and_no_probability(tmp_path: Path, figures: list[Figure]) -> None:
    """Without a place later there are no arrows, with a missing one there is one arrow less."""
    full = panel(20, 130)
    two = pd.concat([full.objects, full.objects.assign(latitude_24h=np.nan)])
    for objects, arrows in ((two, 1), (full.objects[["latitude", "longitude"]], 0)):
        draw_detections(tmp_path / "map.png", [Panel(full.time, full.field, objects)], EVERYWHERE)
        assert len(figures[-1].axes[0].texts) == arrows
    labels = [text.get_text() for text in figures[-1].legends[0].get_texts()]
    assert not any("24 h" in label for label in labels)


def test_a_kind_has_the_same_colour_on_every_map(tmp_path: Path, figures: list[Figure]) -> None:
    """Its place among what the task can state gives it, not what else is there that day."""
    full = panel(20, 130)
    for kinds in (["heat"], ["cyclone", "heat"]):
        objects = pd.DataFrame({"kind": kinds, "latitude": 20.0, "longitude": 130.0})
        shown = [Panel(full.time, full.field, objects)]
        draw_detections(tmp_path / "map.png", shown, EVERYWHERE, ("front", "cyclone", "heat"))
    heat = to_rgb(theme.kind_colours(("front", "cyclone", "heat"))["heat"])
    for figure in figures:
        (marks,) = figure.axes[0].collections[-1:]
        np.testing.assert_allclose(marks.get_facecolor()[0, :3], heat)
