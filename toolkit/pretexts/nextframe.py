"""Next frames: from what is seen up to now, predict every variable 6 and 24 h later.

What a squared error rewards is the expected future: analysis errors average out, vortices that are fed stay, others
fade.
"""

import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.pretexts.contract import Encoder, Pretext, Readout, Target, Views, finite_mean, patches, unpatched

HOURS = (6, 24)


def nextframe_loss(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    """Return the mean squared error of the normalised fields at all lead times, where they were observed."""
    tokens = encode(views.seen)
    truth = torch.cat([views.drawn["nextframe"][_target_name(hours)] for hours in HOURS], 1)
    patch = round((truth.shape[-1] * truth.shape[-2] / tokens.shape[1]) ** 0.5)
    truth = patches(truth, patch)
    error = (module(tokens).reshape(truth.shape) - truth.nan_to_num(0.0)) ** 2
    return finite_mean(error, torch.isfinite(truth))


def _target_name(hours: int) -> str:
    return f"{hours} h later"


def _module(spec: FeatureSpec) -> nn.Module:
    return nn.Linear(spec.dim, _channels(spec) * spec.patch**2)


def _channels(spec: FeatureSpec) -> int:
    return len(HOURS) * len(spec.variables)


def _read(module: nn.Module, tokens: Tensor, grid: tuple[int, int], spec: FeatureSpec) -> Tensor:
    values = module(tokens).reshape(*tokens.shape[:2], _channels(spec), spec.patch**2)
    return unpatched(values, spec.patch, grid)


PRETEXT = Pretext(
    name="nextframe",
    summary="Predict the fields 6 and 24 h later",
    module=_module,
    loss=nextframe_loss,
    targets={_target_name(hours): Target(hours=hours) for hours in HOURS},
    readout=Readout("next_frames", "standard deviations", _channels, _read),
)
