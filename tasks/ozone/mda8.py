"""The daily maximum of 8-hour running means of ozone (MDA8), in the two definitions that regulators use.

A measured hour has the time of its beginning: the hour 07 lasts from 07:00 to 08:00. Days are those of the station's
own clock, UTC + round(longitude / 15) hours: its standard time wherever that follows the sun.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.data.forecast_rows import clock_offset
from toolkit.errors import unknown

Array = NDArray[np.float64]

WINDOW_HOURS = 8
FEWEST_HOURS = 6
"""Both definitions ask for three quarters of a window's hours; the mean is then over those that are there."""
FURTHEST_OFFSET = 12


@dataclass(frozen=True)
class Definition:
    """Which 8-hour windows make a day, and how many it needs.

    `first`, `last`: hours from the day's midnight at which its first and last window begin.
    """

    name: str
    first: int
    last: int
    fewest_windows: int

    @property
    def complete(self) -> int:
        """Hours from the day's midnight after which its maximum is known: the end of its last window."""
        return self.last + WINDOW_HOURS


EU = Definition("eu", first=-7, last=16, fewest_windows=18)
"""Directive 2008/50/EC, annexes VII and XI (TOAR: dma8eu). A window belongs to the day on which it ends: the first
lasts from 17:00 of the day before to 01:00, the last from 16:00 to 24:00; 18 of the 24 must be there."""
EPA = Definition("epa", first=7, last=23, fewest_windows=13)
"""40 CFR part 50, appendix U (TOAR: dma8epax). A window belongs to the day on which it begins: the first lasts from
07:00 to 15:00, the last from 23:00 to 07:00 of the day after; 13 of the 17 must be there. Not done is what serves the
comparison with the standard alone: cutting to whole ppb, and counting too few hours or windows where they exceed it all
the same, with half the detection limit for the hours that are missing."""
DEFINITIONS = {definition.name: definition for definition in (EU, EPA)}


def definition_named(name: str) -> Definition:
    """Return the definition called "eu" or "epa"; `UserError` for another name."""
    if name not in DEFINITIONS:
        raise unknown("definition of the daily ozone maximum", name, DEFINITIONS)
    return DEFINITIONS[name]


def mda8(hourly: Array, longitude: Array, definition: Definition) -> Array:
    """Return the daily maxima (stations, days + 2) of hourly values (stations, 24 x days), NaN where incomplete.

    The hours begin at 00 UTC of the first day. The maxima are those of the stations' own days, from the day before the
    first to the day after the last, since the clocks differ. `longitude` (stations,) in degrees east.
    """
    days = hourly.shape[1] // 24 + 2
    spare = 24 + FURTHEST_OFFSET + WINDOW_HOURS
    padded = np.pad(hourly, ((0, 0), (spare, spare)), constant_values=np.nan)
    measured = np.isfinite(padded)
    known, filled = measured.astype(np.int8), np.where(measured, padded, 0.0)
    length = padded.shape[1] - WINDOW_HOURS + 1
    count = sum(known[:, k : k + length] for k in range(WINDOW_HOURS))
    total = sum(filled[:, k : k + length] for k in range(WINDOW_HOURS))
    mean = np.where(count >= FEWEST_HOURS, total / np.maximum(count, 1), -np.inf)
    midnight = spare + 24 * (np.arange(days) - 1) - clock_offset(longitude)[:, None]
    start = midnight[..., None] + np.arange(definition.first, definition.last + 1)
    windows = mean[np.arange(len(hourly))[:, None, None], start]
    enough = np.isfinite(windows).sum(-1) >= definition.fewest_windows
    return np.where(enough, windows.max(-1), np.nan)
