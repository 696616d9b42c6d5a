"""The kinds of backbone there are, by name: built in, any model of timm, and those that installed packages offer.

A package offers a `Kind` by an entry point in the group toolkit.backbones, under the kind's own name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from toolkit.backbones import resnet, vit
from toolkit.backbones.contract import Kind, Network, Shape, Wishes
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.timm_model import PREFIX, timm_kind
from toolkit.errors import UserError, unknown
from toolkit.installed import installed_names, load_installed, loaded_all

BUILT_IN = {kind.name: kind for kind in (vit.KIND, resnet.KIND)}
DEFAULT = vit.KIND.name
"""The kind of a backbone whose architecture names none."""
WHAT, KEY = "backbone", "kind"


@dataclass(frozen=True)
class Found:
    """The kinds that load, without those of timm, and a sentence for every one that does not load."""

    kinds: Mapping[str, Kind]
    broken: tuple[str, ...]


def kind_named(name: str) -> Kind:
    """Return the kind called `name`, such as "vit" or "timm:resnet18".

    Raises `UserError` for an unknown name, one that two packages claim, and a package that does not load or offers
    something else.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name.startswith(PREFIX):
        return timm_kind(name)
    if not is_there(name):
        raise unknown("kind of backbone", name, {*BUILT_IN, *installed_names(WHAT), f"{PREFIX}NAME"})
    return _installed(name)


def is_there(name: str) -> bool:
    """Whether a kind called `name` is built in, of timm or brought by an installed package."""
    return name in BUILT_IN or name.startswith(PREFIX) or name in installed_names(WHAT)


def found_kinds() -> Found:
    """Load every kind, built in and installed; one that fails is told in `broken` and stops nothing else."""
    kinds, broken = loaded_all(WHAT, _installed)
    return Found(BUILT_IN | kinds, broken)


def kind_of(architecture: Mapping[str, Any]) -> str:
    """Return the name of the kind that an architecture is of."""
    return str(architecture.get(KEY, DEFAULT))


def shape_named(name: str, wishes: Wishes) -> Shape:
    """Return what the kind called `name` makes of the wishes; the architecture names the kind."""
    shape = kind_named(name).shape(wishes)
    return shape if name == DEFAULT else replace(shape, architecture={KEY: name} | dict(shape.architecture))


def build_backbone(spec: FeatureSpec, architecture: Mapping[str, Any], seed: int) -> Network:
    """Return the network of an architecture with random weights drawn from `seed`; the global generator stays as it is.

    Raises `UserError` for an unknown kind or one that builds no network, TypeError for an architecture that is not the
    kind's.
    """
    kind = kind_named(kind_of(architecture))
    own = {name: value for name, value in architecture.items() if name != KEY}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: object = kind.build(spec, own)
    if not isinstance(network, Network):
        raise UserError(
            f"The kind of backbone '{kind.name}' builds a {type(network).__name__}: it should be a "
            "toolkit.backbones.contract.Network."
        )
    return network


def _installed(name: str) -> Kind:
    found = load_installed(WHAT, name)
    kind, place = found.thing, f"{found.package}, {found.point.value}"
    if name in BUILT_IN or name.startswith(PREFIX):
        raise UserError(f"The kind of backbone '{name}' ({place}) has the name of one built in. Give it another.")
    if not isinstance(kind, Kind):
        raise UserError(
            f"The kind of backbone '{name}' ({place}) should be a toolkit.backbones.contract.Kind, it is a "
            f"{type(kind).__name__}."
        )
    if kind.name != name:
        raise UserError(f"The kind of backbone '{name}' ({place}) calls itself '{kind.name}'. Give both the same name.")
    return kind
