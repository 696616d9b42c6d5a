"""Inpainting: delete a rectangle of the window and fill it in (context encoder, Pathak et al. 2016, arXiv:1604.07379).

The rectangle lies at random, its sides are whole patches, and it covers about a quarter of the window; it is missing
(NaN), as a real gap would be, and its pixels are read from the tokens that lie in it. A squared error alone fills in
the mean of all that could be there, which is too smooth. So a discriminator may judge whether a filled-in rectangle,
seen without its surroundings as in the paper, looks like a true one. Of the paper are left out: the overlap with
what is seen, of tenfold weight, and the discriminator's slower rate, as one optimiser trains both.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.func import functional_call

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.pretexts.contract import (
    Encoder,
    Learned,
    Place,
    Pretext,
    Views,
    mean_squared,
    patches,
    token_grid,
    unpatched,
)
from toolkit.pretexts.corruption import deleted
from toolkit.pretexts.draw import Recipe, draw, unlabelled

AREA = 0.25
WIDTHS = (32, 64, 128)
"""Channels of the discriminator's layers, each of which halves the sides."""
SHOWN = 6
Frames = Literal["all", "last"]


class Inpainter(nn.Module):
    """What fills in the planes from `first` on, and the discriminator where there is one.

    fill: tokens (b, m, dim) to (b, m, c patch^2); judge: rectangles (b, c, h, w) of any size to a logit (b, 1),
    positive for a true one. It has no batch norm, so that each rectangle is judged by itself.
    """

    def __init__(self, spec: FeatureSpec, frames: Frames, judged: bool) -> None:
        """Build the layers with torch's initialisation."""
        super().__init__()
        fields = spec.planes - 1 if frames == "all" else len(spec.variables)
        self.patch, self.first = spec.patch, spec.planes - 1 - fields
        self.fill = nn.Linear(spec.dim, fields * spec.patch**2)
        self.judge = _discriminator(fields) if judged else None


def _discriminator(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip((channels, *WIDTHS), WIDTHS, strict=False):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 1))


def inpaint(frames: Frames = "all", adversarial: float = 0.0) -> Pretext:
    """Return the pretext with its options.

    frames: whether the rectangle is deleted from all frames, or from the last one alone.
    adversarial: weight a of the discriminator's part, from 0 to below 1; the paper has 0.001. The loss is

        (1 - a) mean (filled - true)^2 + a CE(D*(filled), true) + (CE(D(true), true) + CE(D(filled*), false)) / 2

    over the rectangle where it was observed, in standard deviations of the field. What has a star is held fixed: of the
    one sum the discriminator D gets only the gradient of its own errors, backbone and filling only that of the first
    two terms. Raises `UserError` for another weight.
    """
    if not 0 <= adversarial < 1:
        raise UserError(f"The pretext 'inpaint' has adversarial={adversarial:g}. Give it from 0 to below 1, say 0.001.")
    return Pretext(
        name="inpaint",
        summary="Fill in a deleted rectangle of the window",
        module=partial(Inpainter, frames=frames, judged=adversarial > 0),
        loss=partial(inpaint_loss, adversarial=adversarial),
        draw=draw_hole,
        measures=inpaint_measures,
        examine=_draw_pictures,
    )


def draw_hole(place: Place, generator: np.random.Generator) -> dict[str, Tensor]:
    """Draw a rectangle, of one shape for the batch, and its place in each window.

    hole (b, rows, columns): the numbers of its tokens. Raises `UserError` where a window is a single patch.
    """
    rows, columns = (side // place.spec.patch for side in place.windows.size)
    if rows * columns < 2:
        raise UserError("The pretext 'inpaint' needs windows of more than one patch. Give a larger window.")
    lowest = -(-rows // 3)
    height = int(generator.integers(lowest, max(lowest, 2 * rows // 3) + 1))
    width = max(1, round(AREA * rows * columns / height))
    north = generator.integers(0, rows - height + 1, len(place.windows))[:, None, None] + np.arange(height)[:, None]
    west = generator.integers(0, columns - width + 1, len(place.windows))[:, None, None] + np.arange(width)
    return {"hole": torch.from_numpy(north * columns + west)}


def inpaint_loss(module: nn.Module, encode: Encoder, views: Views, adversarial: float) -> Tensor:
    """Return the loss that `inpaint` states."""
    assert isinstance(module, Inpainter)
    filled, true = _filled(module, encode, views)
    squared = mean_squared(filled, true)
    if module.judge is None:
        return squared
    fake, real = _comparable(filled, true)
    fixed = {name: weight.detach() for name, weight in module.judge.named_parameters()}
    fools = _cross_entropy(functional_call(module.judge, fixed, (fake,)), 1.0)
    judges = _cross_entropy(module.judge(real), 1.0) + _cross_entropy(module.judge(fake.detach()), 0.0)
    return (1 - adversarial) * squared + adversarial * fools + 0.5 * judges


def inpaint_measures(module: nn.Module, encode: Encoder, views: Views) -> dict[str, Tensor]:
    """Return the RMSE in the rectangle, that of the mean of its rim, and how often the discriminator is right.

    The rim is the line of pixels around the rectangle; each plane has a mean of its own, zero where none is observed.
    """
    assert isinstance(module, Inpainter)
    filled, true = _filled(module, encode, views)
    inside = _inside(views)[:, None].float()
    inside = nn.functional.interpolate(inside, scale_factor=float(module.patch))
    rim = (nn.functional.max_pool2d(inside, 3, 1, 1) > inside) & views.clean[:, module.first : -1].isfinite()
    around = torch.where(rim, views.clean[:, module.first : -1], 0.0).sum((2, 3), keepdim=True)
    constant = around / rim.sum((2, 3), keepdim=True).clamp(min=1)
    said = {"RMSE": filled, "RMSE of the rim's mean": constant}
    numbers = {name: mean_squared(values, true).sqrt() for name, values in said.items()}
    if module.judge is not None:
        fake, real = _comparable(filled, true)
        right = torch.cat([module.judge(real) > 0, module.judge(fake) < 0])
        numbers["discriminator right"] = right.float().mean()
    return numbers


def _filled(module: Inpainter, encode: Encoder, views: Views) -> tuple[Tensor, Tensor]:
    """Return the rectangles (b, c, h, w) as they are filled in, and as they were (NaN where unobserved)."""
    hole, inside = views.drawn["inpaint"]["hole"], _inside(views).flatten(1)[..., None]
    chosen = inside & (torch.arange(views.clean.shape[1] - 1, device=inside.device) >= module.first)
    tokens = encode(deleted(views.clean, chosen, module.patch))
    own = module.fill(tokens.take_along_dim(hole.flatten(1)[..., None], 1))
    true = patches(views.clean[:, module.first : -1], module.patch)
    true = true.take_along_dim(hole.flatten(1)[..., None, None], 1)
    shape = (hole.shape[1], hole.shape[2])
    return unpatched(own.reshape(true.shape), module.patch, shape), unpatched(true, module.patch, shape)


def _inside(views: Views) -> Tensor:
    """Return which tokens (b, rows, columns) lie in the rectangle."""
    hole, n = views.drawn["inpaint"]["hole"].flatten(1), views.hidden.shape[1]
    inside = torch.zeros(len(hole), n, dtype=torch.bool, device=hole.device).scatter(1, hole, True)
    return inside.unflatten(1, token_grid(n, views.clean.shape[-2:]))


def _comparable(filled: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Return both with zero where the truth is not known, so that gaps do not tell them apart."""
    return torch.where(true.isfinite(), filled, 0.0), true.nan_to_num(0.0)


def _cross_entropy(logit: Tensor, label: float) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logit, torch.full_like(logit, label))


@torch.no_grad()
def _draw_pictures(learned: Learned, stores: Sequence[Store], folder: Path) -> None:
    """Write a PNG for each variable: the last frame of a few windows as given, as filled in, and as it was."""
    assert isinstance(learned.module, Inpainter)
    recipe = Recipe(learned.spec, {}, ((inpaint(), 1.0),), learned.size)
    sources = [unlabelled(store, recipe, lambda *_: np.empty(0)) for store in stores]
    views = draw(sources, recipe, learned.normalisation, SHOWN, 0).to(learned.module.fill.weight.device)
    filled = _filled(learned.module, learned.encode, views)[0].float()
    inside = _inside(views).repeat_interleave(learned.spec.patch, 1).repeat_interleave(learned.spec.patch, 2)
    for number, variable in enumerate(learned.spec.variables, -len(learned.spec.variables)):
        true = views.clean[:, number - 1]
        columns = {"given": true.masked_fill(inside, torch.nan), "true": true}
        columns["filled in"] = true.masked_scatter(inside, filled[:, number])
        limit = float(true.nan_to_num(0.0).abs().quantile(0.99))
        figure = Figure(figsize=(7.5, 2.5 * SHOWN), layout="constrained")
        panels = figure.subplots(SHOWN, 3, squeeze=False)
        for column, name in enumerate(("given", "filled in", "true")):
            panels[0, column].set_title(f"{variable}, {name}")
            for row in range(SHOWN):
                panels[row, column].imshow(columns[name][row].cpu().numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
                panels[row, column].set_axis_off()
        figure.savefig(folder / f"{variable}.png", dpi=100)
