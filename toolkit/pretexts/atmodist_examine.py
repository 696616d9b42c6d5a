"""What AtmoDist learned, measured on held-out worlds and written as tables.

confusion.csv  accuracy.csv     which lags are taken for which, and how often each is told (`lag_answers`)
distance.csv   scale.json       how distances grow with the lag, and what makes them comparable (`lag_curves`)
predictability.csv              accuracy and entropy at the middle lag by place, month and hour
summary.json                    the numbers of the whole
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.weights import Backbone
from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.data.windows import to_degrees
from toolkit.files import write_json
from toolkit.pretexts.contract import Learned, Place, Pretext
from toolkit.pretexts.draw import Recipe, draw, unlabelled
from toolkit.pretexts.lag_answers import accuracy, confusion, predictability
from toolkit.pretexts.lag_curves import FIELD_DISTANCES, Curves, feature_distance, field_distances, slopes
from toolkit.pretexts.lags import Lags, as_maps, last_frame

ANCHORS = 1024
"""Windows that are compared with the same place at every lag."""
PLACED = 4096
"""Windows by which places, months and hours are told apart, at one lag."""
BATCH = 16
_SAMPLED = "sampled"
Sample = tuple[Tensor, Tensor, pd.DataFrame]


def examine(
    lags: Lags, learned: Learned, stores: Sequence[Store], folder: Path, anchors: int = ANCHORS, placed: int = PLACED
) -> None:
    """Write what was learned into a folder. The same stores give the same windows, whatever was learned.

    anchors: windows compared at every lag; placed: windows for the table by place, month and hour. Both are rounded up
    to whole batches.
    """
    sample = partial(samples, learned.spec, learned.normalisation, learned.size, stores, lags)
    logits, curves = _at_every_lag(lags, learned, sample(range(lags.count), anchors))
    said, where = _at_one_lag(learned, sample([lags.middle], placed))
    by_lag = accuracy(logits, lags)
    tables = {
        "confusion": confusion(logits, lags),
        "accuracy": by_lag,
        "distance": distance_table(curves),
        "predictability": predictability(said, lags.middle, where),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    write_json(folder / "scale.json", {name: curves.scale(name) for name in FIELD_DISTANCES})
    write_json(folder / "summary.json", _summary(lags, by_lag, curves, len(said)))


def measured_scale(
    backbone: Backbone, layer: str, stores: Sequence[Store], lags: Lags, size: tuple[int, int], anchors: int = ANCHORS
) -> float:
    """Return the scale alpha that makes the distance at any layer of a loaded backbone comparable with l2.

    size: (h, w) of the windows, pixels. `UserError` for an unknown layer.
    """
    spec, features = backbone.card.spec, partial(backbone.module.features, layer=layer)
    found = samples(spec, backbone.card.normalisation, size, stores, lags, range(lags.count), anchors)
    return measured_curves(features, lags, found).scale("l2")


@torch.no_grad()
def measured_curves(features: Callable[[Tensor], Tensor], lags: Lags, found: Iterator[Sample]) -> Curves:
    """Return the curves of what `features` makes of windows (b, planes, h, w), from samples of every lag."""
    parts = []
    for earlier, after, _ in found:
        later = after.unbind(1)
        parts.append(_batch_curves(features(earlier), [features(x) for x in later], earlier, later))
    return _joined(lags, parts)


def samples(
    spec: FeatureSpec,
    normalisation: Normalisation,
    size: tuple[int, int],
    stores: Sequence[Store],
    lags: Lags,
    classes: Sequence[int],
    n: int,
) -> Iterator[Sample]:
    """Yield about `n` windows (b, planes, h, w) with those later by the lags of `classes`, and where they lie.

    The later ones are (b, classes, planes, h, w). Where: latitude and longitude of the centre, degrees, and month and
    hour (UTC) of the earlier one. The windows are drawn as for training.
    """

    def read(place: Place, _generator: np.random.Generator) -> dict[str, Tensor]:
        hours = (np.full(len(place.times), lags.hours[k]) for k in classes)
        return {"later": torch.stack([place.planes(each) for each in hours], 1)} | _where(place)

    reader = Pretext(_SAMPLED, "", lambda _: nn.Identity(), lambda *_: torch.zeros(()), hours=lags.hours, draw=read)
    recipe = Recipe(spec, {}, ((reader, 1.0),), size)
    sources = [unlabelled(store, recipe, lambda *_: np.empty(0)) for store in stores]
    for number in range(-(-n // BATCH)):
        views = draw(sources, recipe, normalisation, BATCH, number)
        drawn = dict(views.drawn[_SAMPLED])
        later = drawn.pop("later")
        yield views.clean, later, pd.DataFrame({name: value.numpy() for name, value in drawn.items()})


def distance_table(curves: Curves) -> pd.DataFrame:
    """Return mean and standard deviation over the windows of every distance, a row per lag.

    distance: of the features; scaled_distance: times the scale for l2.
    """
    scaled = {"distance": curves.feature, "scaled_distance": curves.feature * curves.scale("l2")} | dict(curves.fields)
    columns: dict[str, Any] = {"hours": curves.lags.hours}
    for name, values in scaled.items():
        columns |= {name: values.mean(0), f"{name}_std": values.std(0)}
    return pd.DataFrame(columns)


def _where(place: Place) -> dict[str, Tensor]:
    """Return where the middles of windows lie, and when."""
    (h, w), n = place.windows.size, len(place.times)
    middle = np.full((n, 1), (h - 1) / 2), np.full((n, 1), (w - 1) / 2)
    latitude, longitude = to_degrees(place.store, place.windows, np.arange(n), *middle)
    time = place.store.time[place.times]
    month, hour = time.astype("datetime64[M]").astype(int) % 12 + 1, time.astype("datetime64[h]").astype(int) % 24
    numbers = {"latitude": latitude[:, 0], "longitude": longitude[:, 0], "month": month, "hour": hour}
    return {name: torch.from_numpy(values) for name, values in numbers.items()}


@torch.no_grad()
def _at_every_lag(lags: Lags, learned: Learned, found: Iterator[Sample]) -> tuple[np.ndarray, Curves]:
    """Return the logits (n, lags, classes) and the curves of the last layer."""
    device = _ready(learned)
    logits, parts = [], []
    for first, after, _ in found:
        earlier, later = first.to(device), after.to(device).unbind(1)
        features = learned.encode(earlier), [learned.encode(x) for x in later]
        shown = [last_frame(x, learned.spec) for x in later]
        seen = [
            tokens if only is whole else learned.encode(only)  # with one frame they are the same
            for only, whole, tokens in zip(shown, later, features[1], strict=True)
        ]
        logits.append(torch.stack([_logits(learned, features[0], tokens) for tokens in seen], 1).cpu().numpy())
        parts.append(_batch_curves(*features, earlier, later))
    return np.concatenate(logits), _joined(lags, parts)


@torch.no_grad()
def _at_one_lag(learned: Learned, found: Iterator[Sample]) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the logits (n, classes) at one lag, and where the windows lie."""
    device = _ready(learned)
    logits, places = [], []
    for earlier, later, where in found:
        pair = earlier.to(device), last_frame(later[:, 0], learned.spec).to(device)
        logits.append(_logits(learned, *map(learned.encode, pair)).cpu().numpy())
        places.append(where)
    return np.concatenate(logits), pd.concat(places, ignore_index=True)


def _ready(learned: Learned) -> torch.device:
    """Put the tail in inference and return where it is."""
    return next(learned.module.eval().parameters()).device


def _logits(learned: Learned, earlier: Tensor, later: Tensor) -> Tensor:
    return learned.module(as_maps(earlier, learned.size), as_maps(later, learned.size))


def _batch_curves(
    first: Tensor, after: Sequence[Tensor], earlier: Tensor, later: Sequence[Tensor]
) -> dict[str, np.ndarray]:
    """Return every distance (b, lags), of features and of windows (b, planes, h, w), from the first to each later."""
    rows = [
        {"feature": feature_distance(first, features)} | field_distances(earlier[:, :-1], x[:, :-1])
        for features, x in zip(after, later, strict=True)
    ]
    return {name: torch.stack([row[name] for row in rows], 1).double().cpu().numpy() for name in rows[0]}


def _joined(lags: Lags, parts: list[dict[str, np.ndarray]]) -> Curves:
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Curves(lags, whole.pop("feature"), whole)


def _summary(lags: Lags, by_lag: pd.DataFrame, curves: Curves, placed: int) -> dict[str, Any]:
    """Return the numbers of the whole; chance is 1 and 3 over the classes."""
    top_1, top_3 = float(by_lag["top_1"].mean()), float(by_lag["top_3"].mean())
    return {
        "classes": lags.count,
        "step_hours": lags.step_hours,
        "middle_hours": lags.hours[lags.middle],
        "windows": len(curves.feature),
        "windows_by_place": placed,
        "top_1": top_1,
        "top_3": top_3,
        "top_1_over_chance": top_1 * lags.count,
        "top_3_over_chance": top_3 * lags.count / 3,
    } | slopes(curves)
