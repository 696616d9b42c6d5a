import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from toolkit.backbones.card import read_card, shipped
from toolkit.backbones.contract import Network, Wishes
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone, found_kinds, kind_named, kind_of, shape_named
from toolkit.backbones.resnet import ResNet
from toolkit.backbones.vit import KIND, ViT
from toolkit.backbones.weights import load_backbone
from toolkit.errors import UserError

Installed = Callable[..., None]
WISHES = Wishes(patch=4, dim=16, depth=2, heads=2)
SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (0,), 1.0, patch=4, dim=16)
KIND_FILE = """
from dataclasses import replace
from toolkit.backbones.vit import KIND as VIT
KIND = replace(VIT, name="{name}", summary="Another transformer")
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Install a package that offers what its module calls KIND under a name, for this test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, name: str, content: str) -> None:
        sys.modules.pop(package, None)
        (tmp_path / f"{package}.py").write_text(content)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[toolkit.backbones]\n{name} = {package}:KIND\n")

    return install


def test_a_card_that_names_no_kind_is_a_vit() -> None:
    """A shipped backbone, whose card says no kind, loads as a transformer with the weights of its file."""
    folder = shipped()["general-vit"]
    card = read_card(folder)
    assert "kind" not in card.architecture
    assert kind_of(card.architecture) == "vit"
    module = load_backbone(folder).module
    assert isinstance(module, ViT)
    assert sum(p.numel() for p in module.parameters()) == card.parameters


def test_a_vit_takes_the_wishes_and_others_have_shapes_of_their_own() -> None:
    """A shape has the wished-for sizes or the kind's, and an architecture that names any kind but the default one."""
    shape = shape_named("vit", WISHES)
    assert (shape.patch, shape.dim, shape.architecture) == (4, 16, {"depth": 2, "heads": 2})
    shape = shape_named("resnet", WISHES)
    assert (shape.patch, shape.dim, shape.architecture) == (32, 128, {"kind": "resnet"})


def test_an_architecture_is_built_from_its_seed() -> None:
    """The weights are those of the seed, a vit's whether it is named or not; the generator is left alone."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    own, named = (build_backbone(SPEC, {"depth": 2, "heads": 2} | kind, seed=1) for kind in ({}, {"kind": "vit"}))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, named.state_dict()[name]) for name, value in own.state_dict().items())
    spec = FeatureSpec(SPEC.variables, SPEC.units, (0,), 1.0, patch=32, dim=128)
    one, same, other = (build_backbone(spec, {"kind": "resnet"}, seed) for seed in (0, 0, 1))
    assert isinstance(one, ResNet)
    assert torch.equal(one.conv1.weight, same.conv1.weight)
    assert not torch.equal(one.conv1.weight, other.conv1.weight)


@pytest.mark.parametrize("kind", [{}, {"kind": "resnet"}, {"kind": "timm:test_resnet"}])
def test_an_unknown_key_of_an_architecture_is_a_type_error(kind: dict[str, str]) -> None:
    """What is not of the kind's architecture is refused by name."""
    with pytest.raises(TypeError, match="width"):
        build_backbone(SPEC, kind | {"width": 3}, seed=0)


def test_an_installed_package_adds_its_kind(installed: Installed) -> None:
    """A kind that a package offers is found by its name and in the list, and its networks are built."""
    installed("tall_package", "tall", KIND_FILE.format(name="tall"))
    assert kind_named("tall").summary == "Another transformer"
    assert set(found_kinds().kinds) == {"vit", "resnet", "tall"}
    network = build_backbone(SPEC, shape_named("tall", WISHES).architecture, seed=0)
    assert isinstance(network, Network)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tall", "import no_such_module", "odd_package:KIND.* does not load: .*No module named 'no_such_module'"),
        ("tall", "KIND = 3", "odd_package, .*should be a toolkit.backbones.contract.Kind, it is a int"),
        ("tall", KIND_FILE.format(name="small"), "odd_package, .*calls itself 'small'"),
        ("vit", KIND_FILE.format(name="vit"), "'vit' .odd_package, .*has the name of one built in"),
        ("timm:mine", KIND_FILE.format(name="timm:mine"), "'timm:mine' .*has the name of one built in"),
    ],
)
def test_a_broken_kind_is_told_and_stops_nothing_else(installed: Installed, name: str, content: str, said: str) -> None:
    """One that cannot be imported, is no kind or has a name of another is a sentence; the others are there."""
    installed("odd_package", name, content)
    found = found_kinds()
    assert set(found.kinds) == {"vit", "resnet"}
    with pytest.raises(UserError, match=said):
        raise UserError(*found.broken)
    assert kind_named("vit") is KIND


def test_two_packages_with_one_name_are_named(installed: Installed) -> None:
    """A name that two packages claim is an error that names both."""
    installed("first_package", "tall", KIND_FILE.format(name="tall"))
    installed("second_package", "tall", KIND_FILE.format(name="tall"))
    with pytest.raises(UserError, match=r"first_package \(first_package:KIND\) and second_package"):
        kind_named("tall")


def test_an_unknown_name_gives_the_near_miss() -> None:
    """A misspelt kind is told with the one that was meant, of the toolkit's and of timm's."""
    with pytest.raises(UserError, match=r"No kind of backbone 'resnett'\. Did you mean 'resnet'\?"):
        kind_named("resnett")
    with pytest.raises(UserError, match=r"No kind of backbone 'x'\. Known: resnet, timm:NAME, vit\."):
        kind_named("x")


def test_what_is_built_must_be_a_network(installed: Installed) -> None:
    """A kind that builds something else is named with what it builds."""
    content = KIND_FILE.format(name="odd") + "KIND = replace(KIND, build=lambda spec, architecture: 3)"
    installed("odd_builder", "odd", content)
    with pytest.raises(UserError, match=r"'odd' builds a int: it should be a toolkit\.backbones\.contract\.Network"):
        build_backbone(SPEC, {"kind": "odd"}, seed=0)
