import pytest
import torch
from torch import nn

from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone
from toolkit.pretexts.pair_tail import PairTail


def test_encoder_and_tail_have_the_published_number_of_parameters() -> None:
    """For one frame of two variables and 23 classes both have 2,741,552 weights."""
    spec = FeatureSpec(("divergence", "vorticity"), ("s-1", "s-1"), (0,), 1.0, patch=32, dim=128)
    parts = build_backbone(spec, {"kind": "resnet"}, seed=0), PairTail(128, 23)
    assert sum(p.numel() for part in parts for p in part.parameters()) == 2_741_552


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_maps_of_any_size_give_a_logit_per_class(side: int) -> None:
    """Whatever the size of the maps, there is a logit for every class, and it depends on the order of the two."""
    tail, generator = PairTail(8, 5).eval(), torch.Generator().manual_seed(side)
    earlier, later = (torch.randn(2, 8, side, side, generator=generator) for _ in range(2))
    assert tail(earlier, later).shape == (2, 5)
    assert not torch.allclose(tail(earlier, later), tail(later, earlier))


def test_averaging_leaves_a_map_of_five_as_it_is() -> None:
    """For features of 5 x 5 the tail is two convolutions and a linear layer."""
    tail, generator = PairTail(8, 5).eval(), torch.Generator().manual_seed(0)
    both = torch.randn(2, 16, 5, 5, generator=generator)
    by_hand = tail.out(nn.Flatten()(tail.mix(tail.join(both))))
    assert tail.join(both).shape == (2, 8, 3, 3)
    torch.testing.assert_close(tail(both[:, :8], both[:, 8:]), by_hand)
    assert tail.out.bias is None
