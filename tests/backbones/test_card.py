import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit.backbones.card import Card, backbone_folder, check_fits, read_card, write_card
from toolkit.backbones.contract import Wishes
from toolkit.backbones.known import build_backbone, shape_named
from toolkit.backbones.weights import Backbone, load_backbone, save_backbone
from toolkit.errors import UserError
from toolkit.pretexts import lagrangian
from toolkit.pretexts.known import pretexts_of


@pytest.fixture(scope="module")
def backbone(random_backbone: Path) -> Backbone:
    """The backbone as loaded."""
    return load_backbone(random_backbone)


@pytest.fixture
def copy(random_backbone: Path, tmp_path: Path) -> Path:
    """A copy of its folder, to be damaged."""
    return shutil.copytree(random_backbone, tmp_path / "copy")


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of config.json."""
    content = json.loads((folder / "config.json").read_text())
    change(content)
    (folder / "config.json").write_text(json.dumps(content))


def test_what_a_backbone_needs_and_is_not_installed_is_told(copy: Path) -> None:
    """A kind and a pretext of a package that is missing are named with the backbone, and what to do."""
    edit(copy, lambda card: card["pretexts"].update(deepening=1.0))
    with pytest.raises(UserError, match=r"The backbone .* was trained with the pretext 'deepening', which no"):
        pretexts_of(read_card(copy))
    edit(copy, lambda card: card["architecture"].update(kind="convnet"))
    with pytest.raises(UserError, match=r"The backbone .* is of the kind 'convnet', which no"):
        load_backbone(copy)


def test_the_folder_of_a_backbones_folder_is_told(copy: Path) -> None:
    """Where a run is named, its backbone is in the message."""
    with pytest.raises(UserError, match=rf"{copy.parent} is no backbone but holds one: name {copy}\."):
        backbone_folder(str(copy.parent))


def test_a_backbone_comes_back_as_it_was_saved(tmp_path: Path, backbone: Backbone) -> None:
    """Card, weights and the pretexts' modules survive a round trip; hash and count are filled in; it evaluates."""
    card = replace(backbone.card, data={"worlds": [1]}, scores={"loss": 0.5}, parameters=0, weights_sha256="")
    module, readout = build_backbone(card.spec, card.architecture, seed=8), lagrangian.PRETEXT.module(card.spec)
    saved = save_backbone(tmp_path, card, module, {"lagrangian": readout})
    loaded = load_backbone(tmp_path)
    assert loaded.card == saved
    assert replace(saved, parameters=0, weights_sha256="") == card
    assert saved.parameters == sum(p.numel() for p in module.parameters())
    assert not loaded.module.training
    for one, other in (
        (module.state_dict(), loaded.module.state_dict()),
        (readout.state_dict(), loaded.pretexts["lagrangian"]),
    ):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["resnet", "timm:test_vit"])
def test_a_backbone_of_another_kind_comes_back(tmp_path: Path, backbone: Backbone, kind: str) -> None:
    """The card names the kind, and the folder gives the same tokens, with the statistics that training left."""
    shape = shape_named(kind, Wishes(4, 16, 2, 2))
    spec = replace(backbone.card.spec, patch=shape.patch, dim=shape.dim)
    card = replace(backbone.card, spec=spec, architecture=dict(shape.architecture))
    module = build_backbone(spec, card.architecture, seed=8)
    x = torch.randn(2, spec.planes, 64, 64, generator=torch.Generator().manual_seed(0))
    module.train()(x)
    saved = save_backbone(tmp_path, card, module, {})
    assert saved.architecture == {"kind": kind}
    assert torch.equal(load_backbone(tmp_path).module(x), module.eval()(x))


def test_edited_weights_are_refused(copy: Path) -> None:
    """One changed byte of the weights is found by their hash."""
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors was changed: .* Fetch or train"):
        load_backbone(copy)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no backbone: config.json is missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), "The backbone random has no weights"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json does not describe a backbone"),
        (lambda folder: edit(folder, lambda c: c.pop("spec")), "does not describe a backbone: 'spec'"),
        (lambda folder: edit(folder, lambda c: c.update(colour=1)), "does not describe a backbone: .*'colour'"),
        (lambda folder: edit(folder, lambda c: c["spec"].update(dim=8)), "does not hold the backbone random: .*shape"),
        (lambda folder: edit(folder, lambda c: c["architecture"].update(depth=3)), r"Missing key.*blocks\.2"),
        (lambda folder: edit(folder, lambda c: c["architecture"].update(width=3)), "hold the backbone .*'width'"),
    ],
    ids=["no card", "no weights", "no JSON", "no spec", "unknown key", "other width", "other depth", "other shape"],
)
def test_a_damaged_folder_is_refused(copy: Path, damage: Callable[[Path], object], said: str) -> None:
    """What is missing or does not belong together is said in one sentence."""
    damage(copy)
    with pytest.raises(UserError, match=f"(?s){said}"):
        load_backbone(copy)


def test_a_card_comes_back_from_its_file(copy: Path, backbone: Backbone) -> None:
    """Reading what was written gives an equal card, tuples and numbers included."""
    write_card(copy, backbone.card)
    assert read_card(copy) == backbone.card


def test_a_folder_is_found_by_its_path_and_others_by_near_miss(random_backbone: Path) -> None:
    """A path to a backbone is that folder; a name that is nobody's is an error."""
    assert backbone_folder(str(random_backbone)) == random_backbone
    with pytest.raises(UserError, match="No backbone 'nowhere'"):
        backbone_folder("nowhere")


def test_fitting_data_is_accepted(backbone: Backbone) -> None:
    """Known variables in their units on its own grid fit, in any order and number; so does a spacing 1 % off."""
    card: Card = backbone.card
    check_fits(card, ("vorticity", "divergence"), ("s-1", "s-1"), card.spec.grid_degrees)
    check_fits(card, ("divergence",), ("s-1",), 1.01 * card.spec.grid_degrees)


def test_all_that_does_not_fit_is_named_at_once(backbone: Backbone) -> None:
    """A wrong variable, a wrong unit and a wrong grid are named together, with what the backbone was made for."""
    with pytest.raises(UserError) as caught:
        check_fits(backbone.card, ("vorticity", "ozone"), ("1e-5 s-1", "ppm"), 0.25)
    assert str(caught.value) == (
        "The backbone random does not fit: 'vorticity' is in '1e-5 s-1', it was trained in 's-1'; it does not know "
        "'ozone' (it knows vorticity, divergence); the grid spacing is 0.25 degrees, it was trained at 2.8125; regrid "
        "the fields."
    )
