from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from toolkit.data import store as store_module
from toolkit.data.normalise import Normalisation
from toolkit.data.regrid import regridding, regular_grid
from toolkit.data.store_write import write_store
from toolkit.data.stream import Block, Stream, blocks, channels_of, nearest_frames
from toolkit.data.windows import read_windows, window_at
from toolkit.errors import UserError

DEGREES = 7.5
LATITUDE, LONGITUDE = regular_grid(DEGREES)
NORMALISATION = Normalisation(("vorticity", "divergence"), ("s-1", "s-1"), (1e-6, 0.0), (2.3e-5, 5e-6))


def times(*hours: float) -> np.ndarray:
    """Hours after a date."""
    return np.datetime64("2020-08-01", "s") + (np.array(hours) * 3600).astype("timedelta64[s]")


def dataset(hours: tuple[float, ...], seed: int = 0, size: float = 1.0) -> xr.Dataset:
    """Random vorticity and divergence on the model's own grid, with a gap."""
    rng = np.random.default_rng(seed)
    shape = (len(hours), len(LATITUDE), len(LONGITUDE))
    fields = {}
    for name, deviation in zip(NORMALISATION.names, NORMALISATION.standard_deviation, strict=True):
        values = (rng.standard_normal(shape) * deviation * size).astype(np.float32)
        values[:, 5:8, 3:9] = np.nan
        fields[name] = (("time", "latitude", "longitude"), values, {"units": "s-1"})
    coordinates = {"time": times(*hours).astype("datetime64[ns]"), "latitude": LATITUDE, "longitude": LONGITUDE}
    return xr.Dataset(fields, coordinates, {"missing_data": True})


def stream(ds: xr.Dataset, hours: tuple[int, ...] = (-6, 0)) -> Stream:
    """The dataset as a stream with frames at `hours`."""
    way = regridding(ds["latitude"].values, ds["longitude"].values, DEGREES)
    return Stream("here.nc", ds, way, NORMALISATION, nearest_frames(ds["time"].values, hours)[0])


def looked_up(block: Block, time: int) -> list[np.ndarray | None]:
    """The physical frames of one time of a block."""
    return [None if index < 0 else block.store.frame(index) for index in block.frames[time].tolist()]


def test_frames_are_found_by_time() -> None:
    """Each time has itself and the one six hours before; where that is not there it is -1, and said."""
    index, notes = nearest_frames(times(0, 6, 12, 24), (-6, 0))
    assert index.tolist() == [[-1, 0], [0, 1], [1, 2], [-1, 3]]
    assert notes == ["the frame at -6 h is not in the data for 2 of 4 times: the model is told that it is missing"]


@pytest.mark.parametrize(("step", "found"), [(6.5, True), (5.5, True), (6.51, False), (7, False), (1, False)])
def test_a_frame_half_an_hour_off_stands_in(step: float, found: bool) -> None:
    """Half an hour off is near, more is not: seven hours are not six."""
    index, notes = nearest_frames(times(0, step), (-6, 0))
    assert index.tolist() == [[-1, 0], [0 if found else -1, 1]]
    assert len(notes) == 1 + found
    assert ("up to 30 min off for 1 of 2 times" in notes[-1]) == found


def test_a_single_time_says_so() -> None:
    """One time alone has no frame before it."""
    index, notes = nearest_frames(times(0), (-6, 0))
    assert index.tolist() == [[-1, 0]]
    assert "not in the data for the only time" in notes[0]


def test_values_are_read_as_from_a_training_store(tmp_path: Path) -> None:
    """Windows of the stream are those of a training store made of the same fields."""
    ds = dataset((0, 6, 12))
    trained = write_store(ds, tmp_path / "store", NORMALISATION.names)
    (block,) = blocks(stream(ds))
    where = ([trained.time[2]] * 3, [50, 0, -40], [10, 200, 350], (8, 8), (-6, 0))
    index = np.arange(3)
    ours = read_windows(block.store, window_at(block.store, *where), index, NORMALISATION)
    theirs = read_windows(trained, window_at(trained, *where), index, NORMALISATION)
    assert np.isnan(theirs).any()
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_blocks_of_any_length_give_the_same_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut time by time or all at once, every time sees the same frames, and each is held no longer than needed."""
    whole = stream(dataset((0, 3, 6, 9, 12, 15, 18, 30)))
    (together,) = blocks(whole)
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 1)
    apart = list(blocks(whole))
    assert len(apart) == 8
    assert max(len(block.store.time) for block in apart) == 2
    for time, block in enumerate(apart):
        for one, other in zip(looked_up(together, time), looked_up(block, 0), strict=True):
            if one is None or other is None:
                assert one is other
            else:
                np.testing.assert_array_equal(one, other)


def test_a_variable_that_is_not_there_is_missing_everywhere() -> None:
    """A plane of NaN stands for what the source does not hold."""
    (block,) = blocks(stream(dataset((0,)).drop_vars("divergence")))
    frame = block.store.frame(0)
    assert np.isfinite(frame[0]).mean() > 0.9
    assert np.isnan(frame[1]).all()


def test_values_no_such_field_has_are_refused() -> None:
    """Vorticity a thousand times too large, as a wrong unit makes it, is not fed to a model."""
    with pytest.raises(UserError, match=r"'vorticity' of here.nc lies up to .* standard deviations .* in s-1"):
        list(blocks(stream(dataset((0,), size=1000))))


def test_a_source_that_breaks_off_is_named() -> None:
    """What cannot be read when it is needed is one error with the file's name."""

    def broken(_: np.ndarray) -> np.ndarray:
        raise OSError("short read")

    ds = dataset((0, 6)).chunk(time=1)
    ds = ds.assign(vorticity=xr.apply_ufunc(broken, ds["vorticity"], dask="parallelized", output_dtypes=[np.float32]))
    with pytest.raises(UserError, match=r"here.nc is damaged: .* \(short read\)"):
        list(blocks(stream(ds)))


def test_a_mean_far_from_zero_keeps_its_precision() -> None:
    """Pressure near 1000 hPa is held as its distance from the mean, to a few pascals."""
    pressure = Normalisation(("mean_sea_level_pressure",), ("Pa",), (101_000.0,), (900.0,))
    values = np.linspace(99_000, 103_000, len(LATITUDE) * len(LONGITUDE)).reshape(1, len(LATITUDE), -1)
    ds = dataset((0,)).drop_vars(NORMALISATION.names)
    ds["mean_sea_level_pressure"] = (("time", "latitude", "longitude"), values, {"units": "Pa"})
    (block,) = blocks(replace(stream(ds, (0,)), normalisation=pressure))
    assert np.abs(block.store.frame(0)[0] - values[0]).max() < 2
    assert channels_of(pressure)[0].offset == 101_000
