"""Lagrangian displacement: the readout that says of every place where its air will be in 24 h.

The target is integrated forward through the later, unlabelled frames in the wind smoothed over 300 km, the flow that
steers a vortex. What the module then predicts from two frames of vorticity and divergence is a readout: a map (km east,
km towards the pole) that a task about motion can use with no more than a few calibrated numbers.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from tempfile import TemporaryFile

import numpy as np
import torch
from joblib import cpu_count
from scipy.ndimage import map_coordinates
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.data.sequences import filled
from toolkit.data.smoothing import smooth_km
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.geodesy import KM_PER_DEGREE, displacement_km
from toolkit.pretexts.contract import Encoder, Pretext, Readout, Target, Views, cut, finite_mean, token_grid
from toolkit.pretexts.days import DAY, HOURS_BETWEEN_FRAMES, whole_days
from toolkit.pretexts.readouts import DISPLACEMENT

HOURS = DAY * HOURS_BETWEEN_FRAMES
STEP_HOURS = 3.0
SMOOTHING_KM = 300.0
STRIDE = 2
SCALE_KM = 500.0
"""Typical displacement in a day, which brings the target to order one."""
CELLS = 2
"""Predicted values per side of a token."""
AT_ONCE = 64
"""Times whose smoothed winds are in memory together."""


def displacements(store: Store) -> np.ndarray:
    """Return km in 24 h (time, (east, north), rows / 2, columns / 2), float16; NaN where the later frames are missing.

    The array is in a file without a name, since that of many years is larger than the memory. The store must hold
    eastward_wind and northward_wind (m s-1). `UserError` where air cannot be followed in it for a day.
    """
    days = whole_days(store, "lagrangian")
    winds = [store.names.index("eastward_wind"), store.names.index("northward_wind")]
    starts = np.meshgrid(_cell_centres(store.latitude), _cell_centres(store.longitude), indexing="ij")
    with TemporaryFile(dir=store.path.parent) as file:
        out = np.memmap(file, np.float16, "w+", shape=(len(store.time), 2, *starts[0].shape))
    out[:] = np.nan

    def smoothed(sequence: np.ndarray, position: int) -> np.ndarray:
        wind = filled(store, sequence, position, winds)
        return smooth_km(wind, store.latitude, store.longitude, SMOOTHING_KM)

    def follow(start: int, ahead: list[np.ndarray]) -> None:
        out[start] = trajectories(np.stack(ahead), store.latitude, store.longitude, *starts)

    # Threads: what takes long is done by NumPy and SciPy, which let others go on meanwhile.
    with ThreadPoolExecutor(cpu_count()) as pool:
        for sequence in days:
            for first in range(0, len(sequence) - DAY, AT_ONCE):
                positions = range(first, min(first + AT_ONCE + DAY, len(sequence)))
                frames = list(pool.map(partial(smoothed, sequence), positions))
                ahead = [frames[k : k + DAY + 1] for k in range(len(frames) - DAY)]
                list(pool.map(follow, sequence[first:], ahead))
    return out


def _cell_centres(axis: np.ndarray) -> np.ndarray:
    """Return the middles of the whole cells of two by two pixels; a window reflected on them stays aligned."""
    whole = len(axis) // STRIDE * STRIDE
    return axis[:whole].reshape(-1, STRIDE).mean(1)


def trajectories(
    wind: np.ndarray, latitude: np.ndarray, longitude: np.ndarray, start_lat: np.ndarray, start_lon: np.ndarray
) -> np.ndarray:
    """Follow the air from the starts through winds (frame, (east, north), lat, lon), 6-hourly, m s-1.

    Returns (2, *start.shape): km east and north of where it began, by midpoint steps of 3 h, linear in space and time.
    Latitude runs evenly from north to south, longitude once round the globe.
    """
    lat, lon = start_lat, start_lon
    spacing_lat, spacing_lon = latitude[0] - latitude[1], longitude[1] - longitude[0]
    wrapped = np.concatenate([wind, wind[..., :1]], -1)

    def move(lat: np.ndarray, lon: np.ndarray, hour: float, duration: float) -> tuple[np.ndarray, np.ndarray]:
        frame = min(int(hour // HOURS_BETWEEN_FRAMES), len(wind) - 2)
        late = hour / HOURS_BETWEEN_FRAMES - frame
        where = np.stack([(latitude[0] - lat) / spacing_lat, ((lon - longitude[0]) % 360) / spacing_lon])
        at_hour = (1 - late) * wrapped[frame] + late * wrapped[frame + 1]
        east, north = (map_coordinates(part, where, order=1, mode="nearest") for part in at_hour)
        degrees = 3.6 * duration / KM_PER_DEGREE
        return east * degrees / np.cos(np.radians(np.clip(lat, -85, 85))), north * degrees

    for hour in np.arange(0, HOURS, STEP_HOURS):
        east, north = move(lat, lon, hour, STEP_HOURS / 2)
        east, north = move(lat + north, lon + east, hour + STEP_HOURS / 2, STEP_HOURS)
        lat, lon = np.clip(lat + north, -89, 89), lon + east
    return np.stack(displacement_km(start_lat, start_lon, lat, lon)).astype(np.float32)


def lagrangian_loss(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    """Return the mean Euclidean error of the displacement, in units of 500 km."""
    tokens, truth = encode(views.seen), views.drawn["lagrangian"]["displacement"] / SCALE_KM
    predicted = _cells(module, tokens, token_grid(tokens.shape[1], truth.shape[-2:]))
    error = ((predicted - truth.nan_to_num(0.0)).square().sum(1) + 1e-6).sqrt()
    return finite_mean(error, torch.isfinite(truth).all(1))


def _cells(module: nn.Module, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    cells = module(tokens).transpose(1, 2).reshape(len(tokens), -1, *grid)
    return nn.functional.pixel_shuffle(cells, CELLS)


def _read(module: nn.Module, tokens: Tensor, grid: tuple[int, int], _spec: FeatureSpec) -> Tensor:
    cells = _cells(module, tokens, grid) * SCALE_KM
    return nn.functional.interpolate(cells, scale_factor=float(STRIDE), mode="bilinear")


def _module(spec: FeatureSpec) -> nn.Module:
    if spec.patch != CELLS * STRIDE:
        raise UserError(f"The pretext 'lagrangian' needs patches of {CELLS * STRIDE} pixels, not {spec.patch}.")
    return nn.Linear(spec.dim, 2 * CELLS**2)


PRETEXT = Pretext(
    name="lagrangian",
    summary="Predict where the air at every place will be in 24 h",
    module=_module,
    loss=lagrangian_loss,
    targets={
        "displacement": Target(HOURS, displacements, partial(cut, stride=STRIDE, odd_channels=(1,)), stride=STRIDE)
    },
    readout=Readout(DISPLACEMENT, "km", lambda _: 2, _read),
)
