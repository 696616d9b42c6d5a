"""What a channel of a backbone looks for: the windows that excite it most, and the input made to excite it most.

Zeiler and Fergus (2014, arXiv:1311.2901) show the pictures that a channel answers strongest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.activations import last_layer, responses, selectivity
from toolkit.ascent import Ascent, ascend
from toolkit.backbones.card import check_fits_store
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.weights import Backbone
from toolkit.data.store import Store
from toolkit.data.windows import Windows, frames_at, read_windows, to_degrees, window_at
from toolkit.errors import UserError
from toolkit.geodesy import distance_km
from toolkit.pretexts.draw import random_centres
from toolkit.told import Told

PATCHES = 8
"""Patches along the side of a window, where the grid is large enough."""
STRONGEST = 6
"""Windows shown of a channel."""
LISTED = 8
"""Channels shown where none was asked for."""
BINS = 60
APART_KM, APART = 2000.0, np.timedelta64(72, "h")
"""Two windows nearer than both, in place and in time, show the same weather."""


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


def strongest(
    backbone: Backbone, store: Store, windows: Windows, answers: NDArray[np.float32], channel: int, count: int
) -> tuple[Exciting, ...]:
    """Return up to `count` windows by their largest activation of a channel, the strongest first.

    One whose token lies near a stronger one's in place and time (`APART_KM`, `APART`) is left out: it shows the same
    weather.
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


def _north_to_south(store: Store, windows: Windows, index: int) -> NDArray[np.float64]:
    """Return the true latitudes of a window's rows (h,) as the picture has them: of a mirrored one from the south."""
    latitude = store.latitude[windows.row[index] + np.arange(windows.size[0])]
    return latitude[::-1] if windows.mirrored[index] else latitude
