"""Drawing windows at random from unlabelled stores: where they lie, what is hidden of them, what each pretext reads."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.backbones.features import FeatureSpec, planes
from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.data.windows import (
    ODD_UNDER_REFLECTION,
    Windows,
    frames_at,
    read_windows,
    window_at,
    window_latitudes,
)
from toolkit.errors import UserError
from toolkit.pretexts.contract import Place, Pretext, Target, Views
from toolkit.pretexts.masked import hide
from toolkit.seeds import torch_seed

POLEWARD_CENTRE = 58.0
"""Windows are centred between this latitude north and south: beyond it a pixel is less than half as wide as tall."""
Made = Mapping[tuple[str, str], np.ndarray]
MakeTarget = Callable[[str, Target, Store], np.ndarray]
"""(name of the target, the target, store) -> what `Target.make` makes, perhaps kept from an earlier run."""


@dataclass(frozen=True)
class Recipe:
    """What is learned: the features, the backbone's shape, the pretexts with their weights, the window's size.

    `hidden`: the largest share of patches that are hidden in what the pretexts share; 0 shows them everything, and is a
    `UserError` where one learns from what is hidden alone.
    """

    spec: FeatureSpec
    architecture: Mapping[str, Any]
    pretexts: tuple[tuple[Pretext, float], ...]
    size: tuple[int, int]
    hidden: float = 0.6

    def __post_init__(self) -> None:
        if blind := [pretext.name for pretext, _ in self.pretexts if pretext.of_hidden and not self.hidden]:
            raise UserError(
                f"Nothing is hidden (hidden=0), and the pretext '{blind[0]}' learns from what is hidden alone. Give "
                "hidden above 0, such as 0.6, or leave the pretext out."
            )

    @property
    def targets(self) -> dict[tuple[str, str], Target]:
        """The targets of all pretexts by the pretext's name and their own."""
        return {(p.name, name): target for p, _ in self.pretexts for name, target in p.targets.items()}


@dataclass(frozen=True)
class Unlabelled:
    """A store, the times at which every frame and target exists, and what its targets are read from."""

    store: Store
    times: np.ndarray
    made: Made


def unlabelled(store: Store, recipe: Recipe, make: MakeTarget) -> Unlabelled:
    """Find the usable times of a store and make what its pretexts read; `make` may keep arrays from an earlier run.

    UserError where no time has all of its frames.
    """
    frames = recipe.spec.frames
    hours = {*frames, *(target.hours for target in recipe.targets.values())}
    hours |= {frame + later for pretext, _ in recipe.pretexts for later in pretext.hours for frame in frames}
    usable = np.ones(len(store.time), bool)
    for hour in hours:
        usable &= np.isin(store.time + np.timedelta64(hour, "h"), store.time)
    made = {key: make(key[1], target, store) for key, target in recipe.targets.items() if target.make is not None}
    if not usable.any():
        raise UserError(
            f"The fields of {store.time[0]} to {store.time[-1]} have no time with all of its frames at {sorted(hours)} "
            "h: frames, and the hours that pretexts predict, are whole steps of the data."
        )
    return Unlabelled(store, np.flatnonzero(usable), made)


def draw(sources: Sequence[Unlabelled], recipe: Recipe, normalisation: Normalisation, n: int, seed: int) -> Views:
    """Return `n` random windows of one source as views, everything drawn from `seed`."""
    rng = np.random.default_rng(seed)
    sizes = np.array([len(source.times) for source in sources])
    source = sources[rng.choice(len(sources), p=sizes / sizes.sum())]
    store, every = source.store, np.arange(n)
    times = rng.choice(source.times, n)
    centres = random_centres(store, rng, n)
    windows = window_at(store, store.time[times], *centres, recipe.size, recipe.spec.frames)
    windows = _aligned(windows, recipe.targets.values())
    read = partial(read_windows, store, index=every, normalisation=normalisation)
    clean = planes(read(windows), window_latitudes(store, windows, every))
    seen, hidden = _hidden(clean, recipe, seed)
    drawn: dict[str, dict[str, Tensor]] = {pretext.name: {} for pretext, _ in recipe.pretexts}
    for (pretext_name, name), target in recipe.targets.items():
        if target.make is not None and target.read is not None:
            now = replace(windows, time=times[:, None])
            values = target.read(source.made[pretext_name, name], store, now)
        else:
            later = replace(windows, time=frames_at(store, store.time[times], (target.hours,)))
            values = read(later)[:, 0]
        drawn[pretext_name][name] = torch.from_numpy(values)
    place = Place(store, windows, times, recipe.spec, normalisation)
    for number, (pretext, _) in enumerate(recipe.pretexts, 1):  # [seed, 0] is the seed itself
        if pretext.draw:
            drawn[pretext.name] |= pretext.draw(place, np.random.default_rng([seed, number]))
    return Views(clean, seen, hidden, drawn)


def random_centres(store: Store, rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitude and longitude (n,), degrees, of random points on the grid, as many on every part of its area.

    They lie between 58 degrees south and north; on a grid that is all beyond, at its edge nearest to the equator.
    """
    limits = np.clip((-POLEWARD_CENTRE, POLEWARD_CENTRE), store.latitude[-1], store.latitude[0])
    south, north = np.sin(np.radians(limits))
    # Written about the middle, exactly zero on a globe, whose windows stay those that shipped weights were trained on.
    latitude = np.degrees(np.arcsin((south + north) / 2 + (north - south) / 2 * rng.uniform(-1, 1, n)))
    west, east = (0, 360) if store.wraps else store.longitude[[0, -1]]
    return latitude, rng.uniform(west, east, n)


def _hidden(clean: Tensor, recipe: Recipe, seed: int) -> tuple[Tensor, Tensor]:
    b, planes, h, w = clean.shape
    patch = recipe.spec.patch
    if recipe.hidden:
        return hide(clean, patch, torch.Generator().manual_seed(torch_seed(seed)), recipe.hidden)
    return clean, torch.zeros(b, (h // patch) * (w // patch), planes - 1, dtype=torch.bool)


def normalisation_for(variables: Sequence[str], store: Store) -> Normalisation:
    """Return the store's statistics of the given variables; a variable that is odd about the equator has mean zero."""
    chosen = [store.channels[store.names.index(name)] for name in variables]
    return Normalisation(
        tuple(channel.name for channel in chosen),
        tuple(channel.units for channel in chosen),
        tuple(0.0 if channel.name in ODD_UNDER_REFLECTION else channel.mean for channel in chosen),
        tuple(channel.standard_deviation for channel in chosen),
    )


def _aligned(windows: Windows, targets: Iterable[Target]) -> Windows:
    """Move every window's corner to a multiple of the largest stride, so that coarser targets fall on its pixels."""
    stride = max((target.stride for target in targets), default=1)
    return replace(windows, row=windows.row // stride * stride, column=windows.column // stride * stride)
