"""The motion of vortices that a uniform wind carries."""

from collections.abc import Callable

import numpy as np

from toolkit.baselines.candidates import Candidates, find_candidates
from toolkit.baselines.detection import identify
from toolkit.baselines.displacement import motion
from toolkit.baselines.surroundings import mean_winds
from toolkit.examples import Examples
from toolkit.scores.matching import Objects


def test_motion_is_that_of_the_flow(
    clear: Examples, vortices: Objects, central: Callable[[Candidates, int], Candidates], without_frames: Callable
) -> None:
    """From one frame to the next the motion is the wind times 6 h; in a gap of either frame it is not known."""
    objects = identify(central(find_candidates(clear, 110), 4), vortices).objects()
    known = motion(objects.candidates)
    wind = mean_winds(objects.candidates, (0.0,), 100.0)[:, 1, :, 0, 0]
    assert (known[:, 2] == 1).all()
    np.testing.assert_allclose(known[:, :2], 6 * 3.6 * wind, atol=8)
    for frame in (0, 1):
        assert not motion(find_candidates(without_frames(clear, frame), 110)).any()
