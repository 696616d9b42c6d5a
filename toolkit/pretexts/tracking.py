"""Coherent vortices, found and followed automatically in unlabelled fields.

A vortex is a maximum of the cyclonic vorticity, smoothed over 150 km. It is followed from frame to frame: the nearest
one, both ways, to where the smoothed wind would have carried it. What can be followed for a day or more is coherent;
its places and what it is like are then means over many frames, in which the errors of single analyses are averaged out.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
from joblib import cpu_count
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.signal import savgol_filter

from toolkit.data.sequences import filled
from toolkit.data.smoothing import smooth_km
from toolkit.data.store import Store
from toolkit.geodesy import displaced, displacement_km, distance_km
from toolkit.pretexts.days import DAY, HOURS_BETWEEN_FRAMES, whole_days

SMOOTHING_KM, STEERING_KM = 150.0, 300.0
NEIGHBOURHOOD = 5
"""Side in pixels of the square within which a vortex is the strongest."""
LEAST_DEVIATIONS = 0.85
"""Smoothed vorticity of the weakest vortex, in standard deviations of the vorticity."""
LATITUDES = (3.0, 65.0)
REACH_KM = 250.0
"""How far from its guess a vortex may be found after 6 h; the square root of the time longer after 12 h."""
VARIABLES = ("vorticity", "divergence", "eastward_wind", "northward_wind")
"""What the store must hold, in the order in which `found_vortices` takes them."""
COLUMNS = ("time", "latitude", "longitude", "vorticity", "convergence", "lives_on", "east", "north")

Array = NDArray[np.floating]


def coherent_vortices(store: Store) -> NDArray[np.float32]:
    """Return one row per coherent vortex and time, in the order of time: `COLUMNS`.

    time: index in the store; latitude and longitude in degrees, smoothed along the track; cyclonic vorticity and
    convergence: means over the two days around, in standard deviations of the store's vorticity and divergence, zero
    counting before it begins and after it ends; lives_on: 1 where it is still there 24 h later, 0 where not; east and
    north: its displacement in these 24 h, km, NaN where it has ended. What a day around would need and the store does
    not have is left out of the means; `lives_on` is NaN on the last day of a sequence of frames.
    Raises `UserError` for a store in which air cannot be followed for a day.
    """
    tables = []
    with ThreadPoolExecutor(cpu_count()) as pool:  # what takes long is done by NumPy and SciPy, beside one another
        for sequence in whole_days(store, "vortexfate"):
            frames = pool.map(partial(found_vortices, store, sequence), range(len(sequence)))
            found = pd.concat(frames, ignore_index=True)
            found["track"] = followed(found)
            tracks = (track for _, track in found.groupby("track") if np.ptp(track["position"]) >= DAY)
            tables += [_rows(track, sequence) for track in tracks]
    rows = np.concatenate(tables) if tables else np.zeros((0, len(COLUMNS)))
    deviations = [store.channels[store.names.index(name)].standard_deviation for name in ("vorticity", "divergence")]
    rows[:, 3:5] /= deviations
    return rows[np.argsort(rows[:, 0], kind="stable")].astype(np.float32)


def found_vortices(store: Store, sequence: NDArray[np.intp], position: int) -> pd.DataFrame:
    """Return the vortices of one frame: position in the sequence, latitude, longitude (to a fraction of a pixel),
    cyclonic vorticity and convergence (s-1), eastward and northward steering wind (m s-1).
    """
    lat, lon = store.latitude, store.longitude
    fields = filled(store, sequence, position, [store.names.index(name) for name in VARIABLES])
    vorticity, divergence = smooth_km(fields[:2], lat, lon, SMOOTHING_KM)
    eastward, northward = smooth_km(fields[2:], lat, lon, STEERING_KM)
    cyclonic = vorticity * np.sign(lat)[:, None]
    least = LEAST_DEVIATIONS * store.channels[store.names.index("vorticity")].standard_deviation
    within = (np.abs(lat) > LATITUDES[0]) & (np.abs(lat) < LATITUDES[1])
    highest = cyclonic == maximum_filter(cyclonic, NEIGHBOURHOOD, mode=("nearest", "wrap"))
    row, column = np.nonzero(highest & within[:, None] & (cyclonic > least))
    row_part = _summit(*(cyclonic[(row + k).clip(0, len(lat) - 1), column] for k in (-1, 0, 1)))
    column_part = _summit(*(cyclonic[row, (column + k) % len(lon)] for k in (-1, 0, 1)))
    return pd.DataFrame(
        {
            "position": position,
            "latitude": np.interp(row + row_part, np.arange(len(lat)), lat),
            "longitude": (lon[column] + column_part * store.longitude_spacing) % 360,
            "vorticity": cyclonic[row, column].astype(np.float64),
            "convergence": -divergence[row, column].astype(np.float64),
            "eastward": eastward[row, column],
            "northward": northward[row, column],
        }
    )


def _summit(before: Array, at: Array, after: Array) -> Array:
    """Return where, in pixels from the middle one, the parabola through three values is highest."""
    curvature = np.minimum(before + after - 2 * at, -1e-12)
    return ((before - after) / 2 / curvature).clip(-0.5, 0.5)


def followed(found: pd.DataFrame) -> NDArray[np.intp]:
    """Return the number of each vortex's track. `found` has the vortices of one sequence in the order of position.

    A vortex that is lost in one frame may be found again in the next but one.
    """
    successor, has_predecessor = np.full(len(found), -1, np.intp), np.zeros(len(found), bool)
    count = int(found["position"].max()) + 1 if len(found) else 0
    first = np.searchsorted(found["position"], np.arange(count + 1))
    frames = [np.arange(first[k], first[k + 1]) for k in range(count)]
    for ahead in (1, 2):
        for now, later in zip(frames, frames[ahead:], strict=False):
            left, right = now[successor[now] < 0], later[~has_predecessor[later]]
            left, right = _pairs(found.iloc[left], found.iloc[right], ahead * HOURS_BETWEEN_FRAMES)
            successor[left], has_predecessor[right] = right, True
    track = np.arange(len(found))
    for number in np.flatnonzero(successor >= 0):
        track[successor[number]] = track[number]
    return track


def _pairs(now: pd.DataFrame, later: pd.DataFrame, hours: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the labels of the vortices that are each other's nearest, within reach of where the wind carries them."""
    none = np.zeros(0, np.intp)
    if now.empty or later.empty:
        return none, none
    carried = (now[wind].to_numpy() * 3.6 * hours for wind in ("eastward", "northward"))
    lat, lon = displaced(now["latitude"].to_numpy(), now["longitude"].to_numpy(), *carried)
    place = later["latitude"].to_numpy(), later["longitude"].to_numpy()
    km = distance_km(lat[:, None], lon[:, None], *place)
    nearest, back = km.argmin(1), km.argmin(0)
    every = np.arange(len(now))
    paired = (back[nearest] == every) & (km[every, nearest] < REACH_KM * np.sqrt(hours / HOURS_BETWEEN_FRAMES))
    return now.index.to_numpy()[paired], later.index.to_numpy()[nearest[paired]]


def _rows(track: pd.DataFrame, sequence: NDArray[np.intp]) -> Array:
    """Return one track's rows, one for every frame from its first to its last: `COLUMNS`, in SI units and km."""
    seen = track["position"].to_numpy()
    position = np.arange(seen[0], seen[-1] + 1)
    unrolled = np.unwrap(track["longitude"].to_numpy(), period=360)
    latitude, longitude = (
        savgol_filter(np.interp(position, seen, values), DAY + 1, polyorder=2)
        for values in (track["latitude"].to_numpy(), unrolled)
    )
    there = np.minimum(position + DAY, len(sequence) - 1) - np.maximum(position - DAY, 0) + 1
    kernel = np.ones(2 * DAY + 1)
    vorticity, convergence = (
        np.convolve(np.interp(position, seen, track[name]), kernel)[DAY:-DAY] / there
        for name in ("vorticity", "convergence")
    )
    lives_on = np.where(position + DAY < len(sequence), position + DAY <= seen[-1], np.nan)
    moved = np.full((2, len(position)), np.nan)
    moved[:, :-DAY] = displacement_km(latitude[:-DAY], longitude[:-DAY], latitude[DAY:], longitude[DAY:])
    place = latitude, longitude % 360
    return np.stack([sequence[position], *place, vorticity, convergence, lives_on, *moved], 1)
