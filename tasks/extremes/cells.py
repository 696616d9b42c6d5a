"""Cells of two by two pixels: what is true of them, what is stated of them, and the network's output for them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from toolkit.data.label_kinds import KINDS
from toolkit.examples import Examples
from toolkit.geodesy import KM_PER_DEGREE
from toolkit.heads.features import Features, Given
from toolkit.heads.pixels import SQUARE, PixelHead
from toolkit.pretexts.readouts import DISPLACEMENT, NEXT_FRAMES, VORTEX_FATE

CELL = 2
"""Pixels along the side of a cell: 2.8 degrees on the grid of 1.4, as fine as the simulated events are known."""

READOUTS = (NEXT_FRAMES, VORTEX_FATE, DISPLACEMENT)
SCALES = {NEXT_FRAMES: 1.0, VORTEX_FATE: 1.0, DISPLACEMENT: 1 / 400.0}
"""Readouts a head looks at beside the fields, and what brings each near one: displacements are in km."""
WEIGHTS = {"tropical_cyclone": 4.0, "filament": 1.0, "blocking": 2.0, "heat": 1.0}
"""How much the loss of a kind counts: the rarer kinds more. Within a kind all cells count alike, or the probabilities
would not be probabilities."""
NOW, WITHHELD = "events now", 0.25
MOST_CARRIED_DAYS = 3
"""Beyond so many days the displacement of one, taken several times, says little."""
FIRST_GUESS = -3.0
"""The logit an untrained head states everywhere: 5 %."""


def at_lead(name: str, days: int) -> str:
    """Return what a kind or a score is called at a lead: for a later day with its hours, as in heat_48h."""
    return f"{name}_{24 * days}h" if days else name


def columns(leads: Sequence[int]) -> list[str]:
    """Return the columns of all kinds at all leads, a lead's kinds together."""
    return [at_lead(kind, lead) for lead in leads for kind in KINDS]


class EventHead(nn.Module):
    """Features to logits (b, leads x kinds, rows, columns) of cells.

    What is known of the events at the analysis time is looked at beside the fields, and where the backbone says where
    the air will be, also as the air carries it on. In training it is kept from one window in four, so that the head
    can do without.
    """

    def __init__(self, given: Given, leads: Sequence[int]) -> None:
        """Build the head for these leads, days."""
        super().__init__()
        channels = len(leads) * len(KINDS)
        self.pixel_km = given.spec.grid_degrees * KM_PER_DEGREE
        self.carried_days = tuple(days for days in leads if 0 < days <= MOST_CARRIED_DAYS)
        carries = len(self.carried_days) if DISPLACEMENT in given.readouts else 0
        beside = dict(given.readouts) | ({NOW: (2 + carries) * given.known} if given.known else {})
        square = 1 if given.known else SQUARE
        self.pixels = PixelHead(given.spec, channels, beside, bias=(FIRST_GUESS,) * channels, square=square)

    def forward(self, features: Features) -> Tensor:
        """Return the logits."""
        beside = {name: field * SCALES[name] for name, field in features.readouts.items()}
        if features.known.shape[1]:
            beside[NOW] = self._known(features)
        return nn.functional.avg_pool2d(self.pixels(replace(features, readouts=beside)), CELL)

    def _known(self, features: Features) -> Tensor:
        """Return the known maps, 0 where they are not known, where they are, and where the air carries them."""
        there = features.known.isfinite()
        if self.training:
            there = there & (torch.rand(len(there), 1, 1, 1, device=there.device) >= WITHHELD)
        now = torch.where(there, features.known, 0.0)
        parts = [now, there.to(now.dtype)]
        if DISPLACEMENT in features.readouts:
            moved = features.readouts[DISPLACEMENT] / self.pixel_km
            along = moved[:, 0] / (1 - features.planes[:, -1] ** 2).sqrt().clamp(min=0.2)
            parts += [carried(now, days * along, -days * moved[:, 1]) for days in self.carried_days]
        return torch.cat(parts, 1)


def carried(maps: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Return maps (b, m, h, w) moved by a displacement (b, h, w), pixels, taken where it ends: map(x - d(x))."""
    h, w = maps.shape[-2:]
    row, column = torch.meshgrid(
        torch.arange(h, device=maps.device), torch.arange(w, device=maps.device), indexing="ij"
    )
    came_from = torch.stack([2 * (column - right) / (w - 1) - 1, 2 * (row - down) / (h - 1) - 1], -1)
    return nn.functional.grid_sample(maps, came_from, padding_mode="border", align_corners=True)


def shares(examples: Examples, leads: Sequence[int]) -> NDArray[np.float32]:
    """Return the share of each cell under each kind at each lead (n, leads x kinds, rows, columns), NaN unknown."""
    maps = examples.maps(tuple(24 * lead for lead in leads))
    n, t, k, h, w = maps.shape
    return maps.reshape(n, t * k, h // CELL, CELL, w // CELL, CELL).mean((3, 5))


def loss(output: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean cross-entropy over the cells that are known of each kind, by its weight; a part each kind."""
    share = targets["share"]
    known = share.isfinite()
    each = nn.functional.binary_cross_entropy_with_logits(output, share.nan_to_num(0.0), reduction="none")
    error, count = (part.unflatten(1, (-1, len(KINDS))).sum((0, 1, 3, 4)) for part in (each * known, known))
    mean = error / count.clamp(min=1)
    return {kind: WEIGHTS[kind] * part for kind, part in zip(KINDS, mean, strict=True)}


def truth(examples: Examples, leads: Sequence[int]) -> pd.DataFrame:
    """Return the true table: example, cell, then 1 where at least half of the cell is under a kind at a lead, else 0.

    NaN where it is not known.
    """
    share = shares(examples, leads)
    return _table(np.where(np.isnan(share), np.nan, share >= 0.5), leads)


def stated(probability: NDArray[np.floating], examples: Examples, leads: Sequence[int]) -> pd.DataFrame:
    """Return the predictions of probabilities (n, leads x kinds, rows, columns): a row per cell, with its place."""
    n, _, rows, across = probability.shape
    y, x = np.indices((rows, across)).reshape(2, -1) * CELL + (CELL - 1) / 2
    each = np.repeat(np.arange(n), rows * across)
    latitude, longitude = examples.degrees(each, np.tile(y, n), np.tile(x, n))
    return _table(probability, leads).assign(latitude=latitude, longitude=longitude)


def decode(output: NDArray[np.float32], examples: Examples, leads: Sequence[int]) -> pd.DataFrame:
    """Return the predictions of the head's logits."""
    return stated(expit(output), examples, leads)


def _table(values: NDArray[np.floating], leads: Sequence[int]) -> pd.DataFrame:
    n, k, rows, across = values.shape
    flat = np.moveaxis(values, 1, -1).reshape(-1, k).astype(np.float32)
    table = pd.DataFrame(flat, columns=columns(leads))
    table.insert(0, "cell", np.tile(np.arange(rows * across), n))
    table.insert(0, "example", np.repeat(np.arange(n), rows * across))
    return table
