"""How far apart two fields are, by their features and by their values, and how that grows with the time between them.

The values are in standard deviations of each variable. `Curves` and what is computed of it follow Hoffmann and Lessig
(arXiv:2109.09076, 2202.01897); the range of PSNR and SSIM, which theirs depend on, is our own choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d

from toolkit.pretexts.lags import Lags

Array = NDArray[np.float64]
RANGE = 10.0
"""From the lowest to the highest value that PSNR and SSIM reckon with: five standard deviations to either side."""
SMALLEST = 1e-12
"""Mean squared difference below which two fields count as equal for PSNR."""
SSIM_SIDE, SSIM_SIGMA, SSIM_STEADY = 11, 1.5, (0.01, 0.03)
FIELD_DISTANCES = ("l2", "l1", "psnr", "ssim")
RESAMPLED = 2000
LEVEL = 0.95


def feature_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return the AtmoDist distance (b,) of features (b, ...): the mean of (x - y)^2 over places and channels."""
    return (x - y).square().flatten(1).mean(1)


def field_distances(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return l2, l1, psnr and ssim, (b,) each, of fields (b, c, h, w) in standard deviations.

    l2: mean of (x - y)^2; l1: mean of |x - y|; psnr: 10 log10(10^2 / l2) dB; ssim: see `ssim`. Where a value is missing
    (NaN) in one of the two, neither counts.
    """
    known = x.isfinite() & y.isfinite()
    x, y = torch.where(known, x, 0.0), torch.where(known, y, 0.0)
    count = known.flatten(1).sum(1).clamp(min=1)
    l2 = (x - y).square().flatten(1).sum(1) / count
    l1 = (x - y).abs().flatten(1).sum(1) / count
    return {"l2": l2, "l1": l1, "psnr": 10 * torch.log10(RANGE**2 / l2.clamp(min=SMALLEST)), "ssim": ssim(x, y)}


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the structural similarity (b,) of fields (b, c, h, w) without missing values, at most 1.

    Wang et al. (2004, doi:10.1109/TIP.2003.819861): Gaussian window of 11 x 11 pixels and deviation 1.5, or the largest
    odd one that fits, moved over where it lies inside; k = (0.01, 0.03); the mean over places and channels.
    """
    side = (min(SSIM_SIDE, *x.shape[-2:]) - 1) // 2 * 2 + 1
    bell = torch.exp(-((torch.arange(side, device=x.device) - side // 2) ** 2) / (2 * SSIM_SIGMA**2))
    bell = (bell / bell.sum()).to(x)

    def around(values: Tensor) -> Tensor:
        planes = values.reshape(-1, 1, *values.shape[-2:])
        return conv2d(conv2d(planes, bell[None, None, :, None]), bell[None, None, None, :])

    first, second = ((k * RANGE) ** 2 for k in SSIM_STEADY)
    mean_x, mean_y = around(x), around(y)
    variance = around(x * x) - mean_x**2 + around(y * y) - mean_y**2
    covariance = around(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + first) * (2 * covariance + second)
    return (alike / ((mean_x**2 + mean_y**2 + first) * (variance + second))).reshape(len(x), -1).mean(1)


def as_distance(name: str, values: Array) -> Array:
    """Return values of one of `FIELD_DISTANCES` so that they grow with the difference: 50 - PSNR, (1 - SSIM) / 2."""
    return {"psnr": 50 - values, "ssim": (1 - values) / 2}.get(name, values)


@dataclass(frozen=True, eq=False)
class Curves:
    """Distances between n windows and the same places later: `feature` and each of `fields` by name are (n, lags)."""

    lags: Lags
    feature: Array
    fields: Mapping[str, Array]

    def scale(self, name: str) -> float:
        """Return alpha, which makes the feature distance comparable with a distance of fields: see `fitted_scale`."""
        upper = self.lags.upper
        return fitted_scale(self.feature.mean(0)[upper], as_distance(name, self.fields[name]).mean(0)[upper])


def fitted_scale(feature: Array, field: Array) -> float:
    """Return alpha = sum c_i m_i / sum c_i^2, by which c (lags,) comes nearest to m (lags,) in least squares."""
    return float(feature @ field / (feature @ feature))


def relative_slope(means: Array, lags: Lags) -> Array:
    """Return how fast mean curves (..., lags) grow over the upper half of the lags, (...,) per day.

    The slope of the straight line of least squares through the upper half, over the curve's value at the middle lag,
    where that half begins. 0 says that the curve has saturated; a factor on the curve changes nothing.
    """
    days = np.array(lags.hours, float)[lags.upper] / 24
    weights = (days - days.mean()) / np.square(days - days.mean()).sum()
    return np.asarray(means[..., lags.upper] @ weights / means[..., lags.middle])


def slopes(curves: Curves) -> dict[str, float | None]:
    """Return the relative slopes of the feature distance and of l2, per day, and their ratio, with 95 % intervals.

    A ratio above 1 says that the feature distance still grows where l2 has saturated; None stands for a ratio that is
    unbounded because l2 does not grow. Windows are resampled, as if each were independent of the others.
    """
    n = len(curves.feature)
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLED)
    weights = np.concatenate([np.ones((1, n)), counts]) / n
    feature, field = (relative_slope(weights @ values, curves.lags) for values in (curves.feature, curves.fields["l2"]))
    with np.errstate(divide="ignore"):
        ratio = np.where(field > 0, feature / field, np.inf)
    found: dict[str, float | None] = {}
    for name, drawn in (("distance_slope", feature), ("l2_slope", field), ("slope_ratio", ratio)):
        low, high = np.quantile(drawn[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
        said = {name: drawn[0], f"{name}_low": low, f"{name}_high": high}
        found |= {key: float(value) if np.isfinite(value) else None for key, value in said.items()}
    return found
