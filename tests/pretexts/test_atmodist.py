from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone
from toolkit.data.store import Store
from toolkit.data.windows import window_at
from toolkit.errors import UserError
from toolkit.pretexts.atmodist import atmodist
from toolkit.pretexts.contract import Place, Views
from toolkit.pretexts.draw import Recipe, draw, normalisation_for, unlabelled
from toolkit.pretexts.lags import Lags, as_maps, last_frame
from toolkit.pretrain import Pretraining, pretrain
from toolkit.train import Run, Schedule

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 2.8125, patch=4, dim=16)
SIZE = (16, 16)
PRETEXT = atmodist()
assert PRETEXT.draw is not None
assert PRETEXT.measures is not None


class Said(nn.Module):
    """A module that says the same logits of every pair."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, _earlier: Tensor, _later: Tensor) -> Tensor:
        """Return the logits."""
        return self.logits


def pairs(classes: list[int]) -> Views:
    """Views of which the classes alone matter."""
    empty = torch.zeros(len(classes), SPEC.planes, *SIZE)
    drawn = {"atmodist": {"class": torch.tensor(classes), "later": empty}}
    return Views(empty, empty, torch.zeros(len(classes), 16, 4, dtype=torch.bool), drawn)


def encode(x: Tensor) -> Tensor:
    """Tokens that nobody looks at."""
    return torch.zeros(len(x), 16, 8)


def place(store: Store, n: int) -> Place:
    """Windows on both hemispheres, and over the seam of longitude, at times 1, 2, ..."""
    times, latitude = np.arange(n) % 30 + 1, np.linspace(-50, 50, n)
    windows = window_at(store, store.time[times], latitude, np.linspace(0, 350, n), SIZE, SPEC.frames)
    return Place(store, windows, times, SPEC, normalisation_for(SPEC.variables, store))


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The pretext alone on a tiny backbone."""
    return Recipe(SPEC, {"depth": 1, "heads": 2}, ((PRETEXT, 1.0),), SIZE)


def test_options_say_which_lags_there_are() -> None:
    """Classes are the lags of one step and more; what cannot be a lag is refused."""
    assert PRETEXT.hours == (6, 12, 18, 24, 30, 36, 42, 48)
    assert atmodist(classes=23, step_hours=3).hours[-1] == 69
    with pytest.raises(UserError, match="2 classes of time apart are too few"):
        atmodist(classes=2)
    with pytest.raises(UserError, match="A step of 0 h leads to no later time"):
        atmodist(step_hours=0)


def test_the_later_window_is_the_same_place_later(smooth_store: Store) -> None:
    """What is drawn is the window so many hours later, of which the last frame alone is shown."""
    here = place(smooth_store, 40)
    drawn = PRETEXT.draw(here, np.random.default_rng(1))
    whole = here.planes(6 * (drawn["class"].numpy() + 1))
    assert torch.equal(drawn["later"][:, -3:], whole[:, -3:])
    assert drawn["later"][:, :-3].isnan().all()
    assert whole.isfinite().all()
    same = PRETEXT.draw(here, np.random.default_rng(1))
    assert torch.equal(drawn["class"], same["class"])


def test_lags_are_equally_likely(smooth_store: Store) -> None:
    """Every class is drawn, none much oftener than the others."""
    drawn = PRETEXT.draw(place(smooth_store, 800), np.random.default_rng(0))
    counts = torch.bincount(drawn["class"], minlength=8)
    assert counts.min() > 70
    assert counts.max() < 130


def test_the_loss_is_one_for_knowing_nothing() -> None:
    """Logits that are all the same cost 1 whatever the number of classes; certainty of the truth costs nothing."""
    views = pairs([0, 7, 3])
    assert PRETEXT.loss(Said(torch.zeros(3, 8)), encode, views).item() == pytest.approx(1)
    assert PRETEXT.loss(Said(torch.zeros(3, 20)), encode, views).item() == pytest.approx(1)
    sure = 50 * nn.functional.one_hot(torch.tensor([0, 7, 3]), 8).float()
    assert PRETEXT.loss(Said(sure), encode, views).item() == pytest.approx(0, abs=1e-6)


def test_measures_count_the_likeliest() -> None:
    """Of four pairs one has its class first, another second, another third, another fourth."""
    logits = torch.tensor([5.0, 4, 3, 2, 1, 0, -1, -2]).expand(4, 8)
    measured = PRETEXT.measures(Said(logits), encode, pairs([0, 1, 2, 3]))
    assert {name: value.item() for name, value in measured.items()} == {"top-1": 0.25, "top-3": 0.75}


def test_nothing_is_hidden_from_the_pair(smooth_store: Store, recipe: Recipe) -> None:
    """The windows are encoded as they were, whatever other pretexts see of them, and their order matters."""
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    assert source.times.tolist() == list(range(1, 32))
    views = draw([source], recipe, normalisation_for(SPEC.variables, smooth_store), 6, 0)
    model = Pretraining(recipe, 0).eval()
    module, later = model.pretexts["atmodist"], views.drawn["atmodist"]["later"]
    loss = PRETEXT.loss(module, model.backbone, views)
    blind = Views(views.clean, torch.full_like(views.seen, torch.nan), views.hidden, views.drawn)
    assert torch.equal(PRETEXT.loss(module, model.backbone, blind), loss)
    turned = Views(later, views.seen, views.hidden, {"atmodist": {**views.drawn["atmodist"], "later": views.clean}})
    assert not torch.allclose(PRETEXT.loss(module, model.backbone, turned), loss)


@pytest.mark.slow
def test_the_pretext_learns(smooth_store: Store, recipe: Recipe, tmp_path: Path) -> None:
    """In waves that drift evenly the time apart is told well above chance after some steps."""
    normalisation = normalisation_for(SPEC.variables, smooth_store)
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    model = pretrain(recipe, [source], normalisation, Schedule(240, 16, {"": 3e-3}), Run(tmp_path))
    with torch.no_grad():
        measured = model.measures(draw([source], recipe, normalisation, 128, 7))
    assert measured["atmodist"] < 0.9
    assert measured["atmodist top-1"] > 0.25


def test_the_published_network() -> None:
    """With 23 classes on the ResNet, encoder and module have the published 2,741,552 weights together."""
    spec = FeatureSpec(("divergence", "vorticity"), ("s-1", "s-1"), (0,), 1.0, patch=32, dim=128)
    parts = build_backbone(spec, {"kind": "resnet"}, seed=0), atmodist(23, 3).module(spec)
    assert sum(p.numel() for part in parts for p in part.parameters()) == 2_741_552


def test_lags_have_an_upper_half() -> None:
    """The upper half begins at the middle lag: the 12th of 23, the 5th of 8."""
    odd, even = Lags(23, 3), Lags(8, 6)
    assert odd.hours[odd.upper] == tuple(range(36, 70, 3))
    assert odd.hours[odd.middle] == 36
    assert even.hours[even.upper] == (30, 36, 42, 48)
    assert even.hours[even.middle] == 30


def test_a_window_of_one_frame_is_shown_as_it_is() -> None:
    """Where there is one frame there is nothing to hide, and nothing is copied."""
    one = FeatureSpec(("vorticity",), ("s-1",), (0,), 1.0, 4, 8)
    x = torch.zeros(1, one.planes, 8, 8)
    assert last_frame(x, one) is x


def test_tokens_become_maps_row_by_row() -> None:
    """The map of a window of 8 x 12 has its tokens row by row from the north-west, whatever the patch."""
    tokens = torch.arange(12.0).reshape(1, 6, 2)
    maps = as_maps(tokens, (8, 12))
    assert maps.shape == (1, 2, 2, 3)
    assert maps[0, 0].tolist() == [[0, 2, 4], [6, 8, 10]]
    assert as_maps(torch.zeros(1, 24, 2), (8, 12)).shape == (1, 2, 4, 6)
