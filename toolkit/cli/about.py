"""What there is: `toolkit tasks list`, `toolkit backbones`, `toolkit doctor`."""

import typer

from toolkit.cli import options
from toolkit.cli.tables import aligned
from toolkit.cli.terminal import print_json

tasks = typer.Typer(help="Downstream tasks.", no_args_is_help=True, rich_markup_mode=None)


@tasks.callback()
def _tasks() -> None:
    """Keep `list` a command of its own while it is the only one."""


@tasks.command("list")
def list_tasks(json: options.Json = False) -> None:
    """List the tasks that are installed, and those that do not load."""
    from toolkit.plugins import found_tasks

    found = found_tasks()
    if json:
        listed = [
            {
                "name": name,
                "summary": t.summary,
                "variables": t.inputs.variables,
                "primary": t.primary,
                "origin": origin,
            }
            for (name, t), origin in zip(found.tasks.items(), found.origins.values(), strict=True)
        ]
        print_json({"tasks": listed, "broken": found.broken})
        return
    typer.echo(aligned([["task", "what it does"], *([name, task.summary] for name, task in found.tasks.items())]))
    for problem in found.broken:
        typer.echo(f"Warning: {problem}", err=True)


def backbones(json: options.Json = False) -> None:
    """List the pretrained backbones that come with the toolkit."""
    from dataclasses import asdict

    from toolkit.backbones.card import read_card, shipped

    cards = [read_card(folder) for folder in shipped().values()]
    if json:
        print_json([asdict(card) for card in cards])
        return
    rows = [["backbone", "parameters", "grid", "variables", "fields it hands over", "summary"]]
    for card in cards:
        spec, handed = card.spec, ", ".join(card.readouts) or "-"
        grid, variables = f"{spec.grid_degrees:g} degrees", ", ".join(spec.variables)
        rows.append([card.name, f"{card.parameters:,}", grid, variables, handed, card.summary])
    typer.echo(aligned(rows))


def doctor(json: options.Json = False) -> None:
    """Look at the installation: versions, device, cache, backbones, tasks. Exits with 1 if something is wrong."""
    from dataclasses import asdict

    from toolkit.doctor import examine

    checks = examine()
    if json:
        print_json([asdict(check) for check in checks])
    else:
        marks = {True: "ok", False: "WRONG", None: "note"}
        typer.echo(aligned([marks[check.good], check.name, check.found] for check in checks))
        for check in checks:
            if check.remedy:
                typer.echo(f"{check.name}: {check.remedy}", err=True)
    if any(check.good is False for check in checks):
        raise typer.Exit(1)
