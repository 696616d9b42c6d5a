"""Bring every channel to mean 0 and standard deviation 1, by its own statistics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UserError


@dataclass(frozen=True)
class Normalisation:
    """The mean and the standard deviation of each channel, in the channel's own units.

    The channels are in the order in which a model expects them. Raises UserError where a standard deviation is not
    a positive number.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, deviation in zip(self.names, self.standard_deviation, strict=True):
            if not 0 < deviation < np.inf:
                raise UserError(
                    f"'{name}' has standard deviation {deviation:g} over all times, so it cannot be normalised. "
                    "Leave the variable out, or take times at which it varies."
                )

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return (values - mean) / standard deviation as float32; values are physical, (..., c, h, w)."""
        return ((values - _per_channel(self.mean)) / _per_channel(self.standard_deviation)).astype(np.float32)

    def invert(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return physical values as float32 from normalised ones, (..., c, h, w): the inverse of `apply`."""
        return (values * _per_channel(self.standard_deviation) + _per_channel(self.mean)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Moments:
    """What is known of the values seen so far, each (c,): how many, their mean, and sum((value - mean)^2)."""

    count: NDArray[np.int64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The standard deviation of each channel."""
        return np.sqrt(self.squares / np.maximum(self.count, 1))


def no_moments(channels: int) -> Moments:
    """Return the moments of no value at all."""
    return Moments(np.zeros(channels, np.int64), np.zeros(channels), np.zeros(channels))


def with_values(moments: Moments, values: NDArray[np.floating]) -> Moments:
    """Return the moments of what was seen together with `values` (t, c, h, w), of which only finite ones count.

    Two sets of moments combine by the pairwise update of Chan, Golub and LeVeque (1979), which keeps its precision
    where the mean is far larger than the deviation.
    """
    channels = [values[:, c][np.isfinite(values[:, c])].astype(np.float64) for c in range(values.shape[1])]
    count = np.array([finite.size for finite in channels])
    mean = np.array([finite.mean() if finite.size else 0.0 for finite in channels])
    squares = np.array([np.square(finite - m).sum() for finite, m in zip(channels, mean, strict=True)])
    total = moments.count + count
    share = count / np.maximum(total, 1)
    difference = mean - moments.mean
    return Moments(
        total,
        moments.mean + difference * share,
        moments.squares + squares + np.square(difference) * moments.count * share,
    )


def fitted(names: tuple[str, ...], units: tuple[str, ...], moments: Moments) -> Normalisation:
    """Return the normalisation by these moments; UserError names a channel that is constant or has no value."""
    return Normalisation(names, units, tuple(moments.mean.tolist()), tuple(moments.deviation.tolist()))


def _per_channel(values: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(values)[:, None, None]
