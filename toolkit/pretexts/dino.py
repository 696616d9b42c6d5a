"""Self-distillation: from a part of the window, say what a teacher makes of another part (DINO).

A student and its teacher, a slowly following copy, each say of a crop which of many prototypes it belongs to; the
student learns what the teacher says of the other crops of the same window (Caron et al. 2021, arXiv:2104.14294).

A crop is cut and never resized: a pixel is a fixed distance on the globe, and a vortex of twice the size is another
vortex. Nothing is flipped or turned, and no sign or strength is changed: the Coriolis force tells left from right and
north from south, so that a mirrored vortex is another physical object, and the sign of vorticity is the sense of
turning. What is left of the augmentations of photographs are the crops, and the patches that the student misses.

The teacher is not told the latitude, which is the same in all crops of a window: it would be all that is learned.
"""

import math
from functools import partial
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import linear, log_softmax, normalize

from toolkit.backbones.features import FeatureSpec
from toolkit.errors import UserError
from toolkit.pretexts.contract import Encoder, Place, Pretext, Views

GLOBAL_CROPS = 2
BOTTLENECK = 32
"""Far fewer than DINO's 256: cosines of few dimensions differ enough between windows for the teacher to sharpen."""
TEACHER_TEMPERATURE, STUDENT_TEMPERATURE = 0.04, 0.1
CENTRE_MOMENTUM = 0.9
SMOOTHED_BATCHES = 20
"""What tells a collapse is a mean over about so many batches."""
LEAST_VARIATION = 5e-4
"""Variation between windows under which they are all the same to the teacher: of a healthy one it is 0.01 and more."""
Share = Annotated[float, Field(gt=0, lt=1)]


class Head(nn.Module):
    """The mean of the tokens (b, n, d), standardised, three layers, and the cosines (b, k) with the prototypes.

    A prototype's length is one: DINO's weight norm with a fixed gain. There is no batch norm; the mean tokens are
    standardised by running moments, since they differ little between windows beside what is common to all. Buffers
    hold what a batch hands to the next: these moments, the teacher's mean logits, the count of batches (`steps`), and
    what tells a collapse.
    """

    centre: Tensor
    moments: Tensor
    steps: Tensor
    told: Tensor

    def __init__(self, spec: FeatureSpec, prototypes: int, shares: tuple[float, float], warm_up: int) -> None:
        """Build the layers; `shares` are the sides of the crops, the global ones' first, as shares of the window's."""
        super().__init__()
        self.patch, self.shares, self.warm_up, hidden = spec.patch, shares, warm_up, 4 * spec.dim
        self.layers = nn.Sequential(
            nn.Linear(spec.dim, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, BOTTLENECK)
        )
        self.prototypes = nn.Parameter(normalize(torch.randn(prototypes, BOTTLENECK)))
        self.register_buffer("centre", torch.zeros(prototypes))
        self.register_buffer("moments", torch.tensor([[0.0], [1.0]]).repeat(1, spec.dim))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("told", torch.zeros(2))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the cosines (b, k), which are the logits before the temperature."""
        mean, square = self.moments
        standard = (tokens.mean(1) - mean) / (square - mean**2).clamp(min=1e-6).sqrt()
        return linear(normalize(self.layers(standard), dim=-1), normalize(self.prototypes, dim=-1)).float()


def crop_size(size: tuple[int, int], patch: int, share: float) -> tuple[int, int]:
    """Return the sides (h, w) of crops, in pixels: a share of the window's, rounded to whole patches, at least one."""
    h, w = (max(1, round(share * side / patch)) * patch for side in size)
    return h, w


def crops(x: Tensor, corners: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut windows (b, planes, h, w) at the corners (b, n, (row, column)) to crops (n b, planes, *size)."""
    rows, columns = (corners[..., k, None] + torch.arange(size[k], device=x.device) for k in (0, 1))  # (b, n, side)
    every = torch.arange(len(x), device=x.device)[:, None, None, None]
    return x[every, :, rows[..., :, None], columns[..., None, :]].permute(1, 0, 4, 2, 3).flatten(0, 1)


def variation(said: Tensor, entropy: Tensor) -> tuple[Tensor, Tensor]:
    """Return the entropy of the mean distribution (k,), and by how much it exceeds the mean entropy, over log k.

    The excess is the mean Kullback-Leibler divergence of single distributions from their mean: zero where all are the
    same, be it one prototype (the entropy of the mean is 0) or all of them evenly (it is 1).
    """
    whole = torch.special.entr(said).sum()
    return whole / math.log(len(said)), (whole - entropy) / math.log(len(said))


def dino_loss(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    """Return the cross-entropy, over log k, of the student from the teacher, as mean over pairs of different crops.

    The teacher, centred and sharpened, speaks of the global crops of `views.clean`; the student of these as they are
    in `views.seen`, and of the local ones of `views.clean`. In training the centre and the moments follow, and a
    collapse of the teacher raises `UserError`.
    """
    assert isinstance(module, Head)
    teacher, student, pooled = _logits(module, encode, views)
    said = ((teacher - module.centre) / TEACHER_TEMPERATURE).softmax(-1)
    cost = -torch.einsum("tbk,sbk->ts", said, log_softmax(student / STUDENT_TEMPERATURE, -1)) / said.shape[1]
    different = 1 - torch.eye(*cost.shape, device=cost.device)
    if module.training:
        _follow(module, teacher.flatten(0, 1), said.flatten(0, 1), pooled)
    return (cost * different).sum() / different.sum() / math.log(said.shape[-1])


def dino_measures(module: nn.Module, encode: Encoder, views: Views) -> dict[str, Tensor]:
    """Return the teacher's mean entropy and variation, over log k, and how often the student has its first choice."""
    assert isinstance(module, Head)
    teacher, student, _ = _logits(module, encode, views)
    said = ((teacher - module.centre) / TEACHER_TEMPERATURE).softmax(-1)
    entropy = torch.special.entr(said).sum(-1).mean()
    same = said.argmax(-1)[:, None] == student.argmax(-1)  # (2, crops, b)
    different = ~torch.eye(*same.shape[:2], dtype=torch.bool, device=same.device)
    between = variation(said.mean((0, 1)), entropy)[1]
    agreement = same[different].float().mean()
    return {"entropy": entropy / math.log(said.shape[-1]), "variation": between, "agreement": agreement}


def _logits(module: Head, encode: Encoder, views: Views) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits of teacher (2, b, k) and student (crops, b, k), and the mean tokens of its global crops."""
    (b, _, h, w), places = views.clean.shape, views.drawn["dino"]
    wide, narrow = (crop_size((h, w), module.patch, share) for share in module.shares)
    taught = crops(views.clean, places["global"], wide)
    taught[:, -1] = 0
    teacher = encode.teacher("dino", taught).unflatten(0, (-1, b))
    tokens = encode(crops(views.seen, places["global"], wide))
    local = encode(crops(views.clean, places["local"], narrow))
    return teacher, torch.cat([module(tokens), module(local)]).unflatten(0, (-1, b)), tokens.mean(1)


@torch.no_grad()
def _follow(module: Head, logits: Tensor, said: Tensor, pooled: Tensor) -> None:
    """Let centre and moments follow the means over all processes, and look for a collapse of what is `said` (n, k)."""
    entropy = torch.special.entr(said).sum(-1)
    parts = [logits, said, entropy[:, None], pooled.float(), pooled.float() ** 2]
    means = torch.cat([part.mean(0) for part in parts])
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(means)
        means /= torch.distributed.get_world_size()
    centre, whole, mean_entropy, *moments = means.split([part.shape[1] for part in parts])
    module.centre.lerp_(centre, 1 - CENTRE_MOMENTUM)
    # Not in place: the backward pass, where it is compiled, reads the old ones.
    module.moments = module.moments.lerp(torch.stack(moments), 1 - CENTRE_MOMENTUM)
    module.steps += 1
    steps = int(module.steps)
    module.told.lerp_(torch.stack(variation(whole, mean_entropy[0])), 1 / min(steps, SMOOTHED_BATCHES))
    if steps > module.warm_up and module.told[1] < LEAST_VARIATION and len(said) > GLOBAL_CROPS:
        how = "takes all windows for the same prototype" if module.told[0] < 0.5 else "finds all prototypes equally fit"
        raise UserError(
            f"The pretext 'dino' has collapsed: its teacher {how} (variation between windows {module.told[1]:.5f}, "
            f"entropy of the mean {module.told[0]:.3f}, both of at most 1). Lower the learning rate."
        )


def _draw(place: Place, generator: np.random.Generator, shares: tuple[float, float], local: int) -> dict[str, Tensor]:
    """Return the north-west corners of the crops, in pixels: "global" (b, 2, 2) and "local" (b, crops, 2)."""
    size, places = place.windows.size, {}
    for name, share, n in (("global", shares[0], GLOBAL_CROPS), ("local", shares[1], local)):
        crop = crop_size(size, place.spec.patch, share)
        if crop == size:
            raise UserError(
                f"The {name} crops of the pretext 'dino' are as large as the window, {size[0]} x {size[1]}. Take a "
                f"larger window, or a smaller '{name}_share' than {share:g}."
            )
        room = np.subtract(size, crop)
        places[name] = torch.from_numpy(generator.integers(room, endpoint=True, size=(len(place.times), n, 2)))
    return places


def dino(
    prototypes: Annotated[int, Field(gt=1)] = 1024,
    local_crops: Annotated[int, Field(gt=0)] = 6,
    global_share: Share = 0.75,
    local_share: Share = 0.4,
    momentum: Share = 0.996,
    warm_up: Annotated[int, Field(ge=0)] = 200,
) -> Pretext:
    """Return the pretext; worlds are small, so it has far fewer prototypes than the 65,536 for photographs.

    global_share, local_share: sides of the crops as shares of the window's. momentum: the teacher's, at the start.
    warm_up: batches, of which a step may have several, after which a collapse is looked for. Raises `UserError` where a
    crop would be the whole window.
    """
    shares = (global_share, local_share)
    return Pretext(
        name="dino",
        summary="From a part of the window, say what a teacher makes of another part",
        module=partial(Head, prototypes=prototypes, shares=shares, warm_up=warm_up),
        loss=dino_loss,
        draw=partial(_draw, shares=shares, local=local_crops),
        measures=dino_measures,
        teacher=momentum,
    )
