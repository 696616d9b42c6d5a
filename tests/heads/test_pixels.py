from dataclasses import replace

import pytest
import torch
from torch import Tensor

from toolkit.backbones.features import FeatureSpec
from toolkit.heads.features import Features
from toolkit.heads.pixels import PixelHead

SPEC = FeatureSpec(("vorticity",), ("s-1",), (0,), 1.0, patch=4, dim=8)


def features(b: int = 2, rows: int = 3, columns: int = 4) -> Features:
    """Random tokens and planes."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(b, rows * columns, 8, generator=generator)
    planes = torch.randn(b, 2, 4 * rows, 4 * columns, generator=generator)
    return Features(tokens, (rows, columns), planes, {}, torch.zeros(b, 0), planes[:, :0])


def trained(channels: int) -> PixelHead:
    """A head whose last layer is not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = PixelHead(SPEC, channels)
        torch.nn.init.normal_(head.out.weight)
    return head


def changed(head: PixelHead, one: Features, other: Features) -> tuple[list[int], list[int]]:
    """The rows and the columns of the output in which two inputs differ."""
    differs = (head(one) != head(other))[0].any(0)
    rows, columns = (torch.nonzero(differs.any(axis)).ravel().tolist() for axis in (1, 0))
    return rows, columns


def test_an_untrained_head_says_its_bias_everywhere() -> None:
    """The output is the bias at every pixel, or zero where there is none."""
    out = PixelHead(SPEC, 3, bias=(1.0, -2.0, 0.5))(features())
    assert out.shape == (2, 3, 12, 16)
    torch.testing.assert_close(out, torch.tensor([1.0, -2.0, 0.5])[:, None, None].expand(2, 3, 12, 16))
    assert not PixelHead(SPEC, 3)(features()).any()


def test_a_token_speaks_for_its_own_pixels() -> None:
    """A changed token changes its own patch, and beyond it as many squares of pixels as two convolutions reach."""
    one, other = features(rows=6, columns=7), features(rows=6, columns=7)
    other.tokens[0, 2 * 7 + 3] += 1
    assert changed(trained(1), one, other) == (list(range(8 - 4, 12 + 4)), list(range(12 - 4, 16 + 4)))


def test_a_pixel_speaks_for_its_surroundings() -> None:
    """A changed value of a plane changes the two squares that see it, and as far around as three convolutions reach."""
    one, other = features(rows=6, columns=7), features(rows=6, columns=7)
    other.planes[0, 0, 12, 13] += 1
    assert changed(trained(1), one, other) == (list(range(10 - 6, 14 + 6)), list(range(12 - 6, 16 + 6)))


@pytest.mark.parametrize(("patch", "square"), [(3, 2), (4, 1), (4, 2)])
def test_a_patch_is_cut_into_squares_or_pixels(patch: int, square: int) -> None:
    """The field has the size of the planes, also where patches are odd, or pixels are asked for."""
    spec = replace(SPEC, patch=patch)
    given = replace(features(), planes=torch.zeros(2, 2, 3 * patch, 4 * patch))
    assert PixelHead(spec, 5, square=square)(given).shape == (2, 5, 3 * patch, 4 * patch)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_missing_value_is_not_a_zero(value: float) -> None:
    """What is missing gives a finite output, unlike that of a zero in its place."""

    def with_plane(number: float) -> Tensor:
        given = features()
        given.planes[:, 0, 3] = number
        return trained(2)(given)

    assert torch.isfinite(with_plane(value)).all()
    assert not torch.allclose(with_plane(value), with_plane(0.0))


def test_the_layout_in_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the values of a pixel side by side or apart, fields and gradients are the same."""
    found = []
    for layout in (torch.channels_last, torch.contiguous_format):
        monkeypatch.setattr("toolkit.heads.pixels._by_place", lambda x, to=layout: x.contiguous(memory_format=to))
        head = trained(2)
        field = head(features())
        field.square().mean().backward()
        found.append([field, *(p.grad for p in head.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
