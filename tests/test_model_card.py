from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from toolkit.backbones.card import Card, read_card
from toolkit.config import PretrainSettings
from toolkit.model_card import card_text, recipe_text

WORLD = {"path": "one", "simulated": True, "sha256": "0" * 64, "from": "2001-08-01", "to": "2004-08-31", "times": 484}


@pytest.fixture
def card(random_backbone: Path) -> Card:
    """The card of a small backbone."""
    return read_card(random_backbone)


@pytest.mark.parametrize(
    ("about", "command"),
    [
        ({"size": "small", "seed": 3}, "# toolkit data world worlds/one --size small --seed 3"),
        (
            {"seed": 2, "runs": 8, "days": 6, "rotation": 0.0},
            "# toolkit data fluid worlds/one --runs 8 --days 6 --rotation 0.0 --seed 2",
        ),
        ({}, None),
    ],
)
def test_a_recipe_says_how_its_worlds_are_made(card: Card, about: dict[str, object], command: str | None) -> None:
    """By the command for what is simulated; what remains are the settings, of which none is lost."""
    settings = PretrainSettings(worlds=(Path("/somewhere/one"),), max_steps=7)
    text = recipe_text(replace(card, data={"worlds": [WORLD | about], "held_out": []}), settings)
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in comments if line.startswith("# toolkit data")] == ([command] if command else [])
    assert "/somewhere" not in text
    read = PretrainSettings(**yaml.safe_load(text))
    assert read == settings.model_copy(update={"worlds": (Path("worlds/one"),)})


def test_a_card_in_words_names_what_counts(card: Card) -> None:
    """What goes in, what it was trained on and by, and that simulated weather is not the Earth's."""
    text = card_text(replace(card, data={"worlds": [WORLD | {"seed": 3}], "held_out": []}))
    for said in ("vorticity in", "frames at -6, 0 h", "one (simulated, seed 3)", "masked 1", "The Earth as it is"):
        assert said in text
