"""Masked tokens: hide patches of the window, predict what was there (BERT, MAE, AtmoRep; here masking is missing data).

A hidden patch is set to NaN, the same way in which a real gap reaches the backbone. The target of a hidden patch and
plane is its values normalised by the patch's own mean and spread (He et al. 2022, arXiv:2111.06377), and beside them
that mean and the logarithm of that spread, so that how strong a vortex is counts as well as what shape it has.

AtmoRep's tokens are cubes of space and time. Here a backbone may have all frames as planes of one token; hiding plane
by plane, and predicting plane by plane, is what makes a patch at a frame a token of its own.
"""

from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.errors import UserError
from toolkit.pretexts.contract import Encoder, Place, Pretext, Views, finite_mean, patches, token_grid
from toolkit.pretexts.corruption import HIDDEN, Mixture, corrupted, deleted, draw_corruption
from toolkit.pretexts.ensemble_tail import EnsembleTail, ensemble_loss, ensemble_measures

SMALLEST_SPREAD = 0.05
"""Spread (in standard deviations of the field) added to a patch's own, so that a flat patch is not blown up."""
Mode = Literal["bert", "forecast", "interpolation"]
FEWEST_FRAMES = {"bert": 1, "forecast": 2, "interpolation": 3}


def hide(x: Tensor, patch: int, generator: torch.Generator, most: float = 0.6) -> tuple[Tensor, Tensor]:
    """Return the windows (b, planes, h, w) with patches set to NaN, and which ones (b, n, planes - 1).

    The share hidden is drawn per window, up to `most`. Half of the windows lose a patch in every plane at once, the
    others in each plane independently, so that one variable or frame has to be told from another. One window in ten
    loses a whole plane: an absent variable or frame is nothing new to the backbone. The latitude is never hidden.
    """
    b, planes, h, w = x.shape
    n, fields = (h // patch) * (w // patch), planes - 1

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    share = most * draw(b, 1, 1)
    together = (draw(b, n, 1) < share).expand(b, n, fields)
    hidden = torch.where(draw(b, 1, 1) < 0.5, together, draw(b, n, fields) < share)
    absent = (draw(b, 1, 1) < 0.1) & (torch.arange(fields) == (draw(b, 1, 1) * fields).long())
    hidden = hidden | absent
    return deleted(x, hidden, patch), hidden


def masked_loss(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    """Return the mean squared error over hidden, observed pixels, plus that of the patches' means and log spreads."""
    views = _as_chosen(views)
    b, n, fields = views.hidden.shape
    patch = _patch(views)
    truth = patches(views.clean[:, :-1], patch)
    observed = torch.isfinite(truth)
    count = observed.sum(-1)
    truth = truth.nan_to_num(0.0)
    mean = truth.sum(-1) / count.clamp(min=1)
    spread = (((truth - mean[..., None]) ** 2 * observed).sum(-1) / count.clamp(min=1)).sqrt() + SMALLEST_SPREAD
    predicted = module(encode(views.seen)).reshape(b, n, fields, patch**2 + 2)
    pixel_error = (predicted[..., :-2] - (truth - mean[..., None]) / spread[..., None]) ** 2
    moment_error = (predicted[..., -2] - mean) ** 2 + (predicted[..., -1] - spread.log()) ** 2
    whole = views.hidden & (count == patch**2)
    pixel_loss = finite_mean(pixel_error, views.hidden[..., None] & observed)
    return pixel_loss + 0.5 * finite_mean(moment_error, whole)


def masked(mode: Mode = "bert", mixture: Mixture = HIDDEN, members: int = 1) -> Pretext:
    """Return the pretext with its options. What is chosen is to be predicted; the loss is over all of it.

    mode: what is chosen. "bert": patches at random (see `hide`); "forecast": the whole last frame; "interpolation": the
    whole middle one (the later of two). The last two are AtmoRep's ways to use one model without further training.
    mixture: the probabilities that a chosen patch is hidden, gets noise, and is coarsened, drawn independently and done
    in this order (AtmoRep, Lessig et al. 2023, arXiv:2308.13280, has 0.9, 0.1 to 0.2, 0.05; see
    `toolkit.pretexts.corruption`); for "bert" alone, since a frame that shines through is not forecast.
    members: with more than one, as many heads predict the fields themselves, not normalised by patch, with AtmoRep's
    ensemble loss (see `toolkit.pretexts.ensemble_tail`); it has 16.

    What hides otherwise than `hide` does has the backbone encode windows of its own. Raises `UserError` for options
    that do not fit and, once the frames are known, where there are too few for the mode.
    """
    if not all(0 <= probability <= 1 for probability in mixture):
        raise UserError(f"The pretext 'masked' has the mixture {mixture}. It takes three probabilities from 0 to 1.")
    if mode != "bert" and mixture != HIDDEN:
        raise UserError(f"The pretext 'masked' hides whole frames in the mode '{mode}'. Leave the mixture out.")
    if members < 1:
        raise UserError(f"The pretext 'masked' has {members} members. It takes one, or more for an ensemble.")
    plain = mode == "bert" and mixture == HIDDEN
    return Pretext(
        name="masked",
        summary="Predict hidden patches of the window from the rest",
        module=partial(_module, mode=mode, members=members),
        loss=masked_loss if members == 1 else _ensemble_loss,
        draw=None if plain else partial(_draw, mode=mode, mixture=mixture),
        measures=None if members == 1 else _ensemble_measures,
        of_hidden=mode == "bert",
    )


def _module(spec: FeatureSpec, mode: Mode, members: int) -> nn.Module:
    if len(spec.frames) < FEWEST_FRAMES[mode]:
        raise UserError(
            f"The pretext 'masked' needs at least {FEWEST_FRAMES[mode]} frames in the mode '{mode}', and there are "
            f"{len(spec.frames)}. Give more frames, or take the mode 'bert'."
        )
    fields, pixels = spec.planes - 1, spec.patch**2
    if members > 1:
        return EnsembleTail(spec.dim, fields * pixels, members)
    return nn.Linear(spec.dim, fields * (pixels + 2))


def _draw(place: Place, generator: np.random.Generator, mode: Mode, mixture: Mixture) -> dict[str, Tensor]:
    """Draw what is done to patches, or say which are those of the frame."""
    frames, variables = len(place.spec.frames), len(place.spec.variables)
    b, n = len(place.windows), place.windows.size[0] * place.windows.size[1] // place.spec.patch**2
    if mode == "bert":
        return draw_corruption((b, n, frames * variables), place.spec.patch, mixture, generator)
    chosen = torch.zeros(b, n, frames, variables, dtype=torch.bool)
    chosen[:, :, frames - 1 if mode == "forecast" else frames // 2] = True
    return {"chosen": chosen.flatten(2)}


def _as_chosen(views: Views) -> Views:
    """Return the views with what this pretext itself hides, where it drew something."""
    own = views.drawn.get("masked", {})
    if "chosen" in own:
        return Views(views.clean, deleted(views.clean, own["chosen"], _patch(views)), own["chosen"], {})
    if own:
        return Views(views.clean, corrupted(views.clean, views.hidden, own, _patch(views)), views.hidden, {})
    return views


def _patch(views: Views) -> int:
    h, w = views.clean.shape[-2:]
    return h // token_grid(views.hidden.shape[1], (h, w))[0]


def _members(module: nn.Module, encode: Encoder, views: Views) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the members say (k, b, n, planes - 1, patch^2), the truth, and where it counts."""
    views = _as_chosen(views)
    truth = patches(views.clean[:, :-1], _patch(views))
    said = module(encode(views.seen))
    return said.reshape(-1, *truth.shape), truth, views.hidden[..., None] & truth.isfinite()


def _ensemble_loss(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    return ensemble_loss(*_members(module, encode, views))


def _ensemble_measures(module: nn.Module, encode: Encoder, views: Views) -> dict[str, Tensor]:
    return ensemble_measures(*_members(module, encode, views))
