"""What a task needs that states numbers of each example: targets, loss, and the way back to a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.examples import Examples

BETA = 1.0
"""Errors smaller than this, in spreads, count squared, larger ones linearly."""


@dataclass(frozen=True)
class Target:
    """A column of the labels that is predicted: its unit, and in that unit a usual value and a usual deviation.

    Both only bring the network's numbers near one and need not be exact. `around` names a column that is known
    beforehand and holds the usual value of each row, such as the mean of a place so far: with few labels a network
    learns how far from it a value is sooner than the value. Where it is not known, `usual` stands in.
    """

    column: str
    unit: str
    usual: float
    spread: float
    around: str | None = None


def encode(examples: Examples, targets: Sequence[Target]) -> dict[str, NDArray[np.float32]]:
    """Return {"values": (n, k)}: the targets in spreads from the usual value, NaN where they are not known."""
    usual, spread = _usual_values(examples, targets), [target.spread for target in targets]
    values = examples.truth[[target.column for target in targets]].to_numpy(np.float64)
    return {"values": ((values - usual) / spread).astype(np.float32)}


def loss(output: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the Huber loss of output (b, members, k) over the known values: each member is to be right by itself."""
    values = targets["values"][:, None]
    known = values.isfinite().expand_as(output)
    error = nn.functional.smooth_l1_loss(output, values.nan_to_num(0.0).expand_as(output), reduction="none", beta=BETA)
    return {"error": torch.where(known, error, 0.0).sum() / known.sum().clamp(min=1)}


def decode(output: NDArray[np.float32], examples: Examples, targets: Sequence[Target]) -> pd.DataFrame:
    """Return the predictions of an output (n, members, k): the members' means, in the targets' units."""
    means = output.astype(np.float64).mean(axis=1)
    usual = _usual_values(examples, targets)
    values = {t.column: means[:, k] * t.spread + usual[:, k] for k, t in enumerate(targets)}
    return pd.DataFrame({"example": np.arange(len(means))} | values)


def stating(columns: Sequence[str], predict: Callable[[Examples], NDArray]) -> Callable[[Examples], pd.DataFrame]:
    """Return the function that states numbers (n, k) of examples as a table."""

    def table(examples: Examples) -> pd.DataFrame:
        values = np.asarray(predict(examples), np.float64).reshape(len(examples), len(columns))
        return pd.DataFrame({"example": np.arange(len(examples))} | dict(zip(columns, values.T, strict=True)))

    return table


def _usual_values(examples: Examples, targets: Sequence[Target]) -> NDArray[np.float64]:
    """Return the usual value of each target in each example (n, k)."""
    usual = np.tile([target.usual for target in targets], (len(examples), 1)).astype(np.float64)
    for k, target in enumerate(targets):
        if target.around is not None:
            usual[:, k] = examples.table[target.around].fillna(target.usual)
    return usual
