"""Rules on the table of labels and on how it is split."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from toolkit.columns import encode_columns
from toolkit.conformance.problems import Problem, at
from toolkit.conformance.subject import Subject
from toolkit.conformance.tables import difference
from toolkit.labels import checked_labels
from toolkit.leaks import foretold, leaks, read_split
from toolkit.runfolder import write_split
from toolkit.split import NO_PART, PARTS, Apart, group_strata

PLACE = ("time", "latitude", "longitude", "group")


def sample(subject: Subject) -> tuple[Problem, ...]:
    """The task's `sample`, where labels are to be made up, writes them beside the fields."""
    if subject.makes_labels_up and subject.task.sample is not None:
        with at("sample"):
            subject.task.sample(subject.origin.labels)
    return ()


def labels(subject: Subject) -> Iterator[Problem]:
    """Labels are a table with the columns that the task needs, and the same when they are read again."""
    with at("labels"):
        first, again = subject.labels, checked_labels(subject.task, subject.origin.labels)
    if wrong := difference(first, again):
        yield Problem("labels", f"read twice, {wrong}.", "Draw nothing at random, and sort what has no order.")
    if bad := [why for why, count in first.attrs["left_out"].items() if not isinstance(count, int | np.integer)]:
        yield Problem(
            "labels", f"attrs['left_out'] does not say how many rows are left out: {bad[0]}.", "Give a count."
        )


def parts(subject: Subject) -> Iterator[Problem]:
    """Each row is in train, validation, test or none, and has a stratum; each part has rows, and windows on them."""
    with at("split"):
        labelled = subject.labels
        part = subject.task.split(labelled)
    if not isinstance(part, pd.Series) or not part.index.equals(labelled.index):
        yield Problem("split", "it does not give a part for each row.", "Return a Series with the index of the labels.")
        return
    if odd := sorted(set(part.astype(str)) - {*PARTS, NO_PART}):
        yield Problem("split", f"it gives the part '{odd[0]}'.", f"Parts are {', '.join(PARTS)}, or '' for none.")
        return
    with at("labels"):
        material = subject.material
    for name in PARTS:
        if not material.rows(name).any():
            yield Problem("split", f"no row falls into the part {name}.", "Add labels, or split them another way.")
            return
    with at("strata"):
        group_strata(material.labels, subject.task.strata)
    with at("placement"):
        cut = subject.parts
    for name in PARTS:
        if not len(cut[name]):
            yield Problem("placement", f"the part {name} has no window.", "Make the window, or its margin, smaller.")


def columns(subject: Subject) -> tuple[Problem, ...]:
    """The columns beside the fields can be encoded, by what is known of them in training."""
    for examples in subject.parts.values():
        with at("inputs.columns"):
            encode_columns(subject.columns, examples.table)
    return ()


def blind_columns(subject: Subject) -> Iterator[Problem]:
    """No column beside the fields is, or says by itself, what is to be predicted."""
    with at("decode"):
        stated = subject.task.decode(subject.outputs["test"], subject.test)
    for sentence in foretold(subject.task.inputs.columns, map(str, stated), subject.material.labels):
        yield Problem("inputs.columns", sentence)


def apart(subject: Subject) -> Iterator[Problem]:
    """What the split says holds between the parts can be proved from split.json and the labels."""
    stated = subject.task.split.apart
    if stated == Apart():
        yield Problem("split", "it does not say what holds between its parts.", "Keep groups, times or places apart.")
        return
    material = subject.material
    rows = {name: material.labels[material.rows(name)] for name in PARTS}
    with tempfile.TemporaryDirectory() as folder:
        write_split(Path(folder), stated, subject.parts, rows, subject.settings.seed)
        found = leaks(read_split(Path(folder) / "split.json"), material.labels)
    for sentence in found:
        yield Problem("split", sentence, "Keep the parts apart as `split.apart` says, or say what does hold.")


def blind_split(subject: Subject) -> Iterator[Problem]:
    """The split is the same when it is made again, and when the columns that are to be predicted change places."""
    split, table = subject.task.split, subject.material.labels
    with at("split"):
        first, again = split(table), split(table)
    if not first.equals(again):
        yield Problem("split", "made twice, it is another one.", "Draw by a hash of the group, not at random.")
        return
    with at("decode"):
        stated = subject.task.decode(subject.outputs["test"], subject.test)
    known = (*PLACE, *subject.task.inputs.columns)
    targets = [str(name) for name in table if name in stated and name not in known]
    order = np.random.default_rng(0).permutation(len(table))
    for name in targets:
        with at("split"):
            moved = split(table.assign(**{name: table[name].to_numpy()[order]}))
        if not first.equals(moved):
            yield Problem(f"split, column {name}", "the parts depend on this target.", "Split by group, time or place.")
