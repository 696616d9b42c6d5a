from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.pretexts.days import whole_days
from toolkit.pretexts.lagrangian import displacements
from toolkit.pretexts.tracking import coherent_vortices

FOLLOWING = {"lagrangian": displacements, "vortexfate": coherent_vortices}


@pytest.fixture(params=FOLLOWING)
def following(request: pytest.FixtureRequest) -> tuple[str, Callable[[Store], np.ndarray]]:
    """A pretext that follows the air, and how it makes its targets."""
    return request.param, FOLLOWING[request.param]


@pytest.mark.parametrize(("rows", "columns"), [((0, 65), (0, 64)), ((11, 54), (0, 128)), ((0, 33), (0, 128))])
def test_a_part_of_the_globe_is_refused(
    smooth_store: Store, following: tuple[str, Callable], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    """Air leaves a sector, a band between two latitudes, and a hemisphere: what is lacking is said."""
    (name, make), row, column = following, slice(*rows), slice(*columns)
    latitude, longitude = smooth_store.latitude[row], smooth_store.longitude[column]
    part = replace(smooth_store, values=smooth_store.values[..., row, column], latitude=latitude, longitude=longitude)
    with pytest.raises(UserError, match=rf"does not hold the whole globe .* so the pretext '{name}' cannot follow"):
        make(part)


@pytest.mark.parametrize("hours", [4, 12])
def test_frames_that_are_not_six_hours_apart_are_refused(
    smooth_store: Store, following: tuple[str, Callable], hours: int
) -> None:
    """Nothing could be followed through frames every 4 or 12 h, and all targets would be unknown."""
    name, make = following
    time = smooth_store.time[0] + np.arange(40) * np.timedelta64(hours, "h")
    with pytest.raises(UserError, match=rf"has no 5 frames in a row that are 6 h apart.* '{name}' cannot follow"):
        make(replace(smooth_store, time=time))


def test_a_day_is_five_frames(smooth_store: Store) -> None:
    """Shorter sequences are left out; grids without the poles themselves, and finer frames, are all right."""
    index = np.delete(np.arange(16), [4, 11])
    gaps = replace(smooth_store, time=smooth_store.time[index], values=smooth_store.values[index])
    assert [len(sequence) for sequence in whole_days(gaps, "any")] == [6]
    time = smooth_store.time[0] + np.arange(40) * np.timedelta64(3, "h")
    latitude = smooth_store.latitude[1:-1]
    finer = replace(smooth_store, time=time, latitude=latitude, values=smooth_store.values[..., 1:-1, :])
    assert [len(sequence) for sequence in whole_days(finer, "any")] == [20, 20]
