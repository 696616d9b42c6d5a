"""Days through which air, and the vortices in it, can be followed: the whole globe, one frame every six hours."""

import numpy as np
from numpy.typing import NDArray

from toolkit.data.sequences import sequences
from toolkit.data.store import Store
from toolkit.errors import UserError

HOURS_BETWEEN_FRAMES = 6
DAY = 4
"""Frames in a day."""
REACH = 85.0
"""Latitude, north and south, as far as which a grid reaches that has all but the poles."""


def whole_days(store: Store, pretext: str) -> list[NDArray[np.intp]]:
    """Return the sequences of frames, as indices in the store, 6 h apart and a day long at least.

    Raises `UserError`, which names the pretext that would follow the air, for a store of a part of the globe, which
    air leaves, and for one without such a sequence.
    """
    latitude, longitude = store.latitude[[0, -1]], store.longitude[[0, -1]]
    if not store.wraps or latitude[0] < REACH or latitude[1] > -REACH:
        raise UserError(
            f"{store.path} does not hold the whole globe (it goes from {latitude[0]:g} to {latitude[1]:g} degrees "
            f"north and from {longitude[0]:g} to {longitude[1]:g} east), so the pretext '{pretext}' cannot follow the "
            f"air in it. Give fields all round the globe to {REACH:g} degrees north and south, or leave it out."
        )
    found = [sequence for sequence in sequences(store, HOURS_BETWEEN_FRAMES) if len(sequence) > DAY]
    if not found:
        raise UserError(
            f"{store.path} has no {DAY + 1} frames in a row that are {HOURS_BETWEEN_FRAMES} h apart, among "
            f"{len(store.time)} from {store.time[0]} to {store.time[-1]}, so the pretext '{pretext}' cannot follow the "
            f"air in it. Give fields at least every {HOURS_BETWEEN_FRAMES} h, or leave it out."
        )
    return found
