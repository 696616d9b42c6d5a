"""Vorticity and divergence of one 0.25 degree wind field: what harmonics and differences cost, and how exact they are.

Run: python benchmarks/dynamics.py
The wind is analytic: the rotational flow of spherical harmonics of degrees 4 (planetary waves), 60 and 200 (cyclones),
each with winds of about 10 m s-1. Errors are root mean squares over the sphere, relative to the vorticity's own.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import sph_harm_y

from toolkit.data.differences import finite_difference_vorticity_divergence
from toolkit.data.harmonics import spectral_vorticity_divergence
from toolkit.data.smoothing import smooth_km
from toolkit.geodesy import EARTH_RADIUS_M

Array = NDArray[Any]
HARMONICS = ((4, 2), (60, 20), (200, 80))
FIELDS_AT_ONCE = 8


def rotational_flow(latitude: Array, longitude: Array) -> tuple[Array, Array, Array]:
    """Return u, v (m s-1) and vorticity (s-1) of the stream functions a / l * 10 m s-1 * Re Y_lm."""
    total = np.zeros((3, len(latitude), len(longitude)))
    theta = np.clip(np.radians(90 - latitude), 1e-9, np.pi - 1e-9)
    for degree, order in HARMONICS:
        values, slopes = sph_harm_y(degree, order, theta, 0.0, diff_n=1)
        east, north = np.cos(order * np.radians(longitude)), -np.sin(order * np.radians(longitude))
        scale = 10 / degree
        total[0] += scale * np.outer(slopes[..., 0].real, east)
        total[1] += scale * order * np.outer(values.real / np.sin(theta), north)
        total[2] -= scale * degree * (degree + 1) / EARTH_RADIUS_M * np.outer(values.real, east)
    return total[0], total[1], total[2]


def second_order_differences(u: Array, v: Array, latitude: Array, longitude: Array) -> tuple[Array, Array]:
    """The least that numpy can do: no gaps, no regions, nothing at the poles."""
    step = np.radians(longitude[1] - longitude[0])
    cosine = np.cos(np.radians(latitude))[:, None]

    def eastward(f: Array) -> Array:
        return (np.roll(f, -1, -1) - np.roll(f, 1, -1)) / (2 * step)

    def northward(f: Array) -> Array:
        return np.gradient(f, np.radians(latitude), axis=0)

    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / (EARTH_RADIUS_M * cosine)
        return (eastward(v) - northward(u * cosine)) * scale, (eastward(u) + northward(v * cosine)) * scale


def seconds(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the least time of several runs, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def main() -> None:
    """Print one line for each method, then the smoothing of a 1 degree field."""
    latitude, longitude = np.linspace(90, -90, 721), np.arange(1440) * 0.25
    u, v, wanted = rotational_flow(latitude, longitude)
    weights = np.cos(np.radians(latitude))[1:-1, None]

    def error(found: Array) -> float:
        return float(np.sqrt((weights * (found - wanted)[1:-1] ** 2).mean() / (weights * wanted[1:-1] ** 2).mean()))

    reference, (found, _) = seconds(lambda: second_order_differences(u, v, latitude, longitude), 5)
    print(f"{'721 x 1440, one field':40} {'seconds':>8} {'ratio':>7} {'error':>9}")
    print(f"{'second-order differences, plain numpy':40} {reference:8.3f} {1:7.1f} {error(found):9.1e}")
    cost, (found, _) = seconds(lambda: finite_difference_vorticity_divergence(u, v, latitude, longitude), 5)
    print(f"{'finite_difference_vorticity_divergence':40} {cost:8.3f} {cost / reference:7.1f} {error(found):9.1e}")
    spectral_vorticity_divergence(u[::40, ::40], v[::40, ::40], latitude[::40], longitude[::40])  # imports torch
    cost, (found, _) = seconds(lambda: spectral_vorticity_divergence(u, v, latitude, longitude), 2)
    print(f"{'spectral_vorticity_divergence, alone':40} {cost:8.3f} {cost / reference:7.1f} {error(found):9.1e}")
    many = np.stack([u] * FIELDS_AT_ONCE), np.stack([v] * FIELDS_AT_ONCE)
    cost, (found, _) = seconds(lambda: spectral_vorticity_divergence(*many, latitude, longitude), 1)
    cost /= FIELDS_AT_ONCE
    label = f"spectral_..., {FIELDS_AT_ONCE} at once, each"
    print(f"{label:40} {cost:8.3f} {cost / reference:7.1f} {error(found[0]):9.1e}")
    cost, _ = seconds(lambda: smooth_km(many[0][:, ::4, ::4], latitude[::4], longitude[::4], 300), 5)
    print(f"smooth_km, 300 km, 181 x 360, {FIELDS_AT_ONCE} at once, each: {1000 * cost / FIELDS_AT_ONCE:.1f} ms")


if __name__ == "__main__":
    main()
