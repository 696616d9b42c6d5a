"""Fields of any length as small stores in memory on a backbone's grid, a block of times each.

Values are held as a training store holds them, float16 with a power of two as scale, so that a model reads from here
what it read in training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from toolkit.data.check import FARTHEST_DEVIATIONS
from toolkit.data.normalise import Normalisation
from toolkit.data.reading import reading
from toolkit.data.regrid import Regridding, regridded
from toolkit.data.store import Channel, Store, time_blocks
from toolkit.errors import UserError

NEAR_FRAME = np.timedelta64(30, "m")
"""A frame that is no farther than this from the time wanted stands in for it."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Fields (time, latitude, longitude) on their own grid, the way to the model's, and the statistics it was given.

    `frames` (t, f): index of each frame of each time, -1 where the data have none.
    """

    source: str
    fields: xr.Dataset
    way: Regridding
    normalisation: Normalisation
    frames: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Block:
    """Some consecutive times: a store with all frames they need, and where in it each time's frames are (t, f)."""

    store: Store
    time: NDArray[np.datetime64]
    frames: NDArray[np.int64]


def nearest_frames(time: NDArray[np.datetime64], hours: tuple[int, ...]) -> tuple[NDArray[np.int64], list[str]]:
    """Return for each time the index of the frame at each of `hours` from it, (t, f), and sentences on what is lacking.

    A frame up to half an hour off stands in for one that is not there; else it is -1, which a model reads as missing.
    """
    seconds = time.astype("datetime64[s]").astype(np.int64)
    wanted = seconds[:, None] + np.array(hours) * 3600
    after = np.searchsorted(seconds, wanted).clip(max=len(seconds) - 1)
    before = (after - 1).clip(min=0)
    nearer = np.abs(seconds[before] - wanted) <= np.abs(seconds[after] - wanted)
    found = np.where(nearer, before, after)
    off = np.abs(seconds[found] - wanted)
    index = np.where(off <= NEAR_FRAME.astype("timedelta64[s]").astype(int), found, -1)
    notes = []
    for frame, hour in enumerate(hours):
        lacking, shifted = index[:, frame] < 0, (index[:, frame] >= 0) & (off[:, frame] > 0)
        if lacking.any():
            count = _of(int(lacking.sum()), len(time))
            notes.append(
                f"the frame at {hour:+d} h is not in the data for {count}: the model is told that it is missing"
            )
        if shifted.any():
            count, most = _of(int(shifted.sum()), len(time)), off[shifted, frame].max() / 60
            notes.append(
                f"the frame at {hour:+d} h is one up to {most:.0f} min off for {count}, which stands in for it"
            )
    return index, notes


def blocks(stream: Stream) -> Iterator[Block]:
    """Yield the times in blocks; no more than a block of the source, and its frames, are in memory at once.

    Raises `UserError` where the source cannot be read, or holds values no such field has, as wrong units give.
    """
    time = stream.fields["time"].to_numpy().astype("datetime64[s]")
    channels = channels_of(stream.normalisation)
    held: dict[int, NDArray[np.float16]] = {}
    for rows in time_blocks(stream.fields):
        frames = stream.frames[rows]
        needed = np.unique(frames[frames >= 0]).tolist()
        new = [index for index in needed if index not in held]
        held = {index: values for index, values in held.items() if index in needed}
        held |= dict(zip(new, _read(stream, new, channels), strict=True))
        values = np.stack([held[index] for index in needed])
        position = np.where(frames < 0, -1, np.searchsorted(needed, frames))
        yield Block(_store(stream, time[needed], values, channels), time[rows], position)


def channels_of(normalisation: Normalisation) -> tuple[Channel, ...]:
    """Return how values are held: as powers of two of the deviation, from 0, or from a mean that is far from 0."""
    channels = []
    for name, units, mean, deviation in zip(
        normalisation.names, normalisation.units, normalisation.mean, normalisation.standard_deviation, strict=True
    ):
        scale, offset = 2.0 ** round(np.log2(deviation)), mean if abs(mean) > 10 * deviation else 0.0
        channels.append(Channel(name, units, scale, offset, mean, deviation))
    return tuple(channels)


def _read(stream: Stream, times: list[int], channels: tuple[Channel, ...]) -> list[NDArray[np.float16]]:
    """Return the fields of some times on the model's grid, (c, h, w), NaN where a variable is not in the source."""
    if not times:
        return []
    with reading(stream.source):
        loaded = stream.fields.isel(time=times).compute()
    frames = []
    for step in range(len(times)):
        values = np.full((len(channels), *stream.way.covered.shape), np.nan, np.float32)
        for c, channel in enumerate(channels):
            if channel.name in loaded:
                values[c] = regridded(loaded[channel.name].to_numpy()[step], stream.way)
                _refuse_implausible(values[c], channel, stream.source)
        scale, offset = np.array([(c.scale, c.offset) for c in channels], np.float32).T[..., None, None]
        frames.append(((values - offset) / scale).astype(np.float16))
    return frames


def _refuse_implausible(values: NDArray[np.float32], channel: Channel, source: str) -> None:
    farthest = np.nanmax(np.abs(values - channel.mean), initial=0.0) / channel.standard_deviation
    if farthest > FARTHEST_DEVIATIONS:
        raise UserError(
            f"'{channel.name}' of {source} lies up to {farthest:.3g} standard deviations from the mean of what the "
            f"model was trained on, in {channel.units}. Check its units."
        )


def _store(
    stream: Stream, time: NDArray[np.datetime64], values: NDArray[np.float16], channels: tuple[Channel, ...]
) -> Store:
    return Store(
        path=Path(stream.source),
        values=values,
        time=time,
        latitude=stream.way.latitude,
        longitude=stream.way.longitude,
        channels=channels,
        missing_data=True,
        sha256="",
    )


def _of(count: int, total: int) -> str:
    return (
        f"all {total} times" if count == total > 1 else "the only time" if total == 1 else f"{count} of {total} times"
    )
