"""The tasks there are: built-in and installed ones by entry point, others by the path of a file that defines TASK."""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from toolkit.errors import UserError, unknown
from toolkit.task import Task

GROUP = "toolkit.tasks"


@dataclass(frozen=True)
class Found:
    """The tasks that load, where each comes from, and a sentence for every one that does not load."""

    tasks: Mapping[str, Task]
    origins: Mapping[str, str]
    broken: tuple[str, ...]


def task_names() -> tuple[str, ...]:
    """Return the names of the installed tasks, without loading any."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def found_tasks() -> Found:
    """Load every installed task; one that fails is told in `broken` and stops nothing else."""
    tasks, origins, broken = {}, {}, []
    for name in task_names():
        try:
            point = _only(name)
            tasks[name], origins[name] = _loaded(point), point.value
        except UserError as error:
            broken.append(str(error))
    return Found(tasks, origins, tuple(broken))


def task_named(name: str) -> Task:
    """Return the installed task called `name`, or the TASK of the Python file at that path.

    Raises `UserError` for an unknown name, a name that two installed packages claim, and a task that does not load.
    """
    if name.endswith(".py"):
        return _from_file(Path(name))
    if name not in task_names():
        raise unknown("task", name, task_names())
    return _loaded(_only(name))


def _only(name: str) -> EntryPoint:
    points = list(entry_points(group=GROUP, name=name))
    if len({point.value for point in points}) > 1:
        claims = " and ".join(sorted(f"{p.dist.name if p.dist else 'unknown'} ({p.value})" for p in points))
        raise UserError(f"Two packages define a task '{name}': {claims}. Uninstall one, or give the path of its file.")
    return points[0]


def _loaded(point: EntryPoint) -> Task:
    try:
        task = point.load()
    except Exception as error:  # a plug-in is somebody else's code
        raise UserError(f"The task '{point.name}' ({point.value}) does not load: {_said(error)}.") from error
    return _checked(task, point.value, point.name)


def _from_file(path: Path) -> Task:
    if not path.is_file():
        raise UserError(f"There is no task file {path}. Give the name of an installed task or the path of a .py file.")
    name = f"toolkit_task_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a name that ends in .py always has a loader
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a task file is somebody else's code
        raise UserError(f"The task file {path} does not load: {_said(error)}.") from error
    return _checked(getattr(module, "TASK", None), str(path))


def _checked(task: object, origin: str, name: str | None = None) -> Task:
    if not isinstance(task, Task):
        raise UserError(f"{origin} defines no task: TASK should be a toolkit.task.Task, it is a {type(task).__name__}.")
    if name not in (None, task.name):
        raise UserError(f"The task '{name}' ({origin}) calls itself '{task.name}'. Give both the same name.")
    return task


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".")
