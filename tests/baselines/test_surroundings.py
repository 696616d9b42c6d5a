"""Means around candidates, against plain means over pixels and against winds whose mean is known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.baselines.candidates import Candidates, find_candidates
from toolkit.baselines.surroundings import mean_winds, ring_means
from toolkit.examples import Examples, kilometres_per_pixel

Central = Callable[[Candidates, int], Candidates]


@pytest.mark.parametrize("windows", ["clear", "across"])
def test_ring_means_are_means_over_rings(windows: str, central: Central, request: pytest.FixtureRequest) -> None:
    """Rings equal plain means over the pixels at such distances, cyclonic vorticity being positive."""
    found = central(find_candidates(request.getfixturevalue(windows), 110), 3)
    pixel_km = kilometres_per_pixel(found.examples.store)
    outer = (125.0, 265.0, 405.0)
    means, _ = ring_means(found, outer)
    for k in range(0, len(found), 5):
        row = found.table.iloc[k]
        height, width = np.indices(found.fields.shape[-2:])
        north = (height - row["y"]) * pixel_km
        east = (width - row["x"]) * pixel_km * np.cos(np.radians(row["latitude"]))
        ring = np.searchsorted(outer, np.hypot(north, east), side="right")
        for r in range(3):
            pixels = found.fields[int(row["example"]), :, :2][..., ring == r].mean(axis=-1)
            np.testing.assert_allclose(means[k, :, :, r], pixels * [row["orientation"], 1], rtol=1e-3, atol=1e-3)
    assert means[:, :, 0, 0].min() > 5


def test_rings_know_how_much_of_them_is_known(
    clear: Examples, central: Central, without_frames: Callable[..., Examples]
) -> None:
    """Without one frame its share is 0, and the ring means are those of the other frame."""
    found = find_candidates(without_frames(clear, 0), 110)
    found = replace(found, table=central(find_candidates(clear, 110), 8).table)
    means, share = ring_means(found, (265.0, 405.0))
    assert (share[:, 0] == 0).all()
    assert (share[:, 1] == 1).all()
    np.testing.assert_allclose(means[:, 0], means[:, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("windows", ["clear", "across"])
def test_the_mean_of_a_linear_wind_is_the_wind_at_that_place(
    windows: str, central: Central, request: pytest.FixtureRequest
) -> None:
    """Means are taken where the offsets say: so far towards the nearer pole, and so far east."""
    found = central(find_candidates(request.getfixturevalue(windows), 110), 4)
    assert (found.column("orientation") == (1 if windows == "clear" else -1)).any()
    h, w = found.fields.shape[-2:]
    found.fields[:, :, 2], found.fields[:, :, 3] = np.arange(w), np.arange(h)[:, None]
    pixel_km = kilometres_per_pixel(found.examples.store)
    offsets = np.array([-200.0, 0.0, 150.0])
    winds = mean_winds(found, tuple(offsets), 100.0)
    for k in range(len(found)):
        row = found.table.iloc[k]
        east = row["x"] + offsets / pixel_km / np.cos(np.radians(row["latitude"]))
        poleward = row["orientation"] * row["y"] - offsets / pixel_km
        np.testing.assert_allclose(winds[k, :, 0], np.broadcast_to(east, (2, 3, 3)), atol=2e-2)
        np.testing.assert_allclose(winds[k, :, 1], np.broadcast_to(poleward[:, None], (2, 3, 3)), atol=2e-2)


def test_a_uniform_wind_is_its_own_mean(clear: Examples) -> None:
    """Any mean of a uniform wind is that wind, also of places outside the window."""
    found = find_candidates(clear, 110)
    found.fields[:, :, 2:] = np.array([7.0, -3.0])[:, None, None]
    winds = mean_winds(found, (-2000.0, 0.0, 2500.0), 150.0)
    np.testing.assert_allclose(winds[:, :, 0], 7, rtol=1e-5)
    np.testing.assert_allclose(np.abs(winds[:, :, 1]), 3, rtol=1e-5)
