from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.pretexts.contract import Learned, patches
from toolkit.pretexts.draw import normalisation_for
from toolkit.pretexts.nextframe import nextframe
from toolkit.pretexts.nextframe_examine import STARTS, spread
from toolkit.pretexts.rollout import area_rmse

SIDE = 16


@pytest.fixture
def turning(smooth_store: Store) -> Store:
    """A world in solid rotation by one pixel a frame, which repeats every 16 pixels."""
    wave = np.random.default_rng(0).normal(size=(4, 65, SIDE)).astype(np.float16)
    values = [np.tile(np.roll(wave, k, -1), smooth_store.values.shape[-1] // SIDE) for k in range(40)]
    return replace(smooth_store, values=np.stack(values))


def turned(x: Tensor) -> Tensor:
    """The last frame one step later."""
    return x[:, -3:-1].roll(1, -1)


def examined(
    store: Store,
    folder: Path,
    said: Callable[[Tensor], Tensor] = turned,
    hours: tuple[int, ...] = (6,),
    frames: tuple[int, ...] = (-12, -6, 0),
    from_last: bool = False,
) -> list[str]:
    """What the pretext writes of a predictor."""
    normalisation = normalisation_for(("vorticity", "divergence"), store)
    spec = FeatureSpec(normalisation.names, normalisation.units, frames, store.latitude_spacing, 4, 8)
    learned = Learned(lambda x: patches(said(x), 4).flatten(2), nn.Identity(), spec, normalisation, (SIDE, SIDE))
    pretext = nextframe(hours, from_last)
    assert pretext.examine is not None
    pretext.examine(learned, [store], folder)
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_a_perfect_step_has_no_error_and_persistence_that_of_the_shift(turning: Store, tmp_path: Path) -> None:
    """By the table the rollout is exact at every lead, whatever else is predicted; the baselines are what they are."""

    def beside(x: Tensor) -> Tensor:
        return torch.cat([torch.randn_like(turned(x)), turned(x), torch.zeros_like(turned(x))], 1)

    assert examined(turning, tmp_path, beside, hours=(3, 6, 24)) == ["rollout.csv", "rollout.npz"]
    table = pd.read_csv(tmp_path / "rollout.csv")
    assert list(table) == ["hours", "method", "rmse", "low", "high"]
    by_method = {method: rows.set_index("hours") for method, rows in table.groupby("method")}
    assert all(list(rows.index) == list(range(6, 49, 6)) for rows in by_method.values())
    assert (by_method["next frame"]["rmse"] < 1e-6).all()
    normalisation = normalisation_for(("vorticity", "divergence"), turning)
    frames = np.stack([normalisation.apply(turning.frame(k)[:2]) for k in range(11)])
    truth, known = frames[3:], np.ones((8, 2, 65, 128), bool)
    still = area_rmse(np.repeat(frames[2:3], 8, 0), truth, known, turning.latitude)
    carried = np.stack([frames[2] + k * (frames[2] - frames[1]) for k in range(1, 9)])
    np.testing.assert_allclose(by_method["persistence"]["rmse"], still, rtol=1e-4)
    extrapolated = by_method["linear extrapolation"]["rmse"]
    np.testing.assert_allclose(extrapolated, area_rmse(carried, truth, known, turning.latitude), rtol=1e-4)


@pytest.mark.slow
def test_maps_are_those_of_the_table(turning: Store, tmp_path: Path) -> None:
    """The maps of a start show vorticity in standard deviations, 6, 24 and 48 h later, predicted by its change."""
    examined(turning, tmp_path, lambda x: turned(x) - x[:, -3:-1], from_last=True)
    with np.load(tmp_path / "rollout.npz", allow_pickle=False) as maps:
        assert maps["hours"].tolist() == [6, 24, 48]
        assert (maps["variable"], maps["truth"].shape) == ("vorticity", (3, 65, 128))
        start = int(np.flatnonzero(turning.time == np.datetime64(str(maps["time"])))[0])
        expected = turning.frame(start + 4)[0] / normalisation_for(("vorticity",), turning).standard_deviation[0]
        np.testing.assert_allclose(maps["truth"][1], expected, rtol=1e-3, atol=1e-3)
        scored = np.abs(maps["latitude"]) <= 60
        np.testing.assert_allclose(maps["predicted"][:, scored], maps["truth"][:, scored], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_the_interval_is_students(smooth_store: Store, tmp_path: Path) -> None:
    """Over starts; with persistence as the predictor its rows and those of persistence are the same."""
    examined(smooth_store, tmp_path, lambda x: x[:, -3:-1])
    table = pd.read_csv(tmp_path / "rollout.csv").set_index("method")
    pd.testing.assert_frame_equal(
        table.loc["next frame"].reset_index(drop=True), table.loc["persistence"].reset_index(drop=True), rtol=1e-4
    )
    normalisation, known = normalisation_for(("vorticity", "divergence"), smooth_store), np.ones((1, 2, 65, 128), bool)
    frames = np.stack([normalisation.apply(smooth_store.frame(k)[:2]) for k in range(40)])
    starts = [times[2] for _, times in spread([smooth_store], range(-12, 49, 6))]
    errors = [area_rmse(frames[[k]], frames[[k + 1]], known, smooth_store.latitude)[0] for k in starts]
    low, high = scipy.stats.t.interval(0.95, len(starts) - 1, np.mean(errors), scipy.stats.sem(errors))
    row = table.loc["persistence"].iloc[0]
    assert (row["rmse"], row["low"], row["high"]) == pytest.approx((np.mean(errors), low, high), rel=1e-4)


def test_starts_are_spread_and_cross_no_gap(smooth_store: Store) -> None:
    """At most 24 starts over all stores, each with the frames asked for; a gap in time takes out those across it."""
    index = np.delete(np.arange(40), 20)
    gap = replace(smooth_store, time=smooth_store.time[index], values=smooth_store.values[index])
    hours = tuple(range(-6, 25, 6))
    found = spread([smooth_store, gap], hours)
    assert len(found) == STARTS
    assert {id(store) for store, _ in found} == {id(smooth_store), id(gap)}
    for store, times in found:
        assert ((store.time[times] - store.time[times[0]]) / np.timedelta64(6, "h")).tolist() == [0, 1, 2, 3, 4, 5]
    (_, first), (_, last) = found[0], found[-1]
    assert (first[0], last[-1]) == (0, len(index) - 1)
    assert len(spread([gap], range(-30, 91, 6))) == 0
    assert len(spread([gap], range(-30, 61, 6))) == 20 - 15 + 19 - 15


@pytest.mark.parametrize(
    ("hours", "frames"), [((12,), (-6, 0)), ((6,), (0,)), ((6,), (-18, -6, 0))], ids=["lead", "one frame", "uneven"]
)
def test_what_cannot_be_stepped_is_not(
    smooth_store: Store, tmp_path: Path, hours: tuple[int, ...], frames: tuple[int, ...]
) -> None:
    """Where no lead time is the spacing of the frames, or they have none, nothing is written."""
    assert examined(smooth_store, tmp_path, hours=hours, frames=frames) == []


def test_worlds_that_do_not_fit_are_left_out(smooth_store: Store, tmp_path: Path) -> None:
    """A region, one hemisphere, and a world too short for all steps leave nothing to write."""
    region = replace(smooth_store, longitude=smooth_store.longitude[:64], values=smooth_store.values[..., :64])
    half = replace(smooth_store, latitude=smooth_store.latitude[:33], values=smooth_store.values[:, :, :33])
    short = replace(smooth_store, time=smooth_store.time[:10], values=smooth_store.values[:10])
    for store in (region, half, short):
        assert examined(store, tmp_path) == []


def test_a_single_start_has_no_interval(turning: Store, tmp_path: Path) -> None:
    """A world of one start has an error and no limits for it."""
    examined(replace(turning, time=turning.time[:11], values=turning.values[:11]), tmp_path)
    table = pd.read_csv(tmp_path / "rollout.csv")
    assert table["rmse"].notna().all()
    assert table[["low", "high"]].isna().to_numpy().all()
