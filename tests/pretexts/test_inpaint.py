from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import softplus

from toolkit.backbones.features import FeatureSpec
from toolkit.data.normalise import Normalisation
from toolkit.data.store import NO_FIELDS, Store
from toolkit.data.windows import Windows
from toolkit.errors import UserError
from toolkit.pretexts.contract import Place, Views, patches
from toolkit.pretexts.draw import Recipe, draw, normalisation_for, unlabelled
from toolkit.pretexts.inpaint import Inpainter, draw_hole, inpaint
from toolkit.pretrain import Pretraining, pretrain
from toolkit.train import Run, Schedule

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 1.0, patch=4, dim=8)
FIELDS = SPEC.planes - 1
TOKENS = 5 * 6


def hole(rows: int, columns: int, seed: int, b: int = 8) -> Tensor:
    """Which rectangles are drawn in windows of so many patches."""
    at = np.zeros(b, int)
    windows = Windows(np.zeros((b, 2), int), at, at, at > 0, (4 * rows, 4 * columns))
    normalisation = Normalisation(SPEC.variables, SPEC.units, (0.0, 0.0), (1.0, 1.0))
    return draw_hole(Place(NO_FIELDS, windows, at, SPEC, normalisation), np.random.default_rng(seed))["hole"]


def views(b: int = 3, gaps: float = 0.05) -> Views:
    """Random windows of 20 by 24 pixels with a few gaps, and a rectangle in each."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(b, SPEC.planes, 20, 24, generator=generator)
    x[:, :-1][torch.rand(b, FIELDS, 20, 24, generator=generator) < gaps] = torch.nan
    nothing = torch.zeros(b, TOKENS, FIELDS, dtype=torch.bool)
    return Views(x, x, nothing, {"inpaint": {"hole": hole(5, 6, 1, b)}})


def made(**options: Any) -> tuple[Any, Inpainter]:
    """A pretext and its module with the same weights every time."""
    pretext = inpaint(**options)
    torch.manual_seed(0)
    module = pretext.module(SPEC)
    assert isinstance(module, Inpainter)
    return pretext, module


def pixels_in(given: Views) -> Tensor:
    """Which pixels (b, h, w) lie in the rectangles."""
    inside = torch.zeros(len(given.clean), 20, 24, dtype=torch.bool)
    for window, tokens in enumerate(given.drawn["inpaint"]["hole"]):
        for token in tokens.flatten().tolist():
            row, column = 4 * (token // 6), 4 * (token % 6)
            inside[window, row : row + 4, column : column + 4] = True
    return inside


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_a_hole_is_a_rectangle_of_about_a_quarter(rows: int, columns: int, seed: int) -> None:
    """Its tokens are consecutive rows and columns; a window is never lost whole, a large one to about a quarter."""
    if rows * columns == 1:
        with pytest.raises(UserError, match="more than one patch"):
            hole(rows, columns, seed)
        return
    tokens = hole(rows, columns, seed)
    assert tokens.min() >= 0
    assert tokens.max() < rows * columns
    row, column = tokens // columns, tokens % columns
    assert torch.equal(row, row[:, :1, :1] + torch.arange(tokens.shape[1])[:, None].expand_as(row[0]))
    assert torch.equal(column, column[:, :1, :1] + torch.arange(tokens.shape[2]).expand_as(column[0]))
    assert tokens[0].numel() < rows * columns
    if min(rows, columns) >= 6:
        assert tokens[0].numel() / (rows * columns) == pytest.approx(0.25, abs=0.06)


def test_a_hole_depends_on_its_generator_alone() -> None:
    """The same generator draws the same rectangles; over many draws every patch is deleted now and then."""
    assert torch.equal(hole(8, 8, 3), hole(8, 8, 3))
    often = torch.bincount(torch.cat([hole(8, 8, seed).flatten() for seed in range(100)]), minlength=64)
    assert often.min() > 0
    assert len({tuple(hole(8, 8, seed).shape) for seed in range(30)}) > 1
    assert len({int(corner) for corner in hole(8, 8, 3, 40)[:, 0, 0]}) > 5


@pytest.mark.parametrize(("frames", "planes"), [("all", [0, 1, 2, 3]), ("last", [2, 3])])
def test_the_rectangle_alone_is_missing(frames: str, planes: list[int]) -> None:
    """What the backbone sees lacks the rectangle in all frames or in the last one, and nothing else."""
    pretext, module = made(frames=frames)
    given, shown = views(gaps=0), []

    def encode(x: Tensor) -> Tensor:
        shown.append(x)
        return torch.zeros(3, TOKENS, 8)

    pretext.loss(module, encode, given)
    expected = torch.zeros(3, SPEC.planes, 20, 24, dtype=torch.bool)
    expected[:, planes] = pixels_in(given)[:, None]
    assert torch.equal(shown[0].isnan(), expected)
    assert torch.equal(shown[0][~expected], given.clean[~expected])


@pytest.mark.parametrize(("frames", "first"), [("all", 0), ("last", 2)])
def test_the_loss_is_the_mean_squared_error_in_the_rectangle(frames: str, first: int) -> None:
    """Tokens that hold the true pixels cost nothing, being off by 2 costs 4; outside and at gaps nothing counts."""
    pretext, module = made(frames=frames)
    module.fill = nn.Identity()
    given = views()
    true = patches(given.clean[:, first:-1], 4).flatten(2)
    inside = patches(pixels_in(given)[:, None], 4).flatten(2).any(-1)
    anything = torch.where(inside[..., None] & true.isfinite(), true, 50.0)
    assert pretext.loss(module, lambda _: anything, given).item() == 0
    tokens = (anything + 2).requires_grad_()
    loss = pretext.loss(module, lambda _: tokens, given)
    assert loss.item() == pytest.approx(4, rel=1e-5)
    loss.backward()
    assert tokens.grad is not None
    assert torch.equal(tokens.grad != 0, inside[..., None] & true.isfinite())


def test_each_side_gets_its_gradient_alone() -> None:
    """Of the one loss the judge gets the gradient of its own errors, filling and backbone that of theirs, no other."""
    weight = 0.25
    pretext, module = made(adversarial=weight)
    given, parameters = views(gaps=0), dict(module.named_parameters())
    tokens = torch.randn(3, TOKENS, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    side = given.drawn["inpaint"]["hole"].shape[1:]

    def rectangles(of_tokens: Tensor) -> Tensor:
        """Cut out the rectangles of (b, n, c, 16), by another way than the module."""
        fields = nn.functional.fold(of_tokens.flatten(2).transpose(1, 2), (20, 24), 4, stride=4)
        inside = pixels_in(given)[:, None].expand_as(fields)
        return fields[inside].reshape(3, FIELDS, 4 * side[0], 4 * side[1])

    filled = rectangles(module.fill(tokens).reshape(3, TOKENS, FIELDS, 16))
    real = rectangles(patches(given.clean[:, :-1], 4))
    assert module.judge is not None
    on_fake, on_real = module.judge(filled), module.judge(real)
    squared, fools = (filled - real).square().mean(), softplus(-on_fake).mean()
    judges = 0.5 * (softplus(-on_real).mean() + softplus(on_fake).mean())
    loss = pretext.loss(module, lambda _: tokens, given)
    torch.testing.assert_close(loss, (1 - weight) * squared + weight * fools + judges)
    own = [value for name, value in parameters.items() if name.startswith("judge")]
    others = [tokens, *(value for name, value in parameters.items() if name.startswith("fill"))]
    assert len(own) + len(others) == len(parameters) + 1
    got = torch.autograd.grad(loss, [*own, *others])
    expected = torch.autograd.grad(judges, own, retain_graph=True)
    expected += torch.autograd.grad((1 - weight) * squared + weight * fools, others)
    for one, other in zip(got, expected, strict=True):
        assert other.any()
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_gaps_do_not_tell_true_from_filled() -> None:
    """Where all is a gap, the judge sees twice the same."""
    pretext, module = made(adversarial=0.5)
    given = views()
    given.clean[:, :-1] = torch.nan
    loss = pretext.loss(module, lambda _: torch.ones(3, TOKENS, 8), given)
    assert module.judge is not None
    logit = module.judge(torch.zeros(1, FIELDS, *(4 * side for side in given.drawn["inpaint"]["hole"].shape[1:])))
    expected = 0.5 * softplus(-logit) + 0.5 * (softplus(-logit) + softplus(logit))
    torch.testing.assert_close(loss, expected.squeeze())


def test_measures_by_hand() -> None:
    """On a plane of east = column number, the error of what is said is its own, that of the rim's mean the spread."""
    pretext, module = made()
    module.fill = nn.Identity()
    x = torch.arange(24.0).expand(3, SPEC.planes, 20, 24).clone()
    nothing = torch.zeros(3, TOKENS, FIELDS, dtype=torch.bool)
    middle = torch.tensor([[7, 8, 9, 10], [13, 14, 15, 16], [19, 20, 21, 22]]).expand(3, 3, 4)
    given = Views(x, x, nothing, {"inpaint": {"hole": middle}})
    said = patches(x[:, :-1] + 3, 4).flatten(2)
    numbers = pretext.measures(module, lambda _: said, given)
    assert set(numbers) == {"RMSE", "RMSE of the rim's mean"}
    assert numbers["RMSE"].item() == pytest.approx(3)
    assert numbers["RMSE of the rim's mean"].item() == pytest.approx(np.arange(16).std(), rel=1e-5)
    x[:, :, 4:16, 4] = torch.nan
    x[:, :, :, 3] = torch.nan
    x[:, :, 3] = torch.nan
    x[:, :, 16] = torch.nan
    numbers = pretext.measures(module, lambda _: said, given)
    errors = np.arange(5, 20) - 20.0
    assert numbers["RMSE of the rim's mean"].item() == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)


def test_the_discriminator_is_scored() -> None:
    """A judge that likes what is above zero is right about true ones above and filled-in ones below, else wrong."""
    pretext, module = made(adversarial=0.001)
    module.fill = nn.Identity()

    class Above(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((1, 2, 3))[:, None]

    module.judge = Above()
    given = views(4)
    given.clean[:, :-1] = 1
    said = torch.tensor([-1.0, -1, -1, 1])[:, None, None].expand(4, TOKENS, FIELDS * 16)
    assert pretext.measures(module, lambda _: said, given)["discriminator right"].item() == pytest.approx(7 / 8)


@pytest.mark.parametrize("weight", [-0.1, 1.0])
def test_a_weight_out_of_range(weight: float) -> None:
    """The squared error must keep a part, and no part is negative."""
    with pytest.raises(UserError, match="Give it from 0 to below 1"):
        inpaint(adversarial=weight)


@pytest.mark.slow
def test_it_learns_both_ways_and_draws_what_it_learned(smooth_store: Store, tmp_path: Path) -> None:
    """Within some steps of both sides the error in the rectangle falls; the pictures show every variable."""
    normalisation = normalisation_for(("vorticity", "divergence"), smooth_store)
    spec = FeatureSpec(normalisation.names, normalisation.units, (-6, 0), 2.8125, 4, 16)
    pretext = inpaint(adversarial=0.01)
    recipe = Recipe(spec, {"depth": 1, "heads": 2}, ((pretext, 1.0),), (16, 16))
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    model = pretrain(recipe, [source], normalisation, Schedule(60, 16, {"": 3e-3}), Run(tmp_path / "run"))
    given = draw([source], recipe, normalisation, 64, 99)
    with torch.no_grad():
        before, after = (m.measures(given)["inpaint RMSE"].item() for m in (Pretraining(recipe, 0), model))
    assert after < 0.9 * before
    assert pretext.examine is not None
    pretext.examine(model.learned("inpaint", normalisation), [smooth_store], tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {"vorticity.png", "divergence.png"}
    assert matplotlib.image.imread(tmp_path / "vorticity.png").std() > 0.05
