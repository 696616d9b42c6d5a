from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.pretexts.contract import Encoder, Pretext, Views, patches
from toolkit.pretexts.draw import Recipe, draw, normalisation_for, unlabelled
from toolkit.pretexts.nextframe import NextFields, nextframe, predicted

PRETEXT = nextframe()
SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 1.0, patch=4, dim=8)
THREE = replace(SPEC, frames=(-12, -6, 0))


def field(seed: int) -> Tensor:
    """A random field (b, variables, h, w)."""
    return torch.randn(2, 2, 8, 12, generator=torch.Generator().manual_seed(seed))


def views(pretext: Pretext, *targets: Tensor, clean: Tensor | None = None, seen: Tensor | None = None) -> Views:
    """Views of which the frames and the next frames alone matter."""
    clean = torch.zeros(2, SPEC.planes, 8, 12) if clean is None else clean
    drawn = {"nextframe": dict(zip(pretext.targets, targets, strict=True))}
    return Views(clean, clean if seen is None else seen, torch.zeros(2, 6, 4, dtype=torch.bool), drawn)


def framed(*frames: Tensor) -> Tensor:
    """Windows (b, planes, h, w) of frames (b, variables, h, w), at the equator."""
    return torch.cat([*frames, torch.zeros(2, 1, 8, 12)], 1)


def saying(fields: Tensor) -> Encoder:
    """An encoder whose tokens are the patches of fields, whatever the windows."""
    return lambda _: patches(fields, 4).flatten(2)


class Says(NextFields):
    """The pretext's module with the frames of a spec, which hands on the tokens."""

    def __init__(self, spec: FeatureSpec, hours: tuple[int, ...]) -> None:
        super().__init__(spec, hours, from_last=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens."""
        return tokens


def test_targets_are_the_frames_later() -> None:
    """Every lead time asks for the store's own fields that many hours later."""
    assert {name: target.hours for name, target in PRETEXT.targets.items()} == {"6 h later": 6, "24 h later": 24}
    assert [target.hours for target in nextframe((6, 12, 48)).targets.values()] == [6, 12, 48]
    assert all(target.make is None for target in PRETEXT.targets.values())
    assert PRETEXT.summary == "Predict the fields 6 and 24 h later"
    assert nextframe((6, 12, 48)).summary == "Predict the fields 6, 12 and 48 h later"
    assert nextframe((6,)).summary == "Predict the fields 6 h later"


@pytest.mark.parametrize("hours", [(), (0, 6), (-6,), (6, 6), (24, 6)])
def test_lead_times_ascend_from_above_zero(hours: tuple[int, ...]) -> None:
    """None, a past one, and the same or a shorter one after a longer are refused."""
    with pytest.raises(UserError, match="the shortest first"):
        nextframe(hours)


def test_what_is_given_is_not_predicted() -> None:
    """A frame at or after the first lead time is refused once the frames are known."""
    with pytest.raises(UserError, match="predicts 6 h, but 6 h is among the frames"):
        PRETEXT.module(replace(SPEC, frames=(0, 6)))


def test_the_module_is_one_linear_layer() -> None:
    """It draws and names its weights as the plain layer does that earlier backbones were saved with."""
    torch.manual_seed(3)
    plain = nn.Linear(8, 2 * 2 * 16)
    torch.manual_seed(3)
    module = PRETEXT.module(SPEC)
    assert module.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(module.weight, plain.weight)
    tokens = torch.randn(2, 6, 8)
    assert torch.equal(module(tokens), nn.functional.linear(tokens, module.weight, module.bias))


def test_the_loss_is_the_mean_squared_error() -> None:
    """Saying the fields of both lead times, 6 h first, costs nothing; being off by 2 everywhere costs 4."""
    truth = [field(0), field(1)]

    def said(error: float) -> float:
        encode = saying(torch.cat(truth, 1) + error)
        return float(PRETEXT.loss(nn.Identity(), encode, views(PRETEXT, *truth)))

    assert said(0) == 0
    assert said(2) == pytest.approx(4, rel=1e-5)


def test_missing_targets_do_not_count() -> None:
    """Where a later value is missing, what is said there changes nothing, and the gradient there is zero."""
    truth = [field(0), field(1)]
    truth[1][0, 1, :4] = torch.nan
    tokens = torch.zeros(2, 6, 64, requires_grad=True)
    loss = PRETEXT.loss(nn.Identity(), lambda _: tokens, views(PRETEXT, *truth))
    known = torch.cat(truth, 1).isfinite()
    assert loss.item() == pytest.approx(torch.cat(truth, 1)[known].square().mean().item(), rel=1e-5)
    loss.backward()
    assert tokens.grad is not None
    assert torch.equal(tokens.grad != 0, patches(known, 4).flatten(2))


def test_a_change_counts_from_the_last_frame_as_it_is_seen() -> None:
    """The change since the last frame costs nothing; where that is hidden or missing, the field itself does not."""
    pretext, before, last, truth = nextframe(from_last=True), field(0), field(1), [field(2), field(3)]
    seen = framed(before, last)
    seen[0, 2:4, :4, :8] = torch.nan
    shown = last.clone()
    shown[0, :, :4, :8] = 0
    change = torch.cat([later - shown for later in truth], 1)
    given = views(pretext, *truth, clean=framed(before, last), seen=seen)
    assert float(pretext.loss(nn.Identity(), saying(change), given)) == 0
    fields = predicted(nn.Identity(), saying(change), seen, (6, 24), from_last=True)
    torch.testing.assert_close(fields, torch.cat(truth, 1))
    still = float(pretext.loss(nn.Identity(), saying(torch.zeros_like(change)), given))
    assert still == pytest.approx(change.square().mean().item(), rel=1e-5)


def test_changes_begin_with_none() -> None:
    """A fresh module that predicts changes says persistence."""
    module = nextframe(from_last=True).module(SPEC)
    assert not module(torch.randn(2, 6, 8)).any()


def test_the_readout_is_what_the_loss_compares() -> None:
    """A module without loss reads out the fields themselves, all lead times and variables, at their own pixels."""
    truth = [field(0), field(1)]
    said = patches(torch.cat(truth, 1), 4).flatten(2)
    assert PRETEXT.readout is not None
    read = PRETEXT.readout.read(nn.Identity(), said, (2, 3), SPEC)
    torch.testing.assert_close(read, torch.cat(truth, 1))
    assert (PRETEXT.readout.name, PRETEXT.readout.channels(SPEC)) == ("next_frames", 4)
    assert PRETEXT.module(SPEC)(torch.zeros(2, 6, 8)).shape == said.shape
    change = nextframe((6,), from_last=True).readout
    assert change is not None
    assert (change.name, change.channels(SPEC)) == ("next_changes", 2)


def test_measures_of_a_field_that_grows_evenly() -> None:
    """Linear extrapolation is exact at every lead, persistence off by the growth; nothing said is off by the field."""
    slope = field(0)
    clean = framed(-2 * slope, -slope, torch.zeros_like(slope))
    truth = [slope, 4 * slope]
    seen = torch.full_like(clean, torch.nan)
    given = views(PRETEXT, *truth, clean=clean, seen=seen)
    size = slope.square().mean().sqrt().item()
    module = Says(THREE, (6, 24))
    assert PRETEXT.measures is not None
    found = {k: v.item() for k, v in PRETEXT.measures(module, saying(torch.cat(truth, 1) * 1.5), given).items()}
    for lead, steps in ((6, 1), (24, 4)):
        assert found[f"{lead} h error"] == pytest.approx(size * steps / 2, rel=1e-4)
        assert found[f"{lead} h error of persistence"] == pytest.approx(size * steps, rel=1e-4)
        assert found[f"{lead} h error of linear extrapolation"] == pytest.approx(0, abs=1e-4)
    assert len(found) == 8


def test_measures_compare_with_the_better_baseline_on_the_same_pixels() -> None:
    """The ratio is to the smaller error; pixels that the frames or the truth miss count for none of the three."""
    pretext, before, last, truth = nextframe((6,)), field(0), field(1), field(2)
    clean = framed(before, last)
    clean[0, 0, 0, 0] = clean[1, 3, 5, 5] = torch.nan
    truth[1, 0, 7, 7] = torch.nan
    known = torch.ones(2, 2, 8, 12, dtype=torch.bool)
    known[0, 0, 0, 0] = known[1, 1, 5, 5] = known[1, 0, 7, 7] = False

    def error(said: Tensor) -> float:
        return (said - truth)[known].square().mean().sqrt().item()

    assert pretext.measures is not None
    found = pretext.measures(Says(SPEC, (6,)), saying(field(3)), views(pretext, truth, clean=clean))
    expected = {
        "6 h error": error(field(3)),
        "6 h error of persistence": error(last),
        "6 h error of linear extrapolation": error(2 * last - before),
        "6 h error over the better baseline's": error(field(3)) / min(error(last), error(2 * last - before)),
    }
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-5)
    one = pretext.measures(
        Says(replace(SPEC, frames=(0,)), (6,)), saying(field(3)), views(pretext, truth, clean=framed(last))
    )
    assert list(one) == ["6 h error", "6 h error of persistence", "6 h error over the better baseline's"]


def test_a_change_of_nothing_is_persistence(smooth_store: Store) -> None:
    """On windows of a store, saying that nothing changes has persistence's error, at every lead."""
    pretext, normalisation = nextframe((6, 12), from_last=True), normalisation_for(SPEC.variables, smooth_store)
    recipe = Recipe(THREE, {}, ((pretext, 1.0),), (16, 16))
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    given = draw([source], recipe, normalisation, 8, 0)
    assert pretext.measures is not None
    found = pretext.measures(Says(THREE, (6, 12)), lambda _: torch.zeros(8, 16, 64), given)
    for lead in (6, 12):
        torch.testing.assert_close(found[f"{lead} h error"], found[f"{lead} h error of persistence"])
