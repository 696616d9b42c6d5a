from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.data.normalise import Normalisation
from toolkit.data.regrid import regular_grid
from toolkit.data.store import Store
from toolkit.data.stream import channels_of
from toolkit.data.windows import Windows, to_degrees, to_pixels
from toolkit.errors import UserError
from toolkit.geodesy import KM_PER_DEGREE
from toolkit.stitch import covering, stitched, with_data

LATITUDE, LONGITUDE = regular_grid(1.40625)
GRID, SIZE = (129, 256), (32, 32)
EVERYWHERE = np.ones(GRID, bool)
APART_KM = 300.0


@pytest.fixture(scope="module")
def store() -> Store:
    """A store without values on the grid of 129 x 256 points."""
    channels = channels_of(Normalisation(("vorticity",), ("s-1",), (0.0,), (2e-5,)))
    values = np.empty((0, 1, *GRID), np.float16)
    time = np.empty(0, "datetime64[s]")
    return Store(Path("memory"), values, time, LATITUDE, LONGITUDE, channels, True, "")


def seen(store: Store, windows: Windows, objects: list[tuple[float, float, float]]) -> pd.DataFrame:
    """What windows that miss nothing state of objects (latitude, longitude, probability)."""
    rows = []
    for latitude, longitude, probability in objects:
        every = np.arange(len(windows))
        y, x = to_pixels(store, windows, every, np.full(len(every), latitude), np.full(len(every), longitude))
        inside = (y >= 1) & (y <= SIZE[0] - 2) & (x >= 1) & (x <= SIZE[1] - 2)
        rows += [(example, latitude, longitude, probability) for example in np.flatnonzero(inside)]
    return pd.DataFrame(rows, columns=["example", "latitude", "longitude", "probability"])


@pytest.mark.parametrize(
    ("grid", "size"),
    [(GRID, SIZE), ((25, 48), (8, 8)), ((25, 48), (8, 16)), ((121, 240), (32, 32)), ((26, 50), (8, 8))],
)
def test_every_point_is_in_the_middle_of_a_window(grid: tuple[int, int], size: tuple[int, int]) -> None:
    """Away from the poles each point lies in the middle half of a window, and at the poles in some window."""
    windows = covering(grid, size)
    rows, columns = np.arange(grid[0]), np.arange(grid[1])
    down = np.abs(rows[:, None] - (windows.row + (size[0] - 1) / 2))
    along = np.abs((columns[:, None] - windows.column - (size[1] - 1) / 2 + grid[1] / 2) % grid[1] - grid[1] / 2)
    middle = (down[:, None] <= size[0] / 4) & (along <= size[1] / 4)
    assert middle[size[0] // 4 : -size[0] // 4].any(-1).all()
    assert ((down[:, None] < size[0] / 2) & (along <= size[1] / 4)).any(-1).all()
    assert windows.row.min() == 0
    assert windows.row.max() == grid[0] - size[0]


@pytest.mark.parametrize("grid", [GRID, (128, 256)])
def test_windows_lie_symmetrically_about_the_equator(grid: tuple[int, int]) -> None:
    """Each window has its mirror image, one of the two is mirrored, and that is the one centred to the south."""
    windows = covering(grid, SIZE)
    north = {(r, c) for r, c, m in zip(windows.row, windows.column, windows.mirrored, strict=True) if not m}
    south = {
        (grid[0] - SIZE[0] - r, c) for r, c, m in zip(windows.row, windows.column, windows.mirrored, strict=True) if m
    }
    assert north == south
    centre = windows.row + (SIZE[0] - 1) / 2 - (grid[0] - 1) / 2
    assert (centre[~windows.mirrored] <= 0).all()
    assert (centre[windows.mirrored] >= 0).all()


def test_a_window_larger_than_the_grid_is_refused() -> None:
    """A window that does not fit is named with the grid."""
    with pytest.raises(UserError, match="32 x 32 pixels does not fit on a grid of 19 x 36"):
        covering((19, 36), SIZE)


def test_windows_with_nothing_to_see_are_left_out() -> None:
    """Only windows that hold a known point count, across the seam too."""
    windows = covering(GRID, SIZE)
    known = np.zeros(GRID, bool)
    assert with_data(windows, known).size == 0
    known[60, 0] = True
    shown = with_data(windows, known)
    assert sorted({*windows.column[shown].tolist()}) == [0, 240]
    assert with_data(windows, EVERYWHERE).size == len(windows)


def test_each_object_is_stated_once(store: Store) -> None:
    """Objects anywhere, seen by all windows around them, come out once each, at their places."""
    rng = np.random.default_rng(0)
    objects = [(lat, float(rng.uniform(0, 360)), float(rng.uniform(0.3, 1))) for lat in np.linspace(-87, 87, 30)]
    windows = covering(GRID, SIZE)
    out = stitched(store, windows, seen(store, windows, objects), EVERYWHERE, APART_KM)
    assert out[["latitude", "longitude", "probability"]].apply(tuple, axis=1).tolist() == sorted(
        objects, key=lambda o: -o[2]
    )


def test_the_order_of_windows_does_not_matter(store: Store) -> None:
    """Windows and their statements in any order give the same detections."""
    rng = np.random.default_rng(1)
    windows = covering(GRID, SIZE)
    lat, lon, probability = rng.uniform(-70, 70, 60), rng.uniform(0, 360, 60), rng.uniform(0, 1, 60)
    table = seen(store, windows, list(zip(lat, lon, probability, strict=True)))
    table["latitude"] += rng.normal(0, 0.4, len(table))
    table["probability"] = rng.uniform(0, 1, len(table))
    straight = stitched(store, windows, table, EVERYWHERE, APART_KM)
    order = rng.permutation(len(windows))
    parts = (windows.time[order], windows.row[order], windows.column[order], windows.mirrored[order])
    renamed = table.assign(example=np.argsort(order)[table["example"]]).sample(frac=1, random_state=2)
    shuffled = stitched(store, Windows(*parts, SIZE), renamed, EVERYWHERE, APART_KM)
    pd.testing.assert_frame_equal(straight.drop(columns="example"), shuffled.drop(columns="example"))


def test_a_window_is_trusted_where_it_is_central(store: Store) -> None:
    """An object that only a window at whose edge it lies claims to see is left out."""
    windows = covering(GRID, SIZE)
    table = seen(store, windows, [(30.0, 100.0, 0.9)])
    y, x = to_pixels(store, windows, table["example"].to_numpy(), table["latitude"], table["longitude"])
    off = np.maximum(np.abs(y - 15.5), np.abs(x - 15.5))
    assert len(table) > 3
    assert stitched(store, windows, table[off == off.max()], EVERYWHERE, APART_KM).empty
    assert len(stitched(store, windows, table[off == off.min()], EVERYWHERE, APART_KM)) == 1


def test_a_storm_south_of_the_equator_needs_a_mirrored_window(store: Store) -> None:
    """At 10 degrees south the window that sees it turn the wrong way does not count."""
    windows = covering(GRID, SIZE)
    table = seen(store, windows, [(-10.0, 100.0, 0.9)])
    wrong = ~windows.mirrored[table["example"]]
    assert wrong.any()
    assert stitched(store, windows, table[wrong], EVERYWHERE, APART_KM).empty
    assert len(stitched(store, windows, table[~wrong], EVERYWHERE, APART_KM)) == 1


def test_the_more_probable_of_two_windows_is_kept(store: Store) -> None:
    """At the border of two windows their statements of one object are merged; those 400 km apart are two objects."""
    windows = covering(GRID, SIZE)
    border = LONGITUDE[23] + 0.7
    table = seen(store, windows, [(20.0, border, 0.6)])
    counts = stitched(store, windows, table, EVERYWHERE, APART_KM)
    assert len(counts) == 1
    table.loc[:, "probability"] = np.linspace(0.5, 0.8, len(table))
    best = stitched(store, windows, table, EVERYWHERE, APART_KM)
    assert best["probability"][0] > 0.5
    two = pd.concat([table, table.assign(latitude=20.0 + 400 / KM_PER_DEGREE)])
    assert len(stitched(store, windows, two, EVERYWHERE, APART_KM)) == 2


def test_two_objects_of_one_window_stay_two(store: Store) -> None:
    """What one window tells apart is not merged, however near."""
    windows = covering(GRID, SIZE)
    table = seen(store, windows, [(30.0, 100.0, 0.9), (32.0, 100.0, 0.8)])
    one = table[table["example"] == stitched(store, windows, table, EVERYWHERE, APART_KM)["example"][0]]
    assert len(stitched(store, windows, one, EVERYWHERE, APART_KM)) == 2


def test_nothing_is_stated_outside_the_region(store: Store) -> None:
    """Objects where there are no data are left out."""
    windows, covered = covering(GRID, SIZE), np.zeros(GRID, bool)
    covered[:, 100:] = True
    table = seen(store, windows, [(30.0, LONGITUDE[90], 0.9), (30.0, LONGITUDE[110], 0.8)])
    assert stitched(store, windows, table, covered, APART_KM)["probability"].tolist() == [0.8]


def test_without_a_probability_the_most_central_counts(store: Store) -> None:
    """A task that states no probability has its doubles merged too."""
    windows = covering(GRID, SIZE)
    table = seen(store, windows, [(20.0, LONGITUDE[23] + 0.7, 0.6), (-40.0, 10.0, 0.5)]).drop(columns="probability")
    out = stitched(store, windows, table, EVERYWHERE, APART_KM)
    assert sorted(out["latitude"]) == [-40.0, 20.0]
    assert list(out) == ["example", "latitude", "longitude"]


@pytest.mark.slow
@pytest.mark.parametrize("grid", [(65, 128), (64, 128), (25, 48)])
def test_each_place_is_stated_by_one_window(grid: tuple[int, int]) -> None:
    """Of a task that says something of every pixel each point of the grid comes once, the poles and the equator too."""
    size = (16, 16) if grid[0] > 30 else (8, 8)
    step = 180 / grid[0] if grid[0] % 2 == 0 else 180 / (grid[0] - 1)
    latitude = 90 - step * (np.arange(grid[0]) + (grid[0] % 2 == 0) / 2)
    longitude = np.arange(grid[1]) * 360 / grid[1]
    values = np.empty((0, 0, *grid), np.float16)
    store = Store(Path("memory"), values, np.empty(0, "datetime64[s]"), latitude, longitude, (), True, "")
    windows = covering(grid, size)
    example, row, column = (index.ravel() for index in np.indices((len(windows), *size)))
    places = to_degrees(store, windows, example, row, column)
    table = pd.DataFrame({"example": example, "latitude": places[0], "longitude": places[1]})
    out = stitched(store, windows, table, np.ones(grid, bool), 0.0)
    counted = out.groupby([out["latitude"].round(6), out["longitude"].round(6) % 360]).size()
    assert len(counted) == grid[0] * grid[1]
    assert (counted == 1).all()


def test_nothing_found_is_an_empty_table(store: Store) -> None:
    """No statement at all keeps its columns."""
    windows = covering(GRID, SIZE)
    empty = seen(store, windows, [(0.0, 0.0, 0.5)]).iloc[:0]
    out = stitched(store, windows, empty, EVERYWHERE, APART_KM)
    assert out.empty
    assert list(out) == ["example", "latitude", "longitude", "probability"]
