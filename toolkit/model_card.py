"""What goes beside a backbone's weights for people: the card README.md, and the recipe that makes the weights again."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from toolkit.backbones.card import Card
from toolkit.config import PretrainSettings

LAST_STEPS = 100
"""The losses on the card are means over this many last steps."""


def last_losses(path: Path, pretexts: Mapping[str, float]) -> dict[str, float]:
    """Return each pretext's training loss, without its weight, as its mean over the last steps of metrics.jsonl."""
    rows = [json.loads(line) for line in path.read_text().splitlines()[-LAST_STEPS:]]
    means = {name: math.fsum(row[name] for row in rows) / len(rows) for name in pretexts}
    return {f"training {name}": round(means[name] / weight, 4) for name, weight in pretexts.items()}


def recipe_text(card: Card, settings: PretrainSettings) -> str:
    """Return the settings for `toolkit pretrain -c`, under comments with the commands that make the worlds."""
    named = {part: [f"worlds/{world.name}" for world in getattr(settings, part)] for part in ("worlds", "held_out")}
    made = [
        _made(path, world) for part, paths in named.items() for path, world in zip(paths, card.data[part], strict=True)
    ]
    values = settings.model_dump(mode="json") | named
    command = f"# toolkit pretrain -c recipe.yaml --out runs/{card.name}"
    return "\n".join([*made, command, yaml.safe_dump(values, sort_keys=False, default_flow_style=None)])


def _made(path: str, world: Mapping[str, Any]) -> str:
    known = f"{world['from']} to {world['to']}, {world['times']} times, SHA-256 {world['sha256']}"
    lines = [f"# {path}: {known}"]
    if "runs" in world:
        shape = " ".join(f"--{name} {world[name]}" for name in ("runs", "days", "rotation", "seed"))
        lines.append(f"# toolkit data fluid {path} {shape}")
    elif world.get("size", "custom") != "custom":
        lines.append(f"# toolkit data world {path} --size {world['size']} --seed {world['seed']}")
    return "\n".join(lines)


def card_text(card: Card) -> str:
    """Return the card in Markdown: what the backbone is, made from what, how well, for what, and for what not."""
    spec = card.spec
    inputs = [f"- {name} in {unit}" for name, unit in zip(spec.variables, spec.units, strict=True)]
    simulated = any(world["simulated"] for world in card.data["worlds"])
    limits = [
        f"- Another grid spacing than {spec.grid_degrees:g} degrees, other variables or units: loading refuses them.",
        "- Levels other than the one it was trained on: nothing says how it does there.",
    ]
    if simulated:
        limits.append(
            "- The Earth as it is: it has seen a simulated atmosphere only, without land, moisture or mountains."
        )
    pretexts = ", ".join(f"{name} {weight:g}" for name, weight in card.pretexts.items())
    sections = {
        f"# {card.name}": [card.summary + ".", f"{card.parameters:,} parameters, licence {card.licence}."],
        "## What goes in": [
            *inputs,
            f"- frames at {', '.join(map(str, spec.frames))} h, pixels of {spec.grid_degrees:g} degrees",
            f"- windows of any size divisible by {spec.patch}; missing values as NaN",
        ],
        "## What it was trained on": [_trained_on(world) for world in card.data["worlds"]],
        "## What it was scored on, beside": [_trained_on(world) for world in card.data["held_out"]] or ["- nothing"],
        "## How": [
            f"- pretexts and their weights: {pretexts}",
            f"- fields it hands to a task: {', '.join(card.readouts) or 'none'}",
            "- `recipe.yaml` has every setting and the commands that make it again",
        ],
        "## What it reached": [f"- {name}: {value:g}" for name, value in card.scores.items()],
        "## What it is not good for": limits,
        "## Identity": [f"- SHA-256 of model.safetensors: `{card.weights_sha256}`"],
    }
    return "\n\n".join(f"{title}\n\n" + "\n".join(lines) for title, lines in sections.items()) + "\n"


def _trained_on(world: Mapping[str, Any]) -> str:
    kind = f"simulated, seed {world.get('seed', 'unknown')}" if world["simulated"] else "real"
    return f"- {world['path']} ({kind}), {world['from']} to {world['to']}, {world['times']} times: `{world['sha256']}`"
