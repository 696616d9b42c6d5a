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
from toolkit.pretexts.draw import POLEWARD_CENTRE, Recipe, draw, normalisation_for, random_centres, unlabelled

HOURS = 12


def later(place: Place, generator: np.random.Generator) -> dict[str, Tensor]:
    """The same place so many hours later, half of the windows by twice as many."""
    hours = HOURS * generator.integers(1, 3, len(place.windows))
    return {"later": place.planes(hours), "hours": torch.from_numpy(hours)}


def part_of(store: Store, rows: slice, columns: slice) -> Store:
    """The store of a region."""
    latitude, longitude = store.latitude[rows], store.longitude[columns]
    return replace(store, values=store.values[:, :, rows, columns], latitude=latitude, longitude=longitude)


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


def test_every_pretext_has_a_stream_of_its_own(
    smooth_store: Store, recipe: Recipe, normalisation: Normalisation
) -> None:
    """What a pretext draws has nothing to do with what the windows, or another pretext, were drawn from."""
    pretext = replace(recipe.pretexts[0][0], draw=lambda _, rng: {"drawn": torch.from_numpy(rng.random(8))})
    pair = tuple((replace(pretext, name=name), 1.0) for name in ("one", "other"))
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    drawn = draw([source], replace(recipe, pretexts=pair), normalisation, 2, 5).drawn
    streams = [*(own["drawn"].numpy() for own in drawn.values()), np.random.default_rng(5).random(8)]
    assert len({tuple(stream) for stream in streams}) == 3


def test_runs_of_other_seeds_hide_other_patches(
    smooth_store: Store, recipe: Recipe, normalisation: Normalisation
) -> None:
    """The run's seed is above the 32 bits of the batch's number, and counts."""
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    one, other = (draw([source], recipe, normalisation, 4, (seed << 32) + 3).hidden for seed in (0, 1))
    assert not torch.equal(one, other)


def test_a_store_that_is_too_short_is_refused(smooth_store: Store, recipe: Recipe) -> None:
    """The hours that a pretext needs are among those that are named."""
    short = replace(smooth_store, time=smooth_store.time[:4], values=smooth_store.values[:4])
    with pytest.raises(UserError, match=r"no time with all of its frames at \[0, 12, 24\] h"):
        unlabelled(short, recipe, lambda *_: np.empty(0))


def test_the_centres_on_a_globe_are_those_that_weights_were_trained_on(smooth_store: Store) -> None:
    """To the bit those of the formula: the sine of the latitude even between 58 degrees, longitude all round."""
    found, rng = random_centres(smooth_store, np.random.default_rng(7), 500), np.random.default_rng(7)
    sine = rng.uniform(-1, 1, 500) * np.sin(np.radians(POLEWARD_CENTRE))
    np.testing.assert_array_equal(found, [np.degrees(np.arcsin(sine)), rng.uniform(0, 360, 500)])


@pytest.mark.parametrize(("rows", "columns"), [((10, 40), (20, 70)), ((20, 50), (0, 128)), ((0, 30), (90, 120))])
def test_the_centres_on_a_region_are_spread_over_its_area(
    smooth_store: Store, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    """As many in each quarter of its area within 58 degrees, from the south and from the west, and none elsewhere."""
    region = part_of(smooth_store, slice(*rows), slice(*columns))
    latitude, longitude = random_centres(region, np.random.default_rng(0), 4000)
    south, north = np.clip(region.latitude[[-1, 0]], -POLEWARD_CENTRE, POLEWARD_CENTRE)
    west, east = (0, 360) if columns == (0, 128) else region.longitude[[0, -1]]
    for values, edges in (
        (np.sin(np.radians(latitude)), np.sin(np.radians([south, north]))),
        (longitude, (west, east)),
    ):
        counts, _ = np.histogram(values, 4, edges)
        assert counts.sum() == 4000
        np.testing.assert_allclose(counts, 1000, atol=100)


def test_a_region_near_a_pole_is_seen_from_its_side_towards_the_equator(smooth_store: Store) -> None:
    """All of it lies beyond 58 degrees: the centres are on the row that is nearest to them."""
    for rows in (slice(0, 10), slice(55, 65)):
        region = part_of(smooth_store, rows, slice(20, 70))
        latitude, _ = random_centres(region, np.random.default_rng(0), 50)
        np.testing.assert_allclose(latitude, region.latitude[np.abs(region.latitude).argmin()])


def test_windows_of_a_region_are_not_all_at_its_border(
    smooth_store: Store, recipe: Recipe, normalisation: Normalisation
) -> None:
    """Of a region twice as wide as a window every second one reaches its western or eastern border."""
    region = part_of(smooth_store, slice(0, 65), slice(20, 52))
    pretext = replace(recipe.pretexts[0][0], draw=lambda place, _: {"column": torch.from_numpy(place.windows.column)})
    source = unlabelled(region, recipe, lambda *_: np.empty(0))
    views = draw([source], replace(recipe, pretexts=((pretext, 1.0),)), normalisation, 400, 0)
    column = views.drawn["later"]["column"].numpy()
    assert np.isin(column, (0, 16)).mean() == pytest.approx(0.5, abs=0.08)
    assert set(column) == set(range(17))
