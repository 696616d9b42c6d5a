"""Where a run's fields and labels come from, and what becomes of them: stores, and a table of rows with their parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.data.prepare import prepared, prepared_maps
from toolkit.data.store import NO_FIELDS, Store
from toolkit.data.world_identity import data_identity, made_by, world_identity
from toolkit.errors import UserError
from toolkit.installed import said
from toolkit.labels import LEFT_OUT, checked_labels, labels_path
from toolkit.split import NO_PART
from toolkit.task import Task

OF_THEIR_OWN = "Where the labels have a file of their own, name it with --data."


@dataclass(frozen=True)
class Origin:
    """A world, whose fields are looked at, and `data`, whose labels stand in for the world's own; None for neither."""

    world: Path | None
    data: Path | None = None

    @property
    def labels(self) -> Path:
        """What the task reads its labels from; `UserError` where there is neither, or nothing of that name."""
        path = self.data or self.world
        if path is None:
            raise UserError("There are no labels: name a world folder (--world) or the labels' own file (--data).")
        return labels_path(path)


@dataclass(frozen=True, eq=False)
class Material:
    """What examples are cut from.

    labels: one row per labelled thing at a time that the store has; part (n,): "train", "validation", "test" or "" for
    each; left_out: why rows are missing, with counts; label_maps: the fields that are to be predicted; made_by: how the
    fields say that they were made.
    """

    store: Store
    label_maps: Store
    labels: pd.DataFrame
    part: NDArray[np.str_]
    left_out: dict[str, int]
    made_by: dict[str, Any]

    def rows(self, part: str, groups: tuple[str, ...] | None = None) -> NDArray[np.bool_]:
        """Return which rows are in a part, of all its groups or of those named."""
        mine = self.part == part
        return mine if groups is None else mine & self.labels["group"].isin(groups).to_numpy()

    def groups(self, part: str) -> list[str]:
        """Return the groups that have rows in a part."""
        return sorted(self.labels["group"][self.rows(part)].unique())


def gathered_material(task: Task, origin: Origin, grid_degrees: float | None) -> Material:
    """Prepare the stores, read the labels and say to which part each row belongs.

    Raises `UserError` for labels that cannot be used or split, and where the store has fields at no row's time.
    """
    store = fields_of(task, origin, grid_degrees)
    labels, left_out = timely_labels(task, origin, store)
    label_maps = NO_FIELDS
    if task.maps is not None:
        label_maps = prepared_maps(origin.labels, task.maps.variables, task.maps.open, store)
    part = task.split(labels)
    lost = int((part == NO_PART).sum())
    left_out |= {"too near in time to another part": lost} if lost else {}
    made = made_by(origin.world) if task.sees_fields and origin.world else {}
    return Material(store, label_maps, labels, part.to_numpy(str), left_out, made)


def timely_labels(task: Task, origin: Origin, store: Store) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the labels at times that the store has, and why rows are left out, with counts.

    They are all of them for a task that looks at no fields. Raises `UserError` for labels that cannot be used, and
    where the store has fields at no row's time.
    """
    labels = _read_labels(task, origin)
    left_out = dict(labels.attrs[LEFT_OUT])
    if not task.sees_fields:
        return labels, left_out
    timely = np.isin(labels["time"].to_numpy("datetime64[s]"), store.time)
    if not timely.any():
        raise UserError(
            f"None of the {len(labels)} rows of {origin.labels} is at a time of the fields of {origin.world}, "
            f"{store.time[0]} to {store.time[-1]}. Take fields and rows of the same years."
        )
    left_out |= {"no field at their time": int((~timely).sum())} if not timely.all() else {}
    return labels[timely].reset_index(drop=True), left_out


def _read_labels(task: Task, origin: Origin) -> pd.DataFrame:
    path = origin.labels
    try:
        return checked_labels(task, path)
    except UserError as error:
        if origin.data or path.is_dir():
            raise
        raise UserError(f"{error} {OF_THEIR_OWN}") from error
    except Exception as error:  # a plug-in is somebody else's code
        remedy = "" if origin.data else f" {OF_THEIR_OWN}"
        raise UserError(f"The task {task.name} cannot read its labels from {path}: {said(error)}.{remedy}") from error


def fields_of(task: Task, origin: Origin, grid_degrees: float | None) -> Store:
    """Return the store of the fields that a task looks at, an empty one where it looks at none."""
    if not task.sees_fields:
        return NO_FIELDS
    if origin.world is None:
        raise UserError(f"The task {task.name} looks at fields: name a world folder (--world).")
    return prepared(origin.world, (*task.inputs.variables, *task.inputs.also), grid_degrees)


def identity(task: Task, origin: Origin, store: Store) -> dict[str, Any]:
    """Return what a run records of its world and of its labels' file: {"world": ..., "data": ...}, None for none.

    A world of which neither fields nor labels are read is none of the run's.
    """
    read = origin.world if task.sees_fields or origin.data is None else None
    return {
        "world": world_identity(read, store) if read else None,
        "data": data_identity(origin.labels) if origin.data else None,
    }
