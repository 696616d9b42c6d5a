"""The ground of maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.report import theme
from toolkit.report.maps import Box, box_around, draw_ground

LONGITUDES = st.lists(st.floats(-180, 360), min_size=1, max_size=12)


@given(LONGITUDES, st.lists(st.floats(-70, 70), min_size=1, max_size=12))
def test_a_box_holds_its_points_without_a_seam_among_them(longitude: list[float], latitude: list[float]) -> None:
    """Every point is inside, whatever turn its longitude was given in."""
    count = min(len(longitude), len(latitude))
    box = box_around(latitude[:count], longitude[:count], margin=2.0)
    x = box.unwrapped(longitude[:count])
    assert np.all((x >= box.west - 1e-9) & (x <= box.east + 1e-9))
    assert min(latitude[:count]) >= box.south
    assert max(latitude[:count]) <= box.north
    assert 0 <= box.west < 360
    assert box.east - box.west <= 360 + 1e-9


def test_the_seam_lies_where_nothing_is() -> None:
    """Points on both sides of the date line, or of Greenwich, lie side by side."""
    assert box_around([10, 12], [179, -179], margin=1.0) == Box(9, 13, 178, 182)
    box = box_around([10, 12], [359, 1], margin=1.0)
    assert (box.west, box.east) == (358, 362)


def test_a_lone_point_gets_room() -> None:
    """The least extent holds in both directions."""
    assert box_around([10], [20], margin=1.0, least=8.0) == Box(6, 14, 16, 24)


@given(st.floats(1, 40), st.floats(1, 300), st.floats(0.5, 1.0))
def test_a_shaped_box_holds_the_box_it_came_from(height: float, width: float, narrowest: float) -> None:
    """It only grows, and keeps its middle while it does not meet a pole or the full circle."""
    box = Box(0.0, height, 30.0, 30.0 + width)
    shaped = box.shaped(narrowest, 2.0)
    assert shaped.east - shaped.west >= width - 1e-9
    assert shaped.north - shaped.south >= height - 1e-9
    assert (shaped.west + shaped.east) / 2 % 360 == pytest.approx((60 + width) / 2 % 360)


def test_a_shaped_box_has_the_shape_asked_for() -> None:
    """Near the equator, where a degree is a degree, the ratio is met."""
    assert Box(-5, 5, 0, 100).shaped(1.0, 2.0).width_to_height == pytest.approx(2.0)
    assert Box(-20, 20, 0, 4).shaped(1.0, 2.0).width_to_height == pytest.approx(1.0)


def test_a_simulated_world_has_no_coast() -> None:
    """Without coastlines the ground is an empty frame with degrees beside it."""
    with theme.style("wide"):
        figure, (axes,) = theme.panels(1)
        draw_ground(axes, Box(-10, 40, 170, 240), coastlines=False)
        figure.draw_without_rendering()
    assert not axes.collections
    assert [label.get_text() for label in axes.get_xticklabels()][1:4] == ["170°E", "180°", "170°W"]
    assert "0°" in [label.get_text() for label in axes.get_yticklabels()]


@pytest.mark.slow
def test_the_real_world_has_its_coasts() -> None:
    """Land fills Florida and leaves the sea east of it open, across the seam of the mask as well."""
    with theme.style("narrow"):
        _, (axes,) = theme.panels(1)
        draw_ground(axes, Box(20, 40, 270, 300), coastlines=True)
    land = axes.collections[0].get_paths()[0]
    assert land.contains_point((278.5, 28.0))
    assert not land.contains_point((290.0, 30.0))
