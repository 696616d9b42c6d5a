"""The pretexts there are, by name, and the readouts that a loaded backbone can hand to a task."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from toolkit.backbones.weights import Backbone
from toolkit.errors import unknown
from toolkit.pretexts import lagrangian, masked, nextframe
from toolkit.pretexts.contract import Pretext

PRETEXTS: Mapping[str, Pretext] = {
    pretext.name: pretext for pretext in (masked.PRETEXT, nextframe.PRETEXT, lagrangian.PRETEXT)
}

ReadFields = Callable[[Tensor], dict[str, Tensor]]


def pretext_named(name: str) -> Pretext:
    """Return the pretext called `name`, or raise a `UserError` with the near miss."""
    if name not in PRETEXTS:
        raise unknown("pretext", name, PRETEXTS)
    return PRETEXTS[name]


def readout_names(pretexts: Mapping[str, float]) -> tuple[str, ...]:
    """Return the names of the fields that backbones trained on these pretexts can hand over."""
    return tuple(p.readout.name for name in pretexts if (p := pretext_named(name)).readout)


def readouts(backbone: Backbone, wanted: tuple[str, ...]) -> ReadFields:
    """Return the function from windows (b, planes, h, w) to the wanted readouts {name: (b, c, h, w)}, without gradient.

    What the backbone cannot hand over is left out. The function computes where the windows lie, and uses the backbone
    as it was loaded: an adaptation must train a copy.
    """
    parts: list[tuple[Pretext, nn.Module]] = []
    for name, weights in backbone.pretexts.items():
        pretext = pretext_named(name)
        if pretext.readout and pretext.readout.name in wanted:
            module = pretext.module(backbone.card.spec)
            module.load_state_dict(weights)
            parts.append((pretext, module.eval()))

    @torch.no_grad()
    def read(x: Tensor) -> dict[str, Tensor]:
        if not parts:
            return {}
        grid = (x.shape[-2] // backbone.card.spec.patch, x.shape[-1] // backbone.card.spec.patch)
        tokens = backbone.module.to(x.device).forward_features(x)
        return {p.readout.name: p.readout.read(module.to(x.device), tokens, grid) for p, module in parts if p.readout}

    return read
