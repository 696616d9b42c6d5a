from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray

from toolkit.data.store import Store
from toolkit.data.store_write import write_store
from toolkit.geodesy import displaced, displacement_km, distance_km
from toolkit.pretexts.tracking import COLUMNS, coherent_vortices, followed, found_vortices

LATITUDE, LONGITUDE = np.linspace(90, -90, 129), np.arange(256) * 1.40625
FRAMES = 16
EAST, NORTH = 5.0, 2.0
"""Wind (m s-1) that carries every vortex."""

Place = tuple[float, float]


def place_at(start: Place, frame: float) -> Place:
    """Where the wind has carried a vortex after some frames."""
    poleward = NORTH if start[0] > 0 else -NORTH
    lat, lon = displaced(*start, EAST * 21.6 * frame, poleward * 21.6 * frame)
    return float(lat), float(lon)


def bump(place: Place) -> NDArray:
    """A round bump of height 1 and 250 km."""
    lat, lon = np.meshgrid(LATITUDE, LONGITUDE, indexing="ij")
    return np.exp(-((distance_km(lat, lon, *place) / 250) ** 2) / 2)


def stored(folder: Path, vortices: list[tuple[Place, range]], noise: float = 0.0) -> Store:
    """A store of cyclonic vortices (start, frames at which they are there), converging, in a uniform wind."""
    shape = (FRAMES, len(LATITUDE), len(LONGITUDE))
    rng = np.random.default_rng(0)
    vorticity, convergence = (noise * size * rng.standard_normal(shape) for size in (2e-5, 4e-6))
    for start, frames in vortices:
        for frame in frames:
            shape_now = bump(place_at(start, frame))
            vorticity[frame] += np.sign(start[0]) * 1.2e-4 * shape_now
            convergence[frame] += 1e-5 * shape_now
    poleward = np.broadcast_to(np.sign(LATITUDE)[:, None] * NORTH, shape)
    eastward = np.broadcast_to(EAST + 1e-3 * np.sin(np.radians(LONGITUDE)), shape)
    fields = {
        "vorticity": (vorticity, "s-1"),
        "divergence": (-convergence, "s-1"),
        "eastward_wind": (eastward, "m s-1"),
        "northward_wind": (poleward, "m s-1"),
    }
    time = np.datetime64("2020-08-01", "ns") + np.arange(FRAMES) * np.timedelta64(6, "h")
    data = {
        name: (("time", "latitude", "longitude"), values.astype(np.float32), {"units": units})
        for name, (values, units) in fields.items()
    }
    coordinates = {"time": time, "latitude": LATITUDE, "longitude": LONGITUDE}
    return write_store(xr.Dataset(data, coords=coordinates), folder / "store", tuple(data))


def table(store: Store) -> pd.DataFrame:
    """The coherent vortices of a store by column."""
    return pd.DataFrame(coherent_vortices(store), columns=COLUMNS)


def near(rows: pd.DataFrame, start: Place) -> pd.DataFrame:
    """The rows of one vortex."""
    places = np.array([place_at(start, frame) for frame in rows["time"]])
    return rows[distance_km(rows["latitude"], rows["longitude"], *places.T) < 500]


def test_vortices_are_followed_in_both_hemispheres(tmp_path: Path) -> None:
    """Places are right to 15 km and displacements to 20 km, also across the date line and in the south."""
    starts = [(15.0, 100.0), (-20.0, 355.0), (35.0, 200.0)]
    found = table(stored(tmp_path, [(start, range(FRAMES)) for start in starts]))
    assert len(found) == len(starts) * FRAMES
    for start in starts:
        own = near(found, start)
        assert own["time"].tolist() == list(range(FRAMES))
        places = np.array([place_at(start, frame) for frame in own["time"]])
        assert distance_km(own["latitude"], own["longitude"], *places.T).max() < 15
        moved = own.dropna(subset="east")
        assert moved["time"].tolist() == list(range(FRAMES - 4))
        later = np.array([place_at(start, frame + 4) for frame in moved["time"]])
        expected = np.stack(displacement_km(*places[: FRAMES - 4].T, *later.T), 1)
        np.testing.assert_allclose(moved[["east", "north"]], expected, atol=20)


def test_anticyclones_and_fleeting_vortices_are_left_out(tmp_path: Path) -> None:
    """What turns the other way, and what is there for less than a day, is no coherent vortex."""
    store = stored(tmp_path, [((20.0, 60.0), range(5, 9)), ((20.0, 180.0), range(3, 8))])
    found = table(store)
    assert near(found, (20.0, 60.0)).empty
    assert near(found, (20.0, 180.0))["time"].tolist() == [3, 4, 5, 6, 7]
    values = store.values.copy()
    values[:, 0] *= -1
    assert table(replace(store, values=values)).empty


def test_the_end_of_a_vortex_is_told(tmp_path: Path) -> None:
    """It lives on where it is still there a day later; what cannot be known at the end of the frames is NaN."""
    found = table(stored(tmp_path, [((20.0, 60.0), range(10)), ((20.0, 180.0), range(FRAMES))]))
    short, long = near(found, (20.0, 60.0)), near(found, (20.0, 180.0))
    assert short["lives_on"].tolist() == [1.0] * 6 + [0.0] * 4
    assert short["east"].notna().tolist() == [True] * 6 + [False] * 4
    assert long["lives_on"].tolist()[:12] == [1.0] * 12
    assert long["lives_on"][-4:].isna().all()


def test_means_count_nothing_before_and_after_the_life(tmp_path: Path) -> None:
    """Half way between birth and death of a short life, the mean over the two days around is diluted by their share."""
    store = stored(tmp_path, [((20.0, 60.0), range(4, 11)), ((20.0, 180.0), range(FRAMES))])
    found = table(store)
    short, long = near(found, (20.0, 60.0)), near(found, (20.0, 180.0))
    at = 7
    for name in ("vorticity", "convergence"):
        ratio = short.set_index("time")[name][at] / long.set_index("time")[name][at]
        assert ratio == pytest.approx(7 / 9, rel=0.02)
    deviation = store.channels[0].standard_deviation
    least, most = 0.5 * 1.2e-4 / deviation, 1.2e-4 / deviation  # smoothing lowers the summit
    assert long["vorticity"].between(least, most).all()
    assert (long["convergence"] > 0).all()


def test_a_vortex_lost_in_one_frame_is_found_again(tmp_path: Path) -> None:
    """A gap over two frames is filled from the frames beside, one without the vortex is stepped over."""
    lost = [frame for frame in range(FRAMES) if frame != 7]
    store = stored(tmp_path, [((20.0, 60.0), range(FRAMES))])
    values = store.values.copy()
    values[7, 0] = 0
    found = near(table(replace(store, values=values)), (20.0, 60.0))
    assert found["time"].tolist() == list(range(FRAMES))
    seen = pd.concat([found_vortices(replace(store, values=values), np.arange(FRAMES), k) for k in range(FRAMES)])
    assert seen["position"].tolist() == lost
    assert len(set(followed(seen.reset_index(drop=True)))) == 1


def test_noise_hardly_moves_a_followed_vortex(tmp_path: Path) -> None:
    """Under white errors the smoothed track is nearer the truth than the single maxima it is made from."""
    start = (20.0, 60.0)
    store = stored(tmp_path, [(start, range(FRAMES))], noise=1.5)
    own = near(table(store), start)
    assert len(own) == FRAMES
    truth = np.array([place_at(start, frame) for frame in range(FRAMES)])
    smoothed = distance_km(own["latitude"], own["longitude"], *truth.T).mean()
    single = pd.concat([found_vortices(store, np.arange(FRAMES), k) for k in range(FRAMES)], ignore_index=True)
    away = distance_km(single["latitude"], single["longitude"], *truth[single["position"]].T)
    nearest = pd.Series(away).groupby(single["position"]).min().mean()
    assert smoothed < nearest


def test_a_vortex_in_the_last_row_is_found_there(tmp_path: Path) -> None:
    """Beyond the row there is nothing to tell its place by: it is not looked for on the other side of the grid."""
    store = stored(tmp_path, [((30.0, 180.0), range(1))])
    for rows in (slice(43, 80), slice(0, 44)):
        part = replace(store, latitude=store.latitude[rows], values=store.values[:, :, rows])
        found = found_vortices(part, np.array([0]), 0)
        assert found["latitude"].tolist() == pytest.approx([store.latitude[43]], abs=0.75)


def test_no_vortices_is_an_empty_table(smooth_store: Store) -> None:
    """Calm air has no vortex: no row, the same columns."""
    calm = replace(smooth_store, values=np.zeros_like(smooth_store.values))
    assert coherent_vortices(calm).shape == (0, len(COLUMNS))
