"""The residual network of AtmoDist (Hoffmann and Lessig, arXiv:2109.09076 and arXiv:2202.01897), on timm's blocks.

A convolution 8 x 8 of stride 2, a pooling and four stages of six blocks: 160 x 160 pixels become 80, 40, 40, 20, 10,
and 5 x 5 x 128. With one frame of two variables it has 2,271,920 parameters.

Layers whose features are compared: "layer3", h / 16 x w / 16 x 64, and "layer4", h / 32 x w / 32 x 128. Each is the
last ReLU of its stage, also called "layer3.5.act2" and "layer4.5.act2".
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from timm.layers import create_pool2d
from timm.models.resnet import BasicBlock
from timm.models.resnet import ResNet as TimmResNet
from torch import Tensor, nn

from toolkit.backbones.contract import Kind, Network, Shape, Wishes, check_shape, check_window
from toolkit.backbones.features import FeatureSpec
from toolkit.data.log_modulus import LogModulus

CHANNELS = (16, 32, 64, 128)
BLOCKS_PER_STAGE = 6
STAGES = ("layer1", "layer2", "layer3", "layer4")
PATCH = 32
BATCH_NORM_EPSILON = 1.001e-5


class ResNet(Network):
    """AtmoDist's encoder: values in, zero where they are missing, and no latitude; tokens are the last map's pixels.

    What it takes in standard deviations goes through AtmoDist's log-modulus first (`toolkit.data.log_modulus`). Its
    `blocks` are the 24 residual blocks.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        """Build the layers with He's initialisation (arXiv:1502.01852)."""
        super().__init__()
        self.spec = spec
        norm = partial(nn.BatchNorm2d, eps=BATCH_NORM_EPSILON)
        stages = TimmResNet(
            BasicBlock,  # type: ignore[arg-type]  # timm's annotation asks for an instance
            (BLOCKS_PER_STAGE,) * len(CHANNELS),
            num_classes=0,
            in_chans=spec.planes - 1,
            channels=CHANNELS,
            stem_type="deep",  # the only stem of timm that hands over another number of channels than 64
            stem_width=CHANNELS[0] // 2,
            norm_layer=norm,
            zero_init_last=False,
        )
        self.log_modulus = LogModulus(len(spec.frames) * spec.variables)
        self.conv1 = nn.Conv2d(spec.planes - 1, CHANNELS[0], 8, 2, 3)
        self.bn1, self.act1 = norm(CHANNELS[0]), nn.ReLU(inplace=True)
        self.maxpool = create_pool2d("max", 3, 2, padding="same")
        self.layer1, self.layer2, self.layer3, self.layer4 = _stages(stages)
        self.blocks = (*self.layer1, *self.layer2, *self.layer3, *self.layer4)
        self.apply(he_normal)

    def stem(self, x: Tensor) -> Tensor:
        """Return maps (b, 16, h / 4, w / 4) of windows (b, planes, h, w)."""
        check_window(self.spec, x)
        known = torch.where(torch.isfinite(x[:, :-1]), x[:, :-1], 0.0)
        return self.maxpool(self.act1(self.bn1(self.conv1(self.log_modulus(known)))))

    def tail(self, state: Tensor) -> Tensor:
        """Return the tokens (b, h w / 32^2, 128) of the last maps (b, 128, h / 32, w / 32)."""
        return state.flatten(2).transpose(1, 2)

    def features(self, x: Tensor, layer: str) -> Tensor:
        """Return what a layer puts out, as every network does; a stage puts out what its last block does."""
        return super().features(x, f"{layer}.{BLOCKS_PER_STAGE - 1}" if layer in STAGES else layer)


def _stages(net: TimmResNet) -> list[nn.Sequential]:
    """Take the stages out of timm's network, and out of them the batch norms of projections: AtmoDist has none."""
    stages: list[Any] = [net.get_submodule(name) for name in STAGES]
    for first, *_ in stages:
        if first.downsample is not None:
            first.downsample = first.downsample[0]
    return stages


def he_normal(module: nn.Module) -> None:
    """Draw the weights of a convolution from N(0, 2 / fan-in) and set its bias to zero."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _built(spec: FeatureSpec, architecture: Mapping[str, Any]) -> ResNet:
    if architecture:
        raise TypeError(f"a resnet has no shape to choose; given: {', '.join(architecture)}")
    check_shape(KIND.name, spec, PATCH, CHANNELS[-1])
    return ResNet(spec)


def _shape(_wishes: Wishes) -> Shape:
    return Shape(PATCH, CHANNELS[-1], {})


KIND = Kind("resnet", "Residual network of AtmoDist", _shape, _built)
