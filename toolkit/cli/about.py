"""What there is: `toolkit backbones`, `toolkit doctor`."""

from collections.abc import Mapping
from textwrap import indent
from typing import TYPE_CHECKING

import typer

from toolkit.cli import options
from toolkit.cli.tables import aligned
from toolkit.cli.terminal import print_json

if TYPE_CHECKING:
    from toolkit.backbones.card import Card


def backbones(json: options.Json = False) -> None:
    """List the pretrained backbones that come with the toolkit, and the kinds that `toolkit pretrain` can train."""
    from dataclasses import asdict

    from toolkit.backbones.card import read_card, shipped
    from toolkit.backbones.known import PREFIX, found_kinds

    cards = [read_card(folder) for folder in shipped().values()]
    found = found_kinds()
    if json:
        print_json([asdict(card) for card in cards])
    else:
        for card in cards:
            typer.echo(f"{card.name}\n{_indented(_described(card))}\n")
        kinds = {kind.name: kind.summary for kind in found.kinds.values()} | {f"{PREFIX}NAME": "Any model of timm"}
        typer.echo(f"Kinds for `toolkit pretrain backbone=KIND`\n{_indented(kinds)}")
    for problem in found.broken:
        typer.echo(f"Warning: {problem}", err=True)


def _described(card: "Card") -> dict[str, str]:
    """Return what a backbone is, what it was made from, and what a task must fit, by title."""
    from toolkit.backbones.known import kind_of

    spec = card.spec
    held_out = {name: value for name, value in card.scores.items() if name.startswith("held-out")}
    frames = ", ".join(f"{hours:+d}" if hours else "0" for hours in spec.frames)
    described = {
        "summary": card.summary,
        "kind": kind_of(card.architecture),
        "parameters": f"{card.parameters:,}",
        "SHA-256": card.weights_sha256[:12],
        "grid": f"{spec.grid_degrees:g} degrees, patches of {spec.patch} x {spec.patch} pixels",
        "variables": f"{', '.join(spec.variables)} at {frames} h",
        "pretexts": ", ".join(f"{name} {weight:g}" for name, weight in card.pretexts.items()),
        "trained on": _worlds(card, "worlds"),
        "scored on": _worlds(card, "held_out"),
        "scores": ", ".join(f"{name} {value:g}" for name, value in (held_out or card.scores).items()),
        "hands over": ", ".join(card.readouts),
    }
    return {title: said or "-" for title, said in described.items()}


def _worlds(card: "Card", part: str) -> str:
    """Return the worlds of a part of the card's data: their names, which are simulated, and their numbers of times."""
    return ", ".join(
        f"{world['path']} ({'simulated, ' if world['simulated'] else ''}{world['times']} times)"
        for world in card.data.get(part, ())
    )


def _indented(lines: Mapping[str, str]) -> str:
    return indent(aligned(lines.items()), "  ")


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
