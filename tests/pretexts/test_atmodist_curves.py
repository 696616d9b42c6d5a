import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor

from toolkit.pretexts.lag_curves import (
    RANGE,
    Curves,
    as_distance,
    feature_distance,
    field_distances,
    fitted_scale,
    relative_slope,
    slopes,
    ssim,
)
from toolkit.pretexts.lags import Lags

LAGS = Lags(6, 4)


def fields(seed: int, h: int = 24, w: int = 32) -> Tensor:
    """Random fields (b, c, h, w)."""
    return torch.randn(3, 2, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def curves(feature: list[float], l2: list[float], n: int = 40, noise: float = 0.0) -> Curves:
    """Curves whose means over the windows are about those given; windows scatter by `noise`."""
    rng = np.random.default_rng(0)

    def scattered(mean: list[float]) -> np.ndarray:
        return np.array(mean) + noise * rng.normal(size=(n, len(mean)))

    return Curves(LAGS, scattered(feature), {"l2": scattered(l2)})


def test_distances_of_fields_by_hand() -> None:
    """Fields that differ by 2 everywhere have l2 4, l1 2 and PSNR 10 log10(100 / 4); equal ones have 0, 0, SSIM 1."""
    x = fields(0)
    apart = field_distances(x, x + 2)
    assert apart["l2"].tolist() == pytest.approx([4.0] * 3)
    assert apart["l1"].tolist() == pytest.approx([2.0] * 3)
    assert apart["psnr"].tolist() == pytest.approx([10 * math.log10(25)] * 3)
    same = field_distances(x, x)
    assert same["l2"].tolist() == same["l1"].tolist() == [0.0] * 3
    assert same["ssim"].tolist() == pytest.approx([1.0] * 3)
    assert same["psnr"].isfinite().all()


def test_missing_values_do_not_count() -> None:
    """Where either field is missing, the other's value changes nothing, and means are over what both know."""
    x, y = fields(0), fields(1)
    x[:, :, :10], y[:, :, 20:] = torch.nan, torch.nan
    other = torch.where(x.isnan(), 1e3, y)
    found, changed = field_distances(x, y), field_distances(x, other)
    known = (x - y)[:, :, 10:20]
    assert found["l2"].tolist() == pytest.approx(known.square().mean((1, 2, 3)).tolist())
    assert found["l1"].tolist() == pytest.approx(known.abs().mean((1, 2, 3)).tolist())
    assert all(torch.equal(found[name], changed[name]) for name in found)


def test_ssim_of_constants() -> None:
    """Of two constants no structure is left but their means: (2 a b + c) / (a^2 + b^2 + c), c = (0.01 * range)^2."""
    x, y = torch.full((1, 1, 16, 16), 2.0), torch.full((1, 1, 16, 16), 3.0)
    c = (0.01 * RANGE) ** 2
    assert ssim(x, y).item() == pytest.approx((12 + c) / (13 + c), rel=1e-4)


@pytest.mark.parametrize("side", [8, 24])
def test_ssim_is_symmetric_and_at_most_one(side: int) -> None:
    """Similarity is mutual, complete with itself, and the less the more a field is disturbed."""
    x, y = fields(0, side, side), fields(1, side, side)
    assert torch.equal(ssim(x, y), ssim(y, x))
    assert (ssim(x, y) < 1).all()
    assert ssim(x, x).tolist() == pytest.approx([1.0] * 3)
    assert (ssim(x, x + 0.5 * y) < ssim(x, x + 0.1 * y)).all()


def test_ssim_by_another_way() -> None:
    """Gaussian filters of scipy over the fields and their products, cut off where the window does not fit, agree."""
    x, y = fields(0), fields(1)

    def around(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, truncate=5 / 1.5, axes=(2, 3))[:, :, 5:-5, 5:-5]

    a, b = x.numpy(), y.numpy()
    mean_a, mean_b = around(a), around(b)
    first, second = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    variances = around(a**2) - mean_a**2, around(b**2) - mean_b**2
    covariance = around(a * b) - mean_a * mean_b
    expected = (2 * mean_a * mean_b + first) * (2 * covariance + second)
    expected /= (mean_a**2 + mean_b**2 + first) * (sum(variances) + second)
    np.testing.assert_allclose(ssim(x, y), expected.mean((1, 2, 3)), rtol=1e-5)


def test_feature_distance_is_a_mean_square() -> None:
    """Tokens or maps, the distance is the mean over all but the first axis."""
    x, y = fields(0), fields(1)
    expected = (x - y).square().mean((1, 2, 3)).tolist()
    assert feature_distance(x, y).tolist() == pytest.approx(expected)
    assert feature_distance(x.flatten(2), y.flatten(2)).tolist() == pytest.approx(expected)


@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=4), st.floats(0.1, 10))
def test_the_scale_is_that_of_least_squares(values: list[float], factor: float) -> None:
    """Of multiples the scale is the factor; of others, no scale nearby comes nearer."""
    feature = np.array(values)
    assert fitted_scale(feature, factor * feature) == pytest.approx(factor)
    field = np.array([1.0, 2.0, 4.0, 3.0])
    best = fitted_scale(feature, field)
    errors = [np.square(alpha * feature - field).sum() for alpha in (best, best * 0.99, best * 1.01)]
    assert errors[0] == min(errors)


def test_the_scale_looks_at_the_upper_half() -> None:
    """Short lags change nothing; a similarity counts as the distance it stands for."""
    known = curves([9, 9, 9, 1, 2, 3], [0, 0, 0, 2, 4, 6])
    assert known.scale("l2") == pytest.approx(2)
    alike = replace(known, fields={"ssim": 1 - 2 * known.fields["l2"], "psnr": 50 - known.fields["l2"]})
    assert alike.scale("ssim") == pytest.approx(2)
    assert alike.scale("psnr") == pytest.approx(2)
    assert as_distance("l1", np.array([3.0])) == [3]


def test_a_relative_slope_by_hand() -> None:
    """A line that gains 0.5 in 4 h from 2 at the middle lag grows by 0.5 / 2 * 6 a day; a factor changes nothing."""
    line = np.array([0.0, 0.0, 0.0, 2.0, 2.5, 3.0])
    assert relative_slope(line, LAGS) == pytest.approx(1.5)
    assert relative_slope(7 * line, LAGS) == pytest.approx(1.5)


def test_the_ratio_of_slopes() -> None:
    """The ratio is that of the relative slopes, inside its interval; without scatter the interval is the value."""
    exact = slopes(curves([0, 1, 2, 3, 4.5, 6], [0, 2, 3, 4, 4.5, 5]))
    assert exact["distance_slope"] == pytest.approx(3)
    assert exact["l2_slope"] == pytest.approx(0.75)
    assert exact["slope_ratio"] == pytest.approx(4)
    assert exact["slope_ratio_low"] == pytest.approx(4)
    scattered = slopes(curves([0, 1, 2, 3, 4.5, 6], [0, 2, 3, 4, 4.5, 5], noise=0.5))
    assert scattered["slope_ratio_low"] < 4 < scattered["slope_ratio_high"]
    assert scattered["slope_ratio_low"] < scattered["slope_ratio"] < scattered["slope_ratio_high"]
    assert slopes(curves([0, 1, 2, 3, 4.5, 6], [0, 2, 3, 4, 4.5, 5], noise=0.5)) == scattered


def test_a_ratio_without_bound_is_none() -> None:
    """Where l2 does not grow any more, there is no number that says how much faster the distance grows."""
    found = slopes(curves([0, 1, 2, 3, 4.5, 6], [0, 2, 3, 4, 3.9, 3.8]))
    assert found["l2_slope"] == pytest.approx(-0.15)
    assert found["slope_ratio"] is None
    assert found["slope_ratio_high"] is None
