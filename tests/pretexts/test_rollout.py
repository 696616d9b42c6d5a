import numpy as np
import pytest
import torch
from torch import Tensor

from toolkit.pretexts.rollout import (
    Fields,
    Globe,
    area_rmse,
    covered,
    linear_extrapolation,
    persistence,
    rollout,
)

VARIABLES = ("vorticity", "divergence")
SIZE, COLUMNS = (16, 16), 128
LATITUDE = np.linspace(90, -90, 65)


@pytest.fixture(scope="module")
def globe() -> Globe:
    """Windows of 16 pixels on a grid of 2.8 degrees."""
    return covered(LATITUDE, COLUMNS, VARIABLES, SIZE)


def random_frames(seed: int = 0, frames: int = 2) -> Fields:
    """Random frames (t, c, rows, columns)."""
    return np.random.default_rng(seed).normal(size=(frames, 2, len(LATITUDE), COLUMNS)).astype(np.float32)


def last(x: Tensor) -> Tensor:
    """The last frame of windows of two variables."""
    return x[:, -3:-1]


def any_model(x: Tensor) -> Tensor:
    """A predictor that uses frames, latitude and the place in the window, and treats no variable like another."""
    side = torch.linspace(0.5, 1.5, SIZE[0])
    return torch.tanh(x[:, :2] * side + 0.3 * last(x).flip(1).roll(1, -2) - 0.2 * x[:, -1:]) + 0.1 * last(x).roll(1, -1)


def test_the_windows_cover_the_globe_as_in_training(globe: Globe) -> None:
    """Both hemispheres up to a centre of 58 degrees, every column; southern windows are shown as northern ones."""
    reached = np.zeros(globe.shape, bool)
    reached.flat[globe.pixel] = True
    assert (reached.all(1) == reached.any(1)).all()
    assert np.array_equal(reached, reached[::-1])
    assert 58 + 7.5 * 2.8125 - 2.9 < LATITUDE[reached.any(1)].max() <= 58 + 7.5 * 2.8125
    assert (np.diff(globe.latitude) < 0).all()
    assert (globe.latitude.mean(1) > 0).all()
    true = LATITUDE[globe.pixel[:, :, 0] // COLUMNS]
    south = globe.sign[:, 0] < 0
    np.testing.assert_array_equal(globe.latitude, np.where(south[:, None], -true, true))
    assert south.mean() == 0.5
    assert (globe.sign[:, 1] == 1).all()


def test_persistence_stays_exactly_persistence(globe: Globe) -> None:
    """A predictor that says the last frame gives it back to the bit, at every step and everywhere."""
    frames = random_frames()
    np.testing.assert_array_equal(rollout(globe, last, frames, 3), persistence(frames, 3))


def test_linear_extrapolation_is_a_rollout_of_its_first_step(globe: Globe) -> None:
    """Extrapolating from the two newest frames again and again is what x_t + k (x_t - x_{t-1}) says of step k."""
    frames = random_frames()
    stepped = rollout(globe, lambda x: 2 * last(x) - x[:, :2], frames, 4)
    reached = np.zeros(globe.shape, bool)
    reached.flat[globe.pixel] = True
    expected = linear_extrapolation(frames, 4)
    np.testing.assert_allclose(stepped[..., reached], expected[..., reached], atol=1e-4)
    np.testing.assert_array_equal(stepped[..., ~reached], persistence(frames, 4)[..., ~reached])


def test_a_perfect_step_makes_no_error(globe: Globe) -> None:
    """A flow in solid rotation by one pixel a step, which repeats every window, is followed without error."""
    wave = np.random.default_rng(0).normal(size=(1, 2, len(LATITUDE), SIZE[1])).astype(np.float32)
    start = np.tile(wave, COLUMNS // SIZE[1])
    found = rollout(globe, lambda x: last(x).roll(1, -1), start, 5)
    truth = np.concatenate([np.roll(start, k, -1) for k in range(1, 6)])
    error = area_rmse(found, truth, np.ones(truth.shape, bool), LATITUDE)
    np.testing.assert_array_equal(error, 0)


def test_a_world_that_is_turned_by_strides_is_predicted_turned(globe: Globe) -> None:
    """Shifting all frames by a whole number of strides shifts the rollout, across the seam too."""
    frames, shift = random_frames(), 3 * SIZE[1] // 2
    turned = rollout(globe, any_model, np.roll(frames, shift, -1), 2)
    np.testing.assert_allclose(turned, np.roll(rollout(globe, any_model, frames, 2), shift, -1), atol=1e-5)


@pytest.mark.parametrize("rows", [65, 64])
def test_a_mirrored_world_is_predicted_mirrored(rows: int) -> None:
    """Reflecting all frames about the equator, vorticity with its sign, reflects the rollout; so symmetry stays."""
    latitude = np.linspace(90, -90, rows)
    globe = covered(latitude, COLUMNS, VARIABLES, SIZE)
    sign = np.array([-1, 1], np.float32)[:, None, None]

    def mirrored(fields: Fields) -> Fields:
        return sign * fields[..., ::-1, :]

    frames = random_frames()[:, :, :rows]
    found = rollout(globe, any_model, frames, 2)
    np.testing.assert_allclose(rollout(globe, any_model, mirrored(frames), 2), mirrored(found), atol=1e-5)
    symmetric = frames + mirrored(frames)
    stays = rollout(globe, any_model, symmetric, 2)
    np.testing.assert_allclose(stays, mirrored(stays), atol=1e-5)


def test_windows_blend_without_a_seam(globe: Globe) -> None:
    """Where every second window says one and the others zero, divergence goes from one to the other as a sine does."""

    def alternating(x: Tensor) -> Tensor:
        return (torch.arange(len(x)) % 2).float()[:, None, None, None].expand(-1, 2, *SIZE)

    found = rollout(globe, alternating, random_frames(), 1)[0, 1, 16:-16]
    expected = np.sin(np.pi * (np.arange(COLUMNS) - SIZE[1] // 2 + 0.5) / SIZE[1]) ** 2
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-6)


def test_errors_are_means_over_the_area() -> None:
    """By step: an error of 3 everywhere is 3; one in a row counts by its cosine; poleward of 60 degrees none does."""
    truth = np.zeros((3, 2, 65, 128), np.float32)
    said = truth.copy()
    said[0] = 3
    said[1, :, 20] = 2
    said[2, 0, :8] = np.nan
    known = np.ones(truth.shape, bool)
    weights = np.cos(np.radians(LATITUDE[np.abs(LATITUDE) <= 60]))
    one_row = 2 * np.sqrt(np.cos(np.radians(LATITUDE[20])) / weights.sum())
    np.testing.assert_allclose(area_rmse(said, truth, known, LATITUDE), [3, one_row, 0], rtol=1e-6)
    known[1, :, 20] = False
    known[2] = False
    np.testing.assert_allclose(area_rmse(said, truth, known, LATITUDE), [3, 0, np.nan], rtol=1e-6)


def test_a_gap_is_seen_as_missing_until_it_is_filled(globe: Globe) -> None:
    """Missing pixels reach the predictor as NaN in the first step; later ones see what it said there."""
    frames, gaps = random_frames(frames=1), []
    frames[0, 0, 30:34, 60:70] = np.nan

    def filling(x: Tensor) -> Tensor:
        gaps.append(bool(x.isnan().any()))
        return last(x).nan_to_num(0.0)

    found = rollout(globe, filling, frames, 3)
    per_step = len(gaps) // 3
    assert any(gaps[:per_step])
    assert not any(gaps[per_step:])
    np.testing.assert_array_equal(found, np.nan_to_num(persistence(frames, 3)))
