"""What there is: `toolkit backbones`, `toolkit doctor`."""

import typer

from toolkit.cli import options
from toolkit.cli.tables import aligned
from toolkit.cli.terminal import print_json


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
