"""The training store: one float16 array (time, channel, latitude, longitude) in a folder, read by memory map.

    values.npy   (physical value - offset) / scale, float16
    store.json   coordinates, channels, statistics over the training years, hashes

`scale` is a power of two for each channel. It brings the largest value near 10, so that float16 keeps its 11 bits
down to values 100,000 times smaller: vorticity of 1e-5 s-1 would lose most of them otherwise. `offset` is not 0 only
for a field that stays far from zero, such as pressure, of which 11 bits alone would keep steps of 64 Pa.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit import files
from toolkit.data.normalise import Moments, Normalisation, fitted, no_moments, with_values
from toolkit.data.reading import reading
from toolkit.errors import UserError, unknown

if TYPE_CHECKING:
    from xarray import Dataset

FORMAT = 1
BLOCK_BYTES = 2**26
_DIMENSIONS = ("time", "latitude", "longitude")


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
    """An open store. `values` is a view of the file and takes no memory; windows.py and `frame` decode it.

    time datetime64[s] (t,) ascending; latitude (h,) degrees, descending; longitude (w,) degrees, ascending in
    [0, 360) and evenly spaced; values float16 (t, c, h, w). A store is sent to another process as its path.
    """

    path: Path
    values: NDArray[np.float16]
    time: NDArray[np.datetime64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    channels: tuple[Channel, ...]
    level_hpa: float | None
    train_years: tuple[int, ...]
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
        """The statistics of the training years."""
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
    level_hpa=None,
    train_years=(),
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
        level_hpa=metadata["level_hpa"],
        train_years=tuple(metadata["train_years"]),
        missing_data=metadata["missing_data"],
        sha256=metadata["sha256"],
    )


def verify(store: Store) -> None:
    """Read every value and compare with the hash taken at writing; UserError where they differ."""
    if files.sha256(store.path / "values.npy") != _read_metadata(store.path)["values_sha256"]:
        raise _damaged(store.path, "the values differ from those that were written")


def write_store(
    fields: "Dataset",
    path: Path,
    variables: tuple[str, ...],
    train_years: Collection[int] | None,
    may_be_constant: bool = False,
) -> Store:
    """Write `variables` of a canonical dataset to the folder `path`, whole or not at all, and open it.

    fields: dimensions (time, latitude, longitude), as `sources.select_fields` gives them, read block by block along
    time. NaN is stored where `fields.attrs["missing_data"]` says that data may be missing.
    train_years: the years whose finite values give mean and standard deviation; None takes all. A variable that is
    constant in them, which cannot be normalised, is refused unless it `may_be_constant`.
    Raises UserError for an unknown variable, undeclared NaN, infinity, a grid or times that a store cannot hold,
    training years without data, a variable that is constant in them, or a folder that is already there.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} is already there. Remove it, or write the store elsewhere.")
    _check_variables(fields, variables)
    coordinates = _coordinates(fields)
    years = coordinates["time"].astype("datetime64[Y]").astype(int) + 1970
    training = np.isin(years, list(years if train_years is None else train_years))
    if not training.any():
        raise UserError(
            f"No time falls in the training years {sorted(train_years or ())}. The data has {years[0]} to {years[-1]}."
        )
    with files.whole_folder(path) as folder:
        encodings, moments = _write_values(fields, variables, folder / "values.npy", training)
        units = tuple(str(fields[name].attrs["units"]) for name in variables)
        if not may_be_constant:
            fitted(variables, units, moments)
        metadata = {
            "format": FORMAT,
            "time": np.datetime_as_string(coordinates["time"]).tolist(),
            "latitude": coordinates["latitude"].tolist(),
            "longitude": coordinates["longitude"].tolist(),
            "channels": [
                asdict(Channel(name, unit, encoding.scale, encoding.offset, mean, deviation))
                for name, unit, encoding, mean, deviation in zip(
                    variables, units, encodings, moments.mean.tolist(), moments.deviation.tolist(), strict=True
                )
            ],
            "level_hpa": _level_hpa(fields),
            "train_years": np.unique(years[training]).tolist(),
            "missing_data": bool(fields.attrs.get("missing_data", False)),
            "values_sha256": files.sha256(folder / "values.npy"),
        }
        files.write_json(folder / "store.json", metadata | {"sha256": _hash(metadata)})
    return open_store(path)


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
        variables[channel.name] = (_DIMENSIONS, physical, {"units": channel.units})
    return xarray.Dataset(
        variables,
        coords={"time": store.time, "latitude": store.latitude, "longitude": store.longitude},
        attrs={"missing_data": store.missing_data, "level_hpa": store.level_hpa},
    )


def time_blocks(fields: "Dataset") -> Iterator[slice]:
    """Cut the time axis into slices of about BLOCK_BYTES of float32, whole chunks of a chunked source each."""
    row = 4 * len(fields.data_vars) * fields.sizes["latitude"] * fields.sizes["longitude"]
    chunk = max(fields.chunksizes.get("time", (1,)))
    step = chunk * max(1, BLOCK_BYTES // (row * chunk))
    for start in range(0, fields.sizes["time"], step):
        yield slice(start, start + step)


@dataclass(frozen=True)
class _Encoding:
    """How a channel is stored, and the range of its finite values so far; scale 0 while all of them are 0."""

    lowest: float = np.inf
    highest: float = -np.inf
    scale: float = 0.0
    offset: float = 0.0

    def covering(self, values: NDArray[np.floating]) -> "_Encoding":
        """Return the encoding for these values too: this one where float16 still holds them by it."""
        finite = values[np.isfinite(values)]
        lowest = float(finite.min(initial=self.lowest))
        highest = float(finite.max(initial=self.highest))
        if highest < lowest:
            return self
        offset, middle = self.offset, float(np.float32((lowest + highest) / 2))
        if self.scale == 0 and abs(middle) > highest - lowest:
            offset = middle
        largest = max(highest - offset, offset - lowest) or abs(offset)
        if largest <= self.scale * 2**15:
            return _Encoding(lowest, highest, self.scale, offset)
        return _Encoding(lowest, highest, 2.0 ** (int(np.frexp(largest)[1]) - 4), offset)

    def encode(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return (values - offset) / scale, at most 2^15."""
        return (values - self.offset) / (self.scale or 1.0)


def _write_values(
    fields: "Dataset", variables: tuple[str, ...], path: Path, training: NDArray[np.bool_]
) -> tuple[list[_Encoding], Moments]:
    """Write values.npy in one pass; where a later block outgrows a scale, what was written is scaled again."""
    missing_data = bool(fields.attrs.get("missing_data", False))
    shape = (fields.sizes["time"], len(variables), fields.sizes["latitude"], fields.sizes["longitude"])
    encodings, moments = [_Encoding()] * len(variables), no_moments(len(variables))
    fields = fields[list(variables)]
    with path.open("w+b") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f2", "fortran_order": False, "shape": shape})
        start = stream.tell()
        for rows in time_blocks(fields):
            with reading(fields.attrs.get("source", "The dataset")):
                loaded = fields.isel(time=rows).compute()
            block = np.stack([loaded[name].to_numpy() for name in variables], axis=1)
            _check_finite(block, variables, loaded["time"].to_numpy(), missing_data)
            stored = np.empty(block.shape, np.float16)
            for c, before in enumerate(encodings):
                encodings[c] = after = before.covering(block[:, c])
                if before.scale not in (0, after.scale):
                    stream.flush()
                    for frame in np.memmap(path, np.float16, "r+", start, (rows.start, *shape[1:])):
                        frame[c] = frame[c].astype(np.float32) * (before.scale / after.scale)
                stored[:, c] = after.encode(block[:, c])
            stream.write(stored.data)
            moments = with_values(moments, block[training[rows]])
    return encodings, moments


def _check_finite(
    block: NDArray[np.floating], variables: tuple[str, ...], time: NDArray[np.datetime64], missing_data: bool
) -> None:
    if np.isfinite(block).all():
        return
    for c, name in enumerate(variables):
        for what, bad in (("infinite", np.isinf(block[:, c])), ("NaN", np.isnan(block[:, c]) & (not missing_data))):
            counts = bad.sum(axis=(1, 2))
            if counts.any():
                first = int(np.flatnonzero(counts)[0])
                raise UserError(
                    f"'{name}' has {counts[first]} {what} values at {np.datetime_as_string(time[first], 's')}. "
                    "Repair the source, or, where NaN means missing data, declare it (missing_data)."
                )


def _check_variables(fields: "Dataset", variables: tuple[str, ...]) -> None:
    for name in variables:
        if name not in fields.data_vars:
            raise unknown("variable", name, map(str, fields.data_vars))
        if fields[name].dims != _DIMENSIONS:
            raise UserError(f"'{name}' has dimensions {fields[name].dims}; a store needs {_DIMENSIONS}.")
        if not fields[name].attrs.get("units"):
            raise UserError(f"'{name}' has no units. Give it its SI units as the attribute 'units'.")


def _coordinates(fields: "Dataset") -> dict[str, Any]:
    time = fields["time"].to_numpy().astype("datetime64[s]")
    latitude = fields["latitude"].to_numpy().astype(np.float64)
    longitude = fields["longitude"].to_numpy().astype(np.float64)
    late = np.flatnonzero(np.diff(time) <= np.timedelta64(0, "s"))
    if late.size:
        raise UserError(
            f"Time does not ascend: {time[late[0] + 1]} follows {time[late[0]]}. Sort the times and drop duplicates."
        )
    for name, values, ascends, tolerance in (("latitude", latitude, False, 0.02), ("longitude", longitude, True, 0.01)):
        steps = np.diff(values) if ascends else -np.diff(values)
        if not steps.size or steps.min() <= 0 or np.ptp(steps) > tolerance * steps.mean():
            raise UserError(
                f"The {name} does not {'ascend' if ascends else 'descend'} in even steps ({len(values)} values from "
                f"{values[0]:g} to {values[-1]:g}). Take a regular grid, and a region that does not cross Greenwich."
            )
    return {"time": time, "latitude": latitude, "longitude": longitude}


def _level_hpa(fields: "Dataset") -> float | None:
    level = fields.coords.get("level", fields.attrs.get("level_hpa"))
    return None if level is None or np.size(level) != 1 else float(level)


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((path / "store.json").read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"No training store at {path}. Make one with `toolkit data prepare`.") from error
    except (OSError, ValueError) as error:
        raise _damaged(path, f"store.json cannot be read ({error})") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise UserError(f"{path} is not a store of format {FORMAT}. {_anew(path)}")
    if metadata.pop("sha256", None) != (sha256 := _hash(metadata)):
        raise _damaged(path, "store.json was edited")
    return metadata | {"sha256": sha256}


def _hash(metadata: dict[str, Any]) -> str:
    """Hash metadata, and with it the values, whose hash it holds."""
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(f"The store at {path} is damaged: {problem}. {_anew(path)}")


def _anew(path: Path) -> str:
    return f"Remove {path}, and what needs it makes it again; one of your own is made by `toolkit data prepare`."
