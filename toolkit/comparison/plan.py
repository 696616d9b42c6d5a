"""What a comparison is: its settings, its cells, and the folder of each.

config.yaml                          what all cells share; what resumes must be the same
pretraining/<pretext>-<seed>/        run folders of `toolkit pretrain`
features/<pretext>-<seed>/           the backbones alone: what the probes look through
probes/<pretext>-<seed>-<task>/      run folders of `toolkit finetune`
comparison.{csv,json,md,png}         what came out
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.config import FinetuneSettings, PretrainSettings
from toolkit.plugins import task_named
from toolkit.task import Task

NONE, REFERENCE = "none", "masked"
"""The row of random weights, and the pretext whose steps are the measure of the others."""


@dataclass(frozen=True)
class Comparison:
    """What is compared: pretexts, tasks with the settings of their probes, seeds 0, 1, ... of everything.

    `pretrain` has what all pretrainings share, and the steps of the reference; `own` the settings of a pretext that
    trains in another way, {pretext: settings}.
    """

    pretrain: PretrainSettings
    probes: Mapping[str, FinetuneSettings]
    pretexts: tuple[str, ...]
    seeds: int
    own: Mapping[str, PretrainSettings] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows of the table: random weights, then the pretexts."""
        return (NONE, *self.pretexts)

    def pretraining(self, pretext: str, seed: int, steps: int) -> PretrainSettings:
        """Return the settings of one pretraining."""
        shared = self.trained(pretext)
        options = {name: given for name, given in shared.options.items() if name == pretext}
        changed = {"pretext": {pretext: 1.0}, "options": options, "max_steps": steps, "seed": seed}
        return shared.model_copy(update=changed | {"name": f"{pretext}-{seed}"})

    def trained(self, pretext: str) -> PretrainSettings:
        """Return how the backbones of a pretext are trained."""
        return self.own.get(pretext, self.pretrain)

    def changed(self, pretext: str) -> dict[str, Any]:
        """Return the settings that a pretext does not share with the others."""
        shared = self.pretrain.model_dump(mode="json")
        return {k: v for k, v in self.trained(pretext).model_dump(mode="json").items() if v != shared[k]}

    def probe(self, task: str, seed: int, features: Path) -> FinetuneSettings:
        """Return the settings of one probe of the features in a folder."""
        return self.probes[task].model_copy(update={"seed": seed, "backbone": str(features.resolve())})

    def recorded(self) -> dict[str, Any]:
        """Return what a comparison must have in common with the one it goes on with.

        Pretexts, seeds and tasks may be added or left out, and what is not finished may be trained in another way, but
        for the reference, whose steps are the measure.
        """
        shared = self.pretrain.model_dump(mode="json", exclude={"pretext", "seed", "name"})
        return shared | ({"reference": self.changed(REFERENCE)} if REFERENCE in self.own else {})


@dataclass(frozen=True)
class Folders:
    """Where the cells of a comparison write."""

    root: Path

    def pretraining(self, pretext: str, seed: int) -> Path:
        """Return the run folder of a pretraining."""
        return self.root / "pretraining" / f"{pretext}-{seed}"

    def features(self, pretext: str, seed: int) -> Path:
        """Return the folder of a backbone alone; it is there once the pretraining is finished."""
        return self.root / "features" / f"{pretext}-{seed}"

    def all_features(self, pretext: str) -> list[Path]:
        """Return the backbones of a pretext that are finished, whatever their seed."""
        return sorted(self.root.glob(f"features/{pretext}-[0-9]*"))

    def probe(self, pretext: str, seed: int, task: str) -> Path:
        """Return the run folder of a probe."""
        return self.root / "probes" / f"{pretext}-{seed}-{task}"

    def has_features(self, pretext: str, seed: int) -> bool:
        """Whether a pretraining is finished."""
        return self.features(pretext, seed).is_dir()

    def has_probe(self, pretext: str, seed: int, task: str) -> bool:
        """Whether a probe is finished."""
        return is_finished(self.probe(pretext, seed, task))


@dataclass(frozen=True)
class Work:
    """What a pretraining computes: `operations_per_step` times `steps`."""

    operations_per_step: int
    steps: int

    @property
    def operations(self) -> int:
        """All operations together."""
        return self.operations_per_step * self.steps


NO_WORK = Work(0, 0)


def is_finished(probe: Path) -> bool:
    """Whether a run folder has its results, which are written last."""
    return (probe / "results.json").is_file()


def probed_task(settings: FinetuneSettings) -> Task:
    """Return the task of a probe."""
    return task_named(settings.task, settings.options, settings.data)


def written_work(features: Path) -> tuple[Work, float]:
    """Return what a finished pretraining computed, and in how many seconds."""
    content = json.loads((features / "work.json").read_text())
    return Work(content["operations_per_step"], content["steps"]), content["seconds"]
