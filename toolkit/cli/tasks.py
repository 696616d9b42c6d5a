"""`toolkit tasks`: what tasks there are, a new one, and the proof that one keeps the rules and leaks nothing."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options
from toolkit.cli.tables import aligned
from toolkit.cli.terminal import print_json, told
from toolkit.cli.training import TaskName

app = typer.Typer(
    help="Downstream tasks, and one of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_tasks(json: options.Json = False) -> None:
    """List the tasks that are installed, what they need and where they come from, and those that do not load."""
    from toolkit.plugins import found_tasks

    found = found_tasks()
    if json:
        listed = [
            {
                "name": name,
                "summary": task.summary,
                "variables": task.inputs.variables,
                "columns": task.inputs.columns,
                "needs": task.needs,
                "primary": task.primary,
                "options": {option: default for option, (_, default) in found.plugins[name].options.items()},
                "package": found.plugins[name].package,
                "version": found.plugins[name].version,
                "origin": found.plugins[name].place,
            }
            for name, task in found.tasks.items()
        ]
        print_json({"tasks": listed, "broken": found.broken})
        return
    rows = [["task", "what it does", "labels", "from"]]
    for name, task in found.tasks.items():
        plugin = found.plugins[name]
        rows.append([name, task.summary, task.needs or "-", f"{plugin.package} {plugin.version}"])
    typer.echo(aligned(rows))
    for problem in found.broken:
        typer.echo(f"Warning: {problem}", err=True)


@app.command()
def check(
    context: typer.Context,
    task: TaskName,
    overrides: options.Overrides = None,
    world: Annotated[
        Path | None, typer.Option(help="World folder: fields and labels; the tiny simulated one by default.")
    ] = None,
    data: options.Data = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Check that a task keeps the rules, on a few windows of a small world. Exits with 1 where it does not.

    Labels are those that --data names; else the task makes some up, or takes the world's own where it makes none.
    """
    from toolkit.config import FinetuneSettings
    from toolkit.conformance.check import check_task
    from toolkit.task_settings import task_and_settings

    found, settings = task_and_settings(task, None, overrides or (), options.flags(context, FinetuneSettings))
    with told(quiet, verbose) as listener:
        report = check_task(found, settings, listener)
    if json:
        print_json(report.content)
    else:
        typer.echo(aligned([o.state, o.rule.name, f"{o.seconds:.1f} s"] for o in report.outcomes))
        typer.echo(f"fields: {report.world}; labels: {report.labels}")
        for problem in report.problems:
            typer.echo(f"\n{problem}")
    if report.problems:
        raise typer.Exit(1)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the task: small letters, digits and _.")],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; NAME.py by default.")] = None,
    json: options.Json = False,
) -> None:
    """Write a task that runs, to begin one's own from, and beside it a test that it keeps the rules."""
    from toolkit.new_task import write_new

    task, test = write_new(name, out)
    if json:
        print_json({"task": str(task), "test": str(test)})
    else:
        typer.echo(f"Task: {task}\nTest: {test}\nTry it with: toolkit tasks check {task}")


@app.command()
def leaks(run: options.RunPath, json: options.Json = False) -> None:
    """Prove from a run's split.json and its labels that nothing leaks between its parts. Exits with 1 where it does."""
    from toolkit.leaks_run import proof

    found = proof(run)
    if json:
        print_json({"rows": found.rows, "apart": found.apart, "leaks": found.leaks})
    else:
        counted = ", ".join(f"{part} {count}" for part, count in found.rows.items())
        typer.echo(f"rows: {counted}\n{found.in_words}")
    if found.leaks:
        raise typer.Exit(1)
