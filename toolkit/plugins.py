"""The tasks there are: built-in and installed ones by entry point, others by the path of a file that defines TASK.

TASK is a `Task`, or a function that returns one: its keyword parameters, each with a default, are the task's options
(`toolkit finetune TASK OPTION=VALUE`); one called `data` is given the path that `--data` names.
"""

import importlib.util
import inspect
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import validate_call

from toolkit.errors import UserError
from toolkit.installed import installed_names, load_installed, loaded_all, remedy, said
from toolkit.labels import labels_path
from toolkit.task import Task

KIND = "task"
DATA = "data"


@dataclass(frozen=True)
class Plugin:
    """A plug-in: the name it is asked for by, its TASK (a task or a function), and where that comes from."""

    name: str
    defines: Any
    package: str
    version: str
    place: str

    @property
    def recorded(self) -> str:
        """The name under which a run records the task: that of a file is its whole path."""
        return str(Path(self.name).resolve()) if self.name.endswith(".py") else self.name

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of the function that makes the task; none for a task that is made already."""
        return {} if isinstance(self.defines, Task) else inspect.signature(self.defines).parameters

    @property
    def options(self) -> dict[str, tuple[Any, Any]]:
        """The task's options: {name: (type, default)}."""
        if not (parameters := self.parameters):
            return {}
        types = typing.get_type_hints(self.defines)
        return {name: (types.get(name, Any), p.default) for name, p in parameters.items() if name != DATA}

    def task(self, options: Mapping[str, Any] | None = None, data: Path | None = None) -> Task:
        """Return the task under these options, for the labels at `data`; `UserError` where it cannot be made."""
        given = dict(options or {})
        if not isinstance(self.defines, Task):
            given |= {DATA: data and labels_path(data)} if DATA in self.parameters else {}
            try:
                task: object = validate_call(self.defines)(**given)
            except UserError:
                raise
            except Exception as error:  # a plug-in is somebody else's code
                raise UserError(f"The task '{self.name}' ({self.place}) cannot be made: {said(error)}.") from error
        elif given:
            raise UserError(f"The task '{self.name}' has no options; given: {', '.join(given)}.")
        else:
            task = self.defines
        if not isinstance(task, Task):
            raise UserError(
                f"{self.place} defines no task: TASK should be a toolkit.task.Task or a function that returns one, it "
                f"gives a {type(task).__name__}."
            )
        return task


@dataclass(frozen=True)
class Found:
    """The plug-ins that load, the tasks they make, and a sentence for every one that does not load."""

    plugins: Mapping[str, Plugin]
    tasks: Mapping[str, Task]
    broken: tuple[str, ...]


def task_names() -> tuple[str, ...]:
    """Return the names of the installed tasks, without loading any."""
    return installed_names(KIND)


def found_tasks() -> Found:
    """Load every installed task; one that fails is told in `broken` and stops nothing else."""
    plugins, broken = loaded_all(KIND, _loaded)
    return Found(plugins, {name: plugin.task() for name, plugin in plugins.items()}, broken)


def plugin_named(name: str) -> Plugin:
    """Return the plug-in of the installed task called `name`, or that of the Python file at that path.

    Raises `UserError` for an unknown name, a name that two installed packages claim, and a plug-in that does not load.
    """
    if name.endswith(".py"):
        return _from_file(Path(name))
    return _loaded(name)


def task_named(name: str, options: Mapping[str, Any] | None = None, data: Path | None = None) -> Task:
    """Return the task called `name`, or of the Python file at that path, as `plugin_named(name).task(...)` does."""
    return plugin_named(name).task(options, data)


def _loaded(name: str) -> Plugin:
    found = load_installed(KIND, name)
    plugin = _checked(Plugin(name, found.thing, found.package, found.version, found.point.value))
    try:
        own = plugin.task().name
    except UserError as error:
        raise UserError(f"{error}{remedy(found.point, error.__cause__)}") from error
    if own != name:
        raise UserError(f"The task '{name}' ({plugin.place}) calls itself '{own}'. Give both the same name.")
    return plugin


def _from_file(path: Path) -> Plugin:
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
        raise UserError(f"The task file {path} does not load: {said(error)}.") from error
    return _checked(Plugin(str(path), module.__dict__.get("TASK"), "file", "", str(path)))


def _checked(plugin: Plugin) -> Plugin:
    """Return the plug-in if its TASK can be one; `UserError` says what is wrong with it."""
    if not isinstance(plugin.defines, Task) and not callable(plugin.defines):
        raise UserError(
            f"{plugin.place} defines no task: TASK should be a toolkit.task.Task or a function that returns one, it is "
            f"a {type(plugin.defines).__name__}."
        )
    try:
        defaults = {name: parameter.default for name, parameter in plugin.parameters.items()}
        _ = plugin.options
    except Exception as error:  # an annotation is somebody else's code
        raise UserError(f"The options of {plugin.place} cannot be read: {said(error)}.") from error
    for name, default in defaults.items():
        if default is inspect.Parameter.empty:
            raise UserError(f"The option '{name}' of {plugin.place} has no default. Give it one.")
    return plugin
