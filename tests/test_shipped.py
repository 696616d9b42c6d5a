"""The backbones that come with the toolkit are what their cards say."""

from pathlib import Path

import pytest
import yaml

from toolkit.backbones.card import shipped
from toolkit.backbones.weights import load_backbone
from toolkit.config import PretrainSettings
from toolkit.examine import pretraining_of
from toolkit.model_card import card_text
from toolkit.pretexts.known import readout_channels

LARGEST_BYTES = 15e6


@pytest.mark.parametrize("folder", shipped().values(), ids=shipped())
def test_a_shipped_backbone_is_what_its_card_says(folder: Path) -> None:
    """Weights fit network and pretexts, counts and readouts are right, the recipe is one, the card in words agrees."""
    backbone = load_backbone(folder)
    card, model = backbone.card, pretraining_of(backbone)
    assert card.name == folder.name
    assert card.parameters == sum(parameter.numel() for parameter in model.backbone.parameters())
    assert tuple(readout_channels(card)) == card.readouts
    assert (folder / "model.safetensors").stat().st_size < LARGEST_BYTES
    settings = PretrainSettings(**yaml.safe_load((folder / "recipe.yaml").read_text()))
    assert settings.pretext == card.pretexts
    assert (settings.frames, settings.variables) == (card.spec.frames, card.spec.variables)
    assert (settings.window, settings.hidden) == (card.window, card.hidden) == (model.recipe.size, model.recipe.hidden)
    assert (folder / "README.md").read_text() == card_text(card)
