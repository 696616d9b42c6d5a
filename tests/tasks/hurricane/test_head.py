import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from tasks.hurricane.head import CycloneHead, decode, encode, loss
from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.examples import Examples, cut_examples
from toolkit.geodesy import distance_km
from toolkit.heads.features import Features, Given
from toolkit.pretexts.readouts import DISPLACEMENT, NEXT_FRAMES, VORTEX_FATE
from toolkit.task import Task

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 2.8125, patch=4, dim=8)
READOUTS = {VORTEX_FATE: 6, DISPLACEMENT: 2, NEXT_FRAMES: 4}


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """Windows of all storms, in both hemispheres and over the date line."""
    return cut_examples(small_task, smooth_store, storm_labels, np.full(len(storm_labels), True), seed=0)


def said_of(targets: dict[str, NDArray]) -> NDArray[np.float32]:
    """The output (n, 6, h, w) of a model that has learned the targets by heart."""
    logit = np.where(targets["centre"] == 1, 30.0, -30.0)
    return np.concatenate([logit[:, None], targets["values"]], 1).astype(np.float32)


def given(readouts: dict[str, torch.Tensor], windows: int = 1) -> Features:
    """Random tokens and planes of windows, with readouts."""
    none = torch.zeros(windows, 0)
    planes = torch.randn(windows, 5, 16, 16)
    return Features(torch.randn(windows, 16, 8), (4, 4), planes, readouts, none, planes[:, :0])


def matched(examples: Examples, predictions: pd.DataFrame) -> pd.DataFrame:
    """Every storm with the prediction nearest to it in its window, and the distance between them."""
    pairs = examples.truth.reset_index().merge(predictions, on="example", suffixes=("", "_said"))
    pairs["km"] = distance_km(*(pairs[k] for k in ("latitude", "longitude", "latitude_said", "longitude_said")))
    return pairs.sort_values("km").drop_duplicates("index")


def test_what_is_encoded_is_decoded(examples: Examples) -> None:
    """From the targets as output come the storms, with their wind and their place in 24 h where they have one."""
    predictions = decode(said_of(encode(examples)), examples)
    pairs = matched(examples, predictions)
    assert len(pairs) == len(predictions) == len(examples.truth)
    assert pairs["km"].max() < 0.01 * 111.2 * examples.store.latitude_spacing
    np.testing.assert_allclose(pairs["wind_kt_said"], pairs["wind_kt"], atol=0.01)
    later = pairs.dropna(subset="latitude_24h")
    assert 0 < len(later) < len(pairs)
    places = (later[k] for k in ("latitude_24h", "longitude_24h", "latitude_24h_said", "longitude_24h_said"))
    assert distance_km(*places).max() < 1
    assert (np.abs(later["longitude"] - later["longitude_24h"]) > 180).any(), (
        "no storm crosses the meridian of Greenwich"
    )


def test_poleward_is_up_in_both_hemispheres(examples: Examples) -> None:
    """Storms that move away from the equator are told to move up the picture, in mirrored windows too."""
    values, mirrored = encode(examples)["values"], examples.mirrored(examples.truth["example"])
    rows = examples.truth[(examples.truth["latitude"] < 0) == mirrored].dropna(subset="latitude_24h")
    assert (rows["latitude_24h"].abs() > rows["latitude"].abs()).all()
    y, x = examples.pixels(rows["example"], rows["latitude"], rows["longitude"])
    up = values[rows["example"], 2, np.rint(y).astype(int), np.rint(x).astype(int)]
    assert (up > 0).all()
    assert 0 < examples.mirrored(rows["example"]).mean() < 1


def test_a_storm_that_ends_has_no_displacement(examples: Examples) -> None:
    """Wind and offset are learned of every storm, the displacement of those that are there 24 h later."""
    weights = encode(examples)["weights"]
    ended = examples.truth.groupby("example")["latitude_24h"].apply(lambda column: column.isna().all())
    assert ended.any()
    assert not weights[ended.index[ended], 1:3].any()
    assert weights[ended.index][:, [0, 3, 4]].any((2, 3)).all()


def test_each_part_of_the_loss_notices_its_own_mistake(examples: Examples) -> None:
    """The targets as output have nearly no loss in any part; a mistake is in its own part alone."""
    encoded = encode(examples)
    targets = {name: torch.from_numpy(target) for name, target in encoded.items()}
    output = torch.from_numpy(said_of(encoded))
    assert all(part.item() == pytest.approx(0, abs=1e-6) for part in loss(output, targets).values())
    for channels, part in ((0, "centre"), (1, "wind"), (2, "displacement"), (3, "displacement"), (5, "offset")):
        worse = output.clone()
        worse[:, channels] += 1 if channels else 31
        parts = loss(worse, targets)
        assert parts[part] > 0.1
        assert all(value < 1e-6 for name, value in parts.items() if name != part)


def test_an_untrained_head_states_nothing(examples: Examples) -> None:
    """The first guess lies under the least probability that is stated: no detection at all."""
    head = CycloneHead(Given(SPEC, READOUTS))
    output = head(given({name: torch.randn(3, channels, 16, 16) for name, channels in READOUTS.items()}, windows=3))
    assert output.shape == (3, 6, 16, 16)
    assert decode(output.detach().numpy(), examples.subset(np.arange(3))).empty


def test_an_untrained_displacement_is_the_vortices_or_the_airs() -> None:
    """With the readouts, the displacement begins as the vortices' own in its scale, or as the air's; else as zero."""
    east_north = torch.tensor([400.0, -800.0])[:, None, None].expand(1, 2, 16, 16)
    fate = torch.cat([torch.zeros(1, 4, 16, 16), -east_north / 500], 1)
    read = {DISPLACEMENT: east_north, NEXT_FRAMES: torch.zeros(1, 4, 16, 16), VORTEX_FATE: fate}
    expected = torch.tensor([1.0, -2.0])[:, None, None].expand(1, 2, 16, 16)
    torch.testing.assert_close(CycloneHead(Given(SPEC, READOUTS))(given(read))[:, 2:4], -expected)
    air = CycloneHead(Given(SPEC, {DISPLACEMENT: 2}))(given({DISPLACEMENT: east_north}))
    torch.testing.assert_close(air[:, 2:4], expected)
    assert not CycloneHead(Given(SPEC))(given({}))[:, 1:].any()


def test_what_is_linear_in_a_vortex_goes_straight_to_logit_and_wind() -> None:
    """A weight of the straight way adds as much of its channel to the logit or the wind, and to nothing else."""
    head = CycloneHead(Given(SPEC, READOUTS))
    features = given({name: torch.randn(1, channels, 16, 16) for name, channels in READOUTS.items()})
    before = head(features)
    fate = features.readouts[head.pixels.beside[0]]
    for said, weight in ((0, 3.0), (1, -0.5)):
        head.straight.weight.data.zero_()[said, 2] = weight
        added = head(features)[:, [0, 1, 4, 5]] - before[:, [0, 1, 4, 5]]
        torch.testing.assert_close(added[:, said], weight * fate[:, 2], rtol=1e-4, atol=1e-5)
        assert added.abs().sum((0, 2, 3)).count_nonzero() == 1
