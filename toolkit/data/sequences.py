"""Unbroken sequences of a store's frames, and their fields with the gaps filled from the frames before and after."""

import numpy as np
from numpy.typing import NDArray

from toolkit.data.store import Store


def sequences(store: Store, hours: int) -> list[NDArray[np.intp]]:
    """Return the longest runs of frames, as indices, of which each is `hours` after the one before.

    Every frame is in exactly one. Frames more often than every `hours` give several interleaved sequences.
    """
    later = store.time + np.timedelta64(hours, "h")
    place = np.searchsorted(store.time, later).clip(max=len(store.time) - 1)
    successor = np.where(store.time[place] == later, place, -1)
    found = []
    for first in np.setdiff1d(np.arange(len(store.time)), successor):
        run = [first]
        while (ahead := successor[run[-1]]) >= 0:
            run.append(ahead)
        found.append(np.array(run))
    return found


def filled(store: Store, sequence: NDArray[np.intp], position: int, channels: list[int]) -> NDArray[np.float32]:
    """Return the channels (c, lat, lon) of one frame of a sequence, in SI units, without missing values.

    A gap takes the mean of what the frames before and after know of it; where neither knows, zero.
    """
    values = store.frame(int(sequence[position]))[channels]
    if np.isfinite(values).all():
        return values
    beside = [
        store.frame(int(k))[channels] for k in sequence[max(position - 1, 0) : position + 2] if k != sequence[position]
    ]
    known = np.array([np.isfinite(frame) for frame in beside], bool).reshape(-1, *values.shape)
    total = np.sum([np.nan_to_num(frame) for frame in beside], 0, dtype=np.float32)
    return np.where(np.isfinite(values), values, total / known.sum(0).clip(min=1)).astype(np.float32)
