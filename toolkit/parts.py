"""A model of a task and what it takes to run it: assembled from a card, a backbone and the task's head."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toolkit.adapt import Adapted, Lora, adapted
from toolkit.backbones.card import Card, check_fits_store
from toolkit.backbones.features import FeatureSpec, planes
from toolkit.backbones.known import build_backbone
from toolkit.backbones.weights import Backbone
from toolkit.columns import NO_COLUMNS, ColumnCode
from toolkit.data.normalise import Normalisation
from toolkit.data.store import NO_FIELDS, Store
from toolkit.errors import UserError
from toolkit.examples import Examples
from toolkit.heads.features import Given
from toolkit.pretexts.known import readout_channels, readouts
from toolkit.task import Maps, Task

Readouts = Callable[[Tensor], dict[str, Tensor]]
Batch = tuple[Tensor, dict[str, Tensor], Tensor, Tensor | None]
"""What a model is called with: input planes (b, p, h, w), readouts by name (b, c, h, w), columns (b, k), and what the
frozen part of its backbone makes of the planes, where that is known already."""

NO_SPEC = FeatureSpec((), (), (), 1.0, 1, 0)
"""The features of a task that looks at no fields."""
NO_NORMALISATION = Normalisation((), (), (), ())


@dataclass(frozen=True)
class Parts:
    """A model, the readouts of the untouched backbone, the inputs' normalisation, the columns' code.

    `maps`: the label maps of the task, of which some may be known beforehand; None for a task without. `handed`: the
    names of the readouts.
    """

    model: Adapted
    readouts: Readouts
    normalisation: Normalisation
    columns: ColumnCode = NO_COLUMNS
    maps: Maps | None = None
    handed: tuple[str, ...] = ()


def assemble(
    task: Task,
    card: Card | None,
    backbone: Backbone | None,
    method: str,
    lora: Lora,
    seed: int,
    columns: ColumnCode = NO_COLUMNS,
) -> Parts:
    """Build the model of a method. `backbone` None means random weights in the card's shape and no readout: "scratch".

    `card` is None for a task that looks at no fields: its head is all there is to train. `UserError` for an unknown
    method, for one that needs a backbone where there is none, and where the task does not look at the frames that the
    backbone is made for.
    """
    if card is None:
        check_method(task, method)
        return Parts(
            Adapted(None, _head(task, Given(NO_SPEC, {}, columns), seed), NO_SPEC),
            _no_readouts,
            NO_NORMALISATION,
            columns,
        )
    _check_frames(task, card)
    usable = usable_readouts(task, card) if backbone else {}
    known = task.maps.planes if task.maps else 0
    module = build_backbone(card.spec, card.architecture, seed)
    if backbone:
        module.load_state_dict(backbone.module.state_dict())
    head = _head(task, Given(card.spec, usable, columns, known), seed)
    model = adapted(method, module, head, lora, seed)
    read: Readouts = readouts(backbone, usable) if backbone else _no_readouts
    return Parts(model, read, card.normalisation, columns, task.maps, tuple(usable))


def input_planes(parts: Parts, examples: Examples, index: np.ndarray) -> Tensor:
    """Return the input planes (b, planes, h, w) of the examples at `index`, known label maps last."""
    if examples.store is NO_FIELDS:
        return torch.zeros(len(index), NO_SPEC.planes, 0, 0)
    x = planes(examples.fields(parts.normalisation, index), examples.latitudes(index))
    return torch.cat([x, _known(parts.maps, examples, index)], 1) if parts.maps and parts.maps.known else x


def _known(maps: Maps, examples: Examples, index: np.ndarray) -> Tensor:
    """Return the label maps that are known beforehand (b, planes, h, w), NaN where the examples have none."""
    size = examples.windows.size
    if examples.label_maps is NO_FIELDS:
        return torch.full((len(index), maps.planes, *size), torch.nan)
    return torch.from_numpy(examples.maps(maps.known, index)).reshape(len(index), maps.planes, *size)


def usable_readouts(task: Task, card: Card) -> dict[str, int]:
    """Return the readouts that the task can use and the backbone has, and their numbers of channels."""
    there = readout_channels(card)
    return {name: there[name] for name in task.readouts if name in there}


def check_method(task: Task, method: str) -> None:
    """Refuse a method that adapts a backbone for a task that looks at no fields."""
    if not task.sees_fields and method != "scratch":
        raise UserError(
            f"The task {task.name} looks at no fields, so there is no backbone for {method}: --method scratch."
        )


def check_store(task: Task, card: Card, store: Store) -> None:
    """Refuse a store whose variables, units or grid spacing the backbone was not made for, naming all that differs.

    Refused too is a backbone that looks at other frames than the task, or at variables that the task does not name: the
    store has none but the task's.
    """
    looked_at = [name for name in card.spec.variables if name in store.names]
    check_fits_store(card, store, tuple(dict.fromkeys((*task.inputs.variables, *looked_at))))
    if lacking := [f"'{name}'" for name in card.spec.variables if name not in store.names]:
        raise UserError(
            f"The backbone {card.name} looks at {', '.join(lacking)} too, which the task {task.name} does not name "
            "among its inputs. Take another backbone, or a task that names all that this one looks at."
        )
    _check_frames(task, card)


def _check_frames(task: Task, card: Card) -> None:
    if task.inputs.frames != card.spec.frames:
        looks, knows = (
            ", ".join(f"{hours:+d}" for hours in frames) for frames in (task.inputs.frames, card.spec.frames)
        )
        raise UserError(
            f"The task {task.name} looks at the frames {looks} h, the backbone {card.name} was trained on {knows} h."
        )


def _head(task: Task, given: Given, seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return task.head(given)


def _no_readouts(_windows: Tensor) -> dict[str, Tensor]:
    return {}
