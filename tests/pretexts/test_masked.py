from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import validate_call
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.data.normalise import Normalisation
from toolkit.data.store import NO_FIELDS
from toolkit.data.windows import Windows
from toolkit.errors import UserError
from toolkit.pretexts.contract import Place, Views, patches
from toolkit.pretexts.corruption import coarsened, corrupted, draw_corruption
from toolkit.pretexts.ensemble_tail import EnsembleTail, ensemble_loss, ensemble_measures
from toolkit.pretexts.masked import SMALLEST_SPREAD, hide, masked, masked_loss

PRETEXT = masked()

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
    assert masked_loss(Says(perfect), lambda _: torch.zeros(3, TOKENS, 8), given).item() == pytest.approx(0, abs=1e-10)
    for place in (..., slice(0, 16)), (..., 16), (..., 17):
        worse = perfect.clone()
        worse[place] += 1
        assert masked_loss(Says(worse), lambda _: torch.zeros(3, TOKENS, 8), given) > 0.2


def test_only_hidden_observed_pixels_count() -> None:
    """What is said of seen patches and of missing pixels changes nothing, nor does the truth of what was not hidden."""
    given = views()
    said = torch.randn(3, TOKENS, FIELDS, 18, generator=torch.Generator().manual_seed(3))
    tokens = torch.zeros(3, TOKENS, 8)
    loss = masked_loss(Says(said), lambda _: tokens, given)
    observed = patches(given.clean[:, :-1], 4).isfinite()
    counts = torch.cat([observed, observed.all(-1, keepdim=True).expand(*observed.shape[:-1], 2)], -1)
    elsewhere = torch.where(given.hidden[..., None] & counts, said, said + 100)
    assert masked_loss(Says(elsewhere), lambda _: tokens, given) == loss
    other = given.clean.clone()
    shown = ~given.seen.isnan()
    other[shown] += 5
    assert masked_loss(Says(said), lambda _: tokens, Views(other, given.seen, given.hidden, {})) == loss
    other = given.clean.clone()
    other[:, :-1][given.seen[:, :-1].isnan()] += 5
    assert masked_loss(Says(said), lambda _: tokens, Views(other, given.seen, given.hidden, {})) != loss


def test_gradients_are_finite_and_nothing_hidden_costs_nothing() -> None:
    """Missing pixels leave no NaN in the gradient; a batch in which nothing is hidden has loss zero."""
    given = views()
    module = PRETEXT.module(SPEC)
    tokens = torch.randn(3, TOKENS, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    PRETEXT.loss(module, lambda _: tokens, given).backward()
    assert tokens.grad is not None
    assert torch.isfinite(tokens.grad).all()
    assert tokens.grad.any()
    bare = Views(given.clean, given.clean, torch.zeros_like(given.hidden), {})
    assert masked_loss(module, lambda _: tokens, bare) == 0


def test_the_defaults_are_what_shipped_weights_were_trained_by() -> None:
    """Without options the module is one linear layer, and the loss is the same formula, written out value by value."""
    module, given = PRETEXT.module(SPEC), views()
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    assert type(module) is nn.Linear
    assert shapes == {"weight": (FIELDS * 18, 8), "bias": (FIELDS * 18,)}
    assert PRETEXT.draw is None
    assert PRETEXT.measures is None
    tokens = torch.randn(3, TOKENS, 8, generator=torch.Generator().manual_seed(4))
    asked: list[Tensor] = []

    def encode(x: Tensor) -> Tensor:
        asked.append(x)
        return tokens

    loss = PRETEXT.loss(module, encode, replace(given, drawn={"masked": {}}))
    assert len(asked) == 1
    assert asked[0] is given.seen
    said, true = module(tokens).reshape(3, TOKENS, FIELDS, 18), truth_of(given.clean)
    pixels, moments = [], []
    for at in given.hidden.nonzero().tolist():
        known = patches(given.clean[:, :-1], 4)[tuple(at)].isfinite()
        error = (said - true)[tuple(at)] ** 2
        pixels.append(error[:16][known])
        moments += [error[16:].sum()] if known.all() else []
    torch.testing.assert_close(loss, torch.cat(pixels).mean() + 0.5 * torch.stack(moments).mean())


def place(frames: tuple[int, ...], b: int = 2) -> Place:
    """Windows of 12 by 16 pixels, of which nothing is read."""
    at = np.zeros(b, int)
    windows = Windows(np.zeros((b, len(frames)), int), at, at, at > 0, (12, 16))
    spec = replace(SPEC, frames=frames)
    return Place(NO_FIELDS, windows, at, spec, Normalisation(SPEC.variables, SPEC.units, (0.0, 0.0), (1.0, 1.0)))


@pytest.mark.parametrize(
    ("mode", "frames", "hidden"),
    [
        ("forecast", (-6, 0), [2, 3]),
        ("forecast", (-12, -6, 0), [4, 5]),
        ("interpolation", (-12, -6, 0), [2, 3]),
        ("interpolation", (-18, -12, -6, 0), [4, 5]),
    ],
)
def test_a_frame_is_hidden_whole(mode: Any, frames: tuple[int, ...], hidden: list[int]) -> None:
    """The last or the middle frame is missing in all variables and everywhere, nothing else is, and it is the loss."""
    pretext, spec = masked(mode=mode), replace(SPEC, frames=frames)
    assert pretext.draw is not None
    clean = torch.randn(2, spec.planes, 12, 16, generator=torch.Generator().manual_seed(5))
    drawn = {"masked": pretext.draw(place(frames), np.random.default_rng(0))}
    shown: list[Tensor] = []

    def encode(x: Tensor) -> Tensor:
        shown.append(x)
        return torch.zeros(2, TOKENS, 8)

    perfect = truth_of(clean)
    perfect[:, :, [k for k in range(spec.planes - 1) if k not in hidden]] = 7
    given = Views(clean, clean, torch.zeros(2, TOKENS, spec.planes - 1, dtype=torch.bool), drawn)
    assert pretext.loss(Says(perfect), encode, given).item() == pytest.approx(0, abs=1e-10)
    assert pretext.loss(Says(perfect + 1), encode, given).item() == pytest.approx(2, rel=1e-5)
    missing = shown[0].isnan()
    assert missing[:, hidden].all()
    assert torch.equal(shown[0][~missing], clean[~missing])
    assert missing.sum() == missing[:, hidden].numel()


def test_options_that_do_not_fit() -> None:
    """Too few frames for the mode, a mixture that is none or beside a mode, and no member are errors."""
    masked(mode="forecast").module(SPEC)
    with pytest.raises(UserError, match="at least 3 frames in the mode 'interpolation', and there are 2"):
        masked(mode="interpolation").module(SPEC)
    with pytest.raises(UserError, match="at least 2 frames in the mode 'forecast'"):
        masked(mode="forecast").module(replace(SPEC, frames=(0,)))
    with pytest.raises(UserError, match="three probabilities from 0 to 1"):
        masked(mixture=(0.9, 1.1, 0))
    with pytest.raises(UserError, match="hides whole frames in the mode 'forecast'"):
        masked(mode="forecast", mixture=(0.9, 0.1, 0.05))
    with pytest.raises(UserError, match="has 0 members"):
        masked(members=0)


def test_options_may_come_from_a_file() -> None:
    """As a list and as whole numbers the options are the same."""
    assert validate_call(masked)(**{"mixture": [1, 0, 0], "members": 1}).draw is None


def corruption(mixture: tuple[float, float, float], b: int = 40) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """Windows, what was chosen of them, how they look corrupted, and what was drawn."""
    clean = torch.randn(b, SPEC.planes, 12, 16, generator=torch.Generator().manual_seed(6))
    _, chosen = hide(clean, 4, torch.Generator().manual_seed(7))
    drawn = draw_corruption((b, TOKENS, FIELDS), 4, mixture, np.random.default_rng(8))
    return clean, chosen, corrupted(clean, chosen, drawn, 4), drawn


def test_corruption_touches_what_was_chosen_alone() -> None:
    """What was not chosen, and the latitude, stay; of what was chosen 0.9 are hidden and (0.1)(0.8)(0.95) untouched."""
    clean, chosen, seen, _ = corruption((0.9, 0.2, 0.05), b=200)
    before, after = patches(clean[:, :-1], 4), patches(seen[:, :-1], 4)
    assert torch.equal(after[~chosen], before[~chosen])
    assert torch.equal(seen[:, -1], clean[:, -1])
    assert after[chosen].isnan().all(-1).float().mean() == pytest.approx(0.9, abs=0.01)
    assert torch.equal(after[chosen].isnan().any(-1), after[chosen].isnan().all(-1))
    assert (after == before).all(-1)[chosen].float().mean() == pytest.approx(0.1 * 0.8 * 0.95, abs=0.01)


def test_all_hidden_is_plain_hiding() -> None:
    """With the probabilities 1, 0, 0 the corrupted windows are those of `hide`."""
    clean, _, seen, _ = corruption((1, 0, 0))
    torch.testing.assert_close(
        seen, hide(clean, 4, torch.Generator().manual_seed(7))[0], rtol=0, atol=0, equal_nan=True
    )


def test_noise_keeps_a_share_of_the_patch() -> None:
    """A noisy patch is (1 - w) x + 0.1 N(0, 1) with one w per patch, uniform from 0 to 1."""
    clean, chosen, seen, drawn = corruption((0, 1, 0), b=100)
    before, after = patches(clean[:, :-1], 4)[chosen], patches(seen[:, :-1], 4)[chosen]
    kept = drawn["kept"][chosen]
    rest = after - kept[:, None] * before
    assert rest.std() == pytest.approx(0.1, rel=0.02)
    assert rest.mean() == pytest.approx(0, abs=0.002)
    assert (kept.mean(), kept.std()) == (pytest.approx(0.5, abs=0.02), pytest.approx(12**-0.5, abs=0.02))
    assert torch.corrcoef(torch.stack([rest.flatten(), before.flatten()]))[0, 1].abs() < 0.02


def test_coarsening_halves_the_resolution() -> None:
    """A flat patch stays, a sign that changes from pixel to pixel goes, a gap stays a gap, the side may be odd."""
    flat = torch.full((2, 16), 3.0)
    torch.testing.assert_close(coarsened(flat, 4), flat)
    board = (-1.0) ** (torch.arange(16) % 4 + torch.arange(16) // 4)[None]
    torch.testing.assert_close(coarsened(board, 4), torch.zeros(1, 16))
    halves = torch.tensor([0.0, 0, 1, 1]).repeat(4)[None]
    torch.testing.assert_close(coarsened(halves, 4), torch.tensor([0, 0.25, 0.75, 1]).repeat(4)[None])
    assert coarsened(flat.where(torch.arange(16) != 5, torch.nan), 4).isnan()[:, 5].all()
    torch.testing.assert_close(coarsened(torch.full((1, 2, 25), 3.0), 5), torch.full((1, 2, 25), 3.0))
    clean, chosen, seen, _ = corruption((0, 0, 1))
    torch.testing.assert_close(patches(seen[:, :-1], 4)[chosen], coarsened(patches(clean[:, :-1], 4), 4)[chosen])


def test_the_order_is_hide_noise_coarsen() -> None:
    """What is hidden stays hidden under noise and coarsening, and coarsening averages the noise too."""
    clean, chosen, seen, drawn = corruption((0, 1, 1))
    noisy = drawn["kept"][..., None] * patches(clean[:, :-1], 4) + drawn["noise"]
    torch.testing.assert_close(patches(seen[:, :-1], 4)[chosen], coarsened(noisy, 4)[chosen])
    _, chosen, seen, _ = corruption((1, 1, 1))
    assert torch.equal(patches(seen[:, :-1], 4).isnan().all(-1), chosen)


def test_the_mixture_is_what_the_backbone_sees() -> None:
    """With a mixture the loss is the plain one on a corrupted copy of the clean windows, over all that was chosen."""
    pretext, given = masked(mixture=(0.5, 0.5, 0.5)), views(2)
    assert pretext.draw is not None
    drawn = pretext.draw(place(SPEC.frames), np.random.default_rng(1))
    again = pretext.draw(place(SPEC.frames), np.random.default_rng(1))
    assert all(torch.equal(value, again[name]) for name, value in drawn.items())
    seen = corrupted(given.clean, given.hidden, drawn, 4)
    torch.manual_seed(0)
    module, mix = pretext.module(SPEC), torch.randn(SPEC.planes, 8)

    def encode(x: Tensor) -> Tensor:
        return patches(x.nan_to_num(9.0), 4).mean(-1) @ mix

    expected = masked_loss(module, encode, Views(given.clean, seen, given.hidden, {}))
    assert pretext.loss(module, encode, replace(given, drawn={"masked": drawn})) == expected
    assert expected != masked_loss(module, encode, given)


def test_ensemble_loss_by_hand() -> None:
    """Members 1 and 3 with the truth 2 and 4: the mean is 2, sigma the root of two; the third value does not count."""
    members = torch.tensor([[1.0, 1, 0], [3, 3, 5]])
    truth, counts = torch.tensor([2.0, 4.0, torch.nan]), torch.tensor([True, True, False])
    by_hand = (1 + 5) / 2 + (0 + (np.exp(-0.5 * 4 / 2) - 1) ** 2) / 2 + 2**0.25
    assert ensemble_loss(members, truth, counts).item() == pytest.approx(by_hand, rel=1e-5)
    numbers = ensemble_measures(members, truth, counts)
    assert numbers["RMSE"].item() == pytest.approx(2**0.5)
    assert numbers["spread"].item() == pytest.approx(2**0.5)
    assert numbers["spread-skill ratio"].item() == pytest.approx(1.5**0.5)


def test_members_that_agree_have_a_finite_gradient() -> None:
    """Where sigma is zero, right or wrong, the loss is finite and so is its gradient; a gap in the truth gets none."""
    members = torch.ones(4, 3, requires_grad=True)
    truth = torch.tensor([1.0, 1e4, torch.nan])
    loss = ensemble_loss(members, truth, truth.isfinite())
    loss.backward()
    assert loss.isfinite()
    assert members.grad is not None
    assert members.grad.isfinite().all()
    assert (members.grad[:, 1] < 0).all()
    assert not members.grad[:, 2].any()


def test_an_ensemble_like_the_truth_has_ratio_one() -> None:
    """Where truth and members are drawn alike, spread fits error; members of half the size are too sure."""
    drawn = torch.randn(5, 20000, generator=torch.Generator().manual_seed(9))
    counts = torch.ones(20000, dtype=torch.bool)
    assert ensemble_measures(drawn[1:], drawn[0], counts)["spread-skill ratio"].item() == pytest.approx(1, abs=0.03)
    narrow = ensemble_measures(0.5 * drawn[1:], drawn[0], counts)
    assert narrow["spread-skill ratio"].item() == pytest.approx(0.5 * (1.25 / (1 + 1 / 16)) ** 0.5, abs=0.03)


@pytest.mark.parametrize("options", [{}, {"mode": "forecast"}, {"mixture": (0.9, 0.1, 0.05)}], ids=str)
def test_an_ensemble_predicts_the_fields(options: Any) -> None:
    """Members are heads of their own for the fields; the loss is theirs over what was chosen and observed."""
    pretext = masked(members=3, **options)
    torch.manual_seed(0)
    module, given = pretext.module(SPEC), views(2)
    assert isinstance(module, EnsembleTail)
    tokens = torch.randn(2, TOKENS, 8)
    own = pretext.draw(place(SPEC.frames), np.random.default_rng(0)) if pretext.draw else {}
    given = replace(given, drawn={"masked": own})
    chosen = own.get("chosen", given.hidden)
    truth = patches(given.clean[:, :-1], 4)
    said = torch.stack([head(tokens) for head in module.heads]).reshape(3, *truth.shape)
    assert not torch.equal(said[0], said[1])
    counts = chosen[..., None] & truth.isfinite()
    loss = pretext.loss(module, lambda _: tokens, given)
    torch.testing.assert_close(loss, ensemble_loss(said, truth, counts))
    assert pretext.measures is not None
    numbers = pretext.measures(module, lambda _: tokens, given)
    torch.testing.assert_close(numbers["RMSE"], (said.mean(0) - truth)[counts].square().mean().sqrt())
    assert set(numbers) == {"RMSE", "spread", "spread-skill ratio"}
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in module.parameters())


def test_members_are_computed_in_single_precision() -> None:
    """Under mixed precision the members keep theirs."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert EnsembleTail(8, 4, 2)(torch.zeros(1, 3, 8, dtype=torch.bfloat16)).dtype == torch.float32
