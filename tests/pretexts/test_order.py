import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec, planes
from toolkit.data.store import Store
from toolkit.data.windows import Windows, read_windows, window_at, window_latitudes
from toolkit.errors import UserError
from toolkit.pretexts.contract import Place, Views
from toolkit.pretexts.draw import normalisation_for
from toolkit.pretexts.order import ANOTHER_DAY, ANOTHER_YEAR, REVERSED, TRUE, order, pairs

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 2.8125, patch=4, dim=8)
PRETEXT = order()
HOUR = np.timedelta64(1, "h")


@pytest.fixture(scope="module")
def two_years(smooth_store: Store) -> Store:
    """The store with its last five days a year later."""
    return replace(smooth_store, time=smooth_store.time + np.repeat([0, 360 * 24], 20) * HOUR)


def place_of(store: Store, times: np.ndarray) -> Place:
    """Windows somewhere, north and south, at these times."""
    n = len(times)
    windows = window_at(store, store.time[times], np.linspace(-50, 50, n), np.arange(n) * 37.0, (16, 16), SPEC.frames)
    return Place(store, windows, times, SPEC, normalisation_for(SPEC.variables, store))


def drawn_pairs(store: Store, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time of the first window, kind, and hours to the second, of many draws."""
    found = [pairs(place_of(store, times), np.random.default_rng(seed), 12) for seed in range(30)]
    kinds, later = (np.concatenate(part) for part in zip(*found, strict=True))
    return np.tile(store.time[times], 30), kinds, later


def test_half_of_the_pairs_are_true_and_the_others_of_every_kind(smooth_store: Store) -> None:
    """Of twelve pairs six are true and two of each other kind, in which order ever; of one, now and then."""
    place = place_of(smooth_store, np.arange(8, 20))
    orders = set()
    for seed in range(60):
        kinds, _ = pairs(place, np.random.default_rng(seed), 12)
        assert np.bincount(kinds).tolist() == [6, 2, 2, 2]
        orders.add(tuple(kinds))
    assert len(orders) == 6
    alone = place_of(smooth_store, np.array([8]))
    assert {int(pairs(alone, np.random.default_rng(seed), 12)[0][0]) for seed in range(60)} == {0, 1, 2, 3}


def test_every_pair_is_what_it_says(smooth_store: Store, two_years: Store) -> None:
    """True, reversed, whole days off but not one, or the same day of another year: each by the times of the store."""
    for store, times in ((smooth_store, np.arange(4, 37)), (two_years, np.r_[4:17, 24:37])):
        first, kinds, later = drawn_pairs(store, times)
        second = first + later * HOUR
        assert np.isin(second, store.time).all()
        assert np.isin(second - 6 * HOUR, store.time).all()
        assert (later[kinds == TRUE] == 12).all()
        assert (later[kinds == REVERSED] == -12).all()
        off = np.abs(later[kinds == ANOTHER_DAY] - 12)
        assert (off % 24 == 0).all()
        assert off.min() == 48
        assert off.max() <= 240
        assert (np.abs(later) >= 12).all(), "no pair shares a frame"
        other = kinds == ANOTHER_YEAR
        if store is two_years:
            true = (first + 12 * HOUR)[other]
            assert (np.abs((second[other] - true) / HOUR) == 365 * 24).all()
        else:
            assert set(np.abs(later[other] - 12)) <= set(range(48, 241, 24))
    assert len(set(drawn_pairs(smooth_store, np.full(12, 18))[2])) > 6


def test_the_day_that_only_leap_years_have_becomes_the_next(smooth_store: Store) -> None:
    """What would be 29 February of another year is 1 March, at the same time of day."""
    start = np.datetime64("2020-02-27", "s") - smooth_store.time[0]
    store = replace(smooth_store, time=smooth_store.time + start + np.repeat([0, 361 * 24], 20) * HOUR)
    first, kinds, later = drawn_pairs(store, np.full(6, 6))
    assert first[0] + 12 * HOUR == np.datetime64("2020-02-29T00")
    assert set((first + later * HOUR)[kinds == ANOTHER_YEAR]) == {np.datetime64("2021-03-01T00", "s")}


def test_the_second_window_is_the_first_ones_place_at_that_time(smooth_store: Store) -> None:
    """What is drawn are all frames of the store at the time that was chosen, of mirrored windows too."""
    place = place_of(smooth_store, np.arange(8, 20))
    drawn = PRETEXT.draw(place, np.random.default_rng(1))
    kinds, later = pairs(place, np.random.default_rng(1), 12)
    assert drawn["kind"].tolist() == kinds.tolist()
    index = place.times + later // 6
    w, every = place.windows, np.arange(12)
    there = Windows(np.stack([index - 1, index], 1), w.row, w.column, w.mirrored, w.size)
    fields = read_windows(smooth_store, there, every, place.normalisation)
    expected = planes(fields, window_latitudes(smooth_store, there, every))
    assert torch.equal(drawn["second"], expected)
    assert w.mirrored.any()
    again = PRETEXT.draw(place, np.random.default_rng(1))
    assert all(torch.equal(again[name], value) for name, value in drawn.items())


def test_nothing_missing_gives_a_pair_away(smooth_store: Store) -> None:
    """With a frame gone from the store, and at its ends, the second windows of all kinds have all of their frames."""
    index = np.delete(np.arange(40), 22)
    gap = replace(smooth_store, time=smooth_store.time[index], values=smooth_store.values[index])
    times = np.flatnonzero(np.isin(index, [k for k in range(1, 38) if not {k - 1, k, k + 1, k + 2} & {22}]))
    seen = set()
    for seed in range(10):
        drawn = PRETEXT.draw(place_of(gap, times), np.random.default_rng(seed))
        assert drawn["second"].isfinite().all()
        seen |= set(drawn["kind"].tolist())
    assert seen == {0, 1, 2, 3}


def test_a_kind_that_the_store_lacks_becomes_another(smooth_store: Store) -> None:
    """At the store's beginning nothing lies before; a store with nothing but the true state is an error."""
    kinds = [pairs(place_of(smooth_store, np.ones(6, int)), np.random.default_rng(seed), 12)[0] for seed in range(9)]
    assert np.bincount(np.concatenate(kinds)).tolist() == [27, 18, 0, 9]
    short = replace(smooth_store, time=smooth_store.time[:4], values=smooth_store.values[:4])
    with pytest.raises(UserError, match=r"nothing to compare 2020-08-01T06:00:00 with for the pretext 'order'"):
        pairs(place_of(short, np.ones(6, int)), np.random.default_rng(0), 12)


class Says(nn.Module):
    """A module that says these logits whatever it sees."""

    def __init__(self, said: list[float]) -> None:
        super().__init__()
        self.said = torch.tensor(said, dtype=torch.float32)

    def forward(self, _first: Tensor, _second: Tensor) -> Tensor:
        """Return them."""
        return self.said


def views(kinds: list[int]) -> Views:
    """Views of which the kinds of pairs alone matter."""
    x = torch.zeros(len(kinds), SPEC.planes, 8, 8)
    return Views(x, x, torch.zeros(0), {"order": {"second": x, "kind": torch.tensor(kinds)}})


def test_a_module_that_knows_has_no_loss() -> None:
    """Certainty in the right place costs nothing, a coin one, and a wrong answer its logit over log 2."""
    given = views([0, 1, 0, 2, 0, 3])

    def loss(*said: float) -> float:
        return PRETEXT.loss(Says(list(said)), lambda x: x, given).item()

    assert loss(50, -50, 50, -50, 50, -50) == pytest.approx(0, abs=1e-6)
    assert loss(0, 0, 0, 0, 0, 0) == pytest.approx(1)
    assert loss(50, -50, 50, 50, 50, -50) == pytest.approx(50 / math.log(2) / 6)


def test_accuracy_by_kind() -> None:
    """Each kind has its own share of right answers; a kind that a batch lacks counts as its negatives do."""
    said = Says([1, -1, 1, 1, -1, -1, 1, -1])
    found = PRETEXT.measures(said, lambda x: x, views([0, 1, 0, 2, 0, 3, 0, 1]))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {
            "accuracy": 6 / 8,
            "accuracy, true": 3 / 4,
            "accuracy, another day": 1,
            "accuracy, reversed": 0,
            "accuracy, another year": 1,
        }
    )
    found = PRETEXT.measures(Says([1, -1, 1, 1]), lambda x: x, views([0, 1, 0, 2]))
    assert found["accuracy, another year"] == 0.5


def test_exchanging_the_windows_is_another_question() -> None:
    """The module tells first from second, does not look at where tokens lie, and hands gradients to both windows."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = PRETEXT.module(SPEC)
        first, second = torch.randn(3, 6, 8, requires_grad=True), torch.randn(3, 6, 8, requires_grad=True)
    said = module(first, second)
    assert said.shape == (3,)
    assert not torch.allclose(said, module(second, first), atol=1e-3)
    torch.testing.assert_close(said, module(first.flip(1), second.flip(1)))
    said.sum().backward()
    assert all(x.grad is not None and x.grad.any() for x in (first, second, *module.parameters()))


def test_windows_that_would_share_frames_are_refused() -> None:
    """A pair lies further apart than the frames of a window reach; the error says how far at least."""
    with pytest.raises(UserError, match=r"lie 12 h apart, but a window's frames reach over 12 h\. .* hours=18"):
        PRETEXT.module(replace(SPEC, frames=(-12, -6, 0)))
    assert order(hours=6).module(replace(SPEC, frames=(0,)))
    assert order(hours=18).hours == (18,)
