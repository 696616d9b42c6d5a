"""The pretexts there are, by name, and the readouts that a loaded backbone can hand to a task."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from pydantic import ValidationError, validate_call
from torch import Tensor, nn

from toolkit.backbones.card import Card
from toolkit.backbones.weights import Backbone
from toolkit.errors import UserError, unknown
from toolkit.installed import installed_names, load_installed, said
from toolkit.pretexts.contract import Pretext

KIND = "pretext"
ReadFields = Callable[[Tensor], dict[str, Tensor]]


def pretext_names() -> tuple[str, ...]:
    """Return the names of the pretexts, those of the toolkit and those of installed packages, without loading any."""
    return installed_names(KIND)


def pretext_named(name: str, options: Mapping[str, Any] | None = None) -> Pretext:
    """Return the pretext called `name`. An entry point names one, or a function whose parameters are its options.

    Raises `UserError` for an unknown name, an unknown or unfit option, and a plug-in that does not load.
    """
    found = load_installed(KIND, name)
    defines, place = found.thing, found.point.value
    if isinstance(defines, Pretext) and options:
        raise UserError(f"The pretext '{name}' has no options; given: {', '.join(options)}.")
    try:
        pretext = defines if isinstance(defines, Pretext) else validate_call(defines)(**(options or {}))
    except UserError:
        raise
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] == "unexpected_keyword_argument":
                known = inspect.signature(defines).parameters
                raise unknown(f"option of the pretext '{name}'", str(problem["loc"][0]), known) from error
        wrong = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg'].lower()}" for p in error.errors())
        raise UserError(f"The options of the pretext '{name}' do not fit: {wrong}.") from error
    except Exception as error:  # a plug-in is somebody else's code
        raise UserError(f"The pretext '{name}' ({place}) cannot be made: {said(error)}.") from error
    if not isinstance(pretext, Pretext) or pretext.name != name:
        what = f"calls itself '{pretext.name}'" if isinstance(pretext, Pretext) else f"gives a {type(pretext).__name__}"
        raise UserError(f"The pretext '{name}' ({place}) {what}. It should be a Pretext of that name.")
    return pretext


def pretexts_of(card: Card) -> dict[str, Pretext]:
    """Return the pretexts that a backbone was trained by, with their options; `UserError` for one not installed."""
    if missing := sorted(card.pretexts.keys() - set(pretext_names())):
        raise UserError(
            f"The backbone {card.name} was trained with the pretext '{missing[0]}', which no installed package brings: "
            "install the one that it was trained with."
        )
    return {name: pretext_named(name, card.options.get(name)) for name in card.pretexts}


def readout_channels(card: Card) -> dict[str, int]:
    """Return the fields that a backbone can hand over, by name, and their numbers of channels."""
    known = (pretext.readout for pretext in pretexts_of(card).values())
    return {readout.name: readout.channels(card.spec) for readout in known if readout}


def readouts(backbone: Backbone, wanted: Iterable[str]) -> ReadFields:
    """Return the function from windows (b, planes, h, w) to the wanted readouts {name: (b, c, h, w)}, without gradient.

    What the backbone cannot hand over is left out, and planes after its own are not looked at. The function computes
    where the windows lie, and uses the backbone as it was loaded: an adaptation must train a copy.
    """
    parts: list[tuple[Pretext, nn.Module]] = []
    for name, pretext in pretexts_of(backbone.card).items():
        if pretext.readout and pretext.readout.name in wanted:
            module = pretext.module(backbone.card.spec)
            module.load_state_dict(backbone.pretexts[name])
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
