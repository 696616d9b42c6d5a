"""What a study is: its settings, its cells, and the folder of each.

config.yaml                                  what all cells share; what resumes must be the same
subsets.json                                 which groups each budget has, for every seed
tried/<method>-<backbone>-<labels>/<number>  what was tried to choose settings, on the first seed
cells/<method>-<backbone>-<labels>-<seed>    the cells: cell.json, and the scores as sums per test group
study.csv, labels_saved.json, curve.png, report.html
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from toolkit.adapt import Method
from toolkit.backbones.card import Card
from toolkit.config import FinetuneSettings

CLASSICAL = "classical"
"""Stands for all baselines of the task."""
SCRATCH = "scratch"
METHODS = (*get_args(Method), CLASSICAL)
CELL, TRIAL = "cell.json", "trial.json"
FIRST_SEED = 0
"""The seed on whose labels settings are chosen."""

Rung = Mapping[str, Any]
"""Settings to try, such as {"lr": 0.001, "epochs": 5}."""


@dataclass(frozen=True)
class Cell:
    """One method with one budget of labels and one seed.

    `method` is that of an adaptation or the name of a baseline; `backbone` is "" for scratch and baselines.
    """

    method: str
    backbone: str
    labels: int
    seed: int

    @property
    def kind(self) -> str:
        """What cells have in common that take about as long."""
        return ", ".join(filter(None, (self.method, self.backbone, f"{self.labels} labels")))

    @property
    def name(self) -> str:
        """What the cell is called when it is told of."""
        return f"{self.kind}, seed {self.seed}"


@dataclass(frozen=True)
class Trial:
    """The settings `number` of a method's ladder, tried with the first seed of a cell."""

    cell: Cell
    number: int

    @property
    def kind(self) -> str:
        """What trials have in common that take about as long."""
        return f"trying {self.cell.kind}"

    @property
    def name(self) -> str:
        """What the trial is called when it is told of."""
        return f"{self.kind}, {self.number + 1}"


@dataclass(frozen=True)
class Study:
    """What is studied.

    `settings` has what all cells share. `methods` are adaptations, `baselines` names of the task's. `backbones` {what
    the cells call it: shipped name or folder}; scratch has the shape of the first. `sources` {what the cells call a
    backbone, "" for scratch: hash}, see `source_sha256`. `ladder` {method: settings to try}, as many for each method.
    Seeds are 0, 1, ... of subsets and trainings.
    """

    settings: FinetuneSettings
    budgets: tuple[int, ...]
    methods: tuple[str, ...]
    baselines: tuple[str, ...]
    backbones: Mapping[str, str]
    sources: Mapping[str, str]
    seeds: int
    ladder: Mapping[str, tuple[Rung, ...]]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, those with many labels first, since they take longest."""
        found = []
        for labels in reversed(self.budgets):
            for method in self.methods:
                for backbone in ("",) if method == SCRATCH else self.backbones:
                    found += [Cell(method, backbone, labels, seed) for seed in range(self.seeds)]
            found += [Cell(name, "", labels, seed) for name in self.baselines for seed in range(self.seeds)]
        return tuple(found)

    def trials(self, cell: Cell) -> tuple[Trial, ...]:
        """Return what is tried to choose the settings of a cell, nothing where there is no choice.

        That of the first seed holds for the others.
        """
        first, rungs = replace(cell, seed=FIRST_SEED), self.ladder.get(cell.method, ())
        return tuple(Trial(first, number) for number in range(len(rungs))) if len(rungs) > 1 else ()

    @property
    def work(self) -> tuple["Cell | Trial", ...]:
        """All trials, each once, and all cells."""
        return (*dict.fromkeys(trial for cell in self.cells for trial in self.trials(cell)), *self.cells)

    def source_of(self, one: "Cell | Trial") -> str | None:
        """Return the hash of what a network begins with; None for a baseline, and where no fields are seen."""
        cell = one.cell if isinstance(one, Trial) else one
        return self.sources.get(cell.backbone) if cell.method in self.methods else None

    def settings_of(self, cell: Cell, rung: Rung) -> FinetuneSettings:
        """Return the settings of a network's cell with those of a rung."""
        backbone = self.backbones.get(cell.backbone, next(iter(self.backbones.values())))
        own = {"method": cell.method, "backbone": backbone, "labels": cell.labels, "seed": cell.seed}
        return FinetuneSettings(**(self.settings.model_dump() | dict(rung) | own))

    def recorded(self) -> dict[str, Any]:
        """Return what a study must have in common with the one it goes on with.

        Budgets, seeds, methods and backbones may be added or left out.
        """
        shared = self.settings.model_dump(mode="json", exclude={"method", "backbone", "labels", "seed"})
        return shared | {"ladder": {method: [dict(rung) for rung in rungs] for method, rungs in self.ladder.items()}}


@dataclass(frozen=True)
class Folders:
    """Where a study writes."""

    root: Path

    @property
    def subsets(self) -> Path:
        """Which groups each budget has."""
        return self.root / "subsets.json"

    def of(self, one: Cell | Trial) -> Path:
        """Return the folder of a cell or a trial."""
        if isinstance(one, Trial):
            return self.root / "tried" / _slug(one.cell) / str(one.number)
        return self.root / "cells" / f"{_slug(one)}-{one.seed}"

    def result(self, one: Cell | Trial) -> Path:
        """Return the file of what a cell or a trial found and took."""
        return self.of(one) / (TRIAL if isinstance(one, Trial) else CELL)

    def is_finished(self, one: Cell | Trial) -> bool:
        """Whether a cell has been scored, or a trial validated; its result is written last."""
        return self.result(one).is_file()


def source_sha256(card: Card, method: str) -> str:
    """Return a hash of what a method takes from a backbone: its weights; from scratch its shape and normalisation."""
    if method != SCRATCH:
        return card.weights_sha256
    about = [asdict(card.spec), card.architecture, asdict(card.normalisation)]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _slug(cell: Cell) -> str:
    words = filter(None, (cell.method, cell.backbone, str(cell.labels)))
    return "-".join(re.sub(r"[^a-z0-9.]+", "_", word.lower()) for word in words)
