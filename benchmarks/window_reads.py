"""Random window reads from the store, against a bare memory map of the same bytes and against xbatcher on a Zarr.

Run: python benchmarks/window_reads.py. Everything is timed in this one process, the ways taking turns; medians.
A way's ratio is its rate over the rate of the bare memory map, which copies the same float16 bytes, window by window,
into an array of the same shape.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import xarray as xr
import xbatcher

from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.data.store_write import write_store
from toolkit.data.windows import Windows, _copied, read_windows

BATCH, SIDE, FRAMES = 64, 64, 2
TIMES, ROWS, COLUMNS = 400, 181, 360
ROUNDS, SLOW_ROUNDS = 100, 3
STRIDE = 8


def make_fields() -> xr.Dataset:
    """Return random vorticity and divergence, six-hourly on a 1-degree global grid."""
    rng = np.random.default_rng(0)
    dimensions = ("time", "latitude", "longitude")
    values = rng.standard_normal((2, TIMES, ROWS, COLUMNS), np.float32) * np.float32(2e-5)
    return xr.Dataset(
        {name: (dimensions, values[i], {"units": "s-1"}) for i, name in enumerate(("vorticity", "divergence"))},
        coords={
            "time": np.datetime64("2000-01-01", "ns") + np.arange(TIMES) * np.timedelta64(6, "h"),
            "latitude": np.linspace(90, -90, ROWS),
            "longitude": np.arange(COLUMNS, dtype=float),
        },
    )


def random_windows(n: int, everywhere: bool) -> Windows:
    """Return windows on a lattice that xbatcher can cut too; or anywhere, over the date line and mirrored."""
    rng = np.random.default_rng(1)
    first = rng.integers(0, TIMES - FRAMES + 1, n)
    if everywhere:
        row, column = rng.integers(0, ROWS - SIDE + 1, n), rng.integers(0, COLUMNS, n)
    else:
        row = STRIDE * rng.integers(0, (ROWS - SIDE) // STRIDE + 1, n)
        column = STRIDE * rng.integers(0, (COLUMNS - SIDE) // STRIDE + 1, n)
    mirrored = rng.random(n) < 0.5 if everywhere else np.zeros(n, bool)
    return Windows(first[:, None] + np.arange(FRAMES), row, column, mirrored, (SIDE, SIDE))


def memmap_way(values: np.ndarray, windows: Windows, index: np.ndarray) -> np.ndarray:
    """Copy the float16 bytes of each window and frame out of a memory map: what no reader can do without."""
    out = np.empty((len(index), FRAMES, values.shape[1], SIDE, SIDE), np.float16)
    for i, k in enumerate(index):
        row, column = windows.row[k], windows.column[k]
        for j, time_index in enumerate(windows.time[k]):
            out[i, j] = values[time_index, :, row : row + SIDE, column : column + SIDE]
    return out


def tuned_memmap_way(values: np.ndarray, windows: Windows, index: np.ndarray) -> np.ndarray:
    """Do the same with Python integers and the map seen as a plain array, which is as fast as such a loop gets."""
    out = np.empty((len(index), FRAMES, values.shape[1], SIDE, SIDE), np.float16)
    places = zip(windows.time[index].tolist(), windows.row[index].tolist(), windows.column[index].tolist(), strict=True)
    for window, (times, row, column) in zip(out, places, strict=True):
        for frame, time_index in zip(window, times, strict=True):
            frame[...] = values[time_index, :, row : row + SIDE, column : column + SIDE]
    return out


def xbatcher_way(
    batches: xbatcher.BatchGenerator, windows: Windows, index: np.ndarray, normalisation: Normalisation
) -> np.ndarray:
    """Take the same windows from xbatcher's generator over a lazily opened Zarr, normalised."""
    shape = ((ROWS - SIDE) // STRIDE + 1, (COLUMNS - SIDE) // STRIDE + 1)
    number = np.ravel_multi_index(
        (windows.time[index, 0], windows.row[index] // STRIDE, windows.column[index] // STRIDE),
        (TIMES - FRAMES + 1, *shape),
    )
    return normalisation.apply(np.stack([batches[int(k)].to_array().to_numpy().swapaxes(0, 1) for k in number]))


def median_seconds(ways: dict[str, Callable[[np.ndarray], np.ndarray]], n: int, rounds: int) -> dict[str, float]:
    """Time one batch each way, the ways taking turns, on batches of fresh random windows."""
    rng = np.random.default_rng(2)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            index = rng.integers(0, n, BATCH)
            start = time.perf_counter()
            way(index)
            taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


def compare(store: Store, values: np.memmap, batches: xbatcher.BatchGenerator) -> dict[str, float]:
    """Return the median seconds of a batch each way, after checking that the ways agree."""
    n = 4096
    lattice, everywhere = random_windows(n, everywhere=False), random_windows(n, everywhere=True)
    bare, plain = "memory map, bare copy", np.asarray(values)
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        bare: lambda index: memmap_way(values, lattice, index),
        "memory map, tuned copy": lambda index: tuned_memmap_way(plain, lattice, index),
        "store, copy": lambda index: _copied(store, lattice, index, len(store.channels)),
        "store, normalised float32": lambda index: read_windows(store, lattice, index),
        "store, normalised, wrapped and mirrored": lambda index: read_windows(store, everywhere, index),
        "memory map, normalised with NumPy": lambda index: store.normalisation.apply(
            memmap_way(values, lattice, index).astype(np.float32) * np.float32(store.channels[0].scale)
        ),
    }
    slow = {"xbatcher, normalised, from Zarr": lambda index: xbatcher_way(batches, lattice, index, store.normalisation)}
    index = np.arange(4)
    np.testing.assert_array_equal(ways["store, copy"](index), ways[bare](index))
    for name in ("memory map, normalised with NumPy", "xbatcher, normalised, from Zarr"):
        wanted = read_windows(store, lattice, index)
        np.testing.assert_allclose((ways | slow)[name](index), wanted, atol=4e-3)
    return median_seconds(ways, n, ROUNDS) | median_seconds(slow, n, SLOW_ROUNDS)


def main() -> None:
    """Print each way's time for a batch, its rate, and the ratio to the bare copy."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        fields = make_fields()
        store = write_store(fields, Path(folder) / "store", ("vorticity", "divergence"))
        fields.chunk(time=1).to_zarr(f"{folder}/fields.zarr", zarr_format=2)
        with xr.open_zarr(f"{folder}/fields.zarr", chunks=None) as lazy:
            overlap = {"time": FRAMES - 1, "latitude": SIDE - STRIDE, "longitude": SIDE - STRIDE}
            sides = {"time": FRAMES, "latitude": SIDE, "longitude": SIDE}
            batches = xbatcher.BatchGenerator(lazy[list(store.names)], sides, input_overlap=overlap)
            seconds = compare(store, np.load(store.path / "values.npy", mmap_mode="r"), batches)
    print(f"batch of {BATCH} windows of {FRAMES} frames, 2 channels, {SIDE} x {SIDE} pixels; 1 degree, one thread")
    bare = seconds["memory map, bare copy"]
    for name, taken in seconds.items():
        print(f"{name:40s} {taken * 1e3:9.2f} ms {BATCH / taken:10.0f} windows/s   ratio {bare / taken:6.3f}")


if __name__ == "__main__":
    main()
