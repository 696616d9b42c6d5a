"""Masked tokens: hide patches of the window, predict what was there (BERT, MAE, AtmoRep; here masking is missing data).

A hidden patch is set to NaN, the same way in which a real gap reaches the backbone. The target of a hidden patch and
plane is its values normalised by the patch's own mean and spread (He et al. 2022, arXiv:2111.06377), and beside them
that mean and the logarithm of that spread, so that how strong a vortex is counts as well as what shape it has.
"""

import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.pretexts.contract import Pretext, Views, finite_mean, patches

SMALLEST_SPREAD = 0.05
"""Spread (in standard deviations of the field) added to a patch's own, so that a flat patch is not blown up."""


def hide(x: Tensor, patch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the windows (b, planes, h, w) with patches set to NaN, and which ones (b, n, planes - 1).

    The share hidden is drawn per window, up to 60 %. Half of the windows lose a patch in every plane at once, the
    others in each plane independently, so that one variable or frame has to be told from another. One window in ten
    loses a whole plane: an absent variable or frame is nothing new to the backbone. The latitude is never hidden.
    """
    b, planes, h, w = x.shape
    n, fields = (h // patch) * (w // patch), planes - 1

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    share = 0.6 * draw(b, 1, 1)
    together = (draw(b, n, 1) < share).expand(b, n, fields)
    hidden = torch.where(draw(b, 1, 1) < 0.5, together, draw(b, n, fields) < share)
    absent = (draw(b, 1, 1) < 0.1) & (torch.arange(fields) == (draw(b, 1, 1) * fields).long())
    hidden = hidden | absent
    pixels = hidden.reshape(b, h // patch, w // patch, fields).permute(0, 3, 1, 2)
    pixels = pixels.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    seen = x.clone()
    seen[:, :-1][pixels] = torch.nan
    return seen, hidden


def masked_loss(module: nn.Module, tokens: Tensor, views: Views) -> Tensor:
    """Return the mean squared error over hidden, observed pixels, plus that of the patches' means and log spreads."""
    b, n, fields = views.hidden.shape
    patch = round((views.clean.shape[-1] * views.clean.shape[-2] / n) ** 0.5)
    truth = patches(views.clean[:, :-1], patch)
    observed = torch.isfinite(truth)
    count = observed.sum(-1)
    truth = truth.nan_to_num(0.0)
    mean = truth.sum(-1) / count.clamp(min=1)
    spread = (((truth - mean[..., None]) ** 2 * observed).sum(-1) / count.clamp(min=1)).sqrt() + SMALLEST_SPREAD
    predicted = module(tokens).reshape(b, n, fields, patch**2 + 2)
    pixel_error = (predicted[..., :-2] - (truth - mean[..., None]) / spread[..., None]) ** 2
    moment_error = (predicted[..., -2] - mean) ** 2 + (predicted[..., -1] - spread.log()) ** 2
    whole = views.hidden & (count == patch**2)
    pixel_loss = finite_mean(pixel_error, views.hidden[..., None] & observed)
    return pixel_loss + 0.5 * finite_mean(moment_error, whole)


def _module(spec: FeatureSpec) -> nn.Module:
    return nn.Linear(spec.dim, (spec.planes - 1) * (spec.patch**2 + 2))


PRETEXT = Pretext(
    name="masked",
    summary="Predict hidden patches of the window from the rest",
    module=_module,
    loss=masked_loss,
)
