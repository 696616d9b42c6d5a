"""What lies around a candidate, seen from its exact place: means in rings, and means of the wind at some distance."""

from collections.abc import Iterator, Sequence

import numpy as np

from toolkit.baselines.candidates import Array, Candidates
from toolkit.examples import kilometres_per_pixel

BLOCK = 2**24
"""How many numbers are gathered at a time."""


def ring_means(candidates: Candidates, outer_km: Sequence[float]) -> tuple[Array, Array]:
    """Return (means, share known) in rings around each candidate, of cyclonic vorticity and divergence, 1e-5 s-1.

    outer_km: the rings' outer radii; a ring begins where the one before ends. means (k, t, 2, rings): of the filled
    fields; 0 where nothing is known. share (k, t, rings): what part of a ring was neither a gap nor outside.
    """
    pixel_km = kilometres_per_pixel(candidates.examples.store)
    y, x = candidates.column("y"), candidates.column("x")
    squeeze = np.cos(np.radians(candidates.column("latitude"))).clip(0.2)
    tall = int(outer_km[-1] / pixel_km) + 1
    wide = int(outer_km[-1] / pixel_km / squeeze.min(initial=1)) + 1
    margin = ((0, 0), (0, 0), (0, 0), (tall, tall), (wide, wide))
    shown = np.concatenate(
        [
            np.pad(candidates.fields[:, :, :2], margin, constant_values=np.nan),
            np.pad(candidates.known[:, :, None], margin),
        ],
        axis=2,
    )
    row, column = np.rint(y).astype(int)[:, None], np.rint(x).astype(int)[:, None]
    row, column = row + np.arange(2 * tall + 1), column + np.arange(2 * wide + 1)
    north_km = ((row - tall - y[:, None]) * pixel_km).astype(np.float32)
    east_km = ((column - wide - x[:, None]) * pixel_km * squeeze[:, None]).astype(np.float32)
    means = np.zeros((len(candidates), len(outer_km), *shown.shape[1:3]))
    for some in _blocks(len(candidates), row.shape[1] * column.shape[1] * shown.shape[1] * 3):
        patch = shown[candidates.example[some, None, None], :, :, row[some, :, None], column[some, None, :]]
        radius = np.hypot(north_km[some, :, None], east_km[some, None, :]).reshape(len(patch), 1, -1)
        inner = np.array([0, *outer_km[:-1]])[:, None]
        inside = ((radius >= inner) & (radius < np.array(outer_km)[:, None])).astype(np.float32)
        means[some] = _known_mean(inside, patch.reshape(*radius.shape[::2], -1)).reshape(means[some].shape)
    means = np.moveaxis(means, 1, -1)
    means[:, :, 0] *= candidates.column("orientation")[:, None, None]
    return means[:, :, :2], means[:, :, 2]


def mean_winds(candidates: Candidates, offsets_km: Sequence[float], radius_km: float) -> Array:
    """Return the (eastward, poleward) wind around each candidate in each frame (k, t, 2, p, p), m s-1.

    Gaussian-weighted means of standard deviation radius_km, `offsets_km` (p,) to the poleward (fourth axis) and to the
    east (fifth axis), of the filled fields. Beyond the window's edge its nearest pixels count.
    """
    pixel_km = kilometres_per_pixel(candidates.examples.store)
    offsets, width = np.array(offsets_km)[:, None], np.sqrt(2) * radius_km
    orientation = candidates.column("orientation")
    squeeze = np.cos(np.radians(candidates.column("latitude")))[:, None]
    t, _, h, w = candidates.fields.shape[1:]
    poleward_km = orientation[:, None] * (candidates.column("y")[:, None] - np.arange(h)) * pixel_km
    east_km = (np.arange(w) - candidates.column("x")[:, None]) * pixel_km * squeeze
    winds = candidates.fields[:, :, 2:]
    known = ~np.isnan(winds).any(axis=2, keepdims=True)
    shown = np.concatenate([np.where(known, winds, 0), known], axis=2)
    means = np.empty((len(candidates), t, 2, len(offsets), len(offsets)))
    for some in _blocks(len(candidates), 3 * t * h * w):
        across, along = (_gaussian((km[some, None] - offsets) / width) for km in (poleward_km, east_km))
        sums = across @ shown[candidates.example[some]] @ along.swapaxes(-1, -2)
        means[some] = sums[:, :, :2] / np.maximum(sums[:, :, 2:], 1e-9)
    means[:, :, 1] *= orientation[:, None, None, None]
    return means


def _gaussian(distance: Array) -> Array:
    """Return exp(-distance^2) (k, 1, 1, p, pixels) of (k, p, pixels), scaled so that the nearest pixel has 1."""
    square = distance**2
    return np.exp(square.min(axis=-1, keepdims=True) - square)[:, None, None].astype(np.float32)


def _known_mean(weight: Array, values: Array) -> Array:
    """Return the weighted means (k, m, c) of values (k, p, c), NaN left out, with weights (k, m, p); 0 for none."""
    known = ~np.isnan(values)
    total = weight @ known.astype(np.float32)
    return weight @ np.where(known, values, 0) / np.maximum(total, 1e-9)


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Cut `count` rows of `size` numbers each into slices of about BLOCK numbers."""
    step = max(1, BLOCK // size)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
