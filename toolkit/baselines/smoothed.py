"""Hand-made features of every cell of a window: its fields, smoothed over several distances, and how they change."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from toolkit.baselines.candidates import FIELDS
from toolkit.examples import Examples, kilometres_per_pixel

SMOOTHING_KM = (100.0, 250.0, 600.0)
BLOCK = 256
LEAST_WEIGHT = 0.05
"""A smoothed value is unknown where less than this share of its surroundings is known."""


def cell_features(
    examples: Examples, cell: int, smoothing_km: Sequence[float] = SMOOTHING_KM
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return features (n, rows, columns, f) of cells of `cell` x `cell` pixels, and their names.

    Of each scale: cyclonic vorticity (1e-5 s-1), divergence (1e-5 s-1), eastward and poleward wind (m s-1) at the
    analysis time, and how vorticity and divergence have changed since the first frame; then the wind's speed at the
    finest scale, and the distance from the equator (degrees). NaN where nothing is known.
    """
    pixels = [km / kilometres_per_pixel(examples.store) for km in smoothing_km]
    parts = [
        _block(examples, np.arange(first, min(first + BLOCK, len(examples))), cell, pixels)
        for first in range(0, len(examples), BLOCK)
    ]
    said = ("vorticity", "divergence", "eastward wind", "poleward wind", "vorticity change", "divergence change")
    names = tuple(f"{name}, {km:.0f} km" for km in smoothing_km for name in said)
    return np.concatenate(parts), (*names, "speed", "latitude")


def _block(examples: Examples, index: NDArray[np.integer], cell: int, pixels: Sequence[float]) -> NDArray[np.float32]:
    fields = examples.fields(FIELDS, index)
    latitude = examples.latitudes(index)[:, :, None] + np.zeros(fields.shape[-1])
    poleward = np.where(latitude >= 0, 1, -1)
    fields[:, :, [0, 3]] *= poleward[:, None, None]
    now, before = fields[:, -1], fields[:, 0, :2]
    features = []
    for width in pixels:
        smooth = _smoothed(np.concatenate([now, before], axis=1), width)
        features += [smooth[:, :4], smooth[:, :2] - smooth[:, 4:]]
    speed = np.hypot(features[0][:, 2], features[0][:, 3])
    planes = np.concatenate([*features, speed[:, None], np.abs(latitude)[:, None]], axis=1)
    n, f, h, w = planes.shape
    cells = planes.reshape(n, f, h // cell, cell, w // cell, cell).mean((3, 5))
    return np.moveaxis(cells, 1, -1).astype(np.float32)


def _smoothed(values: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Return Gaussian-weighted means (n, c, h, w) of what is known, over `width` pixels."""
    known = np.isfinite(values)
    sigma = (0, 0, width, width)
    weight = gaussian_filter(known.astype(np.float32), sigma, mode="nearest")
    total = gaussian_filter(np.where(known, values, 0), sigma, mode="nearest")
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > LEAST_WEIGHT)
