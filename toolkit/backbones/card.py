"""What a backbone's folder is: weights, configuration, card; and the refusal to load a wrong one.

What the folder holds:
    config.json         features, architecture, normalisation, pretexts, data, scores, SHA-256 of the weights
    model.safetensors   the backbone, the modules of its pretexts, and their teachers
    README.md           the card, for people
    recipe.yaml         what `toolkit pretrain --config` needs to make it again
"""

import json
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from toolkit.backbones.features import FeatureSpec
from toolkit.data.grids import SAME_SPACING
from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.errors import UserError, unknown
from toolkit.files import sha256, write_json


@dataclass(frozen=True)
class Card:
    """A backbone's description. `readouts` are the names of the fields it can hand to a task; `parameters` a count.

    `pretexts` have their weights, and `options` the options of those that were given any; `window` is the size of the
    windows it was trained on, `hidden` the largest share of their patches that it did not see. `data` says what it was
    trained on and `scores` what it reached, both for people; `weights_sha256` is checked.
    """

    name: str
    summary: str
    spec: FeatureSpec
    architecture: dict[str, Any]
    normalisation: Normalisation
    pretexts: dict[str, float]
    readouts: tuple[str, ...]
    parameters: int
    weights_sha256: str
    licence: str = "Apache-2.0"
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    window: tuple[int, int] = (32, 32)
    hidden: float = 0.6
    data: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)


def write_card(folder: Path, card: Card) -> None:
    """Write config.json into a folder that holds the weights."""
    write_json(folder / "config.json", asdict(card))


def read_card(folder: Path) -> Card:
    """Read config.json and check the weights' hash; `UserError` where the folder is not a backbone or was edited."""
    try:
        raw = json.loads((folder / "config.json").read_text())
        raw["spec"] = FeatureSpec(**_tuples(raw["spec"]))
        raw["normalisation"] = Normalisation(**_tuples(raw["normalisation"]))
        card = Card(**raw | {name: tuple(raw[name]) for name in ("readouts", "window") if name in raw})
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no backbone: config.json is missing.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'config.json'} does not describe a backbone: {error}.") from error
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise UserError(f"The backbone {card.name} has no weights: {weights} is missing.")
    if (found := sha256(weights)) != card.weights_sha256:
        raise UserError(
            f"{weights} was changed: its SHA-256 is {found[:12]}..., the card says {card.weights_sha256[:12]}... "
            "Fetch or train the backbone again."
        )
    return card


def shipped() -> dict[str, Path]:
    """Return the folder of every backbone that comes with the toolkit, by name."""
    root = Path(str(resources.files("pretrained")))
    return {path.parent.name: path.parent for path in sorted(root.glob("*/config.json"))}


def backbone_folder(name: str) -> Path:
    """Return the folder of a shipped backbone, or `name` itself where it is a folder."""
    known = shipped()
    if name in known:
        return known[name]
    if (Path(name) / "config.json").exists():
        return Path(name)
    inside = [path.parent for path in sorted(Path(name).glob("*/model.safetensors"))]
    if found := [str(folder) for folder in inside if (folder / "config.json").exists()]:
        raise UserError(f"{name} is no backbone but holds one: name {' or '.join(found)}.")
    raise unknown("backbone", name, known)


def check_fits(card: Card, variables: tuple[str, ...], units: tuple[str, ...], grid_degrees: float) -> None:
    """Refuse data or a task that the backbone was not made for, naming all that differs."""
    spec, wrong = card.spec, []
    for name, unit in zip(variables, units, strict=True):
        if name not in spec.variables:
            wrong.append(f"it does not know '{name}' (it knows {', '.join(spec.variables)})")
        elif unit != (made_for := spec.units[spec.variables.index(name)]):
            wrong.append(f"'{name}' is in '{unit}', it was trained in '{made_for}'")
    if abs(grid_degrees / spec.grid_degrees - 1) > SAME_SPACING:
        wrong.append(
            f"the grid spacing is {grid_degrees:g} degrees, it was trained at {spec.grid_degrees:g}; regrid the fields"
        )
    if wrong:
        raise UserError(f"The backbone {card.name} does not fit: {'; '.join(wrong)}.")


def check_fits_store(card: Card, store: Store, variables: tuple[str, ...]) -> None:
    """Refuse a store that lacks one of the variables, or whose units or grid spacing the backbone was not made for."""
    units = {channel.name: channel.units for channel in store.channels}
    for name in variables:
        if name not in units:
            raise unknown(f"variable in the store {store.path}", name, units)
    check_fits(card, variables, tuple(units[name] for name in variables), store.latitude_spacing)


def _tuples(raw: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
