"""The rule on the methods: one step of each, on real windows, saved and loaded."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from toolkit.conformance.problems import Problem, Stopped, at
from toolkit.conformance.subject import Subject
from toolkit.evaluate import outputs
from toolkit.fit import fit, seen
from toolkit.methods import schedule_of
from toolkit.saved import Saved, load_adapted, save_adapted
from toolkit.train import Run

ONE_STEP = {"limit_batches": 1, "batch_size": 16}


def methods(subject: Subject) -> Iterator[Problem]:
    """A step of each method is finite; the model says the same when it is loaded again."""
    for method in subject.methods:
        try:
            with tempfile.TemporaryDirectory() as folder:
                yield from _one(subject, method, Path(folder))
        except Stopped as stopped:
            yield stopped.problem


def _one(subject: Subject, method: str, folder: Path) -> Iterator[Problem]:
    task, place = subject.task, f"method {method}"
    settings = subject.settings.model_copy(update=ONE_STEP)
    with at(place):
        parts = subject.model(method)
        schedule = schedule_of(settings, method, len(subject.train))
        training, validation = (seen(parts, examples, "cpu") for examples in (subject.train, subject.validation))
        fit(task, parts, training, validation, schedule, Run(folder))
        before = outputs(parts, subject.test)
    if not np.isfinite(before).all():
        yield Problem(place, "after one step its output is not finite.", "Bound the loss, or scale the targets near 1.")
        return
    with at(place):
        save_adapted(folder, Saved(task.name, method, subject.card, {}, subject.settings.backbone), parts)
        _, loaded = load_adapted(folder, task)
        after = outputs(loaded, subject.test)
    if not np.allclose(before, after, rtol=1e-4, atol=1e-5):
        yield Problem(
            place,
            "saved and loaded, it says something else.",
            "Keep all that the head learns in parameters or buffers of its own.",
        )
