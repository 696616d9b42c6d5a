"""A task and the settings of a run of it, which say together under which options the task is made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.config import FinetuneSettings, configured, from_file
from toolkit.errors import UserError
from toolkit.plugins import plugin_named
from toolkit.task import Task


def task_and_settings(
    name: str,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> tuple[Task, FinetuneSettings]:
    """Return the task called `name` under the options it is given, and the settings, for which it has defaults.

    `config`, `overrides` (KEY=VALUE, options of the task among them) and `given` are those of
    `toolkit.config.configured`; `defaults` are a command's own, which those of a task replace. Raises one `UserError`
    with everything that is wrong.
    """
    plugin = plugin_named(name)
    if config and (of := str(from_file(config).get("task") or "")) and Path(of).stem != Path(name).stem:
        raise UserError(f"{config} is for the task {of}, not {name}.")
    flags = dict(given or {}) | {"task": plugin.recorded}

    def settings_with(own: Mapping[str, Any]) -> FinetuneSettings:
        return configured(FinetuneSettings, config, overrides, flags, dict(defaults or {}) | dict(own), plugin.options)

    first = settings_with({})
    task = plugin.task(first.options, first.data)
    return task, settings_with(task.defaults)
