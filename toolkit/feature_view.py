"""What a channel of a backbone looks for: the windows that excite it most, and the input made to excite it most.

Zeiler and Fergus (2014, arXiv:1311.2901) show the pictures that a channel answers strongest; Erhan et al. (2009,
"Visualizing higher-layer features of a deep network") climb its gradient in the space of inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from toolkit.backbones.card import check_fits_store
from toolkit.backbones.features import FeatureSpec, planes
from toolkit.backbones.weights import Backbone
from toolkit.data.store import Store
from toolkit.data.windows import Windows, frames_at, read_windows, to_degrees, window_at, window_latitudes
from toolkit.errors import UserError
from toolkit.geodesy import distance_km
from toolkit.pretexts.contract import token_grid
from toolkit.pretexts.draw import random_centres
from toolkit.told import Told

PATCHES = 8
"""Patches along the side of a window, where the grid is large enough."""
CHUNK = 128
STRONGEST = 6
"""Windows shown of a channel."""
LISTED = 8
"""Channels shown where none was asked for."""
BINS = 60
DRAWS, BLURS = 4, (0.0, 1.0, 2.0, 4.0)
"""How many fields of noise an ascent may set out from, each of them smoothed over so many pixels."""
APART_KM, APART = 2000.0, np.timedelta64(72, "h")
"""Two windows nearer than both, in place and in time, show the same weather."""


@dataclass(frozen=True)
class Ascent:
    """How the gradient is climbed: pixels along the image's side, steps, the length of the first one, the penalty.

    `rate` is a share of the image's own length; `smoothness` the loss for one unit of roughness, in standard deviations
    of the activation.
    """

    side: int
    steps: int = 200
    rate: float = 0.2
    smoothness: float = 10.0


@dataclass(frozen=True, eq=False)
class Exciting:
    """A window as the backbone sees it, and the token at which a channel answers strongest.

    time: that of the last frame; token: its row and column; latitude, longitude: its centre; fields (t, c, h, w):
    normalised, with the signs and the order of rows that the backbone sees, which are turned over where `mirrored`;
    rows (h,), columns (w,): true degrees, the columns ascending, beyond 360 where need be.
    """

    activation: float
    time: np.datetime64
    latitude: float
    longitude: float
    token: tuple[int, int]
    mirrored: bool
    fields: NDArray[np.float32]
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Channel:
    """What is known of one channel: over all tokens its mean, standard deviation, selectivity; what excites it.

    counts (n,), edges (n + 1,): a histogram of the activations. image (t, c, h, w): the input by gradient ascent,
    normalised, centred at `latitude` degrees, which is that of the strongest token as the backbone sees it; `before`
    and `after`: the activation of its middle token at the start and at the end.
    """

    number: int
    mean: float
    deviation: float
    selectivity: float
    counts: NDArray[np.int64]
    edges: NDArray[np.float32]
    strongest: tuple[Exciting, ...]
    image: NDArray[np.float32]
    latitude: float
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class FeatureView:
    """Channels of one layer, whose tokens lie in a grid (rows, columns) over a window, from `windows` random ones."""

    backbone: str
    spec: FeatureSpec
    layer: str
    grid: tuple[int, int]
    windows: int
    channels: tuple[Channel, ...]


def view_features(
    backbone: Backbone,
    store: Store,
    layer: str | None = None,
    channels: Sequence[int] = (),
    windows: int = 1000,
    seed: int = 0,
    told: Told | None = None,
) -> FeatureView:
    """Return what channels of a layer look for in a store; the same seed gives the same numbers.

    layer: None takes the last; channels: without one, the most selective ones are taken. `UserError` where the store
    does not fit the backbone, or where there is no such layer or channel.
    """
    spec, told = backbone.card.spec, told or Told()
    check_fits_store(backbone.card, store, backbone.card.spec.variables)
    layer = last_layer(backbone) if layer is None else layer
    told.stage(f"looking at {windows} windows with {layer} of {backbone.card.name}")
    places = drawn_windows(store, spec, windows, seed)
    answers = responses(backbone, store, places, layer, told)
    for number in channels:
        if not 0 <= number < answers.shape[1]:
            raise UserError(f"The layer {layer} has the channels 0 to {answers.shape[1] - 1}, so there is no {number}.")
    selective = selectivity(answers)
    numbers = list(dict.fromkeys(channels)) or np.argsort(-selective, kind="stable")[:LISTED].tolist()
    told.stage(f"climbing the gradient of {len(numbers)} channels")
    best = [strongest(backbone, store, places, answers, number, STRONGEST) for number in numbers]
    latitudes = [-first.latitude if first.mirrored else first.latitude for first, *_ in best]
    deviations = [float(answers[:, number].std()) for number in numbers]
    images, before, after = ascend(backbone, layer, numbers, latitudes, deviations, seed, Ascent(places.size[0]))
    fields = images[:, :-1].unflatten(1, (len(spec.frames), len(spec.variables))).numpy()
    found = []
    for i, number in enumerate(numbers):
        counts, edges = np.histogram(answers[:, number], BINS)
        found.append(
            Channel(
                number=number,
                mean=float(answers[:, number].mean()),
                deviation=deviations[i],
                selectivity=float(selective[number]),
                counts=counts,
                edges=edges,
                strongest=best[i],
                image=fields[i],
                latitude=latitudes[i],
                before=float(before[i]),
                after=float(after[i]),
            )
        )
    return FeatureView(backbone.card.name, spec, layer, answers.shape[2:], windows, tuple(found))


def last_layer(backbone: Backbone) -> str:
    """Return the name of the layer that puts out the backbone's features."""
    return [name for name, _ in backbone.module.named_children()][-1]


def activations(backbone: Backbone, x: Tensor, layer: str) -> Tensor:
    """Return what a layer puts out for windows (b, planes, h, w) as maps (b, channels, rows, columns).

    Tokens (b, n, d) become maps row by row. `UserError` for an unknown layer, or for one that puts out no such thing.
    """
    found, (h, w) = backbone.module.features(x, layer), x.shape[-2:]
    if found.ndim == 3:
        rows, columns = token_grid(found.shape[1], (h, w))
        if rows * columns == found.shape[1] and rows * w == columns * h:
            return found.transpose(1, 2).unflatten(2, (rows, columns))
    if found.ndim == 4 and found.shape[2] * w == found.shape[3] * h and found.shape[2] <= h:
        return found
    raise UserError(
        f"The layer {layer} puts out {tuple(found.shape)} for windows of {h} x {w}, which are no channels on a map. "
        f"Take a layer around it, such as {layer.rpartition('.')[0] or last_layer(backbone)}."
    )


def drawn_windows(store: Store, spec: FeatureSpec, n: int, seed: int) -> Windows:
    """Return `n` random windows at times that have all frames, evenly over the area between 58 degrees south and north.

    `UserError` where no time has all frames, or where `n` is not positive.
    """
    if n < 1:
        raise UserError(f"{n} windows are none to choose from: ask for one at least.")
    times = store.time[(frames_at(store, store.time, spec.frames) >= 0).all(1)]
    if not len(times):
        raise UserError(f"{store.path} has no time with all of the frames at {list(spec.frames)} h.")
    rng = np.random.default_rng(seed)
    latitude, longitude = random_centres(store, rng, n)
    side = spec.patch * max(min(PATCHES, *(pixels // spec.patch for pixels in store.values.shape[2:])), 1)
    return window_at(store, rng.choice(times, n), latitude, longitude, (side, side), spec.frames)


@torch.no_grad()
def responses(
    backbone: Backbone, store: Store, windows: Windows, layer: str, told: Told | None = None
) -> NDArray[np.float32]:
    """Return the activations (n, channels, rows, columns) of a layer for all windows of a store."""
    found = []
    for first in range(0, len(windows), CHUNK):
        index = np.arange(first, min(first + CHUNK, len(windows)))
        values = read_windows(store, windows, index, backbone.card.normalisation)
        x = planes(values, window_latitudes(store, windows, index))
        found.append(activations(backbone, x, layer).numpy())
        if told:
            told.share((index[-1] + 1) / len(windows))
    return np.concatenate(found)


def selectivity(answers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how rare and how strong the high activations of each channel are, (channels,) from (n, channels, ...).

    The upper half of the kurtosis, E[max(a - E[a], 0)^4] / E[(a - E[a])^2]^2 over windows and tokens: 1.5 for a
    Gaussian, larger where a few tokens excite the channel far above the others; 0 for a channel that never changes.
    """
    found = []
    for channel in range(answers.shape[1]):
        departure = answers[:, channel].astype(np.float64)
        departure -= departure.mean()
        square = np.square(departure).mean()
        found.append((np.maximum(departure, 0) ** 4).mean() / square**2 if square else 0.0)
    return np.array(found)


def strongest(
    backbone: Backbone, store: Store, windows: Windows, answers: NDArray[np.float32], channel: int, count: int
) -> tuple[Exciting, ...]:
    """Return up to `count` windows by their largest activation of a channel, the strongest first.

    One whose token lies within 2000 km and 72 hours of a stronger one's is left out: it shows the same weather.
    """
    flat = answers[:, channel].reshape(len(answers), -1)
    at, peak = flat.argmax(1), flat.max(1)
    (h, w), (rows, columns) = windows.size, answers.shape[2:]
    row, column = np.divmod(at, columns)
    every = np.arange(len(windows))
    y, x = (row + 0.5) * h / rows - 0.5, (column + 0.5) * w / columns - 0.5
    latitude, longitude = (values[:, 0] for values in to_degrees(store, windows, every, y[:, None], x[:, None]))
    time = store.time[windows.time[:, -1]]
    chosen: list[int] = []
    for i in np.argsort(-peak, kind="stable"):
        near = distance_km(latitude[i], longitude[i], latitude[chosen], longitude[chosen]) < APART_KM
        if not (near & (np.abs(time[i] - time[chosen]) < APART)).any():
            chosen.append(int(i))
        if len(chosen) == count:
            break
    values = read_windows(store, windows, np.array(chosen), backbone.card.normalisation)
    return tuple(
        Exciting(
            activation=float(peak[i]),
            time=time[i],
            latitude=float(latitude[i]),
            longitude=float(longitude[i]),
            token=(int(row[i]), int(column[i])),
            mirrored=bool(windows.mirrored[i]),
            fields=fields,
            rows=_north_to_south(store, windows, i),
            columns=store.longitude[0] + (windows.column[i] + np.arange(w)) * store.longitude_spacing,
        )
        for i, fields in zip(chosen, values, strict=True)
    )


def ascend(
    backbone: Backbone,
    layer: str,
    channels: Sequence[int],
    latitudes: Sequence[float],
    deviations: Sequence[float],
    seed: int,
    ascent: Ascent,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each channel the input that excites it, (b, planes, h, w), and the activation before and after, (b,).

    Climbs a(x) / deviation - smoothness R(x), where a is the channel at the middle token and the roughness R the mean
    of the squared differences between neighbouring pixels, along and across. It sets out from Gaussian noise: of some
    draws, as they are and smoothed, the one that excites the channel most, since many a channel behind a ReLU is silent
    and without a gradient on most noise. After each step the fields are scaled to a mean square of 1, the data's own.
    The plane of the latitude is that of a window centred at `latitudes` degrees and stays; nothing is missing. The
    backbone is left as it was.
    """
    spec = backbone.card.spec
    side = ascent.side
    rows = np.clip(np.array(latitudes)[:, None] + spec.grid_degrees * ((side - 1) / 2 - np.arange(side)), -90, 90)
    shape = (len(channels), len(spec.frames), len(spec.variables), side, side)
    latitude = planes(np.zeros(shape, np.float32), rows)[:, -1:]
    noise = _noise(spec.planes - 1, side, seed)
    each, scale = torch.arange(len(channels)), torch.tensor(deviations).clamp_min(1e-12)

    def middle(fields: Tensor, latitude: Tensor) -> Tensor:
        maps = activations(backbone, torch.cat([fields, latitude.expand(len(fields), -1, -1, -1)], 1), layer)
        return maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]

    def activation(fields: Tensor) -> Tensor:
        return middle(fields, latitude)[each, torch.tensor(channels)]

    with torch.no_grad():
        best = [int(middle(noise, latitude[[i]])[:, channel].argmax()) for i, channel in enumerate(channels)]
        fields = noise[best]
        before = activation(fields)
    for step in range(ascent.steps):
        with torch.enable_grad():
            climbed = fields.detach().requires_grad_()
            gained = activation(climbed) / scale - ascent.smoothness * roughness(climbed)
            (gradient,) = torch.autograd.grad(gained.sum(), climbed)
        length = ascent.rate * (1 + np.cos(np.pi * step / ascent.steps)) / 2
        fields = _scaled(fields + length * _scaled(gradient))
    with torch.no_grad():
        return torch.cat([fields, latitude], 1), before, activation(fields)


def _noise(count: int, side: int, seed: int) -> Tensor:
    """Return fields (n, count, side, side) of Gaussian noise, in each of the `BLURS`, of mean square 1."""
    drawn = np.random.default_rng(seed).normal(size=(DRAWS, count, side, side))
    blurred = [gaussian_filter(drawn, (0, 0, blur, blur), mode="wrap") for blur in BLURS]
    return _scaled(torch.from_numpy(np.concatenate(blurred)).float())


def roughness(fields: Tensor) -> Tensor:
    """Return the mean squared difference of neighbouring pixels, along plus across, of fields (b, c, h, w): (b,)."""
    return sum((fields.diff(dim=axis).square().mean((1, 2, 3)) for axis in (2, 3)), start=fields.new_zeros(len(fields)))


def _scaled(fields: Tensor) -> Tensor:
    """Return fields (b, c, h, w) with a mean square of 1 each; what is zero stays so."""
    return fields / fields.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-20)


def _north_to_south(store: Store, windows: Windows, index: int) -> NDArray[np.float64]:
    """Return the true latitudes of a window's rows (h,) as the picture has them: of a mirrored one from the south."""
    latitude = store.latitude[windows.row[index] + np.arange(windows.size[0])]
    return latitude[::-1] if windows.mirrored[index] else latitude
