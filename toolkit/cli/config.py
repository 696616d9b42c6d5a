"""`toolkit config`: write a file of settings, show what holds, check a file."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import options
from toolkit.cli.terminal import print_json

if TYPE_CHECKING:
    from toolkit.config import Settings

app = typer.Typer(help="Files of settings.", no_args_is_help=True, rich_markup_mode=None)
Command = Annotated[str, typer.Option("--command", help="finetune or pretrain.")]


@app.command()
def init(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("toolkit.yaml"),
    command: Command = "finetune",
    task: Annotated[
        str | None, typer.Option(help="Task whose settings the file has; of finetune alone. hurricane by default.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write a file with every setting of a command and its default; of finetune, the defaults of a task."""
    from toolkit.config import template
    from toolkit.errors import UserError
    from toolkit.files import write_text
    from toolkit.task_settings import task_and_settings

    if out.exists() and not overwrite:
        raise UserError(f"{out} is already there. Add --overwrite to replace it, or name another with --out.")
    filled: dict[str, Any] = {"worlds": ["worlds/my-world"]}
    if command == "finetune":
        filled = task_and_settings(task or "hurricane")[1].model_dump(mode="json")
    elif task:
        raise UserError(f"`toolkit {command}` has no task: leave --task out.")
    write_text(out, template(_settings(command), filled))
    words = ["toolkit", command, *([filled["task"]] if command == "finetune" else []), "-c", str(out)]
    typer.echo(f"Wrote {out}. Use it with: {shlex.join(words)}")


@app.command()
def show(
    overrides: options.Overrides = None,
    config: options.Config = None,
    command: Command = "finetune",
    json: options.Json = False,
) -> None:
    """Show the settings that a file, the environment and KEY=VALUE give together."""
    import yaml

    values = _resolved(command, config, overrides or [])
    if json:
        print_json(values)
    else:
        typer.echo(yaml.safe_dump(values, sort_keys=False, default_flow_style=None).rstrip())


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="YAML file of settings.")], command: Command = "finetune"
) -> None:
    """Check a file of settings; all that is wrong is said at once."""
    _resolved(command, file, [])
    typer.echo(f"{file} is right for toolkit {command}.")


def _resolved(command: str, file: Path | None, overrides: list[str]) -> dict[str, Any]:
    from toolkit.config import configured, unchecked_values
    from toolkit.recipes import settings_file
    from toolkit.task_settings import task_and_settings

    settings = _settings(command)
    if command == "pretrain":
        return configured(settings, settings_file(file), overrides).model_dump(mode="json")
    if task := unchecked_values(settings, file, overrides).get("task"):
        return task_and_settings(str(task), file, overrides)[1].model_dump(mode="json")
    return configured(settings, file, overrides, {"task": ""}).model_dump(mode="json", exclude={"task"})


def _settings(command: str) -> "type[Settings]":
    from toolkit.config import FinetuneSettings, PretrainSettings
    from toolkit.errors import unknown

    known: dict[str, type[Settings]] = {"finetune": FinetuneSettings, "pretrain": PretrainSettings}
    if command not in known:
        raise unknown("command with settings", command, known)
    return known[command]
