import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone
from toolkit.backbones.resnet import ResNet
from toolkit.errors import UserError

SPEC = FeatureSpec(("divergence", "vorticity"), ("s-1", "s-1"), (0,), 1.0, patch=32, dim=128)


def built(spec: FeatureSpec = SPEC) -> ResNet:
    """The network in inference."""
    network = build_backbone(spec, {"kind": "resnet"}, seed=0)
    assert isinstance(network, ResNet)
    return network.eval()


@pytest.fixture(scope="module")
def resnet() -> ResNet:
    """The network of one frame of divergence and vorticity."""
    return built()


def windows(h: int = 64, w: int = 96, b: int = 2) -> Tensor:
    """Random windows (b, planes, h, w)."""
    return torch.randn(b, SPEC.planes, h, w, generator=torch.Generator().manual_seed(h + w))


def test_the_encoder_has_the_published_number_of_parameters(resnet: ResNet) -> None:
    """With two input channels the weights are 2,271,920; each further channel brings those of its 8 x 8 kernels."""
    assert sum(p.numel() for p in resnet.parameters()) == 2_271_920
    three = built(FeatureSpec(("a", "b", "c"), ("1",) * 3, (0,), 1.0, 32, 128))
    assert sum(p.numel() for p in three.parameters()) == 2_271_920 + 8 * 8 * 16


@pytest.mark.slow
def test_layers_have_the_published_sizes(resnet: ResNet) -> None:
    """A window of 160 x 160 becomes 80, 40, 40, 20, 10 and 5 pixels wide, with 16, 16, 16, 32, 64 and 128 channels."""
    x = windows(160, 160, b=1)
    layers = ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4")
    sizes = [(16, 80), (16, 40), (16, 40), (32, 20), (64, 10), (128, 5)]
    assert [tuple(resnet.features(x, layer).shape[1:]) for layer in layers] == [(c, side, side) for c, side in sizes]
    assert resnet(x).shape == (1, 25, 128)


def test_tokens_are_the_last_relu_row_by_row(resnet: ResNet) -> None:
    """The tokens are the pixels of the last ReLU of stage 4; that of stage 3 is a layer too."""
    x = windows()
    last = resnet.features(x, "layer4")
    assert last.shape == (2, 128, 2, 3)
    assert last.min() == 0
    assert torch.equal(last, resnet.features(x, "layer4.5.act2"))
    assert torch.equal(resnet.features(x, "layer3"), resnet.features(x, "layer3.5.act2"))
    assert torch.equal(resnet(x)[:, 4], last[:, :, 1, 1])


def test_layers_are_those_of_the_paper(resnet: ResNet) -> None:
    """Biases stand in the first convolution alone, projections have no batch norm, and there are three of them."""
    biased = [name for name, m in resnet.named_modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    assert biased == ["conv1"]
    assert len(resnet.blocks) == 24
    projections = [block.downsample for block in resnet.blocks if block.downsample is not None]
    assert [(type(p), p.kernel_size, p.stride) for p in projections] == [(nn.Conv2d, (1, 1), (2, 2))] * 3
    norms = [m for m in resnet.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1.001e-5}
    assert len(norms) == 1 + 2 * 24


def test_weights_begin_as_he_has_them(resnet: ResNet) -> None:
    """The variance of a convolution's weights is two over its inputs, and no batch norm begins at zero."""
    for conv in (resnet.layer4[1].conv1, resnet.layer4[5].conv2, resnet.layer3[2].conv1):
        assert conv.weight.var().item() == pytest.approx(2 / conv.weight[0].numel(), rel=0.05)
    assert all((m.weight == 1).all() for m in resnet.modules() if isinstance(m, nn.BatchNorm2d))


def test_missing_is_zero_and_the_latitude_is_not_looked_at(resnet: ResNet) -> None:
    """NaN and zero give the same tokens, and so does any other latitude."""
    x = windows()
    x[:, :2, 10:30] = torch.nan
    filled = torch.cat([x[:, :2].nan_to_num(0.0), torch.full_like(x[:, 2:], 0.3)], 1)
    assert torch.isfinite(resnet(x)).all()
    assert torch.equal(resnet(x), resnet(filled))


def test_a_block_is_two_convolutions_beside_a_skip(resnet: ResNet) -> None:
    """The first block of a stage adds its projection to BN conv ReLU BN conv, then a ReLU."""
    block, x = resnet.layer2[0], torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    inner = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    torch.testing.assert_close(block(x), (inner + block.downsample(x)).relu())


def test_the_pooling_pads_at_the_end(resnet: ResNet) -> None:
    """A pixel of the pooled map is the largest of 3 x 3 that begin at its own, cut off at the far edges."""
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert resnet.maxpool(x).flatten().tolist() == [10, 11, 14, 15]


def test_a_spec_of_another_shape_is_refused() -> None:
    """A patch or dim that is not the network's is refused."""
    with pytest.raises(UserError, match="kind resnet has patches of 32 pixels and 128 features, not 4 and 128"):
        built(FeatureSpec(("vorticity",), ("s-1",), (0,), 1.0, 4, 128))
