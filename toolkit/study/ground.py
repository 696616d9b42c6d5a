"""The windows of a study: cut once, shared by all cells, of which each takes those of its own groups.

Windows are cut around all training groups, as often as few labels ask for, each time at other places; what the
untouched backbone makes of them is computed once. A cell with few labels takes of every cut the windows of its groups,
one with many those of the first cut alone: as many as a run of `toolkit finetune` has. Where rows are objects, a cell
takes no window that shows an object which is not labelled for it, and background of the days of its own groups.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.backbones.card import Card
from toolkit.config import FinetuneSettings
from toolkit.data.prepare import cache_folder
from toolkit.errors import UserError
from toolkit.evaluate_run import test_examples
from toolkit.examples import Examples, copies_of, cut_examples, joined
from toolkit.fit import Seen
from toolkit.frozen import Frozen, stored
from toolkit.methods import See
from toolkit.origin import Material, Origin, gathered_material
from toolkit.parts import Parts
from toolkit.plugins import task_named
from toolkit.split import TEST, TRAIN, VALIDATION
from toolkit.task import Task

CUT_SEED = 41
"""Windows are cut at the same places whatever the seed of a cell."""


@dataclass(frozen=True, eq=False)
class Ground:
    """A task, where its fields and labels come from, and what became of them on one grid."""

    task: Task
    origin: Origin
    material: Material

    @lru_cache(maxsize=16)  # noqa: B019  # grounds are few and live as long as the process
    def cut(self, part: str, number: int) -> Examples:
        """Return the windows around all groups of a part, cut for the time of this number; those of test are whole."""
        if part == TEST:
            return test_examples(self.task, self.material)
        m, seed = self.material, CUT_SEED + 2 * number + (part == VALIDATION)
        return cut_examples(self.task, m.store, m.labels, m.rows(part), seed, label_maps=m.label_maps)

    def cuts(self, part: str, groups: Collection[str]) -> int:
        """Return how many cuts of a part are taken for these groups."""
        return copies_of(self.task, int(self.material.rows(part, tuple(groups)).sum())) if part == TRAIN else 1


@dataclass(frozen=True, eq=False)
class Taken:
    """The windows of some groups: of each cut those at an index."""

    cuts: tuple[Examples, ...]
    index: tuple[NDArray[np.integer], ...]

    def examples(self) -> Examples:
        """Return them as one set, cut after cut."""
        return reduce(joined, (cut.subset(index) for cut, index in zip(self.cuts, self.index, strict=True)))

    def frozen(self, parts: Parts, device: str, card: Card | None) -> Frozen:
        """Return what training does not change of them, from the cache."""
        if card is None:
            return Frozen({}, None)
        kept = [stored(parts, cut, device, card, features_folder()) for cut in self.cuts]

        def own(arrays: Iterable[NDArray[np.float16]]) -> NDArray[np.float16]:
            return np.concatenate([array[index] for array, index in zip(arrays, self.index, strict=True)])

        readouts = {name: own(k.readouts[name] for k in kept) for name in kept[0].readouts}
        states = [k.state for k in kept if k.state is not None]
        return Frozen(readouts, own(states) if states else None)


def features_folder() -> Path:
    """Return where features are kept, in the cache."""
    return cache_folder() / "features"


@lru_cache(maxsize=2)
def _ground(task: str, options: str, data: Path | None, world: Path | None, grid_degrees: float | None) -> Ground:
    made = task_named(task, json.loads(options), data)
    origin = Origin(world, data)
    return Ground(made, origin, gathered_material(made, origin, grid_degrees))


def ground(settings: FinetuneSettings, grid_degrees: float | None) -> Ground:
    """Return the task and material of settings, kept for the next cell of the process."""
    return _ground(settings.task, json.dumps(settings.options), settings.data, settings.world, grid_degrees)


def taken(on: Ground, part: str, groups: Collection[str]) -> Taken:
    """Return the windows that a cell with these groups has of a part; `UserError` where there is none."""
    numbers = range(on.cuts(part, groups))
    cuts = tuple(on.cut(part, number) for number in numbers)
    index = tuple(_own(on, part, cut, groups) for cut in cuts)
    if not any(map(len, index)):
        raise UserError(
            f"Every window around the {len(groups)} labelled {on.task.groups} of the {part} part shows one that is not "
            "labelled. Label more."
        )
    return Taken(cuts, index)


def see_taken(sets: dict[str, Taken], whole: dict[str, Examples], device: str, card: Card | None) -> See:
    """Return the function from a model and a part to its windows, and what is kept of them."""
    return lambda parts, name: Seen(whole[name], sets[name].frozen(parts, device, card))


def _own(on: Ground, part: str, cut: Examples, groups: Collection[str]) -> NDArray[np.integer]:
    """Return which windows of a cut are for a cell with these groups."""
    if part == TEST:
        return np.arange(len(cut))
    group = cut.table["group"]
    own = group.isin(groups).to_numpy(copy=True)
    if not on.task.placement.objects:
        return np.flatnonzero(own)
    others = cut.truth["example"][~cut.truth["group"].isin(groups)]
    own[others] = False
    days = cut.table["time"].dt.normalize()
    background = ~group.isin(on.material.groups(part)).to_numpy() & days.isin(days[own]).to_numpy()
    count = round(on.task.placement.background * own.sum())
    return np.concatenate([np.flatnonzero(own), np.flatnonzero(background)[:count]])
