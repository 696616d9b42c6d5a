"""Temporal distance (AtmoDist): how far apart in time two windows of the same place are.

To tell 6 h from 24 h, a network has to know what the flow does in the meantime, and how fast it does it here: features
that are far apart belong to states that the atmosphere takes long to get from one to the other. So the squared distance
of features is a measure of how different two fields are that knows of their dynamics (`toolkit.pretexts.
content_distance`). Hoffmann and Lessig, arXiv:2109.09076 and arXiv:2202.01897.

Theirs are 23 classes of 3 h on the ResNet (`atmodist(classes=23, step_hours=3)`, one frame, windows of 160 x 160).
"""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.pretexts.atmodist_examine import examine
from toolkit.pretexts.contract import Encoder, Place, Pretext, Views
from toolkit.pretexts.lag_answers import FEW
from toolkit.pretexts.lags import Lags, as_maps, last_frame
from toolkit.pretexts.pair_tail import PairTail

NAME = "atmodist"


def atmodist(classes: int = 8, step_hours: int = 6) -> Pretext:
    """Return the pretext that tells lags of 1 to `classes` steps of `step_hours` apart.

    Raises `UserError` for fewer than three classes and for a step below one hour.
    """
    lags = Lags(classes, step_hours)
    return Pretext(
        name=NAME,
        summary=f"Tell how far apart in time two windows are, up to {lags.hours[-1]} h",
        module=partial(_module, lags),
        loss=atmodist_loss,
        hours=lags.hours,
        draw=partial(_draw, lags),
        measures=_measures,
        examine=partial(examine, lags),
    )


def atmodist_loss(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    """Return the cross-entropy of the lag's class, over that of knowing nothing, log(classes)."""
    said = _logits(module, encode, views)
    return nn.functional.cross_entropy(said, views.drawn[NAME]["class"]) / math.log(said.shape[1])


def _logits(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    """Return (b, classes) for the pair of windows, neither of which has anything hidden.

    A patch hidden in one of the two would make the network compare what is left, and leave marks in its features where
    the weather has none; and whoever measures a distance by them has whole fields.
    """
    size = (views.clean.shape[-2], views.clean.shape[-1])
    return module(*(as_maps(encode(x), size) for x in (views.clean, views.drawn[NAME]["later"])))


def _draw(lags: Lags, place: Place, generator: np.random.Generator) -> dict[str, Tensor]:
    """Draw a lag for every window, each as likely, and read the window that much later."""
    lag = generator.integers(0, lags.count, len(place.times))
    later = place.planes(np.array(lags.hours)[lag])
    return {"class": torch.from_numpy(lag), "later": last_frame(later, place.spec)}


def _measures(module: nn.Module, encode: Encoder, views: Views) -> dict[str, Tensor]:
    """Return how often the lag is the likeliest class, and one of the three likeliest."""
    ranked = _logits(module, encode, views).topk(FEW).indices == views.drawn[NAME]["class"][:, None]
    return {"top-1": ranked[:, 0].float().mean(), f"top-{FEW}": ranked.any(1).float().mean()}


def _module(lags: Lags, spec: FeatureSpec) -> nn.Module:
    return PairTail(spec.dim, lags.count)
