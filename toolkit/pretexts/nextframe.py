"""Next frames: from what is seen up to now, predict every variable some hours later.

What a squared error rewards is the expected future: analysis errors average out, vortices that are fed stay, others
fade. With the frames -12, -6 and 0 h and the lead time 6 h this is the step t-2, t-1, t -> t+1, which can be taken
again and again (`toolkit.pretexts.rollout`).

Two forecasts that know nothing are what it has to beat: persistence, x_t, and linear extrapolation,
x_t + (lead / spacing) (x_t - x_{t-1}). For a wave whose phase moves by p between frames their errors after one step are
2 sin(p / 2) and 4 sin^2(p / 2) times its amplitude: extrapolation is the better one for what moves less than 60 degrees
a step, the large and slow, and the worse one for the rest.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.pretexts.contract import (
    Encoder,
    Learned,
    Pretext,
    Readout,
    Target,
    Views,
    finite_mean,
    mean_squared,
    patches,
    token_grid,
    unpatched,
)
from toolkit.pretexts.nextframe_examine import examine_rollouts
from toolkit.pretexts.readouts import NEXT_FRAMES

NAME = "nextframe"
Hours = tuple[int, ...]


class NextFields(nn.Linear):
    """From a token to the pixels of its patch, every variable at every lead time, by one layer.

    `frames` are the hours of the backbone's own frames. What predicts changes begins with none.
    """

    def __init__(self, spec: FeatureSpec, hours: Hours, from_last: bool) -> None:
        """Build the layer; UserError where a frame that is given is not before all that are to be predicted."""
        if spec.frames[-1] >= hours[0]:
            raise UserError(
                f"The pretext 'nextframe' predicts {hours[0]} h, but {spec.frames[-1]} h is among the frames. Leave "
                "out one of them."
            )
        super().__init__(spec.dim, len(hours) * len(spec.variables) * spec.patch**2)
        self.frames = spec.frames
        if from_last:
            nn.init.zeros_(self.weight)
            nn.init.zeros_(self.bias)


def nextframe(hours: Hours = (6, 24), from_last: bool = False) -> Pretext:
    """Return the pretext that predicts the fields `hours` after the analysis time.

    from_last: predict the change since the last frame as it is seen, where a missing pixel counts as zero, the mean;
    the readout then is that change. The change is counted from persistence rather than from linear extrapolation.
    Extrapolation takes in the noise of both frames, five times the variance of one, and more at longer leads; where
    either frame is hidden it is far off; and a step that adds too little to it goes on growing when it is taken again,
    while persistence stays. Where extrapolation is right, it is a linear function of what the backbone sees.

    Raises `UserError` for lead times that are not positive and ascending and, once the frames are known, where one of
    them is not earlier.
    """
    if not hours or hours[0] <= 0 or hours != tuple(sorted(set(hours))):
        raise UserError(
            f"The pretext 'nextframe' has the lead times {list(hours)}. It takes hours above zero, the shortest first, "
            "such as [6, 24]."
        )
    *first, last = map(str, hours)
    said = f"{', '.join(first)} and {last}" if first else last
    return Pretext(
        name=NAME,
        summary=f"Predict the fields {said} h later",
        module=partial(NextFields, hours=hours, from_last=from_last),
        loss=partial(nextframe_loss, hours=hours, from_last=from_last),
        targets={_target_name(lead): Target(hours=lead) for lead in hours},
        measures=partial(nextframe_measures, hours=hours, from_last=from_last),
        readout=Readout(
            "next_changes" if from_last else NEXT_FRAMES,
            "standard deviations",
            lambda spec: len(hours) * len(spec.variables),
            _read,
        ),
        examine=partial(_examine, hours=hours, from_last=from_last),
    )


def nextframe_loss(module: nn.Module, encode: Encoder, views: Views, hours: Hours, from_last: bool) -> Tensor:
    """Return the mean squared error of the normalised fields at all lead times, where they were observed.

    With hidden patches most of the error is that of what is hidden; a forecaster is trained with none.
    """
    tokens = encode(views.seen)
    truth = torch.cat(_later(views, hours), 1)
    if from_last:
        truth = truth - _last(views.seen, len(hours), truth.shape[1])
    rows, _ = token_grid(tokens.shape[1], truth.shape[-2:])
    truth = patches(truth, truth.shape[-2] // rows)
    return mean_squared(module(tokens).reshape(truth.shape), truth)


def predicted(module: nn.Module, encode: Encoder, x: Tensor, hours: Hours, from_last: bool) -> Tensor:
    """Return the fields (b, leads c, h, w) that are predicted for windows (b, planes, h, w), normalised."""
    said = module(encode(x))
    grid = token_grid(said.shape[1], x.shape[-2:])
    patch = x.shape[-2] // grid[0]
    said = unpatched(said.unflatten(2, (-1, patch**2)), patch, grid)
    return said + _last(x, len(hours), said.shape[1]) if from_last else said


def nextframe_measures(
    module: nn.Module, encode: Encoder, views: Views, hours: Hours, from_last: bool
) -> dict[str, Tensor]:
    """Return for each lead time the root mean squared error when nothing is hidden, and those of the baselines.

    In standard deviations, over the pixels that all of them know; and the error's ratio to the better baseline's.
    """
    assert isinstance(module, NextFields)
    said = predicted(module, encode, views.clean, hours, from_last).chunk(len(hours), 1)
    numbers: dict[str, Tensor] = {}
    for lead, field, truth in zip(hours, said, _later(views, hours), strict=True):
        rivals = _baselines(views.clean, truth.shape[1], module.frames, lead)
        known = torch.stack([truth, *rivals.values()]).isfinite().all(0)
        errors = {name: finite_mean((x - truth) ** 2, known).sqrt() for name, x in rivals.items()}
        own = finite_mean((field - truth) ** 2, known).sqrt()
        numbers[f"{lead} h error"] = own
        numbers |= {f"{lead} h error of {name}": error for name, error in errors.items()}
        numbers[f"{lead} h error over the better baseline's"] = own / torch.stack([*errors.values()]).min().clamp(1e-6)
    return numbers


def _baselines(x: Tensor, variables: int, frames: Hours, lead: int) -> dict[str, Tensor]:
    """Return what is said by forecasts that know nothing, (b, variables, h, w)."""
    *before, last = x[:, :-1].split(variables, 1)
    found = {"persistence": last}
    if before:
        share = (lead - frames[-1]) / (frames[-1] - frames[-2])
        found["linear extrapolation"] = last + share * (last - before[-1])
    return found


def _later(views: Views, hours: Hours) -> list[Tensor]:
    return [views.drawn[NAME][_target_name(lead)] for lead in hours]


def _last(x: Tensor, leads: int, channels: int) -> Tensor:
    """Return the last frame of windows once for each lead, (b, channels, h, w), zero where it is missing."""
    return x[:, -1 - channels // leads : -1].nan_to_num(0.0).repeat(1, leads, 1, 1)


def _target_name(hours: int) -> str:
    return f"{hours} h later"


def _read(module: nn.Module, tokens: Tensor, grid: tuple[int, int], spec: FeatureSpec) -> Tensor:
    values = module(tokens).unflatten(2, (-1, spec.patch**2))
    return unpatched(values, spec.patch, grid)


@torch.no_grad()
def _examine(learned: Learned, stores: Sequence[Store], folder: Path, hours: Hours, from_last: bool) -> None:
    """Write how the error of rollouts grows, where the frames are evenly spaced and one lead time is one step."""
    frames, variables = learned.spec.frames, len(learned.spec.variables)
    steps = set(np.diff(frames).tolist())
    if len(steps) != 1 or frames[-1] + min(steps) not in hours:
        return
    step = min(steps)
    first = hours.index(frames[-1] + step) * variables
    device = next((parameter.device for parameter in learned.module.parameters()), torch.device("cpu"))

    def predict(x: Tensor) -> Tensor:
        said = predicted(learned.module, learned.encode, x.to(device), hours, from_last)
        return said[:, first : first + variables]

    examine_rollouts(learned, predict, step, stores, folder)
