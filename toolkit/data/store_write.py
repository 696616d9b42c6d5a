"""Writing a training store (`toolkit.data.store`): in one pass over the times, whole or not at all.

`scale` is a power of two for each channel. It brings the largest value near 10, so that float16 keeps its 11 bits
down to values 100,000 times smaller: vorticity of 1e-5 s-1 would lose most of them otherwise. `offset` is not 0 only
for a field that stays far from zero, such as pressure, of which 11 bits alone would keep steps of 64 Pa.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit import files
from toolkit.data.normalise import Moments, fitted, no_moments, with_values
from toolkit.data.reading import reading
from toolkit.data.store import DIMENSIONS, FORMAT, Channel, Store, content_hash, open_store, time_blocks
from toolkit.errors import UserError, unknown

if TYPE_CHECKING:
    from xarray import Dataset


def write_store(
    fields: "Dataset",
    path: Path,
    variables: tuple[str, ...],
    may_be_constant: bool = False,
) -> Store:
    """Write `variables` of a canonical dataset to the folder `path`, whole or not at all, and open it.

    fields: dimensions (time, latitude, longitude), as `sources.select_fields` gives them, read block by block along
    time. NaN is stored where `fields.attrs["missing_data"]` says that data may be missing.
    A variable that is constant, which cannot be normalised, is refused unless it `may_be_constant`.
    Raises UserError for an unknown variable, undeclared NaN, infinity, a grid or times that a store cannot hold, or a
    folder that is already there.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} is already there. Remove it, or write the store elsewhere.")
    _check_variables(fields, variables)
    coordinates = _coordinates(fields)
    with files.whole_folder(path) as folder:
        encodings, moments = _write_values(fields, variables, folder / "values.npy")
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
            "missing_data": bool(fields.attrs.get("missing_data", False)),
            "values_sha256": files.sha256(folder / "values.npy"),
        }
        files.write_json(folder / "store.json", metadata | {"sha256": content_hash(metadata)})
    return open_store(path)


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


def _write_values(fields: "Dataset", variables: tuple[str, ...], path: Path) -> tuple[list[_Encoding], Moments]:
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
            moments = with_values(moments, block)
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
        if fields[name].dims != DIMENSIONS:
            raise UserError(f"'{name}' has dimensions {fields[name].dims}; a store needs {DIMENSIONS}.")
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
