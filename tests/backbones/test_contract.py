import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.contract import Network, Wishes, check_shape, check_window, with_validity
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone, shape_named
from toolkit.errors import UserError

SPEC = FeatureSpec(("vorticity",), ("s-1",), (0,), 1.0, patch=2, dim=3)


class Small(Network):
    """A convolution, a ReLU in place, and two layers that give out nothing usable."""

    def __init__(self) -> None:
        super().__init__()
        self.spec, self.conv, self.act = SPEC, nn.Conv2d(2, 3, 2, 2), nn.ReLU(inplace=True)
        self.split, self.unused = nn.Unflatten(1, (3, 1)), nn.Identity()
        self.split.register_forward_hook(lambda *_: (1, 2))
        self.blocks = (self.conv,)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the tokens."""
        out = self.act(self.conv(x))
        self.split(out)
        return out.flatten(2).transpose(1, 2)


def built(kind: str) -> Network:
    """A small network of a kind in inference."""
    shape = shape_named(kind, Wishes(4, 16, 3, 2))
    spec = FeatureSpec(("vorticity",), ("s-1",), (0,), 1.0, shape.patch, shape.dim)
    return build_backbone(spec, shape.architecture, seed=0).eval()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vit", "resnet"])
@torch.no_grad()
def test_a_network_can_be_left_and_entered_before_every_block(kind: str) -> None:
    """Up to a block and on from there, by the state that it is given alone, are the tokens to the bit."""
    network, x = built(kind), torch.randn(2, 2, 32, 64, generator=torch.Generator().manual_seed(0))
    x[0, 0, :3] = torch.nan
    assert network.in_steps
    for block in range(len(list(network.blocks)) + 1):
        state = network.until(x, block)
        before = state.clone()
        assert torch.equal(network.onward(state, block), network.forward_features(x))
        assert torch.equal(state, before)


def test_a_network_that_goes_its_own_way_has_no_steps() -> None:
    """Whoever writes `forward_features` says nothing of what goes into a block."""
    assert not Small().in_steps
    assert not built("timm:test_vit").in_steps


def test_features_are_those_before_what_follows_in_place() -> None:
    """What a layer puts out is handed over as it was, and a call of the network gives its tokens."""
    network, x = Small(), torch.randn(2, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    found = network.features(x, "conv")
    assert found.min() < 0
    torch.testing.assert_close(found.relu(), network.features(x, "act"))
    torch.testing.assert_close(network(x), found.relu().flatten(2).transpose(1, 2))
    assert not network.conv._forward_hooks


@pytest.mark.parametrize("layer", ["unused", "split"])
def test_a_layer_without_features_is_named(layer: str) -> None:
    """A layer that the network does not go through, or that puts out no tensor, is an error."""
    with pytest.raises(UserError, match=f"The layer '{layer}' puts out no features"):
        Small().features(torch.zeros(1, 2, 4, 4), layer)


def test_an_unknown_layer_gives_the_near_miss() -> None:
    """A misspelt layer is told with the one that was meant."""
    with pytest.raises(UserError, match=r"No layer 'covn'\. Did you mean 'conv'"):
        Small().features(torch.zeros(1, 2, 4, 4), "covn")


def test_gradients_go_through_features() -> None:
    """The features of a layer can be climbed: their gradient reaches the window."""
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    Small().features(x, "conv").sum().backward()
    assert x.grad is not None
    assert x.grad.abs().min() > 0


def test_validity_stands_beside_the_values() -> None:
    """Missing values become zero with a validity of zero; the latitude lies between values and validities."""
    x = torch.tensor([[2.0, torch.nan], [0.5, 0.5]]).reshape(1, 2, 1, 2)
    assert with_validity(x).flatten(2).tolist() == [[[2.0, 0.0], [0.5, 0.5], [1.0, 0.0]]]


def test_what_does_not_fit_is_refused() -> None:
    """Windows of other planes or sides, and a spec of another patch or dim, are refused with both numbers."""
    check_window(SPEC, torch.zeros(1, 2, 4, 6))
    check_shape("small", SPEC, 2, 3)
    with pytest.raises(UserError, match=r"of 2 planes, 4 x 5, .* takes 2 planes and sides divisible by 2"):
        check_window(SPEC, torch.zeros(1, 2, 4, 5))
    with pytest.raises(UserError, match="kind small has patches of 4 pixels and 3 features, not 2 and 3"):
        check_shape("small", SPEC, 4, 3)
