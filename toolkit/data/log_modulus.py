"""AtmoDist's second normalisation: large values are drawn in by a logarithm that keeps their sign, then scaled again.

z, a field in standard deviations, becomes y = sign(z) log(1 + 0.2 |z|), then (y - mean) / deviation. A storm of twenty
standard deviations no longer outweighs everything else in its window (Hoffmann and Lessig, arXiv:2109.09076 and
arXiv:2202.01897; the map itself: John and Draper 1980, doi:10.2307/2986305).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

STEEPNESS = 0.2
PUBLISHED = {"divergence": (8.821452e-4, 0.15794525), "vorticity": (3.2483143e-4, 0.16044095)}
"""Mean and standard deviation of y over 1979 to 1988 of ERA5 at model level 120."""
OF_A_GAUSSIAN = (0.0, 0.17445042)
"""Mean and standard deviation of y where z is Gaussian, for variables without published ones."""
TINY = 1e-6


def log_modulus(z: Tensor) -> Tensor:
    """Return sign(z) log(1 + 0.2 |z|), of any shape; the slope at zero is 0.2."""
    size = z.abs().clamp(min=TINY)  # a quotient keeps the slope at zero, which the sign would take from it
    return z * (torch.log1p(STEEPNESS * size) / size)


def inverse_log_modulus(y: Tensor) -> Tensor:
    """Return sign(y) (exp(|y|) - 1) / 0.2: the inverse of `log_modulus`."""
    size = y.abs().clamp(min=TINY)
    return y * (torch.expm1(size) / (STEEPNESS * size))


class LogModulus(nn.Module):
    """Fields in standard deviations (b, c, h, w) to their scaled log-modulus; has no parameters and no weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, variables: Sequence[str]) -> None:
        """Take the names of the c channels; a variable without published constants is scaled as if it were Gaussian."""
        super().__init__()
        constants = torch.tensor([PUBLISHED.get(name, OF_A_GAUSSIAN) for name in variables])
        self.register_buffer("mean", constants[:, 0, None, None], persistent=False)
        self.register_buffer("deviation", constants[:, 1, None, None], persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """Return (log_modulus(z) - mean) / deviation."""
        return (log_modulus(z) - self.mean) / self.deviation

    def inverse(self, scaled: Tensor) -> Tensor:
        """Return the fields in standard deviations whose scaled log-modulus this is."""
        return inverse_log_modulus(scaled * self.deviation + self.mean)
