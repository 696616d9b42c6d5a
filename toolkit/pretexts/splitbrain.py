"""Cross-channel prediction: half of the features from one group of variables, the other half from the other.

After the split-brain autoencoder (Zhang, Isola & Efros 2017, arXiv:1611.09842). The backbone is run twice. Once it sees
the first group alone, the other variables missing (NaN), and the other group is read from the first half of every
token's channels; once it is the other way round, from the second half. Where both groups are seen, a token's two halves
are the concatenated features.

In the paper the halves are two networks that share nothing, whose features can simply be joined. Here they share one
backbone, of any kind, down to the last layer, and what is missing tells it which half is asked for. So no half is bound
to one group where both are seen; and as this pretext never shows both, give the backbone another one beside it that
does. The paper also sorts values into bins and predicts the bin; here they are predicted as they are, by a squared
error.
"""

from functools import partial

import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.errors import UserError, unknown
from toolkit.pretexts.contract import Encoder, Pretext, Views, mean_squared, patches


class Halves(nn.Module):
    """Linear layers from half of a token's channels to the group of variables that the backbone did not see.

    named: the variables of both groups; fields: their planes, in every frame. second: from the first half of the
    channels (b, n, dim / 2) to the second group (b, n, planes patch^2); first: the other way round.
    """

    def __init__(self, spec: FeatureSpec, first: tuple[str, ...]) -> None:
        """Build both layers; UserError where a variable is unknown or none is left for the second group."""
        super().__init__()
        for name in first:
            if name not in spec.variables:
                raise unknown("variable (option 'first' of the pretext 'splitbrain')", name, spec.variables)
        second = tuple(name for name in spec.variables if name not in first)
        if not second:
            raise UserError(
                f"The pretext 'splitbrain' has all variables in its first group ({', '.join(first)}). Leave one out "
                "of it, or give the backbone more variables."
            )
        self.named, self.patch = (first, second), spec.patch
        planes = [name for _ in spec.frames for name in spec.variables]
        self.fields = tuple([k for k, name in enumerate(planes) if name in group] for group in self.named)
        self.middle = spec.dim // 2
        self.second = nn.Linear(self.middle, len(self.fields[1]) * spec.patch**2)
        self.first = nn.Linear(spec.dim - self.middle, len(self.fields[0]) * spec.patch**2)


def splitbrain(first: tuple[str, ...] = ("vorticity",)) -> Pretext:
    """Return the pretext; `first`: the variables of the first group, the others are the second.

    The loss is the mean of both directions' mean squared errors of the normalised fields, where they were observed.
    Raises `UserError` where a group is empty and, once the variables are known, where one is not among them.
    """
    if not first:
        raise UserError("The pretext 'splitbrain' has no variable in its first group. Name at least one.")
    return Pretext(
        name="splitbrain",
        summary="Predict one group of variables from the other, and the other way round",
        module=partial(Halves, first=tuple(dict.fromkeys(first))),
        loss=splitbrain_loss,
        measures=splitbrain_measures,
    )


def splitbrain_loss(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    """Return the mean of the squared errors of both directions."""
    both = _directions(module, encode, views).values()
    return torch.stack([mean_squared(said, true) for said, true in both]).mean()


def splitbrain_measures(module: nn.Module, encode: Encoder, views: Views) -> dict[str, Tensor]:
    """Return for either group which share of it is explained: 1 - mean squared error / variance.

    The variance is that within the batch, about the mean of each variable and frame.
    """
    numbers = {}
    for name, (said, true) in _directions(module, encode, views).items():
        variance = mean_squared(true.nanmean((0, 1, 3), keepdim=True), true)
        numbers[f"explained share of {name}"] = 1 - mean_squared(said, true) / variance.clamp(min=1e-12)
    return numbers


def _directions(module: nn.Module, encode: Encoder, views: Views) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what is said of either group and what is true (b, n, planes, patch^2), by the group's variables."""
    assert isinstance(module, Halves)
    truth, found = patches(views.clean[:, :-1], module.patch), {}
    for group, layer, channels in (
        (1, module.second, slice(None, module.middle)),
        (0, module.first, slice(module.middle, None)),
    ):
        seen, planes = views.clean.clone(), module.fields[group]
        seen[:, planes] = torch.nan
        true = truth[:, :, planes]
        said = layer(encode(seen)[..., channels]).reshape(true.shape)
        found[", ".join(module.named[group])] = (said, true)
    return found
