from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from toolkit.backbones.features import FeatureSpec
from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.pretexts.contract import Place, Pretext
from toolkit.pretexts.draw import Recipe, draw, normalisation_for, unlabelled

HOURS = 12


def later(place: Place, generator: np.random.Generator) -> dict[str, Tensor]:
    """The same place so many hours later, half of the windows by twice as many."""
    hours = HOURS * generator.integers(1, 3, len(place.windows))
    return {"later": place.planes(hours), "hours": torch.from_numpy(hours)}


@pytest.fixture
def normalisation(smooth_store: Store) -> Normalisation:
    """The statistics of vorticity and divergence."""
    return normalisation_for(("vorticity", "divergence"), smooth_store)


@pytest.fixture
def recipe(normalisation: Normalisation) -> Recipe:
    """A pretext that looks at the same place later, in windows of one frame."""
    spec = FeatureSpec(normalisation.names, normalisation.units, (0,), 2.8125, 4, 16)
    pretext = Pretext(
        "later", "See what comes", lambda _: torch.nn.Identity(), lambda *_: torch.zeros(()),
        hours=(HOURS, 2 * HOURS), draw=later,
    )  # fmt: skip
    return Recipe(spec, {}, ((pretext, 1.0),), (16, 16))


def test_a_place_is_read_again_at_other_times(
    smooth_store: Store, recipe: Recipe, normalisation: Normalisation
) -> None:
    """What a pretext draws is the same window so many hours later, mirrored where the window is; latitudes stay."""
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    assert source.times.max() == len(smooth_store.time) - 1 - 4
    views = draw([source], recipe, normalisation, 32, 0)
    found = views.drawn["later"]
    assert set(found["hours"].tolist()) == {HOURS, 2 * HOURS}
    assert torch.equal(found["later"][:, -1], views.clean[:, -1])
    frames = (0, HOURS, 2 * HOURS)
    ahead = replace(recipe, spec=replace(recipe.spec, frames=frames), pretexts=())
    same = draw([replace(source, made={})], ahead, normalisation, 32, 0).clean
    for window, hours in enumerate(found["hours"].tolist()):
        planes = same[window, 2 * frames.index(hours) :][:2]
        torch.testing.assert_close(found["later"][window, :2], planes)


def test_what_a_pretext_draws_depends_on_the_seed_alone(
    smooth_store: Store, recipe: Recipe, normalisation: Normalisation
) -> None:
    """The same seed gives the same hours, whatever was drawn before; another one gives others."""
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    one, other, same = (draw([source], recipe, normalisation, 16, seed).drawn["later"]["hours"] for seed in (1, 2, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_store_that_is_too_short_is_refused(smooth_store: Store, recipe: Recipe) -> None:
    """The hours that a pretext needs are among those that are named."""
    short = replace(smooth_store, time=smooth_store.time[:4], values=smooth_store.values[:4])
    with pytest.raises(UserError, match=r"no time with all of its frames at \[0, 12, 24\] h"):
        unlabelled(short, recipe, lambda *_: np.empty(0))
