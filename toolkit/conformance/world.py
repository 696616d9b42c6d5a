"""The world that a task is checked on: the tiny one, or the user's, with made-up labels where the task makes them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.config import FinetuneSettings
from toolkit.data.prepare import FIELD_FILES, field_file
from toolkit.data.world.embedded import embedded_world
from toolkit.origin import Origin
from toolkit.task import Task
from toolkit.told import Told

SIZE = "tiny"


@contextmanager
def checked_origin(task: Task, settings: FinetuneSettings, told: Told) -> Iterator[Origin]:
    """Yield where fields and labels of a check come from: as for `toolkit finetune`, but the tiny world where none is.

    Where labels are to be made up, it is a folder that is gone afterwards: it shows the world's fields and copies of
    its tables, for the task's `sample` to write its own beside.
    """
    world, makes_up = settings.world, makes_labels_up(task, settings)
    if world is None and (task.sees_fields or (settings.data is None and not makes_up)):
        world = embedded_world(told, SIZE)
    if not makes_up:
        yield Origin(world, settings.data)
        return
    with tempfile.TemporaryDirectory() as folder:
        shown = Path(folder) / "world"
        _show(world, shown)
        yield Origin(shown if task.sees_fields else None, shown)


def makes_labels_up(task: Task, settings: FinetuneSettings) -> bool:
    """Return whether a task is checked on labels of its own making: where it can, and none are given."""
    return task.sample is not None and settings.data is None


def _show(world: Path | None, shown: Path) -> None:
    """Make a folder that shows the fields of a world and holds copies of its tables, of which none may be changed."""
    shown.mkdir()
    if world is None:
        return
    fields = field_file(world)
    if fields == world and (world.is_file() or world.suffix == ".zarr"):
        name = next((name for name in FIELD_FILES if Path(name).suffix == world.suffix), world.name)
        (shown / name).symlink_to(world.resolve())
        return
    for entry in world.iterdir():
        if entry == fields or (fields == world and entry.suffix in (".nc", ".grib")):
            (shown / entry.name).symlink_to(entry.resolve())
        elif entry.is_file():
            shutil.copyfile(entry, shown / entry.name)
