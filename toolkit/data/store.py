"""The training store: one float16 array (time, channel, latitude, longitude) in a folder, read by memory map.

    values.npy   (physical value - offset) / scale, float16
    store.json   coordinates, channels with their mean and standard deviation over all times, hashes

It is written by `toolkit.data.store_write`.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit import files
from toolkit.data.normalise import Normalisation
from toolkit.errors import UserError

if TYPE_CHECKING:
    from xarray import Dataset

FORMAT = 2
BLOCK_BYTES = 2**26
DIMENSIONS = ("time", "latitude", "longitude")


@dataclass(frozen=True)
class Channel:
    """One variable of a store: physical value = stored value * scale + offset, in `units`."""

    name: str
    units: str
    scale: float
    offset: float
    mean: float
    standard_deviation: float


@dataclass(frozen=True, eq=False)
class Store:
    """An open store. `values` is a view of the file and takes no memory; windows.py, `frame` and `as_dataset` decode
    it.

    time datetime64[s] (t,) ascending; latitude (h,) degrees, descending; longitude (w,) degrees, ascending in
    [0, 360) and evenly spaced; values float16 (t, c, h, w). A store is sent to another process as its path.
    """

    path: Path
    values: NDArray[np.float16]
    time: NDArray[np.datetime64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    channels: tuple[Channel, ...]
    missing_data: bool
    sha256: str

    @property
    def names(self) -> tuple[str, ...]:
        """The channels' names, in order."""
        return tuple(channel.name for channel in self.channels)

    @cached_property
    def latitude_spacing(self) -> float:
        """The distance between rows in degrees; the mean one of a Gaussian grid."""
        return float(self.latitude[0] - self.latitude[-1]) / (len(self.latitude) - 1)

    @cached_property
    def longitude_spacing(self) -> float:
        """The distance between columns in degrees."""
        return float(self.longitude[-1] - self.longitude[0]) / (len(self.longitude) - 1)

    @cached_property
    def wraps(self) -> bool:
        """Whether the columns go all the way round, so that the first follows the last."""
        return abs(len(self.longitude) * self.longitude_spacing - 360) < self.longitude_spacing / 2

    @cached_property
    def normalisation(self) -> Normalisation:
        """The statistics of all times."""
        return Normalisation(
            self.names,
            tuple(channel.units for channel in self.channels),
            tuple(channel.mean for channel in self.channels),
            tuple(channel.standard_deviation for channel in self.channels),
        )

    def frame(self, index: int) -> NDArray[np.float32]:
        """Return the physical fields (c, h, w) of one time."""
        scale, offset = np.array([(c.scale, c.offset) for c in self.channels], np.float32).T[..., None, None]
        return self.values[index].astype(np.float32) * scale + offset

    def __reduce__(self) -> tuple[Any, ...]:
        return open_store, (self.path,)


NO_FIELDS = Store(
    path=Path(),
    values=np.empty((0, 0, 0, 0), np.float16),
    time=np.empty(0, "datetime64[s]"),
    latitude=np.empty(0),
    longitude=np.empty(0),
    channels=(),
    missing_data=False,
    sha256="",
)
"""What a task has that looks at no fields."""


def open_store(path: Path) -> Store:
    """Open a store without reading its values; UserError where it is missing, cut short, or edited.

    The metadata is checked against its hash and the values against their size: `verify` reads them all.
    """
    metadata = _read_metadata(path)
    try:
        values = np.load(path / "values.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, f"values.npy cannot be read ({error})") from error
    time = np.array(metadata["time"], "datetime64[s]")
    latitude, longitude = np.array(metadata["latitude"]), np.array(metadata["longitude"])
    shape = (len(time), len(metadata["channels"]), len(latitude), len(longitude))
    if values.shape != shape or values.dtype != np.float16:
        raise _damaged(path, f"values.npy holds {values.dtype} {values.shape}, store.json describes float16 {shape}")
    return Store(
        path=path,
        values=np.asarray(values),
        time=time,
        latitude=latitude,
        longitude=longitude,
        channels=tuple(Channel(**channel) for channel in metadata["channels"]),
        missing_data=metadata["missing_data"],
        sha256=metadata["sha256"],
    )


def verify(store: Store) -> None:
    """Read every value and compare with the hash taken at writing; UserError where they differ."""
    if files.sha256(store.path / "values.npy") != _read_metadata(store.path)["values_sha256"]:
        raise _damaged(store.path, "the values differ from those that were written")


def as_dataset(store: Store) -> "Dataset":
    """Return the physical fields as a canonical dataset, decoded where and when they are asked for."""
    import dask.array
    import xarray

    step = max(1, BLOCK_BYTES // (4 * store.values[0].size))
    chunks = (step, *store.values.shape[2:])
    variables = {}
    for c, channel in enumerate(store.channels):
        stored = dask.array.from_array(store.values[:, c], chunks, name=False)
        physical = stored.astype(np.float32) * np.float32(channel.scale) + np.float32(channel.offset)
        variables[channel.name] = (DIMENSIONS, physical, {"units": channel.units})
    return xarray.Dataset(
        variables,
        coords={"time": store.time, "latitude": store.latitude, "longitude": store.longitude},
        attrs={"missing_data": store.missing_data},
    )


def time_blocks(fields: "Dataset") -> Iterator[slice]:
    """Cut the time axis into slices of about BLOCK_BYTES of float32, whole chunks of a chunked source each."""
    row = 4 * len(fields.data_vars) * fields.sizes["latitude"] * fields.sizes["longitude"]
    chunk = max(fields.chunksizes.get("time", (1,)))
    step = chunk * max(1, BLOCK_BYTES // (row * chunk))
    for start in range(0, fields.sizes["time"], step):
        yield slice(start, start + step)


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((path / "store.json").read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"No training store at {path}. Make one with `toolkit data prepare`.") from error
    except (OSError, ValueError) as error:
        raise _damaged(path, f"store.json cannot be read ({error})") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise UserError(f"{path} is not a store of format {FORMAT}. {_anew(path)}")
    if metadata.pop("sha256", None) != (sha256 := content_hash(metadata)):
        raise _damaged(path, "store.json was edited")
    return metadata | {"sha256": sha256}


def content_hash(metadata: dict[str, Any]) -> str:
    """Hash metadata, and with it the values, whose hash it holds."""
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(f"The store at {path} is damaged: {problem}. {_anew(path)}")


def _anew(path: Path) -> str:
    return f"Remove {path}, and what needs it makes it again; one of your own is made by `toolkit data prepare`."
