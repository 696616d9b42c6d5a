import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from tasks.hurricane.head import DISPLACEMENT, FATE, NEXT_FRAMES, CycloneHead, decode, encode, loss
from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.examples import Examples, cut_examples
from toolkit.geodesy import distance_km
from toolkit.heads import Features
from toolkit.task import Task

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 2.8125, patch=4, dim=8)
READOUTS = {FATE: 6, DISPLACEMENT: 2, NEXT_FRAMES: 4}


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """Windows of all storms: north, south, over the date line, several in a window, and none."""
    found = cut_examples(small_task, smooth_store, storm_labels, tuple(storm_labels["group"].unique()), seed=0)
    many = found.truth["example"].value_counts()
    assert many.max() >= 2
    assert set(range(len(found))) - set(many.index)
    assert 0 < found.mirrored(found.truth["example"]).mean() < 1
    return found


def said_of(targets: dict[str, NDArray]) -> NDArray[np.float32]:
    """The output (n, 6, h, w) of a model that has learned the targets by heart."""
    logit = np.where(targets["centre"] == 1, 30.0, -30.0)
    return np.concatenate([logit[:, None], targets["values"]], 1).astype(np.float32)


def matched(examples: Examples, predictions: pd.DataFrame) -> pd.DataFrame:
    """Every storm with the prediction nearest to it in its window, and the distance between them."""
    pairs = examples.truth.reset_index().merge(predictions, on="example", suffixes=("", "_said"))
    pairs["km"] = distance_km(*(pairs[k] for k in ("latitude", "longitude", "latitude_said", "longitude_said")))
    return pairs.sort_values("km").drop_duplicates("index")


def test_what_is_encoded_is_decoded(examples: Examples) -> None:
    """From the targets as output come the storms: as many per window, in place, with their wind and later place."""
    predictions = decode(said_of(encode(examples)), examples)
    counts = examples.truth["example"].value_counts()
    pd.testing.assert_series_equal(predictions["example"].value_counts().sort_index(), counts.sort_index())
    pairs = matched(examples, predictions)
    assert len(pairs) == len(examples.truth)
    pixel = 111.2 * examples.store.latitude_spacing
    assert pairs["km"].max() < 0.01 * pixel
    np.testing.assert_allclose(pairs["wind_kt_said"], pairs["wind_kt"], atol=0.01)
    later = pairs.dropna(subset="latitude_24h")
    assert 0 < len(later) < len(pairs)
    places = (later[k] for k in ("latitude_24h", "longitude_24h", "latitude_24h_said", "longitude_24h_said"))
    assert distance_km(*places).max() < 1
    assert (np.abs(later["longitude"] - later["longitude_24h"]) > 180).any(), (
        "no storm crosses the meridian of Greenwich"
    )


def test_a_centre_is_where_its_pixels_point_on_average(examples: Examples) -> None:
    """Pixels that point to places scattered about the centre give the centre; improbable ones do not count."""
    output = np.zeros((1, 6, 16, 16), np.float32)
    output[:, 0] = -9
    output[0, 0, 7:10, 5:8] = 2.0
    output[0, 0, 8, 6] = 2.01
    rows, columns = np.indices((16, 16))
    scatter = np.random.default_rng(0).normal(0, 0.3, (2, 3, 3))
    scatter -= scatter.mean((1, 2), keepdims=True)
    output[0, 4], output[0, 5] = 8.3 - rows, 5.8 - columns
    output[0, 4:, 7:10, 5:8] += scatter
    found = decode(output, examples.subset(np.arange(1)))
    y, x = examples.pixels(found["example"], found["latitude"].to_numpy(), found["longitude"].to_numpy())
    np.testing.assert_allclose([y[0], x[0]], [8.3, 5.8], atol=2e-3)
    output[0, 0, 7:10, 5:8], output[0, 0, 8, 6] = -9, 2
    alone = decode(output, examples.subset(np.arange(1)))
    y, _ = examples.pixels(alone["example"], alone["latitude"].to_numpy(), alone["longitude"].to_numpy())
    assert y[0] == pytest.approx(8.3 + scatter[0, 1, 1], abs=2e-3)


def test_poleward_is_up_in_both_hemispheres(examples: Examples) -> None:
    """Storms that move away from the equator are told to move up the picture, in mirrored windows too."""
    values, mirrored = encode(examples)["values"], examples.mirrored(examples.truth["example"])
    rows = examples.truth[(examples.truth["latitude"] < 0) == mirrored].dropna(subset="latitude_24h")
    assert (rows["latitude_24h"].abs() > rows["latitude"].abs()).all()
    y, x = examples.pixels(rows["example"], rows["latitude"], rows["longitude"])
    up = values[rows["example"], 2, np.rint(y).astype(int), np.rint(x).astype(int)]
    assert (up > 0).all()
    assert 0 < examples.mirrored(rows["example"]).mean() < 1


def test_weights_say_what_is_known(examples: Examples) -> None:
    """Values are stated around storms only: the wind always, the later place where the best track has one."""
    targets = encode(examples)
    assert targets["centre"].shape == (len(examples), 16, 16)
    assert targets["values"].shape == targets["weights"].shape == (len(examples), 5, 16, 16)
    assert all(target.dtype == np.float32 for target in targets.values())
    assert np.isfinite(targets["values"]).all()
    empty = np.setdiff1d(np.arange(len(examples)), examples.truth["example"])
    assert not targets["weights"][empty].any()
    assert not targets["centre"][empty].any()
    ended = examples.truth.groupby("example")["latitude_24h"].apply(lambda column: column.isna().all())
    assert not targets["weights"][ended.index[ended], 1:3].any()
    assert targets["weights"][ended.index][:, [0, 3, 4]].any((2, 3)).all()
    assert (targets["weights"][:, 0] <= targets["centre"]).all()


def test_every_storm_has_one_centre(examples: Examples) -> None:
    """Wherever in its pixel a storm lies, exactly one pixel is its centre."""
    centre = encode(examples)["centre"]
    counts = examples.truth["example"].value_counts().reindex(range(len(examples)), fill_value=0).to_numpy()
    assert ((centre == 1).sum((1, 2)) == counts).all()


def tensors(examples: Examples) -> dict[str, torch.Tensor]:
    """The targets as tensors."""
    return {name: torch.from_numpy(target) for name, target in encode(examples).items()}


def test_a_perfect_output_costs_nothing(examples: Examples) -> None:
    """The targets as output have nearly no loss in any part; each part alone notices its own mistake."""
    targets, output = tensors(examples), torch.from_numpy(said_of(encode(examples)))
    perfect = loss(output, targets)
    assert all(part.item() == pytest.approx(0, abs=1e-6) for part in perfect.values())
    for channels, part in ((0, "centre"), (1, "wind"), (2, "displacement"), (3, "displacement"), (5, "offset")):
        worse = output.clone()
        worse[:, channels] += 1 if channels else 31
        parts = loss(worse, targets)
        assert parts[part] > 0.1
        assert all(value < 1e-6 for name, value in parts.items() if name != part)


def test_gradients_are_finite_for_any_output(examples: Examples) -> None:
    """Very confident mistakes and batches without any storm have finite losses and gradients."""
    targets = tensors(examples)
    empty = np.setdiff1d(np.arange(len(examples)), examples.truth["example"])
    for chosen in (slice(None), empty):
        some = {name: target[chosen] for name, target in targets.items()}
        for size in (0.0, 1e4, -1e4):
            output = torch.full((len(some["centre"]), 6, 16, 16), size, requires_grad=True)
            total = torch.stack(list(loss(output, some).values())).sum()
            total.backward()
            assert torch.isfinite(total)
            assert output.grad is not None
            assert torch.isfinite(output.grad).all()


def test_an_untrained_head_states_nothing(examples: Examples) -> None:
    """The first guess lies under the least probability that is stated: no detection at all."""
    head = CycloneHead(SPEC, READOUTS)
    read = {name: torch.randn(3, channels, 16, 16) for name, channels in READOUTS.items()}
    output = head(Features(torch.randn(3, 16, 8), (4, 4), torch.randn(3, 5, 16, 16), read))
    assert output.shape == (3, 6, 16, 16)
    assert decode(output.detach().numpy(), examples.subset(np.arange(3))).empty


def test_an_untrained_displacement_is_the_vortices_or_the_airs() -> None:
    """With the readouts, the displacement begins as the vortices' own in its scale, or as the air's; else as zero."""
    east_north = torch.tensor([400.0, -800.0])[:, None, None].expand(1, 2, 16, 16)
    fate = torch.cat([torch.zeros(1, 4, 16, 16), -east_north / 500], 1)
    read = {DISPLACEMENT: east_north, NEXT_FRAMES: torch.zeros(1, 4, 16, 16), FATE: fate}
    given = Features(torch.randn(1, 16, 8), (4, 4), torch.randn(1, 5, 16, 16), read)
    expected = torch.tensor([1.0, -2.0])[:, None, None].expand(1, 2, 16, 16)
    torch.testing.assert_close(CycloneHead(SPEC, READOUTS)(given)[:, 2:4], -expected)
    air = Features(given.tokens, given.grid, given.planes, {DISPLACEMENT: east_north})
    torch.testing.assert_close(CycloneHead(SPEC, {DISPLACEMENT: 2})(air)[:, 2:4], expected)
    alone = CycloneHead(SPEC, {})(Features(given.tokens, given.grid, given.planes, {}))
    assert not alone[:, 1:].any()


def test_only_the_highest_peaks_are_stated(examples: Examples) -> None:
    """Of many peaks the six highest of a window count, none at its edge, none near a higher one, in falling order."""
    output = np.full((2, 6, 16, 16), -9, np.float32)
    output[:, 1:] = 0
    for k, (row, column) in enumerate([(2, 2), (2, 6), (2, 10), (6, 2), (6, 6), (6, 10), (10, 2), (10, 6)]):
        output[0, 0, row, column] = 0.1 * k
    output[0, 0, 11, 6] = 0.1
    output[1, 0, 0, 5] = output[1, 0, 7, 15] = 9
    found = decode(output, examples.subset(np.arange(2)))
    assert found["example"].tolist() == [0] * 6
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-0.1 * np.arange(7, 1, -1))), rtol=1e-5)
