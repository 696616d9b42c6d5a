import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.pretexts.contract import Views, patches
from toolkit.pretexts.masked import PRETEXT, SMALLEST_SPREAD, hide, masked_loss

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 1.0, patch=4, dim=8)
FIELDS, TOKENS = SPEC.planes - 1, 12


def windows(b: int = 3) -> Tensor:
    """Random windows of 12 by 16 pixels with a few gaps of their own."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(b, SPEC.planes, 12, 16, generator=generator)
    x[:, :-1][torch.rand(b, FIELDS, 12, 16, generator=generator) < 0.01] = torch.nan
    return x


def views(b: int = 3) -> Views:
    """Windows with hidden patches."""
    clean = windows(b)
    return Views(clean, *hide(clean, 4, torch.Generator().manual_seed(1)), {})


class Says(nn.Module):
    """A module that says the same whatever the tokens are."""

    def __init__(self, said: Tensor) -> None:
        super().__init__()
        self.said = nn.Parameter(said)

    def forward(self, _tokens: Tensor) -> Tensor:
        """Return it."""
        return self.said.flatten(2)


def truth_of(clean: Tensor) -> Tensor:
    """What a perfect module says: each patch normalised by its own mean and spread, then both (b, n, fields, 18)."""
    cut = patches(clean[:, :-1], 4)
    mean = cut.nanmean(-1, keepdim=True)
    spread = (cut - mean).square().nanmean(-1, keepdim=True).sqrt() + SMALLEST_SPREAD
    return torch.cat([((cut - mean) / spread).nan_to_num(0.0), mean, spread.log()], -1)


def test_hidden_patches_are_missing_and_only_those() -> None:
    """In what is seen a pixel is missing where it is hidden or was missing before; all else stays."""
    clean, generator = windows(40), torch.Generator().manual_seed(2)
    before = clean.clone()
    seen, hidden = hide(clean, 4, generator)
    torch.testing.assert_close(clean, before, equal_nan=True)
    cut = patches(seen[:, :-1], 4)
    assert torch.equal(cut.isnan(), hidden[..., None] | patches(clean[:, :-1], 4).isnan())
    torch.testing.assert_close(seen[~seen.isnan()], clean[~seen.isnan()])
    assert torch.equal(seen[:, -1], clean[:, -1])


def test_how_much_is_hidden() -> None:
    """The share runs up to 60 %; half of the windows lose all planes of a patch at once, a tenth a whole plane."""
    _, hidden = hide(torch.zeros(1000, SPEC.planes, 40, 40), 4, torch.Generator().manual_seed(0))
    absent = hidden.all(1).any(1)
    share = hidden.float().mean((1, 2))[~absent]
    assert share.mean() == pytest.approx(0.3, abs=0.02)
    assert 0.55 < share.max() < 0.72
    assert (share < 0.1).float().mean() == pytest.approx(1 / 6, abs=0.04)
    assert absent.float().mean() == pytest.approx(0.1, abs=0.03)
    some = hidden.any(1).any(1) & ~absent
    together = (hidden == hidden[:, :, :1]).all(2).all(1)
    assert together[some].float().mean() == pytest.approx(0.5, abs=0.06)


def test_a_perfect_prediction_has_no_loss() -> None:
    """Saying each hidden patch's normalised values, mean and log spread costs nothing; any other number costs."""
    given = views()
    perfect = truth_of(given.clean)
    assert masked_loss(Says(perfect), torch.zeros(3, TOKENS, 8), given).item() == pytest.approx(0, abs=1e-10)
    for place in (..., slice(0, 16)), (..., 16), (..., 17):
        worse = perfect.clone()
        worse[place] += 1
        assert masked_loss(Says(worse), torch.zeros(3, TOKENS, 8), given) > 0.2


def test_only_hidden_observed_pixels_count() -> None:
    """What is said of seen patches and of missing pixels changes nothing, nor does the truth of what was not hidden."""
    given = views()
    said = torch.randn(3, TOKENS, FIELDS, 18, generator=torch.Generator().manual_seed(3))
    tokens = torch.zeros(3, TOKENS, 8)
    loss = masked_loss(Says(said), tokens, given)
    observed = patches(given.clean[:, :-1], 4).isfinite()
    counts = torch.cat([observed, observed.all(-1, keepdim=True).expand(*observed.shape[:-1], 2)], -1)
    elsewhere = torch.where(given.hidden[..., None] & counts, said, said + 100)
    assert masked_loss(Says(elsewhere), tokens, given) == loss
    other = given.clean.clone()
    shown = ~given.seen.isnan()
    other[shown] += 5
    assert masked_loss(Says(said), tokens, Views(other, given.seen, given.hidden, {})) == loss
    other = given.clean.clone()
    other[:, :-1][given.seen[:, :-1].isnan()] += 5
    assert masked_loss(Says(said), tokens, Views(other, given.seen, given.hidden, {})) != loss


def test_gradients_are_finite_and_nothing_hidden_costs_nothing() -> None:
    """Missing pixels leave no NaN in the gradient; a batch in which nothing is hidden has loss zero."""
    given = views()
    module = PRETEXT.module(SPEC)
    tokens = torch.randn(3, TOKENS, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    PRETEXT.loss(module, tokens, given).backward()
    assert tokens.grad is not None
    assert torch.isfinite(tokens.grad).all()
    assert tokens.grad.any()
    bare = Views(given.clean, given.clean, torch.zeros_like(given.hidden), {})
    assert masked_loss(module, tokens, bare) == 0
