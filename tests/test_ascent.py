from dataclasses import replace
from pathlib import Path

import pytest
import torch

from toolkit.ascent import Ascent, ascend, roughness
from toolkit.backbones.weights import Backbone, load_backbone

SHORT = Ascent(side=32, steps=40)


@pytest.fixture(scope="module")
def backbone(random_backbone: Path) -> Backbone:
    """A small backbone with random weights."""
    return load_backbone(random_backbone)


def test_the_input_made_for_a_linear_channel_is_its_own_kernel(backbone: Backbone) -> None:
    """Without a penalty, the image of a channel of the patches' embedding is its kernel at the middle, else zero."""
    ascent = Ascent(side=32, steps=200, rate=0.3, smoothness=0)
    images, _, _ = ascend(backbone, "patch_embed", (2, 5), (20.0, 30.0), (1.0, 1.0), 0, ascent)
    for image, channel in zip(images, (2, 5), strict=True):
        kernel = torch.zeros(4, 32, 32)
        kernel[:, 16:20, 16:20] = backbone.module.patch_embed.weight[channel, :4].detach()
        kernel /= kernel.square().mean().sqrt()
        torch.testing.assert_close(image[:-1], kernel, atol=1e-3, rtol=0)


def test_a_penalty_makes_the_image_smoother(backbone: Backbone) -> None:
    """The higher the penalty, the lower the roughness; that of a chessboard of ones is 8."""
    chessboard = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).tile(1, 1, 4, 4)
    assert roughness(chessboard).item() == 8
    found = [
        roughness(ascend(backbone, "blocks.1", (3,), (0.0,), (1.0,), 0, replace(SHORT, smoothness=s))[0][:, :-1])
        for s in (0, 1, 100)
    ]
    assert found[0] > found[1] > found[2]


def test_the_backbone_is_left_as_it_was(backbone: Backbone) -> None:
    """Weights, their flags, their gradients, hooks and the mode are the same after an ascent; so is its result."""
    module = backbone.module
    module.norm.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    flags = {name: p.requires_grad for name, p in module.named_parameters()}
    one, two = (ascend(backbone, "blocks.1", (1,), (5.0,), (1.0,), 7, Ascent(side=32, steps=3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert {name: p.requires_grad for name, p in module.named_parameters()} == flags
    assert all(p.grad is None for p in module.parameters())
    assert not module.training
    module.norm.weight.requires_grad_(True)
