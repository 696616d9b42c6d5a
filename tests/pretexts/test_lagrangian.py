from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from toolkit.backbones.features import FeatureSpec
from toolkit.data.smoothing import smooth_km
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.geodesy import EARTH_RADIUS_KM, KM_PER_DEGREE, displacement_km
from toolkit.pretexts import lagrangian
from toolkit.pretexts.contract import Views
from toolkit.pretexts.lagrangian import PRETEXT, STRIDE, displacements, trajectories

LATITUDE, LONGITUDE = np.linspace(90, -90, 65), np.arange(128) * 2.8125
STARTS = np.meshgrid(np.arange(-54.0, 55, 12), np.arange(1.0, 360, 40), indexing="ij")
SPEC = FeatureSpec(("vorticity",), ("s-1",), (0,), 1.0, patch=4, dim=8)
READOUT = PRETEXT.readout
assert READOUT is not None


def steady(east: NDArray, north: NDArray) -> NDArray:
    """Winds (5, 2, lat, lon) that stay as they are."""
    shape = (len(LATITUDE), len(LONGITUDE))
    return np.repeat(np.stack([np.broadcast_to(east, shape), np.broadcast_to(north, shape)])[None], 5, 0)


def waves(seed: int = 0) -> NDArray:
    """Smooth random winds (5, 2, lat, lon) of about 10 m/s that change in time."""
    rng = np.random.default_rng(seed)
    along, up = np.radians(LONGITUDE), np.radians(LATITUDE)[:, None]
    frames = np.arange(5)[:, None, None]
    parts = [
        8 * np.cos(m * along + 0.3 * frames + rng.uniform(0, 7)) * np.cos(up) ** 2 * np.cos(m * up + rng.uniform(0, 7))
        for m in (1, 2, 3, 1, 2, 3)
    ]
    return np.stack([sum(parts[:3]), sum(parts[3:])], 1)


def follow(wind: NDArray, starts: list[NDArray] = STARTS) -> NDArray:
    """Displacements (2, starts) in a wind on the test's grid."""
    return trajectories(wind, LATITUDE, LONGITUDE, *starts)


def test_a_uniform_zonal_wind_carries_along_the_parallel() -> None:
    """10 m/s from the west move the air 864 km east in a day at every latitude, and not north."""
    east, north = follow(steady(np.array(10.0), np.array(0.0)))
    np.testing.assert_allclose(east, 864, rtol=1e-4)
    np.testing.assert_allclose(north, 0, atol=1e-3)


def test_a_southerly_wind_that_grows_in_time_carries_its_mean() -> None:
    """A wind from the south that grows evenly from 0 to 8 m/s moves the air 345.6 km north."""
    wind = steady(np.array(0.0), np.array(1.0)) * np.array([0.0, 2, 4, 6, 8])[:, None, None, None]
    east, north = follow(wind)
    np.testing.assert_allclose(north, 345.6, rtol=1e-4)
    np.testing.assert_allclose(east, 0, atol=1e-3)


@pytest.mark.parametrize("tilt", [0.0, 30.0, 90.0])
def test_solid_body_rotation_is_followed(tilt: float) -> None:
    """On a rotation of the sphere about any axis, the air ends where the rotation takes it, to within 5 km."""
    axis = np.array([np.sin(np.radians(tilt)), 0.0, np.cos(np.radians(tilt))])
    rate = 20.0 / (EARTH_RADIUS_KM * 1000)

    def position(lat: NDArray, lon: NDArray) -> NDArray:
        phi, lam = np.radians(lat), np.radians(lon)
        return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], -1)

    lam, phi = np.meshgrid(np.radians(LONGITUDE), np.radians(LATITUDE))
    velocity = np.cross(axis, position(np.degrees(phi), np.degrees(lam))) * rate * EARTH_RADIUS_KM * 1000
    east = (velocity * np.stack([-np.sin(lam), np.cos(lam), 0 * lam], -1)).sum(-1)
    up = np.stack([-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)], -1)
    angle, start = rate * 86400, position(*STARTS)
    along = (start @ axis)[..., None] * axis
    end = along + np.cos(angle) * (start - along) + np.sin(angle) * np.cross(axis, start)
    lat, lon = np.degrees(np.arcsin(end[..., 2])), np.degrees(np.arctan2(end[..., 1], end[..., 0]))
    expected = np.stack(displacement_km(*STARTS, lat, lon))
    np.testing.assert_allclose(follow(steady(east, (velocity * up).sum(-1))), expected, atol=5)


def test_mirrored_winds_give_mirrored_displacements() -> None:
    """Reflecting the wind about the equator reflects the displacement; turning it in longitude turns it."""
    wind = waves()
    reflected = wind[:, :, ::-1] * np.array([1, -1])[:, None, None]
    here, there = follow(wind), follow(reflected, [-STARTS[0], STARTS[1]])
    np.testing.assert_allclose(there, here * np.array([1, -1])[:, None, None], atol=1e-2)
    turned = follow(np.roll(wind, 20, -1), [STARTS[0], STARTS[1] + 20 * 2.8125])
    np.testing.assert_allclose(turned, here, atol=1e-2)
    assert np.abs(here).max() > 500


def test_small_steps_agree() -> None:
    """Euler's method with steps of 3 minutes and scipy's interpolation come within 12 km."""
    wind = waves()
    wrapped = np.concatenate([wind, wind[..., :1]], -1)[:, :, ::-1]
    axes = (np.arange(5) * 6.0, LATITUDE[::-1], np.append(LONGITUDE, 360.0))
    parts = [RegularGridInterpolator(axes, wrapped[:, k]) for k in (0, 1)]
    lat, lon = (start.copy() for start in STARTS)
    step = 0.05
    for hour in np.arange(0, 24 - step / 2, step):
        place = (np.full_like(lat, hour), lat, lon % 360)
        east, north = (part(place) * 3.6 * step / KM_PER_DEGREE for part in parts)
        lat, lon = lat + north, lon + east / np.cos(np.radians(lat))
    expected = np.stack(displacement_km(*STARTS, lat, lon))
    assert np.abs(expected).max() > 500
    np.testing.assert_allclose(follow(wind), expected, atol=12)


def test_displacements_of_a_store(smooth_store: Store) -> None:
    """Every time with 24 h of frames ahead has the way of the smoothed wind at half the grid; the last day has none."""
    found = displacements(smooth_store)
    assert found.shape == (40, 2, 32, 64)
    assert found.dtype == np.float16
    assert np.isfinite(found[:36]).all()
    assert np.isnan(found[36:]).all()
    cells = (smooth_store.latitude[:-1].reshape(-1, 2).mean(1), smooth_store.longitude.reshape(-1, 2).mean(1))
    place = (smooth_store.latitude, smooth_store.longitude)
    wind = np.stack([smooth_km(smooth_store.frame(k)[2:], *place, 300.0) for k in range(3, 8)])
    expected = trajectories(wind, *place, *np.meshgrid(*cells, indexing="ij"))
    np.testing.assert_allclose(found[3], expected, rtol=1e-3, atol=0.1)


def test_a_missing_frame_leaves_its_day_unknown(smooth_store: Store) -> None:
    """Without one frame, every time that needs it is NaN; the others are as before."""
    index = np.delete(np.arange(16), 10)
    gap = replace(smooth_store, time=smooth_store.time[index], values=smooth_store.values[index])
    whole = replace(smooth_store, time=smooth_store.time[:16], values=smooth_store.values[:16])
    found, before = displacements(gap), displacements(whole)[index]
    known = np.isfinite(found).all((1, 2, 3))
    assert index[known].tolist() == [*range(6), 11]
    np.testing.assert_array_equal(found[known], before[known])


def test_displacements_are_in_a_file_that_has_no_name(smooth_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of many years need no memory, leave nothing behind, and are the same however few winds are held at once."""
    before = sorted(smooth_store.path.parent.iterdir())
    found = displacements(smooth_store)
    assert isinstance(found, np.memmap)
    assert sorted(smooth_store.path.parent.iterdir()) == before
    monkeypatch.setattr(lagrangian, "AT_ONCE", 7)
    np.testing.assert_array_equal(displacements(smooth_store), found)


class Cells(torch.nn.Module):
    """A module that says given cells (b, 2, rows, columns), token by token."""

    def __init__(self, cells: torch.Tensor) -> None:
        super().__init__()
        self.said = torch.nn.functional.pixel_unshuffle(cells, 2).flatten(2).transpose(1, 2)

    def forward(self, _tokens: torch.Tensor) -> torch.Tensor:
        """Return them."""
        return self.said


def test_the_loss_is_the_distance_in_500_km() -> None:
    """Saying the truth costs next to nothing, being off by (300, 400) km costs 1; NaN targets do not count."""
    truth = torch.randn(2, 2, 6, 8, generator=torch.Generator().manual_seed(0)) * 400
    target = truth.clone()
    target[0, :, 2] = torch.nan
    empty = torch.zeros(0)
    views = Views(empty, empty, empty, {"lagrangian": {"displacement": target}})
    tokens = torch.zeros(2, 12, 8)
    assert PRETEXT.loss(Cells(truth / 500), lambda _: tokens, views).item() == pytest.approx(0, abs=2e-3)
    off = (truth + torch.tensor([300.0, -400.0])[:, None, None]) / 500
    assert PRETEXT.loss(Cells(off), lambda _: tokens, views).item() == pytest.approx(1, abs=1e-3)
    off[0, :, 2] += 100
    assert PRETEXT.loss(Cells(off), lambda _: tokens, views).item() == pytest.approx(1, abs=1e-3)


def test_the_readout_is_in_km_at_the_windows_pixels() -> None:
    """What is read is the target in km: a slope over the cells comes out as the same slope over the pixels between."""
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    slope = torch.stack([30 * rows, 50 - 20 * columns])[None]
    read = READOUT.read(Cells(slope / 500), torch.zeros(1, 12, 8), (3, 4), SPEC)
    assert read.shape == (1, READOUT.channels(SPEC), 12, 16)
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    cell_y, cell_x = (y - 0.5) / STRIDE, (x - 0.5) / STRIDE
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(read[inside], torch.stack([30 * cell_y, 50 - 20 * cell_x])[None][inside])


def test_other_patches_are_refused() -> None:
    """The module is made for patches of four pixels; others are an error that says so."""
    assert PRETEXT.module(SPEC)(torch.zeros(1, 3, 8)).shape == (1, 3, 8)
    with pytest.raises(UserError, match="'lagrangian' needs patches of 4 pixels, not 8"):
        PRETEXT.module(replace(SPEC, patch=8))
