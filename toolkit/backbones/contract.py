"""What a backbone is, whatever its kind: a network from windows to tokens, and the values that shape and build it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.errors import UserError, unknown


class Network(nn.Module):
    """A network from windows (b, planes, h, w) to tokens (b, h w / patch^2, dim), row by row from the north-west.

    A kind's own network sets `spec` and `blocks`, its consecutive parts, of which LoRA updates the last. It says what
    goes before them (`stem`) and after them (`tail`), or else the whole way (`forward_features`); what blocks that are
    not trained put out can be kept only in the first case. Missing values come as NaN (see `FeatureSpec`) and must not
    reach the tokens.
    """

    spec: FeatureSpec
    blocks: Iterable[nn.Module]

    def stem(self, x: Tensor) -> Tensor:
        """Return what the first block is given of windows (b, planes, h, w)."""
        raise NotImplementedError

    def tail(self, state: Tensor) -> Tensor:
        """Return the tokens (b, n, dim) from what the last block puts out."""
        raise NotImplementedError

    @property
    def in_steps(self) -> bool:
        """Whether the network is stem, blocks and tail, one after the other."""
        return type(self).forward_features is Network.forward_features

    def until(self, x: Tensor, block: int) -> Tensor:
        """Return what the block of this number is given of windows (b, planes, h, w)."""
        state = self.stem(x)
        for part in list(self.blocks)[:block]:
            state = part(state)
        return state

    def onward(self, state: Tensor, block: int) -> Tensor:
        """Return the tokens (b, n, dim) from what the block of this number is given."""
        for part in list(self.blocks)[block:]:
            state = part(state)
        return self.tail(state)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the tokens (b, n, dim) of windows (b, planes, h, w)."""
        return self.onward(self.stem(x), 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens (b, n, dim) of windows (b, planes, h, w)."""
        return self.forward_features(x)

    def features(self, x: Tensor, layer: str) -> Tensor:
        """Return what the module called `layer`, such as "blocks.3", puts out for windows (b, planes, h, w).

        Tokens (b, n, d) or maps (b, c, rows, columns), as the layer has them. Raises `UserError` for an unknown layer,
        and for one that the network does not go through or that puts out something else than a tensor.
        """
        containers = nn.ModuleList | nn.ModuleDict
        layers = {name: m for name, m in self.named_modules() if name and not isinstance(m, containers)}
        if layer not in layers:
            raise unknown("layer", layer, (name for name in layers if name.count(".") < 2))
        kept: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                kept.append(output.clone())  # a layer that follows may work in place

        handle = layers[layer].register_forward_hook(keep)
        try:
            self.forward_features(x)
        finally:
            handle.remove()
        if not kept:
            raise UserError(f"The layer '{layer}' puts out no features. Take a layer inside it or around it.")
        return kept[-1]


@dataclass(frozen=True)
class Wishes:
    """The shape asked for; a kind follows it in all that it does not fix itself."""

    patch: int
    dim: int
    depth: int
    heads: int


@dataclass(frozen=True)
class Shape:
    """The shape that a kind gives: patch and dim of the `FeatureSpec`, and what else `Kind.build` needs, for the card.

    `architecture` holds what JSON can.
    """

    patch: int
    dim: int
    architecture: Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of backbone, by the name that settings and cards give it.

    `summary` is a noun phrase, such as "Vision transformer". `shape(wishes)` says what comes of the wishes;
    `build(spec, architecture)` returns the network with random weights from torch's global generator. Both may raise
    `UserError`, `build` also TypeError for an architecture with other keys than its own.
    """

    name: str
    summary: str
    shape: Callable[[Wishes], Shape]
    build: Callable[[FeatureSpec, Mapping[str, Any]], Network]


def check_window(spec: FeatureSpec, x: Tensor) -> None:
    """Refuse windows (b, planes, h, w) with another number of planes, or sides that the patch does not divide."""
    planes, h, w = x.shape[1:]
    if planes != spec.planes or h % spec.patch or w % spec.patch:
        raise UserError(
            f"A window of {planes} planes, {h} x {w}, does not fit this backbone: it takes {spec.planes} planes and "
            f"sides divisible by {spec.patch}."
        )


def check_shape(name: str, spec: FeatureSpec, patch: int, dim: int) -> None:
    """Refuse a feature spec that says another patch or dim than the kind called `name` has."""
    if (spec.patch, spec.dim) != (patch, dim):
        raise UserError(
            f"A backbone of the kind {name} has patches of {patch} pixels and {dim} features, not {spec.patch} and "
            f"{spec.dim}."
        )


def with_validity(x: Tensor) -> Tensor:
    """Return (b, 2 planes - 1, h, w): values with zero where missing, the latitude, then 1 where a value is known."""
    valid = torch.isfinite(x[:, :-1])
    known = torch.where(valid, x[:, :-1], 0.0)
    return torch.cat([known, x[:, -1:], valid.to(x.dtype)], 1)
