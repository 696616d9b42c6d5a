"""Laws of what is seen: the grid, errors of the stated size and scales, gaps in every variable at once."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.data.world.observe import VARIABLES, Errors, exact, observe, regular_axes
from toolkit.data.world.sphere import Sphere
from toolkit.geodesy import EARTH_RADIUS_M

SPHERE = Sphere(42)
CLEAR = Errors(gaps=0.0)


def state(seed: int = 0) -> Tensor:
    """A smooth random state (3, degree, order) of plausible size."""
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, 3, 43, 43)) * np.exp(-((np.arange(43)[:, None] / 10) ** 2))
    spectral = torch.tensor(np.tril(parts[0] + 1j * parts[1]), dtype=torch.complex64)
    spectral[:, 0] = 0
    return spectral * torch.tensor([2e-6, 3e-7, 50.0])[:, None, None]


def area_mean_square(fields: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean over the sphere of the square of regular fields (..., lat, lon)."""
    weights = np.cos(np.radians(regular_axes(fields.shape[-2])[0]))
    return (fields.astype(np.float64) ** 2).mean(-1) @ weights / weights.sum()


def error_of(names: tuple[str, ...], frames: int = 20) -> NDArray[np.float32]:
    """Errors (frame, variable, lat, lon) of observing a state without gaps."""
    rng = np.random.default_rng(1)
    truth = exact(SPHERE, state())
    seen = np.stack([observe(SPHERE, state(), CLEAR, rng) - truth for _ in range(frames)])
    return seen[:, [VARIABLES.index(name) for name in names]]


def test_the_regular_axes_hold_both_poles_and_the_prime_meridian() -> None:
    """Latitude runs from 90 to -90, longitude from 0 eastwards, both evenly by the same degrees."""
    latitude, longitude = regular_axes(33)
    assert latitude[0] == 90
    assert latitude[-1] == -90
    assert longitude[0] == 0
    assert np.allclose(np.diff(latitude), -180 / 32)
    assert np.allclose(np.diff(longitude), 180 / 32)
    assert longitude[-1] + 180 / 32 == 360


def test_no_errors_and_no_gaps_show_the_state() -> None:
    """With every error at zero what is seen is exact."""
    nothing = Errors(vorticity=0.0, divergence=0.0, geopotential=0.0, gaps=0.0)
    seen = observe(SPHERE, state(), nothing, np.random.default_rng(0))
    assert seen.dtype == np.float32
    assert seen.shape == (len(VARIABLES), SPHERE.rows + 1, 2 * SPHERE.rows)
    assert np.array_equal(seen, exact(SPHERE, state()))


@pytest.mark.parametrize("name", ["vorticity", "divergence", "geopotential"])
def test_errors_have_the_stated_standard_deviations(name: str) -> None:
    """The root mean square error over the sphere is the stated one within 3 %."""
    found = np.sqrt(area_mean_square(error_of((name,))).mean())
    assert found == pytest.approx(getattr(Errors(), name), rel=0.03)


def test_errors_of_variables_and_frames_are_independent() -> None:
    """Errors of vorticity, divergence and geopotential do not correlate, nor does one frame with the next."""
    errors = error_of(("vorticity", "divergence", "geopotential"))
    table = errors.transpose(1, 0, 2, 3).reshape(3, -1)
    assert np.abs(np.corrcoef(table) - np.eye(3)).max() < 0.03
    follow = np.corrcoef(errors[:-1, 0].ravel(), errors[1:, 0].ravel())[0, 1]
    assert abs(follow) < 0.03


def test_half_of_the_error_is_shared_with_places_some_hundred_kilometres_away() -> None:
    """Neighbours on the equator correlate, and places 2,000 km apart hardly do."""
    row = error_of(("vorticity",))[:, 0, SPHERE.rows // 2]
    near, far = (np.corrcoef(row.ravel(), np.roll(row, shift, -1).ravel())[0, 1] for shift in (1, 7))
    assert near > 0.3
    assert abs(far) < 0.15


def test_the_observed_wind_has_the_observed_curl_and_divergence() -> None:
    """Spectral coefficients refitted to the observed fields give the observed winds: one error in all of them."""
    seen = observe(SPHERE, state(), CLEAR, np.random.default_rng(0))
    latitude = np.radians(regular_axes(SPHERE.rows + 1)[0])
    spacing = np.pi / SPHERE.rows
    eastward, northward = seen[2].astype(np.float64), seen[3].astype(np.float64)
    cosine = np.cos(latitude)[1:-1, None]

    def along(field: NDArray[np.float64]) -> NDArray[np.float64]:
        waves = np.fft.rfft(field, axis=-1)
        return np.fft.irfft(1j * np.arange(waves.shape[-1]) * waves, field.shape[-1], -1)[1:-1]

    def poleward(field: NDArray[np.float64]) -> NDArray[np.float64]:
        # Continued over the poles a field is periodic along a meridian; winds and cos(lat) change sign there.
        over = np.roll(field, SPHERE.rows, -1)
        circle = np.concatenate([field, over[-2:0:-1]])
        waves = np.fft.rfft(circle, axis=0)
        slope = np.fft.irfft(1j * np.arange(len(waves))[:, None] * waves, len(circle), 0)
        return -slope[1 : len(field) - 1]

    assert len(latitude) * spacing == pytest.approx(np.pi + spacing)
    weighted = np.cos(latitude)[:, None]
    curl = (along(northward) - poleward(eastward * weighted)) / (EARTH_RADIUS_M * cosine)
    divergence = (along(eastward) + poleward(northward * weighted)) / (EARTH_RADIUS_M * cosine)
    assert np.abs(curl - seen[0][1:-1]).max() < 1e-3 * np.abs(seen[0]).max()
    assert np.abs(divergence - seen[1][1:-1]).max() < 1e-3 * np.abs(seen[0]).max()


def test_gaps_are_in_every_variable_at_once() -> None:
    """Where one variable is not a number all are; some places are missing and most are not."""
    seen = observe(SPHERE, state(), Errors(), np.random.default_rng(0))
    missing = np.isnan(seen)
    assert (missing == missing[0]).all()
    assert 0.02 < missing[0].mean() < 0.4


def test_gaps_do_not_change_what_is_seen_elsewhere() -> None:
    """Outside the gaps the same generator shows the same values with and without them."""
    clear = observe(SPHERE, state(), CLEAR, np.random.default_rng(0))
    gappy = observe(SPHERE, state(), Errors(), np.random.default_rng(0))
    assert np.array_equal(gappy[~np.isnan(gappy)], clear[~np.isnan(gappy)])


def test_gaps_are_boxes_of_the_stated_size_that_cross_the_prime_meridian() -> None:
    """A single gap covers the stated degrees of latitude; over many frames gaps fall on every longitude."""
    rng = np.random.default_rng(3)
    spacing, covered = 180 / SPHERE.rows, np.zeros(2 * SPHERE.rows, dtype=bool)
    for _ in range(150):
        gap = np.isnan(observe(SPHERE, state(), Errors(gaps=1.0, gap_degrees=(8.0, 12.0)), rng)[0])
        covered |= gap.any(0)
        rows = int(gap.any(1).sum())
        assert rows == 0 or 8.0 / spacing - 1 <= rows
    assert covered.all()


def test_the_same_generator_gives_the_same_observation() -> None:
    """Equal seeds agree in every bit, gaps included; others do not."""
    first, second, other = (observe(SPHERE, state(), Errors(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, second, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)
