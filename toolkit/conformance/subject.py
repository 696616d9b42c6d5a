"""What the rules look at: a task, a little of its data, and what follows from both, made when a rule first asks."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from toolkit.backbones.card import Card, backbone_folder, read_card
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.columns import ColumnCode, fit_columns
from toolkit.config import FinetuneSettings
from toolkit.conformance.tables import spread
from toolkit.evaluate import outputs
from toolkit.examples import Examples, cut_examples
from toolkit.labels import checked_labels
from toolkit.methods import built
from toolkit.origin import Material, Origin, gathered_material
from toolkit.parts import Parts, check_store
from toolkit.split import PARTS, TEST, TRAIN, VALIDATION, chosen_groups
from toolkit.task import Task

MOST_WINDOWS = 48
"""So many windows of each part are looked at."""
MOST_ROWS = 20 * MOST_WINDOWS
"""Of objects whole groups are taken, until they have so many rows."""
SHAKEN = 0.5
"""How far the weights of a head are moved, relative to what is usual for a layer: an untrained one says nothing."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A task under settings, where its fields and labels come from, and whether these are still to be made up."""

    task: Task
    settings: FinetuneSettings
    origin: Origin
    makes_labels_up: bool = False

    @cached_property
    def card(self) -> Card | None:
        """The card of the backbone, None for a task that looks at no fields."""
        return read_card(backbone_folder(self.settings.backbone)) if self.task.sees_fields else None

    @cached_property
    def backbone(self) -> Backbone | None:
        """The backbone, refused where it does not fit the fields; None for a task that looks at none."""
        if self.card is None:
            return None
        check_store(self.task, self.card, self.material.store)
        return load_backbone(backbone_folder(self.settings.backbone))

    @cached_property
    def labels(self) -> pd.DataFrame:
        """The checked table of all labels."""
        return checked_labels(self.task, self.origin.labels)

    @cached_property
    def material(self) -> Material:
        """Fields, labels and the part of each row."""
        return gathered_material(self.task, self.origin, self.card.spec.grid_degrees if self.card else None)

    @cached_property
    def parts(self) -> dict[str, Examples]:
        """A few windows of each part."""
        return {name: _few(self.task, self.material, name, seed) for seed, name in enumerate(PARTS)}

    @property
    def train(self) -> Examples:
        """A few windows to fit on."""
        return self.parts[TRAIN]

    @property
    def validation(self) -> Examples:
        """A few windows to choose on."""
        return self.parts[VALIDATION]

    @property
    def test(self) -> Examples:
        """A few windows to score on."""
        return self.parts[TEST]

    @cached_property
    def columns(self) -> ColumnCode:
        """How the columns beside the fields are encoded."""
        return fit_columns(self.train.table, self.task.inputs.columns)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that can adapt a backbone to the task; without fields there is none to adapt."""
        return ("probe", "lora", "full", "scratch") if self.task.sees_fields else ("scratch",)

    def model(self, method: str) -> Parts:
        """Return an untrained model of a method; the same each time."""
        return built(self.task, self.settings, method, self.backbone, self.columns)

    @cached_property
    def outputs(self) -> dict[str, NDArray]:
        """What a model whose head was shaken says of each part (n, ...): as varied as that of a trained one."""
        model = self.model(self.methods[0])
        _shake(model.model.head)
        return {name: outputs(model, examples) for name, examples in self.parts.items()}


def _few(task: Task, material: Material, part: str, seed: int) -> Examples:
    """Return a few windows of a part, evenly spread over all of it."""
    own = material.rows(part)
    if task.placement.objects:
        own = material.rows(part, _enough(material.labels["group"][own]))
    else:
        row = np.flatnonzero(own)
        own = np.isin(np.arange(len(own)), row[spread(len(row), MOST_WINDOWS)])
    cut = cut_examples(task, material.store, material.labels, own, seed, label_maps=material.label_maps)
    return cut.subset(spread(len(cut), MOST_WINDOWS))


def _enough(group: pd.Series) -> tuple[str, ...]:
    """Return so many groups that together they have about `MOST_ROWS` rows, or all of them."""
    names = sorted(group.unique())
    return chosen_groups(names, min(len(names), -(-MOST_ROWS * len(names) // max(len(group), 1))), seed=0)


def _shake(head: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in head.parameters():
            usual = (weight[0].numel() if weight.ndim > 1 else 1) ** -0.5
            weight.add_(SHAKEN * usual * torch.randn(weight.shape, generator=generator))
