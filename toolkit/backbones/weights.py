"""Saving a backbone as a folder and loading it back; what is loaded is tensors, never code."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from toolkit.backbones.card import Card, read_card, write_card
from toolkit.backbones.contract import Network
from toolkit.backbones.known import build_backbone, is_there, kind_of
from toolkit.errors import UserError
from toolkit.files import sha256, whole_file


@dataclass(frozen=True)
class Backbone:
    """A loaded backbone: its card, the module, and by a pretext's name the weights of its module and of its teacher."""

    card: Card
    module: Network
    pretexts: Mapping[str, dict[str, Tensor]]
    teachers: Mapping[str, dict[str, Tensor]] = field(default_factory=dict)


def save_backbone(
    folder: Path,
    card: Card,
    module: nn.Module,
    pretexts: Mapping[str, nn.Module],
    teachers: Mapping[str, nn.Module] = MappingProxyType({}),
) -> Card:
    """Write model.safetensors and config.json into an existing folder; return the card with hash and count."""
    parts = {"backbone": module}
    parts |= {f"pretexts.{name}": part for name, part in pretexts.items()}
    parts |= {f"teachers.{name}": part for name, part in teachers.items()}
    tensors = {f"{part}.{name}": value for part, own in parts.items() for name, value in own.state_dict().items()}
    with whole_file(folder / "model.safetensors") as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary)
    parameters = sum(p.numel() for p in module.parameters())
    card = replace(card, parameters=parameters, weights_sha256=sha256(folder / "model.safetensors"))
    write_card(folder, card)
    return card


def load_backbone(folder: Path) -> Backbone:
    """Load what `save_backbone` wrote.

    Raises `UserError` where the hash or the names and shapes of the weights do not fit, or its kind is not installed.
    """
    card = read_card(folder)
    if not is_there(kind := kind_of(card.architecture)):
        raise UserError(
            f"The backbone {card.name} is of the kind '{kind}', which no installed package brings: install the one "
            "that it was trained with."
        )
    try:
        module = build_backbone(card.spec, card.architecture, seed=0)
        tensors = load_file(folder / "model.safetensors")
        parts = {
            name.removeprefix("backbone."): value for name, value in tensors.items() if name.startswith("backbone.")
        }
        module.load_state_dict(parts)
    except (SafetensorError, RuntimeError, TypeError) as error:
        raise UserError(f"{folder / 'model.safetensors'} does not hold the backbone {card.name}: {error}") from error
    kept: dict[str, dict[str, dict[str, Tensor]]] = {"pretexts": {}, "teachers": {}}
    for name, value in tensors.items():
        group, _, rest = name.partition(".")
        if group in kept:
            pretext, _, own = rest.partition(".")
            kept[group].setdefault(pretext, {})[own] = value
    return Backbone(card, module.eval(), **kept)
