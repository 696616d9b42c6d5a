import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.contract import Network
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone
from toolkit.errors import UserError
from toolkit.pretexts.content_distance import ContentDistance, distance

SPEC = FeatureSpec(("divergence", "vorticity"), ("s-1", "s-1"), (0,), 1.0, patch=32, dim=128)


@pytest.fixture
def backbone() -> Network:
    """A residual network with random weights, ready to be trained."""
    return build_backbone(SPEC, {"kind": "resnet"}, seed=0).train()


def windows(seed: int) -> Tensor:
    """Two random windows of 32 x 64 pixels."""
    return torch.randn(2, SPEC.planes, 32, 64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
def test_it_is_a_distance(backbone: Network) -> None:
    """It is zero for equal windows, positive for others, mutual, and proportional to its scale."""
    near, x, y = distance(backbone, "layer4"), windows(0), windows(1)
    assert near(x, x).tolist() == [0, 0]
    assert (near(x, y) > 0).all()
    assert torch.equal(near(x, y), near(y, x))
    torch.testing.assert_close(distance(backbone, "layer4", 3.0)(x, y), 3 * near(x, y))


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
def test_it_is_the_mean_square_of_a_layer(backbone: Network, layer: str) -> None:
    """It is the mean over places and channels of the squared difference of what the layer puts out in inference."""
    x, y = windows(0), windows(1)
    found = distance(backbone, layer)(x, y)
    backbone.eval()
    expected = (backbone.features(x, layer) - backbone.features(y, layer)).square().mean((1, 2, 3))
    torch.testing.assert_close(found, expected)


def test_the_gradient_reaches_the_windows_alone(backbone: Network) -> None:
    """Windows get a gradient, even where they are zero, and no weight does; the backbone given can still be trained."""
    near = distance(backbone, "layer4")
    x, y = torch.zeros(2, SPEC.planes, 32, 64, requires_grad=True), windows(1).requires_grad_()
    near(x, y).sum().backward()
    for window in (x, y):
        assert window.grad is not None
        assert window.grad[:, :2].abs().amax((2, 3)).min() > 0
    assert all(p.grad is None and not p.requires_grad for p in near.parameters())
    assert all(p.grad is None and p.requires_grad for p in backbone.parameters())


def test_it_stays_in_inference(backbone: Network) -> None:
    """Inside a model that is put in training, or after its backbone was trained on, it says the same as before."""
    near, x, y = distance(backbone, "layer4"), windows(0), windows(1)
    before = near(x, y)
    nn.ModuleList([near]).train()
    backbone.train()(x)
    with torch.no_grad():
        backbone.get_parameter("conv1.weight").mul_(2)
    assert torch.equal(near(x, y), before)
    torch.testing.assert_close(near(x[:1], y[:1]), before[:1], rtol=1e-5, atol=0)
    assert not any(module.training for module in near.modules())


def test_an_unknown_layer_is_refused(backbone: Network) -> None:
    """A layer that is not there is named with the near miss."""
    with pytest.raises(UserError, match=r"No layer 'layer5'"):
        ContentDistance(backbone, "layer5", 1.0)(windows(0), windows(1))
