"""From what a user asks for to the settings of a comparison, refused where its parts do not fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from toolkit.comparison.plan import NONE, REFERENCE, Comparison, Folders
from toolkit.config import FinetuneSettings, PretrainSettings, Settings, check_free, configured, named_path
from toolkit.data.prepare import field_file
from toolkit.errors import UserError
from toolkit.plugins import found_tasks, task_named, task_names
from toolkit.pretexts.known import pretext_named, pretext_names
from toolkit.task import Task
from toolkit.task_settings import task_and_settings

PROBE = "probe"
OWN = ("worlds", "pretext", "max_steps", "seed", "name")
PROBES_OWN = ("task", "world", "data", "method", "backbone", "seed", "compare", "baselines")
"""Settings of a pretraining and of a probe that the comparison sets itself."""
ALIKE = ("variables", "frames", "window", "backbone", "patch", "dim", "depth", "heads")
"""Settings of the backbone, which all pretexts share."""
ONE_THREAD: Mapping[str, Any] = {"threads": 1, "workers": 0}


@dataclass(frozen=True)
class Asked:
    """What is to be compared, as a user says it.

    `worlds` are pretrained on, probes see the `task_world`. No pretexts are all that are installed, no tasks all that
    the backbone fits. `steps` of the reference and `labels` of a probe are the settings' own where they are None.
    """

    worlds: tuple[Path, ...] = ()
    task_world: Path | None = None
    pretexts: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    seeds: int = 3
    steps: int | None = None
    labels: int | None = None


def planned(asked: Asked, overrides: Sequence[str] = ()) -> Comparison:
    """Return a comparison, its settings with those of `overrides`.

    `overrides` are KEY=VALUE of `toolkit pretrain`; those of one pretext's pretrainings begin with its name and a dot,
    those of the probes with "probe.", those of the probes of one task, its options among them, with the task's name.
    Raises `UserError` for what is unknown, does not fit, or is not for an override to say.
    """
    names = tuple(dict.fromkeys(asked.pretexts)) or pretext_names()
    chosen = _called(asked.tasks)
    words, of = _sorted_out(overrides, (PROBE, *names, *(chosen or task_names())))
    _check_heads(words, names, tuple(chosen))
    of_pretext, of_task = ({name: of[name] for name in of if (name in names) == pretext} for pretext in (True, False))
    shared = of_task.pop(PROBE, [])
    check_free("compare", words, OWN)
    for name, alone in of_pretext.items():
        check_free("compare", alone, (*OWN, *ALIKE), f"{name}.")
    check_free("compare", [*shared, *(word for own in of_task.values() for word in own)], PROBES_OWN, f"{PROBE}.")
    for world in (*asked.worlds, *([asked.task_world] if asked.task_world else [])):
        field_file(world)
    worlds = [world.resolve() for world in asked.worlds] or None
    given = {"worlds": worlds, "max_steps": asked.steps, "pretext": dict.fromkeys(names, 1.0)}
    pretrain, *own = (
        configured(PretrainSettings, None, (*words, *more), given, ONE_THREAD) for more in ((), *of_pretext.values())
    )
    _check_pretexts(pretrain, names, named=bool(asked.pretexts))
    probes = {}
    for called, name in (chosen or _fitting(pretrain)).items():
        task, settings = _probe(name, asked, (*shared, *of_task.get(called, ())))
        if why := _unfit(task, pretrain):
            raise UserError(f"The task {task.name} {why}.")
        probes[task.name] = settings
    if not probes:
        raise UserError("No installed task looks at the variables and frames of this backbone. Name one with --task.")
    return Comparison(pretrain, probes, names, asked.seeds, dict(zip(of_pretext, own, strict=True)))


def check_finished(comparison: Comparison, folders: Folders) -> None:
    """Refuse to go on where a finished cell had other settings than it would be given now."""
    for pretext, seed in product(comparison.rows, range(comparison.seeds)):
        features, pretraining = folders.features(pretext, seed), folders.pretraining(pretext, seed)
        if folders.has_features(pretext, seed) and pretraining.is_dir():
            _check_same(pretraining, comparison.pretraining(pretext, seed, 1), but=("max_steps",))  # operations decide
        for task in comparison.probes:
            if folders.has_probe(pretext, seed, task):  # the features may have moved
                _check_same(folders.probe(pretext, seed, task), comparison.probe(task, seed, features), ("backbone",))


def _check_same(folder: Path, now: Settings, but: Sequence[str]) -> None:
    if changed := changed_settings(folder / "config.yaml", now, but):
        raise UserError(f"{folder} was made with other settings ({changed}). Compare into another folder.")


def changed_settings(written: Path, settings: Settings, but: Sequence[str] = ()) -> str:
    """Return which settings, but some, differ from those that a run recorded in its config.yaml, "" for none."""
    before, changed = yaml.safe_load(written.read_text()), []
    for key, now in settings.model_dump(mode="json", exclude=set(but)).items():
        was = named_path(before.get(key))
        if was != now and not (key == "world" and now is None):  # none is the one in the cache
            changed.append(f"{key}: {was} -> {now}")
    return "; ".join(changed)


def _sorted_out(overrides: Sequence[str], heads: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the overrides without a head, and those of each head, which is taken off."""
    plain, of = [], dict[str, list[str]]()
    for word in overrides:
        head, dot, rest = word.partition(".")
        if dot and head in heads:
            of.setdefault(head, []).append(rest)
        else:
            plain.append(word)
    return plain, of


def _check_heads(plain: Sequence[str], pretexts: Sequence[str], tasks: Sequence[str]) -> None:
    """Refuse what is for a pretext or a task that there is, but not in this comparison."""
    for head, dot, _ in (word.partition("=")[0].partition(".") for word in plain):
        for kind, known, compared in (("pretexts", pretext_names(), pretexts), ("tasks", task_names(), tasks)):
            if dot and head in known:
                raise UserError(f"{head} is not among the {kind} of this comparison ({', '.join(compared)}).")


def _check_pretexts(settings: PretrainSettings, names: Sequence[str], named: bool) -> None:
    """Refuse unknown names and options; of all that are installed, one that does not load is told of later."""
    for name in names if named else ():
        pretext_named(name, settings.options.get(name))
    if NONE in names:
        raise UserError(f"A pretext cannot be called '{NONE}': that is the row of random weights.")
    if stray := sorted(settings.options.keys() - {*names, REFERENCE}):
        raise UserError(f"There are options for {', '.join(stray)}, but it is not among the pretexts compared.")


def _probe(name: str, asked: Asked, overrides: Sequence[str]) -> tuple[Task, FinetuneSettings]:
    world = asked.task_world and asked.task_world.resolve()
    given = {"world": world, "method": PROBE, "compare": False, "baselines": False}
    first = ("threads=1", *([] if asked.labels is None else [f"labels={asked.labels}"]))
    return task_and_settings(name, None, (*first, *overrides), given)


def _called(tasks: Sequence[str]) -> dict[str, str]:
    """Return {what a task calls itself: how it was named}, which differ for a file."""
    called: dict[str, str] = {}
    for name in dict.fromkeys(tasks):
        own = task_named(name).name
        if own in called:
            raise UserError(f"{called[own]} and {name} are both called '{own}'. Compare by one of them at a time.")
        called[own] = name
    return called


def _fitting(pretrain: PretrainSettings) -> dict[str, str]:
    return {name: name for name, task in found_tasks().tasks.items() if not _unfit(task, pretrain)}


def _unfit(task: Task, pretrain: PretrainSettings) -> str:
    """Say why a task cannot be probed through the backbone, "" where it can."""
    if not task.sees_fields:
        return "looks at no fields, so there are no features to probe"
    if task.inputs.frames != pretrain.frames:
        return f"looks at the frames {list(task.inputs.frames)} h, the backbone is trained on {list(pretrain.frames)}"
    if strange := sorted(set(task.inputs.variables) - set(pretrain.variables)):
        return f"looks at {', '.join(strange)}, which the backbone is not trained on"
    return ""
