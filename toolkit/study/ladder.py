"""What a study tries before it settles on a method's settings: as many settings for every method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from toolkit.config import FinetuneSettings
from toolkit.errors import UserError, unknown
from toolkit.study.plan import CLASSICAL, METHODS, Rung

RICHER = {"lora_rank": 16, "lora_alpha": 32}


@dataclass(frozen=True)
class Step:
    """How settings differ from the task's usual ones: times the learning rate, times the epochs, and others."""

    rate: float
    epochs: float
    others: Rung = field(default_factory=dict)

    def rung(self, usual: FinetuneSettings) -> Rung:
        """Return the settings to try."""
        return {"lr": usual.lr * self.rate, "epochs": usual.epochs * self.epochs} | dict(self.others)


LADDER: dict[str, tuple[Step, ...]] = {
    "probe": (Step(3, 1), Step(1, 2), Step(10, 1)),
    "lora": (Step(1, 1), Step(2, 2, RICHER), Step(0.5, 2)),
    "full": (Step(1, 1), Step(1, 2), Step(0.5, 2)),
    "scratch": (Step(1, 4), Step(2, 2), Step(0.5, 4)),
}
"""What is tried of each method; training from scratch, which has all to learn, is longer."""
MOST_STEPS = 1000
"""Of a training, unless a ladder says otherwise: few labels are cut into many windows, and epochs are long."""
TUNED = (
    "lr", "epochs", "least_steps", "warmup_share", "limit_batches", "weight_decay", "batch_size", "validations",
    "lora_rank", "lora_alpha", "lora_blocks",
)  # fmt: skip
"""The settings that a ladder may have."""


def ladder(
    methods: Sequence[str], usual: FinetuneSettings, tries: int, file: Path | None = None
) -> dict[str, tuple[Rung, ...]]:
    """Return the first `tries` settings of every network's ladder, of those in a YAML file where there are some.

    The file holds {method: [{setting: value}, ...]}. Raises one `UserError` with everything that is wrong in it, and
    for one of `methods` that has fewer.
    """
    rungs = {method: tuple(step.rung(usual) for step in steps) for method, steps in LADDER.items()}
    rungs |= _from_file(file) if file else {}
    wanted = [method for method in methods if method != CLASSICAL]
    if short := {method: len(rungs[method]) for method in wanted if len(rungs[method]) < tries}:
        told = ", ".join(f"{count} for {method}" for method, count in short.items())
        raise UserError(f"--tries {tries} asks for more settings than there are: {told}. Name others by --ladder.")
    return {method: own[:tries] for method, own in rungs.items()}


def _from_file(file: Path) -> dict[str, tuple[Rung, ...]]:
    try:
        content = yaml.safe_load(file.read_text())
    except OSError:
        raise UserError(f"There is no file {file} of settings to try.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {error}") from None
    if not isinstance(content, Mapping) or not all(isinstance(rungs, list) for rungs in content.values()):
        raise UserError(f"{file} should hold lines of METHOD: [{{SETTING: VALUE}}, ...].")
    problems = [problem for method, rungs in content.items() for problem in _problems(str(method), rungs)]
    if problems:
        raise UserError(f"{file}:\n" + "\n".join(problems))
    return {method: tuple(map(_rung, rungs)) for method, rungs in content.items()}


def _rung(written: Mapping[str, Any]) -> Rung:
    """Return settings as numbers, whatever YAML takes them for: 1e-3 is a word to it."""
    settings = FinetuneSettings(task="", **written)
    return {key: getattr(settings, key) for key in written}


def _problems(method: str, rungs: Sequence[Any]) -> list[str]:
    """Return what is wrong with the settings to try of a method."""
    networks = [name for name in METHODS if name != CLASSICAL]
    if method not in networks:
        return [str(unknown("method", method, networks))]
    problems = []
    for rung in rungs:
        if not isinstance(rung, Mapping):
            problems.append(f"{method}: {rung!r} is not SETTING: VALUE.")
            continue
        problems += [f"{method}: {unknown('setting to try', str(k), TUNED)}" for k in rung if k not in TUNED]
        try:
            _rung({key: value for key, value in rung.items() if key in TUNED})
        except ValidationError as error:
            problems += [f"{method}: '{e['loc'][0]}' is {e['input']!r}: {e['msg'].lower()}." for e in error.errors()]
    return problems
