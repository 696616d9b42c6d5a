"""Pretraining: windows drawn from unlabelled stores, hidden in part, seen by the backbone, read by every pretext."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec, planes
from toolkit.backbones.vit import ViT, build
from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.data.windows import ODD_UNDER_REFLECTION, Windows, read_windows, window_at, window_latitudes
from toolkit.errors import UserError
from toolkit.pretexts.contract import Pretext, Target, Views
from toolkit.pretexts.masked import hide
from toolkit.train import Run, Schedule, train

SCORED_BATCHES = 40
POLEWARD_CENTRE = 58.0
"""Windows are centred between this latitude north and south: beyond it a pixel is less than half as wide as tall."""


@dataclass(frozen=True)
class Unlabelled:
    """A store, the times at which every frame and target exists, and what its targets are read from."""

    store: Store
    times: np.ndarray
    made: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """What is learned: the features, the backbone's shape, the pretexts with their weights, the window's size."""

    spec: FeatureSpec
    architecture: Mapping[str, Any]
    pretexts: tuple[tuple[Pretext, float], ...]
    size: tuple[int, int]


class Pretraining(nn.Module):
    """A backbone and, on its tokens, one module per pretext."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        """Build all parts with weights drawn from `seed`."""
        super().__init__()
        self.backbone: ViT = build(recipe.spec, dict(recipe.architecture), seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.pretexts = nn.ModuleDict({p.name: p.module(recipe.spec) for p, _ in recipe.pretexts})

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens (b, n, d) of windows (b, planes, h, w)."""
        return self.backbone.forward_features(x)


def unlabelled(store: Store, recipe: Recipe, make: Callable[[str, Target, Store], np.ndarray]) -> Unlabelled:
    """Find the usable times of a store and make what its pretexts read; `make` may keep arrays from an earlier run."""
    wanted = _targets(recipe)
    hours = {*recipe.spec.frames, *(target.hours for target in wanted.values())}
    usable = np.ones(len(store.time), bool)
    for hour in hours:
        usable &= np.isin(store.time + np.timedelta64(hour, "h"), store.time)
    made = {name: make(name, target, store) for name, target in wanted.items() if target.make is not None}
    if not usable.any():
        raise UserError(f"{store.path} has no time with all of its frames at {sorted(hours)} h.")
    return Unlabelled(store, np.flatnonzero(usable), made)


def draw(sources: Sequence[Unlabelled], recipe: Recipe, normalisation: Normalisation, n: int, seed: int) -> Views:
    """Return `n` random windows of one source as views, everything drawn from `seed`."""
    rng = np.random.default_rng(seed)
    sizes = np.array([len(source.times) for source in sources])
    source = sources[rng.choice(len(sources), p=sizes / sizes.sum())]
    store, every = source.store, np.arange(n)
    times = rng.choice(source.times, n)
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, n) * np.sin(np.radians(POLEWARD_CENTRE))))
    place = partial(window_at, store, store.time[times], latitude, rng.uniform(0, 360, n), recipe.size)
    windows = _aligned(place(frames=recipe.spec.frames), _targets(recipe))
    read = partial(read_windows, store, index=every, normalisation=normalisation)
    clean = planes(read(windows), window_latitudes(store, windows, every))
    generator = torch.Generator().manual_seed(seed)
    seen, hidden = hide(clean, recipe.spec.patch, generator)
    targets = {}
    for name, target in _targets(recipe).items():
        if target.make is not None and target.read is not None:
            there = _moved(windows, store, times, 0)
            targets[name] = torch.from_numpy(target.read(source.made[name], store, there))
        else:
            targets[name] = torch.from_numpy(read(_moved(windows, store, times, target.hours))[:, 0])
    return Views(clean, seen, hidden, targets)


def pretext_losses(recipe: Recipe, model: Pretraining, views: Views) -> dict[str, Tensor]:
    """Return every pretext's weighted loss on one batch. Of several processes, each has the model wrapped."""
    tokens = model(views.seen)
    modules = getattr(model, "module", model).pretexts
    return {p.name: weight * p.loss(modules[p.name], tokens, views) for p, weight in recipe.pretexts}


def _targets(recipe: Recipe) -> dict[str, Target]:
    return {name: target for pretext, _ in recipe.pretexts for name, target in pretext.targets.items()}


def _aligned(windows: Windows, targets: Mapping[str, Target]) -> Windows:
    """Move every window's corner to a multiple of the largest stride, so that coarser targets fall on its pixels."""
    stride = max((target.stride for target in targets.values()), default=1)
    row, column = windows.row // stride * stride, windows.column // stride * stride
    return Windows(windows.time, row, column, windows.mirrored, windows.size)


def _moved(windows: Windows, store: Store, times: np.ndarray, hours: int) -> Windows:
    """Return the windows `hours` after the given times, one frame each."""
    found = np.searchsorted(store.time, store.time[times] + np.timedelta64(hours, "h"))
    return Windows(found[:, None], windows.row, windows.column, windows.mirrored, windows.size)


def normalisation_for(spec_variables: Sequence[str], store: Store) -> Normalisation:
    """Return the store's statistics of the given variables; a variable that is odd about the equator has mean zero."""
    chosen = [store.channels[store.names.index(name)] for name in spec_variables]
    return Normalisation(
        tuple(channel.name for channel in chosen),
        tuple(channel.units for channel in chosen),
        tuple(0.0 if channel.name in ODD_UNDER_REFLECTION else channel.mean for channel in chosen),
        tuple(channel.standard_deviation for channel in chosen),
    )


def pretrain(
    recipe: Recipe, sources: Sequence[Unlabelled], normalisation: Normalisation, schedule: Schedule, run: Run
) -> Pretraining:
    """Train a backbone on windows of the sources and return it with its pretexts' modules."""
    model = Pretraining(recipe, schedule.seed)

    def batch(number: int) -> Views:
        seed = (schedule.seed << 32) + number
        return _on(draw(sources, recipe, normalisation, schedule.batch_size, seed), run.device)

    train(model, batch, partial(pretext_losses, recipe), schedule, run)
    return model


@torch.no_grad()
def held_out_losses(
    recipe: Recipe, model: Pretraining, sources: Sequence[Unlabelled], normalisation: Normalisation, batch_size: int
) -> dict[str, float]:
    """Return every pretext's loss, without its weight, as the mean over the same random windows of the sources."""
    unweighted = replace(recipe, pretexts=tuple((pretext, 1.0) for pretext, _ in recipe.pretexts))
    device = next(model.parameters()).device
    model.eval()
    losses = []
    for number in range(SCORED_BATCHES):
        views = draw(sources, recipe, normalisation, batch_size, number)
        losses.append(pretext_losses(unweighted, model, _on(views, device)))
    return {name: float(torch.stack([batch[name] for batch in losses]).mean()) for name in losses[0]}


def _on(views: Views, device: str | torch.device) -> Views:
    return Views(**send_to_device(vars(views), device))
