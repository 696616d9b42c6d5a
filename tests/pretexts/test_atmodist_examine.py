import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.weights import load_backbone
from toolkit.data.store import Store
from toolkit.pretexts.atmodist_examine import examine, measured_curves, measured_scale, samples
from toolkit.pretexts.contract import Learned
from toolkit.pretexts.draw import normalisation_for
from toolkit.pretexts.lag_curves import FIELD_DISTANCES
from toolkit.pretexts.lags import Lags

LAGS, SIZE, ANCHORS = Lags(4, 6), (16, 16), 32
FRAMES = (-6, 0)
VARIABLES = ("vorticity", "divergence")


class Nearest(nn.Module):
    """Tells the lag by how far apart two maps are: the likeliest class is that whose `known` distance is nearest."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.known = nn.Parameter(known)

    def forward(self, earlier: Tensor, later: Tensor) -> Tensor:
        """Return logits (b, classes)."""
        apart = (earlier - later).square().mean((1, 2, 3))
        return -10 * (apart[:, None] - self.known).abs()


def spec(frames: tuple[int, ...] = (0,)) -> FeatureSpec:
    """Fields of vorticity and divergence."""
    return FeatureSpec(VARIABLES, ("s-1", "s-1"), frames, 2.8125, patch=4, dim=2)


def values(x: Tensor) -> Tensor:
    """Tokens that are the means of the last two fields over each patch of 4 x 4 pixels, zero where missing."""
    return nn.functional.avg_pool2d(x[:, -3:-1].nan_to_num(0.0), 4).flatten(2).transpose(1, 2)


def learned(store: Store, encode: Callable[[Tensor], Tensor], frames: tuple[int, ...] = (0,)) -> Learned:
    """Something learned whose features are known."""
    return Learned(encode, Nearest(torch.arange(4.0)), spec(frames), normalisation_for(VARIABLES, store), SIZE)


@pytest.fixture(scope="module")
def folder(smooth_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which what was learned is written."""
    folder = tmp_path_factory.mktemp("atmodist")
    examine(LAGS, learned(smooth_store, values), [smooth_store], folder, ANCHORS, placed=40)
    return folder


def test_tables_fit_together(folder: Path) -> None:
    """Accuracy is the diagonal of the confusion; the summary is the mean over lags; windows are whole batches."""
    confused, told = pd.read_csv(folder / "confusion.csv"), pd.read_csv(folder / "accuracy.csv")
    right = confused[confused["true_hours"] == confused["predicted_hours"]]
    np.testing.assert_allclose(right["count"] / ANCHORS, told["top_1"])
    numbers = json.loads((folder / "summary.json").read_text())
    assert numbers["top_1"] == pytest.approx(told["top_1"].mean())
    assert numbers["top_3_over_chance"] == pytest.approx(numbers["top_3"] * 4 / 3)
    assert (numbers["windows"], numbers["windows_by_place"], numbers["middle_hours"]) == (32, 48, 18)
    places = pd.read_csv(folder / "predictability.csv")
    assert places.groupby("by")["windows"].sum().tolist() == [48, 48, 48]
    assert set(places["month"].dropna()) == {8}
    assert set(places["hour"].dropna()) == {0, 6, 12, 18}


def test_scales_are_those_of_the_curves(folder: Path) -> None:
    """Scaled by alpha, the distance is as near to l2 as any factor brings it over the upper half of the lags."""
    table = pd.read_csv(folder / "distance.csv")
    scale = json.loads((folder / "scale.json").read_text())
    assert list(scale) == list(FIELD_DISTANCES)
    upper = table[LAGS.upper]
    expected = (upper["distance"] @ upper["l2"]) / (upper["distance"] @ upper["distance"])
    assert scale["l2"] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(table["scaled_distance"], scale["l2"] * table["distance"], rtol=1e-4)
    assert (table["l2"].diff()[1:] > 0).all()


def test_the_same_windows_for_whatever_was_learned(smooth_store: Store, folder: Path, tmp_path: Path) -> None:
    """Other features change neither the distances of fields nor how many windows lie where."""
    examine(LAGS, learned(smooth_store, lambda x: 3 * values(x)), [smooth_store], tmp_path, ANCHORS, placed=40)
    ours, other = (pd.read_csv(path / "distance.csv") for path in (folder, tmp_path))
    assert ours[list(FIELD_DISTANCES)].equals(other[list(FIELD_DISTANCES)])
    np.testing.assert_allclose(other["distance"], 9 * ours["distance"], rtol=1e-5)
    ours, other = (pd.read_csv(path / "predictability.csv")["windows"] for path in (folder, tmp_path))
    assert ours.equals(other)


def test_samples_are_the_same_place_later(smooth_store: Store) -> None:
    """The window a lag after one is, at the time it is asked for, the store's own; where it lies is its middle."""
    normalisation = replace(normalisation_for(VARIABLES, smooth_store), mean=(0.0, 0.0))
    (earlier, later, where), *_ = samples(spec(), normalisation, SIZE, [smooth_store], LAGS, [0, 3], 5)
    assert later.shape == (16, 2, *earlier.shape[1:])
    assert torch.equal(later[:, 0, -1], earlier[:, -1])
    middle = torch.asin(earlier[:, -1, 7:9, 0].mean(1)).rad2deg()
    np.testing.assert_allclose(where["latitude"].abs(), middle.abs(), atol=0.1)
    column = ((where["longitude"] / 2.8125).to_numpy() - 7.5).round().astype(int)
    row = ((90 - where["latitude"]) / 2.8125 - 7.5).round().astype(int)
    north = int(np.flatnonzero(where["latitude"] > 25)[0])
    columns = (column[north] + np.arange(16)) % 128
    matches = [
        t
        for t in range(40)
        if np.allclose(
            smooth_store.frame(t)[0][row[north] : row[north] + 16][:, columns],
            earlier[north, 0] * normalisation.standard_deviation[0],
            atol=1e-7,
        )
    ]
    assert len(matches) == 1
    ahead = smooth_store.frame(matches[0] + 4)[0][row[north] : row[north] + 16][:, columns]
    np.testing.assert_allclose(later[north, 1, 0] * normalisation.standard_deviation[0], ahead, atol=1e-7)
    assert where["hour"][north] == matches[0] % 4 * 6


def test_the_classifier_sees_the_last_frame_and_the_distance_all(smooth_store: Store, tmp_path: Path) -> None:
    """With two frames the first of the later window is missing where lags are told, and there where distances are."""
    seen: list[bool] = []

    def watched(x: Tensor) -> Tensor:
        seen.append(bool(x[:, :2].isnan().all()))
        return values(x)

    examine(LAGS, learned(smooth_store, watched, FRAMES), [smooth_store], tmp_path, 16, placed=16)
    assert seen == [False] * 5 + [True] * 4 + [False, True]


def test_the_scale_at_any_layer(random_backbone: Path, smooth_store: Store) -> None:
    """The scale of a layer of a loaded backbone is that of its curves; the last layer's features are the tokens."""
    backbone = load_backbone(random_backbone)
    card = backbone.card
    found = samples(card.spec, card.normalisation, SIZE, [smooth_store], LAGS, range(4), 16)
    expected = measured_curves(backbone.module, LAGS, found).scale("l2")
    assert measured_scale(backbone, "norm", [smooth_store], LAGS, SIZE, 16) == pytest.approx(expected)
    assert measured_scale(backbone, "blocks.0", [smooth_store], LAGS, SIZE, 16) != pytest.approx(expected)
