"""Point objects as targets, losses and predictions, with two values each."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from toolkit.data.store import Store
from toolkit.examples import Examples, cut_examples
from toolkit.geodesy import distance_km
from toolkit.heads.objects import CENTRE_SPREAD, centre_loss, object_targets, read_objects, value_losses
from toolkit.task import Task


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """Windows of all storms: north, south, over the date line, several in a window, and none."""
    found = cut_examples(small_task, smooth_store, storm_labels, np.full(len(storm_labels), True), seed=0)
    many = found.truth["example"].value_counts()
    assert many.max() >= 2
    assert set(range(len(found))) - set(many.index)
    assert 0 < found.mirrored(found.truth["example"]).mean() < 1
    return found


@pytest.fixture(scope="module")
def values(examples: Examples) -> NDArray[np.float64]:
    """Two values of each object, the second of which is known of some alone."""
    drawn = np.random.default_rng(0).normal(size=(len(examples.truth), 2))
    drawn[::3, 1] = np.nan
    return drawn


@pytest.fixture
def targets(examples: Examples, values: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """The targets of those values."""
    return object_targets(examples, values)


def said_of(targets: dict[str, NDArray]) -> NDArray[np.float32]:
    """The output (n, 5, h, w) of a model that has learned the targets by heart."""
    logit = np.where(targets["centre"] == 1, 30.0, -30.0)
    return np.concatenate([logit[:, None], targets["values"]], 1).astype(np.float32)


def tensors(targets: dict[str, NDArray]) -> dict[str, torch.Tensor]:
    """The targets as tensors."""
    return {name: torch.from_numpy(target) for name, target in targets.items()}


def test_what_is_a_target_is_read_off(examples: Examples, values: NDArray, targets: dict[str, NDArray]) -> None:
    """From the targets as output come the objects: as many per window, in place, with the values that are known."""
    found, said = read_objects(said_of(targets), examples)
    assert said.shape == (len(found), 2)
    counts = examples.truth["example"].value_counts()
    pd.testing.assert_series_equal(found["example"].value_counts().sort_index(), counts.sort_index())
    true = examples.truth.assign(first=values[:, 0], second=values[:, 1]).reset_index()
    pairs = true.merge(found.assign(first=said[:, 0], second=said[:, 1]), on="example", suffixes=("", "_said"))
    pairs["km"] = distance_km(*(pairs[k] for k in ("latitude", "longitude", "latitude_said", "longitude_said")))
    pairs = pairs.sort_values("km").drop_duplicates("index")
    assert len(pairs) == len(true)
    assert pairs["km"].max() < 0.01 * 111.2 * examples.store.latitude_spacing
    known = pairs.dropna(subset="second")
    assert 0 < len(known) < len(pairs)
    np.testing.assert_allclose(pairs["first_said"], pairs["first"], atol=1e-3)
    np.testing.assert_allclose(known["second_said"], known["second"], atol=1e-3)


def test_a_centre_is_where_its_pixels_point_on_average(examples: Examples) -> None:
    """Pixels that point to places scattered about the centre give the centre; improbable ones do not count."""
    output = np.zeros((1, 3, 16, 16), np.float32)
    output[:, 0] = -9
    output[0, 0, 7:10, 5:8] = 2.0
    output[0, 0, 8, 6] = 2.01
    rows, columns = np.indices((16, 16))
    scatter = np.random.default_rng(0).normal(0, 0.3, (2, 3, 3))
    scatter -= scatter.mean((1, 2), keepdims=True)
    output[0, 1], output[0, 2] = 8.3 - rows, 5.8 - columns
    output[0, 1:, 7:10, 5:8] += scatter
    found, values = read_objects(output, examples.subset(np.arange(1)))
    assert values.shape == (1, 0)
    y, x = examples.pixels(found["example"], found["latitude"].to_numpy(), found["longitude"].to_numpy())
    np.testing.assert_allclose([y[0], x[0]], [8.3, 5.8], atol=2e-3)
    output[0, 0, 7:10, 5:8], output[0, 0, 8, 6] = -9, 2
    alone, _ = read_objects(output, examples.subset(np.arange(1)))
    y, _ = examples.pixels(alone["example"], alone["latitude"].to_numpy(), alone["longitude"].to_numpy())
    assert y[0] == pytest.approx(8.3 + scatter[0, 1, 1], abs=2e-3)


def test_only_the_highest_peaks_are_read_off(examples: Examples) -> None:
    """Of many peaks the six highest of a window count, none at its edge, none near a higher one, in falling order."""
    output = np.full((2, 3, 16, 16), -9, np.float32)
    output[:, 1:] = 0
    for k, (row, column) in enumerate([(2, 2), (2, 6), (2, 10), (6, 2), (6, 6), (6, 10), (10, 2), (10, 6)]):
        output[0, 0, row, column] = 0.1 * k
    output[0, 0, 11, 6] = 0.1
    output[1, 0, 0, 5] = output[1, 0, 7, 15] = 9
    found, _ = read_objects(output, examples.subset(np.arange(2)))
    assert found["example"].tolist() == [0] * 6
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-0.1 * np.arange(7, 1, -1))), rtol=1e-5)


def test_weights_say_what_is_known(examples: Examples, values: NDArray, targets: dict[str, NDArray]) -> None:
    """Values are stated around objects only, and where they are known."""
    assert targets["centre"].shape == (len(examples), 16, 16)
    assert targets["values"].shape == targets["weights"].shape == (len(examples), 4, 16, 16)
    assert all(target.dtype == np.float32 for target in targets.values())
    assert np.isfinite(targets["values"]).all()
    empty = np.setdiff1d(np.arange(len(examples)), examples.truth["example"])
    assert not targets["weights"][empty].any()
    assert not targets["centre"][empty].any()
    unknown = pd.Series(np.isnan(values[:, 1])).groupby(examples.truth["example"].to_numpy()).all()
    silent = unknown.index[unknown]
    assert not targets["weights"][silent, 1].any()
    assert targets["weights"][silent][:, [0, 2, 3]].any((2, 3)).all()
    assert (targets["weights"][:, 0] <= targets["centre"]).all()


def test_every_object_has_one_centre(examples: Examples, targets: dict[str, NDArray]) -> None:
    """Wherever in its pixel an object lies, exactly one pixel is its centre."""
    counts = examples.truth["example"].value_counts().reindex(range(len(examples)), fill_value=0).to_numpy()
    assert ((targets["centre"] == 1).sum((1, 2)) == counts).all()


def test_a_pixel_speaks_of_the_nearest_object(examples: Examples) -> None:
    """Among many close objects it states value and offset of the nearest, of the first where two are as near."""
    rng, count = np.random.default_rng(0), 12
    y, x = rng.uniform(3, 12, (2, count))
    latitude, longitude = examples.degrees(np.zeros(count, int), y, x)
    truth = pd.DataFrame({"example": 0, "latitude": latitude, "longitude": longitude})
    found = object_targets(replace(examples, truth=truth), np.arange(count)[:, None] + 1.0)
    weights = found["weights"][0, 0]
    assert (weights > 0).sum() > 50
    for row, column in np.argwhere(weights > 0):
        away = (np.rint(y) - row) ** 2 + (np.rint(x) - column) ** 2
        nearest = np.argmin(away)
        assert weights[row, column] == pytest.approx(np.exp(-away[nearest] / (2 * CENTRE_SPREAD**2)), rel=1e-4)
        expected = [nearest + 1, y[nearest] - row, x[nearest] - column]
        np.testing.assert_allclose(found["values"][0, :, row, column], expected, atol=1e-3)


def test_a_perfect_output_costs_nothing(targets: dict[str, NDArray]) -> None:
    """The targets as output have nearly no loss; each value's loss notices its own mistake alone."""
    known, output = tensors(targets), torch.from_numpy(said_of(targets))
    assert centre_loss(output, known).item() == pytest.approx(0, abs=1e-6)
    assert value_losses(output, known).abs().max() < 1e-6
    for channel in range(5):
        worse = output.clone()
        worse[:, channel] += 1 if channel else 31
        parts = torch.cat([centre_loss(worse, known)[None], value_losses(worse, known)])
        assert parts[channel] > 0.1
        assert torch.cat([parts[:channel], parts[channel + 1 :]]).abs().max() < 1e-6


def test_gradients_are_finite_for_any_output(examples: Examples, targets: dict[str, NDArray]) -> None:
    """Very confident mistakes and batches without any object have finite losses and gradients."""
    known = tensors(targets)
    empty = np.setdiff1d(np.arange(len(examples)), examples.truth["example"])
    for chosen in (slice(None), empty):
        some = {name: target[chosen] for name, target in known.items()}
        for size in (0.0, 1e4, -1e4):
            output = torch.full((len(some["centre"]), 5, 16, 16), size, requires_grad=True)
            total = centre_loss(output, some) + value_losses(output, some).sum()
            total.backward()
            assert torch.isfinite(total)
            assert output.grad is not None
            assert torch.isfinite(output.grad).all()
