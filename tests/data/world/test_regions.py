"""Laws of connected regions and boxes on the globe."""

import numpy as np
import pytest

from toolkit.data.world.regions import box, cell_areas_km2, connected_regions

LATITUDE, LONGITUDE = np.linspace(90, -90, 19), np.arange(36) * 10.0


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    """The regions as sets of cells, whatever their numbers."""
    flat = labels.ravel()
    return {frozenset(np.flatnonzero(flat == number)) for number in np.unique(flat[flat > 0])}


def test_regions_do_not_depend_on_where_longitude_begins() -> None:
    """Turning the globe and back gives the same regions, numbered 1 to n without gaps."""
    mask = np.random.default_rng(0).random((6, 19, 36)) < 0.09
    labels = connected_regions(mask)
    np.testing.assert_array_equal(labels > 0, mask)
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))
    for turn in (1, 7, 18):
        turned = connected_regions(np.roll(mask, turn, -1))
        assert partition(np.roll(turned, -turn, -1)) == partition(labels)


def test_a_region_goes_on_across_the_seam_and_in_time() -> None:
    """What drifts from the last longitude to the first is one region; what reappears after a gap in time is another."""
    mask = np.zeros((5, 19, 36), dtype=bool)
    mask[0, 5, 34] = mask[1, 5, 35] = mask[2, 5, 0] = True
    mask[4, 5, 0] = True
    labels = connected_regions(mask)
    assert labels[0, 5, 34] == labels[1, 5, 35] == labels[2, 5, 0]
    assert labels.max() == 2


def test_nothing_is_no_region() -> None:
    """An empty mask has no regions."""
    assert connected_regions(np.zeros((2, 19, 36), dtype=bool)).max() == 0


@pytest.mark.parametrize(
    ("columns", "west", "east"),
    [([3, 4], 25, 45), ([35, 0, 1], -15, 15), ([17, 18, 19], 165, 195), ([30], -65, -55)],
)
def test_the_box_is_the_narrowest(columns: list[int], west: float, east: float) -> None:
    """The box holds its cells' edges and nothing more, across 0 and 180 degrees."""
    cells = np.zeros((19, 36), dtype=bool)
    cells[4:6, columns] = True
    south, north, western, eastern = box(cells, LATITUDE, LONGITUDE)
    assert (south, north) == (35, 55)
    assert -180 <= western < 180
    assert (western - west) % 360 == 0
    assert eastern - western == east - west


def test_a_belt_is_as_wide_as_the_globe() -> None:
    """A region all round has a box of 360 degrees."""
    cells = np.zeros((19, 36), dtype=bool)
    cells[9] = True
    _, _, western, eastern = box(cells, LATITUDE, LONGITUDE)
    assert eastern - western == 360


def test_the_box_ends_at_the_poles() -> None:
    """A cell at the pole does not reach beyond it."""
    cells = np.zeros((19, 36), dtype=bool)
    cells[0, 3] = True
    assert box(cells, LATITUDE, LONGITUDE)[:2] == (85, 90)


def test_cells_cover_the_globe() -> None:
    """The areas of all cells add up to the area of the Earth, to the grid's accuracy."""
    total = 36 * cell_areas_km2(LATITUDE).sum()
    assert total == pytest.approx(4 * np.pi * 6371**2, rel=0.01)
