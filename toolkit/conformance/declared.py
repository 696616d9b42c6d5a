"""Rules on what a task says of itself, before any of its code is called."""

import re
from collections.abc import Iterable, Iterator

from toolkit.backbones.card import Card
from toolkit.conformance.problems import Problem
from toolkit.conformance.subject import Subject
from toolkit.errors import unknown
from toolkit.installed import loaded_all
from toolkit.pretexts.known import KIND, pretext_named
from toolkit.task import Task

NAME = re.compile(r"[a-z][a-z0-9_-]*")


def description(subject: Subject) -> Iterator[Problem]:
    """The task has a name that a folder can have, and says what it does, counts and reads."""
    task = subject.task
    if not NAME.fullmatch(task.name):
        yield Problem("name", f"it is '{task.name}'.", "Use small letters, digits, - and _, a letter first.")
    for place, text, remedy in (
        ("summary", task.summary, "Say in one line what the task does."),
        ("groups", task.groups, "Say what a group is called in the plural, such as storms or stations."),
        ("needs", task.needs, "Say in a phrase which label files the task reads."),
    ):
        if not text.strip() or "\n" in text:
            yield Problem(place, "it is empty." if not text.strip() else "it has several lines.", remedy)


def metric_list(subject: Subject) -> Iterator[Problem]:
    """Metrics have names of their own, units, meanings, limits in order; the primary one is among them."""
    metrics = subject.task.metrics
    if not metrics:
        yield Problem("metrics", "there is none.", "Give at least one, such as mean_absolute_error.")
        return
    names = [metric.name for metric in metrics]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(f"metric {name}", "two metrics have this name.", "Give each its own.")
    for metric in metrics:
        for what, text in (("unit", metric.unit), ("meaning", metric.meaning)):
            if not text.strip():
                yield Problem(f"metric {metric.name}", f"its {what} is empty.", "State it; the unit of a share is 1.")
        low, high = metric.limits
        if not low < high:
            yield Problem(f"metric {metric.name}", f"its limits are {low:g} and {high:g}.", "Give the lower one first.")
    if subject.task.primary not in names:
        yield Problem("primary", str(unknown("metric of the task", subject.task.primary, names)))


def inputs(subject: Subject) -> Iterator[Problem]:
    """Variables, frames and window are those that the backbone knows; without variables there are columns."""
    task = subject.task
    if subject.card is not None:
        yield from _of_fields(task, subject.card)
    elif not task.inputs.columns:
        yield Problem("inputs", "the task looks at nothing.", "Name variables of the fields, or columns of the labels.")
    if task.maps is not None and (odd := [k for k in task.maps.known if k > 0 or k in task.maps.frames]):
        yield Problem(
            "maps.known",
            f"the frame {odd[0]} h is not known beforehand.",
            "Name frames up to the analysis time, and none that is to be predicted.",
        )
    for name in _double((*task.inputs.variables, *task.inputs.also, *task.inputs.columns)):
        yield Problem(f"input {name}", "it is named twice.", "Name it once.")


def _of_fields(task: Task, card: Card) -> Iterator[Problem]:
    spec, asked = card.spec, task.inputs
    for name in asked.variables:
        if name not in spec.variables:
            yield Problem(f"variable {name}", str(unknown("variable of the backbone", name, spec.variables)))
    if lacking := [name for name in spec.variables if name not in (*asked.variables, *asked.also)]:
        yield Problem(
            "inputs.variables",
            f"the backbone {card.name} also looks at {', '.join(lacking)}.",
            "Name all variables of the backbone.",
        )
    if tuple(asked.frames) != spec.frames:
        known = ", ".join(map(str, spec.frames))
        yield Problem(
            "inputs.frames",
            f"they are {', '.join(map(str, asked.frames)) or 'none'} h from the analysis time.",
            f"The backbone {card.name} knows {known} h, oldest first.",
        )
    if any(side <= 0 or side % spec.patch for side in asked.window):
        yield Problem(
            "inputs.window",
            f"it is {asked.window[0]} by {asked.window[1]} pixels.",
            f"The backbone {card.name} needs sides that {spec.patch} divides.",
        )
    for name in task.readouts:
        if name not in (known_readouts := _readouts()):
            yield Problem(f"readout {name}", str(unknown("readout", name, known_readouts)))


def _readouts() -> list[str]:
    pretexts, _ = loaded_all(KIND, pretext_named)  # one that does not load hands nothing over
    return [pretext.readout.name for pretext in pretexts.values() if pretext.readout]


def _double(names: Iterable[str]) -> list[str]:
    listed = list(names)
    return sorted({name for name in listed if listed.count(name) > 1})
