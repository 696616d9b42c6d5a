import numpy as np
import pytest
import torch
from torch import Tensor

from toolkit.backbones.contract import Wishes, with_validity
from toolkit.backbones.features import FeatureSpec, planes
from toolkit.backbones.known import build_backbone
from toolkit.backbones.vit import KIND, ViT
from toolkit.errors import UserError

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 1.0, patch=4, dim=16)


@pytest.fixture(scope="module")
def vit() -> ViT:
    """A small transformer, ready for evaluation."""
    return build_backbone(SPEC, {"depth": 2, "heads": 2}, seed=0).eval()


def windows(h: int = 16, w: int = 16, b: int = 2) -> Tensor:
    """Random windows (b, planes, h, w)."""
    return torch.randn(b, SPEC.planes, h, w, generator=torch.Generator().manual_seed(h * 100 + w))


@pytest.mark.parametrize(("h", "w"), [(4, 4), (8, 24), (32, 12)])
def test_any_size_divisible_by_the_patch_fits(vit: ViT, h: int, w: int) -> None:
    """A window of any size gives one token per patch, and no token is like another."""
    tokens = vit(windows(h, w))
    assert tokens.shape == (2, h * w // 16, 16)
    assert torch.isfinite(tokens).all()
    distance = torch.cdist(tokens[0], tokens[0]) + torch.eye(tokens.shape[1])
    assert distance.min() > 1e-3


def test_tokens_know_their_place(vit: ViT) -> None:
    """In a window that is the same everywhere, tokens differ by their position."""
    tokens = vit(torch.ones(1, SPEC.planes, 8, 8))[0]
    assert torch.pdist(tokens).min() > 1e-3


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_missing_equals_zero_with_a_validity_of_zero(vit: ViT, value: float) -> None:
    """What is not finite counts as missing: zero in its own plane and zero in the plane of its validity."""
    x = windows()
    gap = torch.rand(2, SPEC.planes - 1, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.3
    x[:, :-1][gap] = value
    fields = torch.where(gap, 0.0, x[:, :-1])
    explicit = torch.cat([fields, x[:, -1:], (~gap).float()], 1)
    embedded = vit.patch_embed(explicit).flatten(2).transpose(1, 2)
    torch.testing.assert_close(vit.stem(x), embedded + vit._position((4, 4), embedded.device))
    assert torch.isfinite(vit(x)).all()
    assert not torch.allclose(vit(x), vit(torch.cat([fields, x[:, -1:]], 1)))


def test_what_blocks_add_to_stays_precise(vit: ViT) -> None:
    """In mixed precision too, positions and the sum of all that blocks put out are in float32."""
    x = windows()
    with torch.autocast("cpu", torch.bfloat16):
        embedded = vit.patch_embed(with_validity(x)).flatten(2).transpose(1, 2)
        assert embedded.dtype == torch.bfloat16
        assert torch.equal(vit.stem(x), embedded.float() + vit._position((4, 4), x.device))
        assert vit.until(x, 2).dtype == torch.float32


def test_all_missing_is_finite(vit: ViT) -> None:
    """A window without any value gives finite tokens."""
    x = windows()
    x[:, :-1] = torch.nan
    assert torch.isfinite(vit(x)).all()


@pytest.mark.parametrize(("count", "h", "w"), [(5, 16, 18), (5, 15, 16), (4, 16, 16), (6, 16, 16)])
def test_a_window_that_does_not_fit_is_refused(vit: ViT, count: int, h: int, w: int) -> None:
    """Other sides or another number of planes are refused with both numbers."""
    with pytest.raises(UserError, match=f"{count} planes, {h} x {w}, .* takes 5 planes and sides divisible by 4"):
        vit(torch.zeros(1, count, h, w))


def test_features_are_what_the_layer_puts_out(vit: ViT) -> None:
    """Features of a block equal a forward pass by hand up to it; the last norm's are the tokens; no hook stays."""
    x = windows()
    by_hand = vit.blocks[1](vit.blocks[0](vit.stem(x)))
    torch.testing.assert_close(vit.features(x, "blocks.1"), by_hand)
    torch.testing.assert_close(vit.features(x, "norm"), vit(x))
    assert vit.features(x, "blocks.0.attn.qkv").shape == (2, 16, 48)
    assert not any(module._forward_hooks for module in vit.modules())


@pytest.mark.parametrize("name", ["", "blocks", "block.1", "blocks.9"])
def test_an_unknown_layer_is_named(vit: ViT, name: str) -> None:
    """A layer that is not there, or puts nothing out, is named together with what there is."""
    with pytest.raises(UserError, match=rf"No layer '{name}'\. (Did you mean 'blocks\.|Known: .*blocks\.0)"):
        vit.features(windows(), name)


def test_gradients_reach_every_weight(vit: ViT) -> None:
    """Every parameter gets a finite gradient, also where values are missing."""
    x = windows()
    x[0, 0, :8] = torch.nan
    vit.zero_grad()
    vit(x).square().sum().backward()
    for name, parameter in vit.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    vit.zero_grad()


def test_a_seed_gives_its_weights_and_leaves_the_generator_alone() -> None:
    """The same seed gives the same bits, another gives others; the global generator goes on as if nothing was drawn."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (build_backbone(SPEC, {"depth": 1, "heads": 2}, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["patch_embed.weight"], other["patch_embed.weight"])


def test_planes_keep_frames_and_variables_in_order() -> None:
    """Planes run frame by frame, variable by variable within a frame; the last is the sine of latitude."""
    window = np.arange(2 * 2 * 2 * 3 * 5, dtype=np.float32).reshape(2, 2, 2, 3, 5)
    latitudes = np.array([[90.0, 30.0, 0.0], [0.0, -30.0, -90.0]])
    x = planes(window, latitudes)
    assert x.shape == (2, SPEC.planes, 3, 5)
    assert torch.equal(x[:, 1], torch.from_numpy(window[:, 0, 1]))
    assert torch.equal(x[:, 2], torch.from_numpy(window[:, 1, 0]))
    np.testing.assert_allclose(x[1, -1].numpy(), np.repeat([[0.0], [-0.5], [-1.0]], 5, 1), atol=1e-7)


@pytest.mark.parametrize(("dim", "heads"), [(18, 2), (16, 6)])
def test_a_width_that_cannot_be_divided_is_refused(dim: int, heads: int) -> None:
    """The width must hold the positions and divide among the heads; both numbers are named before anything is built."""
    with pytest.raises(UserError, match=f"dim={dim} with heads={heads} cannot be built: dim must be a multiple of"):
        KIND.shape(Wishes(patch=4, dim=dim, depth=1, heads=heads))
