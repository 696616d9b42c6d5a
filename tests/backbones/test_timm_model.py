import pytest
import timm
import torch
from torch import Tensor, nn

from toolkit.backbones.contract import Wishes
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone, shape_named
from toolkit.backbones.timm_model import TimmModel, timm_kind
from toolkit.errors import UserError

WISHES = Wishes(patch=4, dim=16, depth=2, heads=2)
SHAPES = {"timm:test_resnet": (32, 96), "timm:test_vit": (16, 64)}


def spec_of(name: str, patch: int | None = None) -> FeatureSpec:
    """The features of a model of timm on two frames of one variable."""
    shape = shape_named(name, WISHES)
    return FeatureSpec(("vorticity",), ("s-1",), (-6, 0), 1.0, patch or shape.patch, shape.dim)


def built(name: str) -> TimmModel:
    """The network in inference."""
    network = build_backbone(spec_of(name), {"kind": name}, seed=0)
    assert isinstance(network, TimmModel)
    return network.eval()


def windows(h: int = 64, w: int = 96) -> Tensor:
    """Two random windows (b, planes, h, w)."""
    return torch.randn(2, 3, h, w, generator=torch.Generator().manual_seed(h + w))


@pytest.mark.parametrize("name", SHAPES)
def test_a_model_has_the_shape_that_timm_says(name: str) -> None:
    """Patch and dim are those of the last feature map, whatever was wished for; the architecture names the model."""
    shape = shape_named(name, WISHES)
    assert (shape.patch, shape.dim) == SHAPES[name]
    assert shape.architecture == {"kind": name}


@pytest.mark.parametrize("name", SHAPES)
def test_windows_of_several_sizes_become_tokens(name: str) -> None:
    """There is one token per patch, the pixels of the layer "map" row by row, and missing values do not reach them."""
    network, (patch, dim) = built(name), SHAPES[name]
    for h, w in ((64, 96), (32, 32)):
        x = windows(h, w)
        x[:, 0, :9] = torch.nan
        tokens, grid = network(x), (h // patch, w // patch)
        assert tokens.shape == (2, grid[0] * grid[1], dim)
        assert torch.isfinite(tokens).all()
        assert torch.equal(network.features(x, "map").flatten(2).transpose(1, 2), tokens)


def test_tokens_of_a_transformer_are_timms_own_without_the_prefix() -> None:
    """They are what timm's `forward_features` gives behind the class token."""
    network, x = built("timm:test_vit"), windows()
    seen = torch.cat([x, torch.ones(2, 2, 64, 96)], 1)
    torch.testing.assert_close(network(x), network.net.forward_features(seen)[:, 1:])


def test_tokens_of_a_convolutional_network_are_its_last_map() -> None:
    """They are what timm's `forward_features` gives, flattened."""
    network, x = built("timm:test_resnet"), windows()
    seen = torch.cat([x, torch.ones(2, 2, 64, 96)], 1)
    torch.testing.assert_close(network(x), network.net.forward_features(seen).flatten(2).transpose(1, 2))


def test_every_weight_takes_part() -> None:
    """A loss of the tokens has a gradient with respect to every weight: no classifier is carried along."""
    network = built("timm:test_resnet")
    network(windows()).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "blocks", "last"), [("timm:test_resnet", 4, "layer4.0"), ("timm:test_vit", 6, "blocks.5")]
)
def test_blocks_are_the_parts_that_timm_names(name: str, blocks: int, last: str) -> None:
    """A transformer's blocks, a residual network's blocks of all stages; the stem's activation is no block."""
    network = built(name)
    assert len(network.blocks) == blocks
    assert network.blocks[-1] is network.net.get_submodule(last)


def test_an_unknown_model_gives_the_near_miss() -> None:
    """A misspelt model is told with the one that was meant; one that is like none is told how to list them."""
    with pytest.raises(UserError, match=r"No model of timm 'resnet188'\. Did you mean 'resnet18\w*'\?"):
        timm_kind("timm:resnet188")
    with pytest.raises(UserError, match=r"No model of timm '%%'\. timm\.list_models\(\) lists the \d+ there are"):
        timm_kind("timm:%%")


class Flat(nn.Module):
    """What looks like a model of timm and puts out a map of one pixel, whatever it is given."""

    feature_info = ({"module": "part", "reduction": 4, "num_chs": 8},)

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.part, self.fails = nn.Linear(1, 1), fails

    def forward_intermediates(self, x: Tensor, **_: object) -> list[Tensor]:
        """Return the one map."""
        if self.fails:
            raise AssertionError("Input height (16) doesn't match model (224).")
        return [x.new_zeros(len(x), 8, 1, 1)]


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (Flat(), "windows of 16 x 24 it puts out 8 x 1 x 1, not 8 features on the 4 x 6 patches"),
        (Flat(fails=True), r"does not take windows of 16 x 24 \(Input height \(16\) doesn't match model \(224\)\)"),
        (nn.Linear(1, 1), "does not hand out its feature maps"),
    ],
)
def test_a_model_without_a_grid_of_tokens_is_refused(
    monkeypatch: pytest.MonkeyPatch, net: nn.Module, said: str
) -> None:
    """A model of one size, of another grid or without feature maps is refused before anything is trained."""
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: net)
    with pytest.raises(UserError, match=f"The model resnet18 of timm cannot be a backbone: .*{said}"):
        shape_named("timm:resnet18", WISHES)


def test_another_grid_than_the_spec_says_is_refused() -> None:
    """A network whose map is not the grid of patches says so with both sizes."""
    network = TimmModel(FeatureSpec(("vorticity",), ("s-1",), (0,), 1.0, 4, 8), Flat())
    with pytest.raises(
        UserError, match="a Flat of timm, puts out 8 x 1 x 1 for a window of 8 x 8 in place of 8 x 2 x 2"
    ):
        network(torch.zeros(1, 2, 8, 8))
    with pytest.raises(UserError, match="timm:test_vit has patches of 16 pixels and 64 features, not 4 and 64"):
        build_backbone(spec_of("timm:test_vit", patch=4), {"kind": "timm:test_vit"}, seed=0)
