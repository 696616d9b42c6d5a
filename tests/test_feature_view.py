from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.activations import activations, responses, selectivity
from toolkit.ascent import Ascent, ascend
from toolkit.backbones.features import planes
from toolkit.backbones.known import build_backbone
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.data.store import Store
from toolkit.data.windows import Windows, read_windows, window_latitudes
from toolkit.errors import UserError
from toolkit.feature_view import APART, APART_KM, Exciting, drawn_windows, strongest, view_features
from toolkit.geodesy import distance_km

LAYER, CHANNEL, DRAWN = "blocks.1", 3, 60
SHORT = Ascent(side=32, steps=40)


@pytest.fixture(scope="module")
def backbone(random_backbone: Path) -> Backbone:
    """A small backbone with random weights."""
    return load_backbone(random_backbone)


@pytest.fixture(scope="module")
def windows(smooth_store: Store, backbone: Backbone) -> Windows:
    """Random windows of the store."""
    return drawn_windows(smooth_store, backbone.card.spec, DRAWN, 0)


@pytest.fixture(scope="module")
def answers(smooth_store: Store, backbone: Backbone, windows: Windows) -> np.ndarray:
    """The activations of all windows."""
    return responses(backbone, smooth_store, windows, LAYER)


@pytest.fixture(scope="module")
def shown(smooth_store: Store, backbone: Backbone, windows: Windows, answers: np.ndarray) -> tuple[Exciting, ...]:
    """The windows that excite a channel most."""
    return strongest(backbone, smooth_store, windows, answers, CHANNEL, 6)


def test_windows_have_all_their_frames_and_come_from_the_seed(
    smooth_store: Store, backbone: Backbone, windows: Windows
) -> None:
    """No frame is missing, both hemispheres are there, the same seed gives the same windows and another others."""
    assert (windows.time >= 0).all()
    assert 0.2 < windows.mirrored.mean() < 0.8
    same, other = (drawn_windows(smooth_store, backbone.card.spec, DRAWN, seed) for seed in (0, 1))
    assert np.array_equal(windows.column, same.column)
    assert not np.array_equal(windows.column, other.column)


def test_windows_of_a_region_lie_in_it(smooth_store: Store, backbone: Backbone) -> None:
    """On fields of a region every window is one of its own, and centres are spread over all of it."""
    region = replace(smooth_store, values=smooth_store.values[..., 20:70], longitude=smooth_store.longitude[20:70])
    found = drawn_windows(region, backbone.card.spec, 200, 0)
    assert found.column.min() == 0
    assert found.column.max() == 50 - 32
    assert len(np.unique(found.column)) > 10


def test_the_strongest_are_the_largest_that_show_other_weather(
    smooth_store: Store, backbone: Backbone, windows: Windows, answers: np.ndarray, shown: tuple[Exciting, ...]
) -> None:
    """Windows taken one by one, sorted, and dropped where a stronger one is near, are those that are shown."""
    single = [strongest(backbone, smooth_store, _only(windows, i), answers[[i]], CHANNEL, 1)[0] for i in range(DRAWN)]
    assert [window.activation for window in single] == answers[:, CHANNEL].max((1, 2)).tolist()
    kept: list[Exciting] = []
    for window in sorted(single, key=lambda window: -window.activation):
        if all(_apart(window, other) for other in kept):
            kept.append(window)
    assert 6 < len(kept) < DRAWN
    assert [window.activation for window in shown] == [window.activation for window in kept[:6]]


def test_the_marked_token_is_where_the_maximum_is(backbone: Backbone, shown: tuple[Exciting, ...]) -> None:
    """Seen again from what is handed to the figure, a window has its largest activation at the token, as stated."""
    for window in shown:
        assert window.mirrored == (window.rows[0] < window.rows[-1])
        seen = -window.rows if window.mirrored else window.rows
        maps = activations(backbone, planes(window.fields[None], seen[None]), LAYER)[0, CHANNEL].detach().numpy()
        assert np.unravel_index(maps.argmax(), maps.shape) == window.token
        assert maps.max() == pytest.approx(window.activation, rel=1e-4)
        row, column = (np.arange(4) + 4 * token for token in window.token)
        assert window.latitude == pytest.approx(window.rows[row].mean())
        assert (window.columns[column].mean() - window.longitude) % 360 == pytest.approx(0, abs=1e-9)


def test_ascent_raises_the_activation_above_every_real_window(
    backbone: Backbone, answers: np.ndarray, shown: tuple[Exciting, ...]
) -> None:
    """Far above its start and the best real window; fields of mean square 1; the latitudes those of the place."""
    deviation = float(answers[:, CHANNEL].std())
    images, before, after = ascend(backbone, LAYER, (CHANNEL,), (20.0,), (deviation,), 0, SHORT)
    assert after > before + 3 * deviation
    assert after > shown[0].activation
    torch.testing.assert_close(images[:, :-1].square().mean(), torch.tensor(1.0))
    spacing = backbone.card.spec.grid_degrees
    latitude = 20 + spacing * (15.5 - np.arange(32))
    np.testing.assert_allclose(images[0, -1, :, 7], np.sin(np.radians(latitude)), atol=1e-6)
    with torch.no_grad():
        again = activations(backbone, images, LAYER)[0, CHANNEL, 4, 4]
    torch.testing.assert_close(again, after[0])


@pytest.mark.slow
def test_a_convolutional_backbone_is_viewed_too(smooth_store: Store, backbone: Backbone) -> None:
    """Maps of any stride are activations; windows are as large as patches of 32 pixels let them be on the grid."""
    card = replace(backbone.card, spec=replace(backbone.card.spec, patch=32, dim=128))
    resnet = Backbone(card, build_backbone(card.spec, {"kind": "resnet"}, seed=0).eval(), {})
    assert activations(resnet, torch.zeros(1, 5, 64, 96), "layer3").shape == (1, 64, 4, 6)
    for layer, grid in (("layer3", (4, 4)), (None, (2, 2))):
        view = view_features(resnet, smooth_store, layer, channels=(0,), windows=3)
        (channel,) = view.channels
        assert view.grid == grid
        assert channel.image.shape == (2, 2, 64, 64)
        assert channel.after > channel.before


@pytest.mark.slow
def test_a_view_lists_the_most_selective_channels(smooth_store: Store, backbone: Backbone) -> None:
    """Without a channel the most selective are shown, in that order; the same seed gives the same numbers."""
    one, two = (view_features(backbone, smooth_store, LAYER, windows=20, seed=3) for _ in range(2))
    selective = [channel.selectivity for channel in one.channels]
    assert selective == sorted(selective, reverse=True)
    windows = drawn_windows(smooth_store, backbone.card.spec, 20, 3)
    assert selective[0] == selectivity(responses(backbone, smooth_store, windows, LAYER)).max()
    assert one.grid == (8, 8)
    assert all(channel.counts.sum() == 20 * 64 for channel in one.channels)
    for a, b in zip(one.channels, two.channels, strict=True):
        assert np.array_equal(a.image, b.image)
        assert (a.number, a.after) == (b.number, b.after)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"layer": "block.1"}, r"No layer 'block\.1'\. Did you mean 'blocks\.1'\?"),
        ({"channels": (16,)}, "The layer norm has the channels 0 to 15, so there is no 16"),
        ({"channels": (-1,)}, "there is no -1"),
        ({"windows": 0}, "ask for one at least"),
    ],
)
def test_what_is_not_there_is_named(smooth_store: Store, backbone: Backbone, asked: dict, said: str) -> None:
    """A layer or a channel that is not there, and no windows at all, are one error each."""
    with pytest.raises(UserError, match=said):
        view_features(backbone, smooth_store, **{"windows": 2, **asked})


def test_fields_that_do_not_fit_are_refused(smooth_store: Store, backbone: Backbone) -> None:
    """Another grid spacing, a variable that is not there, and times without all frames are told."""
    coarse = replace(smooth_store, latitude=smooth_store.latitude[::2], values=smooth_store.values[:, :, ::2])
    with pytest.raises(UserError, match=r"the grid spacing is 5\.625 degrees, it was trained at 2\.8125"):
        view_features(backbone, coarse)
    with pytest.raises(UserError, match=r"No variable in the store .* 'divergence'"):
        view_features(backbone, replace(smooth_store, channels=smooth_store.channels[:1]))
    with pytest.raises(UserError, match=r"no time with all of the frames at \[-6, 0\] h"):
        view_features(backbone, replace(smooth_store, time=smooth_store.time[:1], values=smooth_store.values[:1]))


def test_responses_do_not_depend_on_how_windows_are_taken_together(
    smooth_store: Store, backbone: Backbone, windows: Windows, answers: np.ndarray
) -> None:
    """A window by itself gives the activations that it gives among all the others."""
    index = np.array([17])
    x = planes(
        read_windows(smooth_store, windows, index, backbone.card.normalisation),
        window_latitudes(smooth_store, windows, index),
    )
    with torch.no_grad():
        np.testing.assert_allclose(activations(backbone, x, LAYER)[0], answers[17], atol=1e-5)


def _only(windows: Windows, i: int) -> Windows:
    return Windows(windows.time[[i]], windows.row[[i]], windows.column[[i]], windows.mirrored[[i]], windows.size)


def _apart(one: Exciting, other: Exciting) -> bool:
    km = distance_km(one.latitude, one.longitude, other.latitude, other.longitude)
    return bool(km >= APART_KM or abs(one.time - other.time) >= APART)
