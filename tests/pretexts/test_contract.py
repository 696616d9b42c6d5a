from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolkit.backbones.weights import load_backbone
from toolkit.errors import UserError
from toolkit.pretexts import lagrangian
from toolkit.pretexts.contract import finite_mean, mean_squared, patches, token_grid, unpatched
from toolkit.pretexts.known import pretext_named, pretext_names, pretexts_of, readout_channels, readouts


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_patches_and_unpatched_are_inverse(b: int, c: int, rows: int, columns: int, patch: int) -> None:
    """Cutting into patches and putting back together gives the field; the tokens run row by row from the north-west,
    and their number tells how many rows and columns there are.
    """
    x = torch.arange(b * c * rows * columns * patch**2).reshape(b, c, rows * patch, columns * patch)
    tokens = patches(x, patch)
    assert tokens.shape == (b, rows * columns, c, patch**2)
    assert token_grid(tokens.shape[1], x.shape[-2:]) == (rows, columns)
    assert torch.equal(unpatched(tokens, patch, (rows, columns)), x)
    south_east = x[:, :, -patch:, -patch:].flatten(2)
    assert torch.equal(tokens[:, -1], south_east)
    if columns > 1:
        assert torch.equal(tokens[:, 1], x[:, :, :patch, patch : 2 * patch].flatten(2))


def test_what_does_not_count_may_be_nan() -> None:
    """The mean is over what counts; it is zero where nothing does, and what does not count has no gradient."""
    loss = torch.tensor([1.0, torch.nan, 3.0], requires_grad=True)
    mean = finite_mean(loss, torch.tensor([True, False, True]))
    mean.backward()
    assert mean == 2
    assert loss.grad is not None
    assert loss.grad.tolist() == [0.5, 0.0, 0.5]
    assert finite_mean(loss, torch.zeros(3, dtype=torch.bool)) == 0


def test_what_is_not_known_has_no_gradient() -> None:
    """The squared error is a mean over what is known, whatever is said elsewhere; so is its gradient."""
    said = torch.tensor([1.0, torch.nan, 5.0], requires_grad=True)
    error = mean_squared(said, torch.tensor([3.0, torch.nan, torch.nan]))
    error.backward()
    assert error == 4
    assert said.grad is not None
    assert said.grad.tolist() == [-4.0, 0.0, 0.0]


def test_pretexts_are_found_by_name() -> None:
    """Each pretext is known by its own name; another name is an error with the near miss."""
    assert all(pretext_named(name).name == name for name in pretext_names())
    with pytest.raises(UserError, match=r"No pretext 'maskd'\. Did you mean 'masked'"):
        pretext_named("maskd")


def test_readouts_are_those_of_the_pretexts(random_backbone: Path) -> None:
    """A backbone hands over the wanted readouts of its pretexts, without gradient, and leaves out the others."""
    backbone = load_backbone(random_backbone)
    channels = {"next_frames": 4, "displacement_24h": 2, "vortex_fate": 6}
    assert readout_channels(backbone.card) == channels
    assert list(pretexts_of(backbone.card)) == list(backbone.card.pretexts)
    x = torch.randn(2, 5, 16, 24, generator=torch.Generator().manual_seed(0))
    assert readouts(backbone, ())(x) == {}
    read = readouts(backbone, ("displacement_24h", "none such"))(x)
    assert set(read) == {"displacement_24h"}
    field = read["displacement_24h"]
    assert field.shape == (2, 2, 16, 24)
    assert not field.requires_grad
    module = lagrangian.PRETEXT.module(backbone.card.spec)
    module.load_state_dict(backbone.pretexts["lagrangian"])
    by_hand = lagrangian.PRETEXT.readout.read(module, backbone.module(x), (4, 6), backbone.card.spec)
    torch.testing.assert_close(field, by_hand.detach())
