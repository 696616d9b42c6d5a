"""Temporal order: tell what came of a window from what only looks as if it had.

BERT's next sentence (Devlin et al. 2018, arXiv:1810.04805), asked of the weather: of a pair of windows of the same
place, is the second the true state some hours after the first? Half of the pairs are true. The others are hard, since
neither the place nor the season nor the time of day gives them away:

another day    the right time of day, whole days and more than one off, within ten days of the season
reversed       the true state as many hours before the first window
another year   the right date and time of day of another year; another day where there is no other year

Every window shows all of its frames. So that no pair shares a frame, which would make equality the answer, a pair lies
further apart than a window's first and last frame: with frames 6 h apart, 12 h take the second window from 6 to 12 h
after the first one's last. How the air moves within a window then tells where it goes, and which way time runs. With
12 h the reversed pair has the right time of day too.
"""

import math
from functools import partial
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from toolkit.backbones.features import FeatureSpec
from toolkit.data.windows import frames_at
from toolkit.errors import UserError
from toolkit.pretexts.contract import Encoder, Place, Pretext, Views

TRUE, ANOTHER_DAY, REVERSED, ANOTHER_YEAR = range(4)
NEGATIVES = {ANOTHER_DAY: "another day", REVERSED: "reversed", ANOTHER_YEAR: "another year"}
SEASON_DAYS = 10


class PairJudge(nn.Module):
    """Tokens of two windows (b, n, d) to the logit (b,) of the second being the true state after the first.

    Both windows' tokens and their product, place by place, go through a layer; its mean through another. The first
    layer has weights of its own for each window, so that exchanging them is another question.
    """

    def __init__(self, dim: int) -> None:
        """Build the layers."""
        super().__init__()
        self.compare = nn.Sequential(nn.Linear(3 * dim, 2 * dim), nn.GELU())
        self.judge = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU(), nn.Linear(dim, 1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the logits (b,)."""
        compared = self.compare(torch.cat([first, second, first * second], -1))
        return self.judge(compared.mean(1))[:, 0]


def pairs(place: Place, generator: np.random.Generator, hours: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the kind (b,) of each pair, every other one TRUE, and by how many hours (b,) the second window is later.

    The kinds of the others take turns. Only times of which the store has all frames are drawn; where it has none of a
    kind, the pair becomes one of another kind. `UserError` where it has nothing but the true state.
    """
    rows = np.arange(len(place.times))
    turn = generator.integers(2 * len(NEGATIVES)) + rows
    drawn = np.where(turn % 2, 1 + turn // 2 % len(NEGATIVES), TRUE)
    later = np.full((1 + len(NEGATIVES), len(rows)), hours)
    known = np.zeros(later.shape, bool)
    for kind, offsets in _offsets(place, hours).items():
        exists = _exists(place, offsets)
        best = np.where(exists, generator.random(exists.shape), -1.0).argmax(1)
        later[kind], known[kind] = offsets[rows, best], exists.any(1)
    later[ANOTHER_YEAR] = np.where(known[ANOTHER_YEAR], later[ANOTHER_YEAR], later[ANOTHER_DAY])
    known[ANOTHER_YEAR] |= known[ANOTHER_DAY]
    if (alone := (drawn != TRUE) & ~known.any(0)).any():
        raise UserError(
            f"{place.store.path} has nothing to compare {place.store.time[place.times[alone][0]]} with for the pretext "
            "'order': no other day of the season, nothing before it. Take a longer world, or leave the pretext out."
        )
    kinds = np.where((drawn == TRUE) | known[drawn, rows], drawn, known.argmax(0))
    return kinds, later[kinds, rows]


def _offsets(place: Place, hours: int) -> dict[int, NDArray[np.int64]]:
    """Return the hours (b, m) at which a second window of each kind may lie, whether or not the store has them."""
    store, b = place.store, len(place.times)
    days = np.arange(2, SEASON_DAYS + 1)
    near = hours + 24 * np.concatenate([-days, days])
    near = near[np.abs(near) > hours]  # no nearer than the true state, so that no frame is shared
    true = store.time[place.times] + np.timedelta64(hours, "h")
    month, years = true.astype("datetime64[M]"), np.unique(store.time.astype("datetime64[Y]"))
    gap = years.astype(np.int64) - true.astype("datetime64[Y]").astype(np.int64)[:, None]  # (b, years)
    there = (month[:, None] + 12 * gap).astype(true.dtype) + (true - month.astype(true.dtype))[:, None]
    shifts = (there - store.time[place.times][:, None]).astype("timedelta64[h]").astype(np.int64)
    return {
        ANOTHER_DAY: np.broadcast_to(near, (b, len(near))),
        REVERSED: np.full((b, 1), -hours),
        ANOTHER_YEAR: np.where(gap == 0, np.iinfo(np.int32).max, shifts),  # a time that no store has
    }


def _exists(place: Place, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the store has every frame of windows so many hours (b, m) later."""
    times = place.store.time[place.times][:, None] + offsets.astype("timedelta64[h]")
    return (frames_at(place.store, times.ravel(), place.spec.frames).min(1) >= 0).reshape(offsets.shape)


def order_loss(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    """Return the binary cross-entropy of the pairs being true, over log 2: one for a coin."""
    drawn = views.drawn["order"]
    said = module(encode(views.seen), encode(drawn["second"]))
    return binary_cross_entropy_with_logits(said, (drawn["kind"] == TRUE).to(said.dtype)) / math.log(2)


def order_measures(module: nn.Module, encode: Encoder, views: Views) -> dict[str, Tensor]:
    """Return the share of pairs that are told right, of all and of each kind.

    A batch of fewer than six pairs may lack a kind: it then counts as its negatives do on average.
    """
    drawn = views.drawn["order"]
    kind = drawn["kind"]
    right = ((module(encode(views.seen), encode(drawn["second"])) > 0) == (kind == TRUE)).float()
    accuracy = {"accuracy": right.mean(), "accuracy, true": _mean(right, kind == TRUE, right.mean())}
    negatives = _mean(right, kind != TRUE, right.mean())
    return accuracy | {f"accuracy, {name}": _mean(right, kind == k, negatives) for k, name in NEGATIVES.items()}


def _mean(values: Tensor, counts: Tensor, otherwise: Tensor) -> Tensor:
    """Return the mean of the values that count, and another where none does."""
    return torch.where(counts.any(), (values * counts).sum() / counts.sum().clamp(min=1), otherwise)


def _draw(place: Place, generator: np.random.Generator, hours: int) -> dict[str, Tensor]:
    """Return the second windows (b, planes, h, w) and the kinds (b,) of the pairs."""
    kind, later = pairs(place, generator, hours)
    return {"second": place.planes(later), "kind": torch.from_numpy(kind)}


def _module(spec: FeatureSpec, hours: int) -> nn.Module:
    span = spec.frames[-1] - spec.frames[0]
    if hours <= span:
        raise UserError(
            f"The windows of a pair of the pretext 'order' lie {hours} h apart, but a window's frames reach over "
            f"{span} h. Give it the option hours={span + span // (len(spec.frames) - 1)}."
        )
    return PairJudge(spec.dim)


def order(hours: Annotated[int, Field(gt=0)] = 12) -> Pretext:
    """Return the pretext; the true second window is so many hours later, further than a window's frames reach.

    Raises `UserError`, when its module is made, where the frames reach as far.
    """
    return Pretext(
        name="order",
        summary="Tell the state some hours later from others like it",
        module=partial(_module, hours=hours),
        loss=order_loss,
        hours=(hours,),
        draw=partial(_draw, hours=hours),
        measures=order_measures,
    )
