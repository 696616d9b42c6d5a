"""What the benchmarks of fine-tuning share: random data, a random backbone, and a loop on timm and peft by hand.

All take batches of 32 windows of the hurricane task, by AdamW with clipped gradients, on a transformer of 128 x 6 with
the task's head and loss. The loop by hand has all windows, readouts and targets in memory as tensors.
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import peft
import torch
import xarray as xr
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from tasks.hurricane.task import TASK
from toolkit.adapt import Lora, lora_config
from toolkit.backbones.card import Card
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone
from toolkit.backbones.weights import Backbone, load_backbone, save_backbone
from toolkit.columns import encode_columns
from toolkit.data.store import Store
from toolkit.data.store_write import write_store
from toolkit.examples import Examples, cut_examples
from toolkit.fit import batch_index
from toolkit.heads.features import Features, Given
from toolkit.parts import Parts, input_planes, usable_readouts
from toolkit.pretexts.draw import normalisation_for
from toolkit.pretexts.known import pretext_named

UNCOUNTED, BATCH, RATE, SEED = 10, 32, 1e-3, 0
DIM, DEPTH, HEADS, PATCH = 128, 6, 4, 4
GRID, TIMES, STORMS, FIXES = (128, 256), 60, 40, 20


def made(folder: Path) -> tuple[Examples, Backbone]:
    """Return windows around random storms and a backbone with random weights, made for their fields."""
    torch.manual_seed(SEED)
    store, labels = random_store(folder), random_labels()
    examples = cut_examples(TASK, store, labels, np.full(len(labels), True), SEED)
    return examples, random_backbone(store, folder / "backbone")


def random_store(folder: Path) -> Store:
    """Write random fields, six-hourly on a 1.4-degree grid."""
    rng, dimensions = np.random.default_rng(0), ("time", "latitude", "longitude")
    names = (*TASK.inputs.variables, *TASK.inputs.also)
    fields = {
        name: (dimensions, rng.standard_normal((TIMES, *GRID), np.float32) * 1e-5, {"units": unit})
        for name, unit in zip(names, ("s-1", "s-1", "m s-1", "m s-1"), strict=True)
    }
    coordinates = {
        "time": np.datetime64("2000-08-01", "ns") + np.arange(TIMES) * np.timedelta64(6, "h"),
        "latitude": np.linspace(90, -90, GRID[0] + 1)[:-1] - 90 / GRID[0],
        "longitude": np.arange(GRID[1]) * 360 / GRID[1],
    }
    return write_store(xr.Dataset(fields, coordinates), folder / "store", names)


def random_labels() -> pd.DataFrame:
    """Return storms that begin at random times and places and drift."""
    rng, step = np.random.default_rng(1), np.arange(FIXES)
    tracks = []
    for storm in range(STORMS):
        first = np.datetime64("2000-08-01", "ns") + rng.integers(1, TIMES - FIXES) * np.timedelta64(6, "h")
        table = pd.DataFrame({"time": first + step * np.timedelta64(6, "h"), "group": f"AL{storm:02d}2000"})
        table["latitude"] = rng.choice([-1, 1]) * (10 + 0.5 * step)
        table["longitude"] = (rng.uniform(0, 360) - step) % 360
        table["wind_kt"] = 30.0 + 3 * step
        table["latitude_24h"], table["longitude_24h"] = table["latitude"].shift(-4), table["longitude"].shift(-4)
        tracks.append(table)
    return pd.concat(tracks, ignore_index=True)


def random_backbone(store: Store, folder: Path) -> Backbone:
    """Save a backbone of the size of the shipped one, with random weights, and load it."""
    normalisation = normalisation_for(TASK.inputs.variables, store)
    spec = FeatureSpec(normalisation.names, normalisation.units, TASK.inputs.frames, store.latitude_spacing, PATCH, DIM)
    architecture = {"depth": DEPTH, "heads": HEADS}
    pretexts = {name: pretext_named(name) for name in ("masked", "nextframe", "lagrangian", "vortexfate")}
    handed = tuple(pretext.readout.name for pretext in pretexts.values() if pretext.readout)
    weights = dict.fromkeys(pretexts, 1.0)
    card = Card("random", "Random weights", spec, architecture, normalisation, weights, handed, 0, "")
    modules = {name: pretext.module(spec) for name, pretext in pretexts.items()}
    folder.mkdir()
    save_backbone(folder, card, build_backbone(spec, architecture, SEED), modules)
    return load_backbone(folder)


class Bare:
    """The loop by hand: timm's transformer, peft's LoRA, the task's head, and everything in memory."""

    def __init__(self, examples: Examples, parts: Parts, backbone: Backbone, blocks: int) -> None:
        """Build the model, with LoRA on the last blocks, and the optimiser, and make all tensors."""
        planes = backbone.card.spec.planes
        vit = VisionTransformer(
            img_size=TASK.inputs.window,
            patch_size=PATCH,
            in_chans=2 * planes - 1,
            embed_dim=DIM,
            depth=DEPTH,
            num_heads=HEADS,
            num_classes=0,
            global_pool="",
            class_token=False,
        )
        lora = lora_config(Lora(blocks=blocks), vit)
        self.vit: nn.Module = peft.get_peft_model(vit, lora)
        self.head = TASK.head(Given(backbone.card.spec, usable_readouts(TASK, backbone.card)))
        self.trained = [p for m in (self.vit, self.head) for p in m.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=RATE, weight_decay=0.05)
        self.x = input_planes(parts, examples, np.arange(len(examples)))
        self.columns = torch.from_numpy(encode_columns(parts.columns, examples.table))
        self.seen = torch.cat([self.x.nan_to_num(0.0), self.x[:, :-1].isfinite().float()], 1)
        self.readouts = parts.readouts(self.x)
        self.targets = {name: torch.from_numpy(target) for name, target in TASK.encode(examples).items()}
        rows, columns = TASK.inputs.window
        self.grid = (rows // PATCH, columns // PATCH)

    def step(self, index: Tensor) -> float:
        """Train on the windows at `index`; return the loss."""
        read = {name: values[index] for name, values in self.readouts.items()}
        tokens, x = self.vit(self.seen[index]), self.x[index]
        output = self.head(Features(tokens, self.grid, x, read, self.columns[index], known=x[:, :0]))
        parts = TASK.loss(output, {name: target[index] for name, target in self.targets.items()})
        loss = torch.stack(list(parts.values())).sum()
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()


@dataclass
class Turns:
    """After each of the toolkit's steps, one by every loop by hand on the same windows; seconds of all."""

    bare: Mapping[str, Bare]
    examples: int
    toolkit: list[float] = field(default_factory=list)
    by_hand: dict[str, list[float]] = field(default_factory=dict)
    ended: float = field(default_factory=time.perf_counter)

    def __call__(self, numbers: dict[str, float]) -> None:
        """Note the toolkit's step that just ended and take the others."""
        self.toolkit.append(time.perf_counter() - self.ended)
        index = torch.from_numpy(batch_index(self.examples, BATCH, SEED, int(numbers["step"])))
        self.ended = time.perf_counter()
        for name, bare in self.bare.items():
            began = self.ended
            bare.step(index)
            self.ended = time.perf_counter()
            self.by_hand.setdefault(name, []).append(self.ended - began)

    def seconds(self) -> tuple[float, dict[str, float]]:
        """Return the median seconds of the toolkit's step, and those by hand."""
        return _median(self.toolkit), {name: _median(times) for name, times in self.by_hand.items()}

    def ratio(self, name: str) -> float:
        """Return the median of the toolkit's seconds over those by hand, of neighbouring steps."""
        return _median([ours / theirs for ours, theirs in zip(self.toolkit, self.by_hand[name], strict=True)])


def _median(steps: list[float]) -> float:
    return statistics.median(steps[UNCOUNTED:])
