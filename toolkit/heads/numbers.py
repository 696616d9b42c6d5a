"""A head that states numbers: from the columns of an example, from the fields around its place, or from both.

It is an ensemble of perceptrons that share their matrices and differ in scales of what goes in and out of each
(Wen et al. 2020, arXiv:2002.06715; for tables Gorishniy et al. 2024, arXiv:2410.24210).
"""

import math

import torch
from torch import Tensor, nn

from toolkit.heads.features import Features, Given

MIDDLE = 2
"""Tokens and pixels on either side of the window's middle that are looked at one by one."""


class SharedLayer(nn.Module):
    """A linear layer (b, members, inputs) -> (b, members, outputs) with one matrix, and scales and biases of each."""

    def __init__(self, inputs: int, outputs: int, members: int, differ: bool) -> None:
        """Draw the weights; members begin with random signs of their inputs where they are to `differ`, else alike."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-1, 1) / math.sqrt(inputs))
        signs = torch.randint(0, 2, (members, inputs)) * 2.0 - 1.0
        self.scale_in = nn.Parameter(signs if differ else torch.ones(members, inputs))
        self.scale_out = nn.Parameter(torch.ones(members, outputs))
        self.bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output."""
        return nn.functional.linear(x * self.scale_in, self.weight) * self.scale_out + self.bias


class NumberHead(nn.Module):
    """Features to numbers (b, members, numbers), each member's own; their mean is the prediction.

    Of the fields it sees the tokens in the middle of the window, their mean over all of it, and in the middle the
    pixels of planes and readouts. They join the columns through a gate, a number between 0 and 1 for each feature, that
    the columns set: what a station is like decides which weather matters to it. On validation that is a little better
    than the fields beside the columns alone, or scaled and shifted by them (FiLM, Perez et al. 2018, arXiv:1709.07871).
    What is linear in the columns goes straight to the numbers.
    """

    def __init__(self, given: Given, numbers: int, members: int = 16, hidden: int = 128, dropout: float = 0.1) -> None:
        """Build the layers; the last begins at zero, so that an untrained head states the usual value."""
        super().__init__()
        self.members, self.sees_fields = members, bool(given.spec.variables)
        width = given.columns.width
        if self.sees_fields:
            middle = given.spec.planes * 2 + sum(given.readouts.values())
            seen = (MIDDLE**2 + 1) * given.spec.dim + middle * (2 * MIDDLE) ** 2
            self.look = nn.Sequential(nn.LayerNorm(seen), nn.Linear(seen, hidden), nn.GELU())
            self.gate = nn.Linear(width, hidden) if width else None
            width += hidden
        self.layers = nn.ModuleList(
            SharedLayer(width if k == 0 else hidden, hidden, members, differ=k == 0) for k in range(2)
        )
        self.dropout = nn.Dropout(dropout)
        self.straight = nn.Parameter(torch.zeros(numbers, given.columns.width))
        self.out = nn.Parameter(torch.zeros(members, hidden, numbers))
        self.bias = nn.Parameter(torch.zeros(members, numbers))

    def forward(self, features: Features) -> Tensor:
        """Return the numbers."""
        x = features.columns
        straight = nn.functional.linear(x, self.straight)[:, None]
        if self.sees_fields:
            weather = self.look(_around_middle(features))
            x = torch.cat([x, weather * self.gate(x).sigmoid() if self.gate else weather], 1)
        x = x[:, None].expand(-1, self.members, -1)
        for layer in self.layers:
            x = self.dropout(torch.relu(layer(x)))
        return straight + torch.einsum("bmh,mhk->bmk", x, self.out) + self.bias


def _around_middle(features: Features) -> Tensor:
    """Return what lies in the middle of the windows (b, f): tokens, their mean, pixels and where they are known."""
    b, _, d = features.tokens.shape
    rows, columns = features.grid
    tokens = features.tokens.reshape(b, rows, columns, d)
    near = tokens[:, _middle(rows, MIDDLE // 2), _middle(columns, MIDDLE // 2)].reshape(b, -1)
    known = features.planes.isfinite()
    read = [field.sign() * field.abs().log1p() for field in features.readouts.values()]  # some are hundreds of km
    stacked = torch.cat([torch.where(known, features.planes, 0.0), known.to(tokens.dtype), *read], 1)
    h, w = stacked.shape[-2:]
    pixels = stacked[:, :, _middle(h, MIDDLE), _middle(w, MIDDLE)].reshape(b, -1)
    return torch.cat([near, features.tokens.mean(1), pixels], 1)


def _middle(size: int, reach: int) -> slice:
    return slice(size // 2 - reach, size // 2 + reach)
