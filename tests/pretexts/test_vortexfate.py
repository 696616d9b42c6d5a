from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.data.windows import Windows
from toolkit.pretexts.contract import Views, patches
from toolkit.pretexts.vortexfate import CHANNELS, PRETEXT, SCALES, read_vortices

SPEC = FeatureSpec(("vorticity",), ("s-1",), (0,), 2.8125, patch=4, dim=8)
SIZE = (16, 24)
READOUT = PRETEXT.readout
assert READOUT is not None


def windows(mirrored: bool = False, column: int = 120) -> Windows:
    """Three windows at frames 3, 4 and 5: the north-west corner at row 10, or its mirror image in the south."""
    row = 64 - 10 - (SIZE[0] - 1) if mirrored else 10
    return Windows(np.array([[3], [4], [5]]), *(np.full(3, k) for k in (row, column)), np.full(3, mirrored), SIZE)


def vortex(store: Store, time: int, row: float, column: float, north: float = 100.0) -> list[float]:
    """A row of the vortex table at a place of the grid."""
    latitude = float(np.interp(row, np.arange(65), store.latitude))
    return [time, latitude, column * 2.8125 % 360, 8.0, 1.5, 1.0, 250.0, north]


def test_a_vortex_is_stated_around_its_pixel(smooth_store: Store) -> None:
    """The bump is highest at the vortex; its values, in their scales, are stated within two pixels, NaN elsewhere."""
    made = np.array([vortex(smooth_store, 4, 15, 130)], np.float32)
    out = read_vortices(made, smooth_store, windows())
    assert out.shape == (3, CHANNELS, *SIZE)
    assert (out[[0, 2], 0] == 0).all()
    assert np.isnan(out[[0, 2], 1:]).all()
    assert np.unravel_index(out[1, 0].argmax(), SIZE) == (5, 10)
    assert out[1, 0].max() == pytest.approx(1, abs=1e-3)
    values = np.array([8.0, 1.5, 1.0, 250.0, 100.0]) / SCALES
    np.testing.assert_allclose(out[1, 1:, 5, 10], values, rtol=1e-5)
    assert np.isfinite(out[1, 1]).sum() == 25


def test_a_bump_between_pixels_leans_towards_the_vortex(smooth_store: Store) -> None:
    """The centre of mass of the bump is the vortex's place to a fifth of a pixel."""
    made = np.array([vortex(smooth_store, 4, 17.4, 131.7)], np.float32)
    bump = read_vortices(made, smooth_store, windows())[1, 0]
    rows, columns = np.indices(SIZE)
    np.testing.assert_allclose(
        [(bump * rows).sum() / bump.sum(), (bump * columns).sum() / bump.sum()], [7.4, 11.7], atol=0.2
    )


def test_a_mirrored_window_states_the_mirror_image(smooth_store: Store) -> None:
    """The mirror image of a vortex in a mirrored window gives the same target; poleward is the window's north."""
    north = np.array([vortex(smooth_store, 4, 15, 130, 100.0)], np.float32)
    south = np.array([vortex(smooth_store, 4, 64 - 15, 130, -100.0)], np.float32)
    here, there = read_vortices(north, smooth_store, windows()), read_vortices(south, smooth_store, windows(True))
    np.testing.assert_allclose(here, there, atol=1e-5)


def test_windows_across_the_seam_are_read_whole(smooth_store: Store) -> None:
    """A window that runs over the last longitude states the vortex beyond it."""
    made = np.array([vortex(smooth_store, 3, 15, 2)], np.float32)
    out = read_vortices(made, smooth_store, windows())
    assert np.unravel_index(out[0, 0].argmax(), SIZE) == (5, 10)


def test_of_two_vortices_each_pixel_has_the_nearer(smooth_store: Store) -> None:
    """Between two vortices the values change sides half way, whichever comes first in the table."""
    pair = [vortex(smooth_store, 4, 15, 130, 100.0), vortex(smooth_store, 4, 15, 133, 400.0)]
    for order in (pair, pair[::-1]):
        poleward = read_vortices(np.array(order, np.float32), smooth_store, windows())[1, 5] * SCALES[4]
        np.testing.assert_allclose(poleward[5, 8:16], [100] * 4 + [400] * 4, rtol=1e-5)


class Says(nn.Module):
    """A module that says given pixels (b, 6, h, w), whatever the tokens."""

    def __init__(self, said: Tensor) -> None:
        super().__init__()
        self.said = patches(said, 4).flatten(2)

    def forward(self, _tokens: Tensor) -> Tensor:
        """Return them as tokens."""
        return self.said


def loss_of(said: Tensor, target: Tensor) -> float:
    """The pretext's loss of what is said."""
    empty = torch.zeros(0)
    views = Views(empty, empty, empty, {"vortexfate": {"vortices": target}})
    return PRETEXT.loss(Says(said), lambda _: torch.zeros(3, 24, 8), views).item()


def test_the_loss_is_lowest_at_the_truth(smooth_store: Store) -> None:
    """Every value said wrongly costs more than the truth; what is said where nothing is stated costs nothing."""
    made = np.array([vortex(smooth_store, 4, 15, 130), vortex(smooth_store, 3, 20, 125)], np.float32)
    target = torch.from_numpy(read_vortices(made, smooth_store, windows()))
    bump = target[:, :1].clamp(1e-4, 1 - 1e-4)
    truth = torch.cat([bump.logit(), target[:, 1:].nan_to_num(3.0)], 1)
    truth[:, 3] = 8.0
    least = loss_of(truth, target)
    for channel in range(CHANNELS):
        for change in (-0.5, 0.5):
            other = truth.clone()
            other[:, channel] += torch.where(target[:, channel].isfinite(), change, 0.0)
            if not (channel == 3 and change > 0):
                assert loss_of(other, target) > least + 1e-4, (channel, change)
            elsewhere = truth.clone()
            elsewhere[:, channel] += torch.where(target[:, channel].isfinite(), 0.0, change)
            assert loss_of(elsewhere, target) == pytest.approx(least, rel=1e-6)


def test_nothing_stated_still_teaches_where_no_vortex_is(smooth_store: Store) -> None:
    """Windows without a vortex have a finite loss with finite gradients."""
    target = torch.from_numpy(read_vortices(np.zeros((0, 8), np.float32), smooth_store, windows()))
    module = PRETEXT.module(SPEC)
    empty = torch.zeros(0)
    views = Views(empty, empty, empty, {"vortexfate": {"vortices": target}})
    loss = PRETEXT.loss(module, lambda _: torch.randn(3, 24, 8), views)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())


def test_the_readout_is_weighted_by_its_probability() -> None:
    """Vorticity, convergence and living on come times the probability of a vortex; displacements as they are said."""
    said = torch.randn(1, CHANNELS, *SIZE, generator=torch.Generator().manual_seed(0))
    read = READOUT.read(Says(said), torch.zeros(1, 24, 8), (4, 6), SPEC)
    there = said[:, :1].sigmoid()
    expected = torch.cat([there, there * said[:, 1:3], there * said[:, 3:4].sigmoid(), said[:, 4:]], 1)
    torch.testing.assert_close(read, expected)
    assert READOUT.channels(SPEC) == CHANNELS


def test_an_untrained_module_expects_few_vortices() -> None:
    """The first guess of a vortex is improbable at every pixel, for patches of any size."""
    spec = replace(SPEC, patch=8)
    module = PRETEXT.module(spec)
    there = READOUT.read(module, torch.zeros(1, 6, 8), (2, 3), spec)[:, 0]
    torch.testing.assert_close(there, torch.full_like(there, 0.018), atol=1e-3, rtol=0)
