from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone
from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.data.windows import Windows
from toolkit.errors import UserError
from toolkit.pretexts.contract import Encoder, Pretext, Target, Views, cut
from toolkit.pretexts.draw import POLEWARD_CENTRE, Recipe, Unlabelled, _aligned, draw, normalisation_for, unlabelled
from toolkit.pretexts.known import pretext_named
from toolkit.pretrain import Pretraining, held_out_scores, pretrain
from toolkit.train import Run, Schedule

SIZE = (16, 16)


def flat(views: Views) -> dict[str, torch.Tensor]:
    """What all pretexts drew, by name."""
    return {name: value for own in views.drawn.values() for name, value in own.items()}


@pytest.fixture(scope="module")
def normalisation(smooth_store: Store) -> Normalisation:
    """The statistics of vorticity and divergence."""
    return normalisation_for(("vorticity", "divergence"), smooth_store)


@pytest.fixture(scope="module")
def recipe(normalisation: Normalisation) -> Recipe:
    """All pretexts on a tiny backbone."""
    spec = FeatureSpec(normalisation.names, normalisation.units, (-6, 0), 2.8125, 4, 16)
    weighted = (("masked", 0.5), ("nextframe", 1.0), ("lagrangian", 2.0), ("vortexfate", 0.5))
    return Recipe(spec, {"depth": 1, "heads": 2}, tuple((pretext_named(name), w) for name, w in weighted), SIZE)


@pytest.fixture(scope="module")
def source(smooth_store: Store, recipe: Recipe) -> Unlabelled:
    """The store with its targets."""
    return unlabelled(smooth_store, recipe, lambda _name, target, store: target.make(store))


def test_times_have_all_their_frames_and_targets(source: Unlabelled, smooth_store: Store, recipe: Recipe) -> None:
    """Usable is a time with the frame before, those 6 and 24 h later, and a displacement; a gap takes out its own."""
    assert source.times.tolist() == list(range(1, 36))
    index = np.delete(np.arange(40), 20)
    gap = replace(smooth_store, time=smooth_store.time[index], values=smooth_store.values[index])
    bare = replace(recipe, pretexts=recipe.pretexts[:2])
    times = index[unlabelled(gap, bare, lambda *_: np.empty(0)).times]
    assert times.tolist() == [k for k in range(1, 36) if k not in (16, 19, 20, 21)]
    with pytest.raises(UserError, match=r"no time with all of its frames at \[-6, 0, 6, 24\] h"):
        unlabelled(replace(smooth_store, time=smooth_store.time[:4]), bare, lambda *_: np.empty(0))


def test_a_draw_depends_on_its_seed_alone(source: Unlabelled, recipe: Recipe, normalisation: Normalisation) -> None:
    """The same seed draws the same views whatever was drawn before, and leaves the global generators alone."""
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    one, other, same = (draw([source], recipe, normalisation, 4, seed) for seed in (5, 6, 5))
    assert torch.equal(torch.rand(2), expected)
    for first, second in ((one.clean, same.clean), (one.seen, same.seen), (one.hidden, same.hidden)):
        torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
    assert flat(one).keys() == flat(same).keys()
    assert all(torch.equal(value.nan_to_num(), flat(same)[name].nan_to_num()) for name, value in flat(one).items())
    assert not torch.equal(one.clean, other.clean)


def test_views_have_the_shapes_the_pretexts_expect(
    source: Unlabelled, recipe: Recipe, normalisation: Normalisation
) -> None:
    """Windows, hidden patches and targets fit together; windows lie up to the last latitude in both hemispheres."""
    views = draw([source], recipe, normalisation, 64, 0)
    assert views.clean.shape == views.seen.shape == (64, 5, 16, 16)
    assert views.hidden.shape == (64, 16, 4)
    assert {name: field.shape for name, field in flat(views).items()} == {
        "6 h later": (64, 2, 16, 16),
        "24 h later": (64, 2, 16, 16),
        "displacement": (64, 2, 8, 8),
        "vortices": (64, 6, 16, 16),
    }
    centres = views.clean[:, -1, 7:9, 0].mean(1)
    limit = np.sin(np.radians(POLEWARD_CENTRE + 2.9))
    assert centres.max() < limit
    assert centres.min() > -0.05, "a southern window is not reflected"
    assert torch.isfinite(views.clean).all()


def test_a_later_frame_is_the_same_window_later(
    source: Unlabelled, recipe: Recipe, normalisation: Normalisation
) -> None:
    """With frames at 0 and 6 h as input, the target 6 h later equals the second frame, reflected windows included."""
    ahead = replace(recipe, spec=replace(recipe.spec, frames=(0, 6)))
    views = draw([source], ahead, normalisation, 32, 1)
    torch.testing.assert_close(views.drawn["nextframe"]["6 h later"], views.clean[:, 2:4])


def test_a_made_target_is_cut_where_the_window_lies(smooth_store: Store) -> None:
    """A target made of vorticity on every other pixel is that of the window, wrapped, reflected and turned in sign."""
    array = np.stack([smooth_store.frame(k)[:2] for k in range(3)])[:, :, :64:2, ::2]
    windows = Windows(
        np.array([[0], [1], [2]]), np.array([9, 21, 32]), np.array([3, 123, 60]), np.array([False, False, True]), SIZE
    )
    windows = _aligned(windows, [Target(0, stride=2), Target(0)])
    assert windows.row.tolist() == [8, 20, 32]
    assert windows.column.tolist() == [2, 122, 60]
    read = cut(array, smooth_store, windows, stride=2, odd_channels=(0,))
    np.testing.assert_array_equal(read[0], array[0, :, 4:12, 1:9])
    np.testing.assert_array_equal(read[1], np.roll(array[1], -61, -1)[:, 10:18, :8])
    np.testing.assert_array_equal(read[2], array[2, :, 16:24, 30:38][:, ::-1] * np.array([-1, 1])[:, None, None])


def test_views_move_whole(source: Unlabelled, recipe: Recipe, normalisation: Normalisation) -> None:
    """Every tensor of a batch, what the pretexts drew too, goes to the device."""
    views = draw([source], recipe, normalisation, 2, 0).to("meta")
    assert {x.device.type for x in (views.clean, views.seen, views.hidden, *flat(views).values())} == {"meta"}


def test_windows_that_are_the_same_stay_so(source: Unlabelled, recipe: Recipe, normalisation: Normalisation) -> None:
    """Where nothing is hidden, what is seen is what is there, on another device too: it is encoded once."""
    views = draw([replace(source, made={})], replace(recipe, hidden=0.0, pretexts=()), normalisation, 2, 0)
    moved = views.to("meta")
    assert views.seen is views.clean
    assert moved.seen is moved.clean


def test_modules_do_not_begin_as_copies_of_the_backbone(recipe: Recipe) -> None:
    """Their weights come of the seed by another stream; the backbone's are those of the seed itself."""
    model = Pretraining(recipe, 3)
    alone = build_backbone(recipe.spec, recipe.architecture, 3).state_dict()
    assert all(torch.equal(value, alone[name]) for name, value in model.backbone.state_dict().items())
    first = next(model.backbone.parameters()).flatten()
    for module in model.pretexts.values():
        own = next(module.parameters()).flatten()
        n = min(len(own), len(first))
        assert abs(torch.corrcoef(torch.stack([own[:n], first[:n]]))[0, 1]) < 0.5


def test_sources_are_drawn_by_their_times(source: Unlabelled, recipe: Recipe, normalisation: Normalisation) -> None:
    """A source with few usable times is drawn seldom, and one batch comes from one source."""
    key = ("lagrangian", "displacement")
    marked = replace(
        source,
        times=source.times[:5],
        made={**source.made, key: np.full_like(source.made[key], 7)},
    )
    marks = [
        flat(draw([source, marked], recipe, normalisation, 2, seed))["displacement"].abs().eq(7).float().mean().item()
        for seed in range(60)
    ]
    assert set(marks) == {0.0, 1.0}
    assert 1 <= sum(marks) <= 20


def test_losses_are_weighted(source: Unlabelled, recipe: Recipe, normalisation: Normalisation) -> None:
    """Each pretext's loss counts by its weight, is of order one, and reaches the backbone and its own module."""
    model, views = Pretraining(recipe, 0), draw([source], recipe, normalisation, 8, 0)
    losses = model(views)
    assert list(losses) == ["masked", "nextframe", "lagrangian", "vortexfate"]
    tokens = model.backbone(views.seen)
    for pretext, weight in recipe.pretexts:
        alone = pretext.loss(model.pretexts[pretext.name], lambda _: tokens, views)
        assert losses[pretext.name].item() == pytest.approx(weight * alone.item(), rel=1e-5)
        assert 0.05 < alone < 20
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.slow
def test_held_out_scores_are_those_of_the_same_windows_without_weights(
    source: Unlabelled, recipe: Recipe, normalisation: Normalisation
) -> None:
    """They do not depend on what is drawn elsewhere, nor on the pretexts' weights, and train nothing."""
    model = Pretraining(recipe, 0)
    losses = held_out_scores(recipe, model, [source], normalisation, 2)
    assert all(parameter.grad is None for parameter in model.parameters())
    heavier = replace(recipe, pretexts=tuple((pretext, 3 * weight) for pretext, weight in recipe.pretexts))
    torch.rand(3)
    assert held_out_scores(heavier, model, [source], normalisation, 2) == losses
    batches = [draw([source], recipe, normalisation, 2, number) for number in range(40)]
    masked = recipe.pretexts[0][0]
    expected = np.mean([masked.loss(model.pretexts["masked"], model.backbone, v).item() for v in batches])
    assert losses["masked"] == pytest.approx(expected, rel=1e-5)


def test_statistics_of_odd_variables_have_mean_zero(smooth_store: Store, normalisation: Normalisation) -> None:
    """Vorticity, which changes its sign with the hemisphere, has mean zero; divergence has the store's."""
    assert normalisation.mean == (0.0, smooth_store.normalisation.mean[1])
    assert normalisation.standard_deviation == smooth_store.normalisation.standard_deviation[:2]
    turned = normalisation_for(("divergence", "vorticity"), smooth_store)
    assert turned.names == ("divergence", "vorticity")
    assert turned.mean == normalisation.mean[::-1]


def test_pretraining_learns(source: Unlabelled, recipe: Recipe, normalisation: Normalisation, tmp_path: Path) -> None:
    """Within a few steps the loss on one batch falls; the modules come back with the backbone."""
    views = draw([source], recipe, normalisation, 16, 99)

    def loss(model: Pretraining) -> float:
        with torch.no_grad():
            return float(sum(model(views).values()))

    model = pretrain(recipe, [source], normalisation, Schedule(15, 8, {"": 3e-3}), Run(tmp_path))
    assert loss(model) < 0.95 * loss(Pretraining(recipe, 0))
    assert set(model.pretexts) == {"masked", "nextframe", "lagrangian", "vortexfate"}


def test_a_pretext_of_ones_own(
    source: Unlabelled, recipe: Recipe, normalisation: Normalisation, tmp_path: Path
) -> None:
    """A pretext is a value: one that predicts the sine of latitude from the tokens trains without further ado."""

    def loss(module: torch.nn.Module, encode: Encoder, views: Views) -> torch.Tensor:
        return (module(encode(views.seen))[..., 0].mean(1) - views.clean[:, -1].mean((1, 2))).square().mean()

    own = Pretext("latitude", "Predict the latitude", lambda spec: torch.nn.Linear(spec.dim, 1), loss)
    alone = replace(recipe, pretexts=((own, 1.0),))
    bare = unlabelled(source.store, alone, lambda *_: np.empty(0))
    assert bare.times.tolist() == list(range(1, 40))
    model = pretrain(alone, [bare], normalisation, Schedule(4, 8, {"": 1e-2}), Run(tmp_path))
    assert set(model.pretexts) == {"latitude"}
