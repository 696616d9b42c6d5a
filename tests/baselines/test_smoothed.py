import numpy as np
import pandas as pd
import pytest

from toolkit.baselines.smoothed import cell_features
from toolkit.data.store import Store
from toolkit.examples import Examples, cut_examples
from toolkit.task import Task

CELL = 2


@pytest.fixture(scope="module")
def pairs(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """Windows of storms in both hemispheres."""
    return cut_examples(small_task, smooth_store, storm_labels, np.ones(len(storm_labels), bool), seed=0)


def test_every_cell_has_its_features(pairs: Examples) -> None:
    """There are as many features as names, for each cell, and none is missing where the fields are complete."""
    features, names = cell_features(pairs, CELL, (100.0, 500.0))
    h, w = pairs.windows.size
    assert features.shape == (len(pairs), h // CELL, w // CELL, len(names))
    assert np.isfinite(features[..., names.index("vorticity, 100 km")]).all()
    assert len(set(names)) == len(names)


def test_a_longer_scale_is_smoother(pairs: Examples) -> None:
    """The farther is smoothed, the less vorticity varies from cell to cell."""
    features, names = cell_features(pairs, CELL, (100.0, 300.0, 900.0))
    rough = [
        np.abs(np.diff(features[..., names.index(f"vorticity, {km} km")], axis=2)).mean() for km in (100, 300, 900)
    ]
    assert rough[0] > rough[1] > rough[2] > 0


def test_vorticity_is_that_of_the_cell(pairs: Examples) -> None:
    """Hardly smoothed, a cell's vorticity is the mean of its pixels, 1e-5 s-1, positive where it is cyclonic."""
    features, names = cell_features(pairs, CELL, (1.0,))
    fields = pairs.fields(pairs.store.normalisation)
    channel = pairs.store.channels[0]
    vorticity = (fields[:, -1, 0] * channel.standard_deviation + channel.mean) * 1e5
    vorticity = vorticity * np.where(pairs.latitudes() >= 0, 1, -1)[:, :, None]
    n, h, w = vorticity.shape
    expected = vorticity.reshape(n, h // CELL, CELL, w // CELL, CELL).mean((2, 4))
    here = features[..., names.index("vorticity, 1 km")]
    np.testing.assert_allclose(here, expected, atol=0.02)
