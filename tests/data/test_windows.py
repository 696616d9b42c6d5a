from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.data.store_write import write_store
from toolkit.data.windows import Windows, frames_at, read_windows, to_degrees, to_pixels, window_at, window_latitudes
from toolkit.errors import UserError

NAMES = ("vorticity", "divergence", "pressure")
ODD = np.array([-1, 1, 1], np.float32)[:, None, None]
TIMES, ROWS, COLUMNS = 6, 19, 36


def make_store(folder: Path, columns: int = COLUMNS, latitude: np.ndarray | None = None) -> Store:
    """A store on a 10-degree grid, six-hourly, random; the offsets of its first and last channel are not 0."""
    rng = np.random.default_rng(0)
    latitude = np.linspace(90, -90, ROWS) if latitude is None else latitude
    shape = (TIMES, len(latitude), columns)
    size, centre = (2e-5, 3e-5, 900.0), (1e-3, 1e-6, 101_000.0)
    dimensions = ("time", "latitude", "longitude")
    values = {
        name: (dimensions, (rng.standard_normal(shape) * s + m).astype(np.float32), {"units": u})
        for name, s, m, u in zip(NAMES, size, centre, ("s-1", "s-1", "Pa"), strict=True)
    }
    time = np.datetime64("2020-08-01T00", "ns") + np.arange(TIMES) * np.timedelta64(6, "h")
    coordinates = {"time": time, "latitude": latitude, "longitude": np.arange(columns) * 10.0}
    return write_store(xr.Dataset(values, coords=coordinates), folder / "store", NAMES)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The global store."""
    return make_store(tmp_path_factory.mktemp("global"))


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of 300 degrees of longitude, which does not wrap."""
    return make_store(tmp_path_factory.mktemp("region"), columns=30)


def windows(store: Store, n: int = 40, size: tuple[int, int] = (5, 8)) -> Windows:
    """Random windows of two frames that may wrap, be mirrored, or lack the first frame."""
    rng = np.random.default_rng(1)
    columns = len(store.longitude) - (0 if store.wraps else size[1])
    return Windows(
        time=np.stack([rng.integers(-1, TIMES, n), rng.integers(0, TIMES, n)], axis=1),
        row=rng.integers(0, ROWS - size[0] + 1, n),
        column=rng.integers(0, columns, n),
        mirrored=rng.random(n) < 0.5,
        size=size,
    )


def everything(store: Store) -> np.ndarray:
    """All the store's values as normalised float32 (t, c, h, w), by the plain way."""
    return store.normalisation.apply(np.stack([store.frame(i) for i in range(len(store.time))]))


def test_a_window_equals_the_slice_of_the_array(store: Store) -> None:
    """A window inside the grid is the normalised array between its corners."""
    inside = Windows(np.array([[2, 3]]), np.array([4]), np.array([7]), np.array([False]), (5, 8))
    got = read_windows(store, inside, np.array([0]))
    assert got.dtype == np.float32
    assert got.shape == (1, 2, 3, 5, 8)
    np.testing.assert_allclose(got[0], everything(store)[2:4, :, 4:9, 7:15], atol=2e-5)


def test_windows_equal_rolled_reflected_slices(store: Store) -> None:
    """Wrapping equals numpy.roll, mirroring equals reversed rows with odd variables negated, -1 equals NaN."""
    physical = np.stack([store.frame(i) for i in range(TIMES)])
    some = windows(store)
    index = np.random.default_rng(2).permutation(len(some))
    got = read_windows(store, some, index)
    assert (some.column > COLUMNS - 8).any()
    assert (some.time < 0).any()
    for out, i in zip(got, index, strict=True):
        for frame, time in zip(out, some.time[i], strict=True):
            wanted = np.roll(physical[time], -some.column[i], axis=-1)[:, some.row[i] : some.row[i] + 5, :8]
            if some.mirrored[i]:
                wanted = wanted[:, ::-1] * ODD
            if time < 0:
                wanted = np.full_like(wanted, np.nan)
            np.testing.assert_allclose(frame, store.normalisation.apply(wanted), atol=2e-5)


def test_mirroring_twice_is_the_identity(store: Store) -> None:
    """The reflection of a mirrored window, in physical values, is the window that is not mirrored."""
    plain = windows(store)
    plain = Windows(plain.time, plain.row, plain.column, np.zeros(len(plain), bool), plain.size)
    mirrored = Windows(plain.time, plain.row, plain.column, np.ones(len(plain), bool), plain.size)
    index = np.arange(len(plain))
    physical = Normalisation(NAMES, store.normalisation.units, (0.0,) * 3, (1.0,) * 3)
    once = read_windows(store, mirrored, index, physical)
    np.testing.assert_array_equal(once[..., ::-1, :] * ODD, read_windows(store, plain, index, physical))


def test_a_field_that_mirrors_itself_reads_alike_on_both_sides(tmp_path: Path) -> None:
    """Cyclones placed alike on both hemispheres (vorticity odd in latitude) look the same at both."""
    latitude, longitude = np.linspace(90, -90, ROWS), np.arange(COLUMNS) * 10.0
    bump = np.exp(-(((np.abs(latitude)[:, None] - 30) / 15) ** 2) - ((longitude - 100) / 20) ** 2)
    values = np.stack([bump * np.sign(latitude)[:, None]] * TIMES) * 1e-4
    source = xr.Dataset(
        {"vorticity": (("time", "latitude", "longitude"), values, {"units": "s-1"})},
        coords={"time": np.arange(TIMES).astype("datetime64[h]"), "latitude": latitude, "longitude": longitude},
    )
    twin = write_store(source.astype(np.float32), tmp_path / "store", ("vorticity",))
    pair = window_at(twin, twin.time[[0, 0]], [20.0, -20.0], [100.0, 100.0], (5, 7))
    north, south = read_windows(twin, pair, np.arange(2))
    np.testing.assert_allclose(north, south, atol=1e-5)
    np.testing.assert_array_equal(
        window_latitudes(twin, pair, np.array([0])), window_latitudes(twin, pair, np.array([1]))
    )


def test_a_model_gets_its_own_channels_and_statistics(store: Store) -> None:
    """A given normalisation chooses channels, their order and their statistics."""
    some, index = windows(store), np.arange(10)
    normalisation = Normalisation(("pressure", "vorticity"), ("Pa", "s-1"), (100_000.0, 1e-5), (500.0, 1e-5))
    physical = store.normalisation.invert(read_windows(store, some, index))
    np.testing.assert_allclose(
        read_windows(store, some, index, normalisation), normalisation.apply(physical[:, :, [2, 0]]), atol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "units", "message"),
    [("vortcity", "s-1", "Did you mean 'vorticity'"), ("vorticity", "h-1", "'vorticity' is in 's-1' .* for 'h-1'")],
)
def test_a_model_for_other_data_is_refused(store: Store, name: str, units: str, message: str) -> None:
    """A channel that the store lacks, or has in other units, is named."""
    with pytest.raises(UserError, match=message):
        read_windows(store, windows(store), np.arange(2), Normalisation((name,), (units,), (0.0,), (1.0,)))


def test_window_at_is_centred_to_half_a_pixel(store: Store) -> None:
    """Away from the poles the point lies within half a pixel of the window's middle, across Greenwich too."""
    rng = np.random.default_rng(3)
    latitude, longitude = rng.uniform(-60, 60, 200), rng.uniform(-180, 360, 200)
    for size in ((5, 8), (6, 7)):
        at = window_at(store, np.full(200, store.time[0]), latitude, longitude, size)
        y, x = to_pixels(store, at, np.arange(200), latitude, longitude)
        assert np.abs(y - (size[0] - 1) / 2).max() <= 0.5 + 1e-9
        assert np.abs(x - (size[1] - 1) / 2).max() <= 0.5 + 1e-9
        np.testing.assert_array_equal(at.mirrored, (store.latitude[at.row] + store.latitude[at.row + size[0] - 1]) < 0)


def test_window_at_stays_on_the_grid(store: Store, region: Store) -> None:
    """Rows stop at the poles; columns of a region stop at its edges, and elsewhere follow the point."""
    at = window_at(store, np.full(2, store.time[0]), [89.0, -89.0], [0.0, 0.0], (5, 8))
    assert at.row.tolist() == [0, ROWS - 5]
    assert at.column.tolist() == [COLUMNS - 3, COLUMNS - 3]
    at = window_at(region, np.full(4, region.time[0]), [0.0] * 4, [2.0, 289.0, 150.0, 250.0], (5, 8))
    assert at.column.tolist() == [0, 22, 12, 22]
    assert np.isfinite(read_windows(region, at, np.arange(4))).all()


def test_frames_are_found_by_their_hours(store: Store) -> None:
    """Each frame is the index of exactly that time, and -1 where the store has no such time."""
    time = store.time[[2, 5, 0]].astype("M8[ns]")
    time[2] += np.timedelta64(1, "h")
    found = frames_at(store, time, (-6, 0, 6, 24, -1))
    assert found.tolist() == [[1, 2, 3, -1, -1], [4, 5, -1, -1, -1], [-1, -1, -1, -1, 0]]


def test_window_at_finds_frames_by_time(store: Store) -> None:
    """Frames are exact times; one before, after or between the store's is -1."""
    time = np.array(["2020-08-01T00", "2020-08-01T12", "2020-08-02T06", "2020-08-01T01"], "datetime64[h]")
    at = window_at(store, time, np.zeros(4), np.zeros(4), (5, 8), frames=(-6, 0, 6))
    assert at.time.tolist() == [[-1, 0, 1], [1, 2, 3], [4, 5, -1], [-1, -1, -1]]
    assert len(at) == 4


def test_a_window_larger_than_the_grid_is_refused(store: Store) -> None:
    """A window that cannot fit names both sizes."""
    with pytest.raises(UserError, match="64 x 64 pixels does not fit on a grid of 19 x 36"):
        window_at(store, store.time[:1], [0.0], [0.0], (64, 64))


@pytest.mark.parametrize("name", ["store", "region"])
@given(data=st.data())
def test_degrees_and_pixels_are_inverse(request: pytest.FixtureRequest, name: str, data: st.DataObject) -> None:
    """Degrees to pixels and back is the identity, and so is pixels to degrees and back."""
    grid = request.getfixturevalue(name)
    some = windows(grid)
    index = np.array(data.draw(st.lists(st.integers(0, len(some) - 1), min_size=1, max_size=5)))
    latitude = np.array([[data.draw(st.floats(-90, 90)) for _ in range(3)] for _ in index])
    longitude = np.array([[data.draw(st.floats(0, 359.9)) for _ in range(3)] for _ in index])
    back = to_degrees(grid, some, index, *to_pixels(grid, some, index, latitude, longitude))
    np.testing.assert_allclose(back[0], latitude, atol=1e-9)
    np.testing.assert_allclose((back[1] - longitude + 180) % 360 - 180, 0, atol=1e-9)
    y, x = latitude / 18, longitude / 36
    again = to_pixels(grid, some, index, *to_degrees(grid, some, index, y, x))
    np.testing.assert_allclose(again[0], y, atol=1e-9)
    np.testing.assert_allclose(again[1], x, atol=1e-9)


def test_degrees_stop_short_of_a_whole_turn(store: Store) -> None:
    """A pixel less than rounding west of Greenwich is at longitude 0 and not at 360."""
    at = Windows(np.zeros((1, 1), int), np.array([2]), np.array([0]), np.array([False]), (5, 8))
    _, longitude = to_degrees(store, at, np.array([0]), np.zeros((1, 3)), np.array([[-1e-18, 0, 1]]))
    assert longitude.tolist() == [[0, 0, 10]]


def test_pixels_point_at_the_values_they_show(store: Store) -> None:
    """The degrees of an integer pixel are those of the grid point whose value the window has there."""
    some, index = windows(store), np.arange(40)
    got = store.normalisation.invert(read_windows(store, some, index))[:, 1, 1]
    y, x = np.meshgrid(np.arange(5.0), np.arange(8.0), indexing="ij")
    shape = (40, 5, 8)
    latitude, longitude = to_degrees(store, some, index, np.broadcast_to(y, shape), np.broadcast_to(x, shape))
    source = xr.DataArray(
        np.stack([store.frame(i)[1] for i in range(TIMES)]),
        coords={"time": range(TIMES), "latitude": store.latitude, "longitude": store.longitude},
    )
    for i in index:
        picked = source[some.time[i, 1]].sel(
            latitude=xr.DataArray(latitude[i]), longitude=xr.DataArray(longitude[i]), method="nearest"
        )
        np.testing.assert_allclose(got[i], picked, rtol=1e-4, atol=1e-10)


def test_a_gaussian_grid_is_followed_row_by_row(tmp_path: Path) -> None:
    """On rows that are not quite even, the degrees of a row are its own, not those of an even grid."""
    gaussian = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(32)[0]))[::-1]
    grid = make_store(tmp_path, latitude=gaussian)
    at = window_at(grid, grid.time[:1], [70.0], [10.0], (8, 8))
    latitude, _ = to_degrees(grid, at, np.array([0]), np.arange(8.0)[None], np.zeros((1, 8)))
    np.testing.assert_allclose(latitude[0], gaussian[at.row[0] : at.row[0] + 8], atol=1e-12)


def test_window_latitudes_are_those_of_the_picture(store: Store) -> None:
    """Rows go from north to south as the picture shows them: of a mirrored window, away from the reflected pole."""
    both = Windows(np.zeros((2, 1), int), np.array([2, 12]), np.zeros(2, int), np.array([False, True]), (5, 8))
    assert window_latitudes(store, both, np.array([0, 1])).tolist() == [[70, 60, 50, 40, 30], [70, 60, 50, 40, 30]]
