"""The pretexts there are, by name, and the readouts that a loaded backbone can hand to a task."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.weights import Backbone
from toolkit.errors import unknown
from toolkit.pretexts import lagrangian, masked, nextframe, vortexfate
from toolkit.pretexts.contract import Pretext

PRETEXTS: Mapping[str, Pretext] = {
    pretext.name: pretext for pretext in (masked.PRETEXT, nextframe.PRETEXT, lagrangian.PRETEXT, vortexfate.PRETEXT)
}

ReadFields = Callable[[Tensor], dict[str, Tensor]]


def pretext_named(name: str) -> Pretext:
    """Return the pretext called `name`, or raise a `UserError` with the near miss."""
    if name not in PRETEXTS:
        raise unknown("pretext", name, PRETEXTS)
    return PRETEXTS[name]


def readout_channels(names: Iterable[str], spec: FeatureSpec) -> dict[str, int]:
    """Return the number of channels of each readout in `names`."""
    known = {p.readout.name: p.readout.channels(spec) for p in PRETEXTS.values() if p.readout}
    return {name: known[name] for name in names}


def readout_names(pretexts: Mapping[str, float]) -> tuple[str, ...]:
    """Return the names of the fields that backbones trained on these pretexts can hand over."""
    return tuple(p.readout.name for name in pretexts if (p := pretext_named(name)).readout)


def readouts(backbone: Backbone, wanted: Iterable[str]) -> ReadFields:
    """Return the function from windows (b, planes, h, w) to the wanted readouts {name: (b, c, h, w)}, without gradient.

    What the backbone cannot hand over is left out, and planes after its own are not looked at. The function computes
    where the windows lie, and uses the backbone as it was loaded: an adaptation must train a copy.
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
        spec = backbone.card.spec
        grid = (x.shape[-2] // spec.patch, x.shape[-1] // spec.patch)
        tokens = backbone.module.to(x.device).forward_features(x[:, : spec.planes])
        moved = [(p.readout, module.to(x.device)) for p, module in parts if p.readout]
        return {readout.name: readout.read(module, tokens, grid, spec) for readout, module in moved}

    return read
