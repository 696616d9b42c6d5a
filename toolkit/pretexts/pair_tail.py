"""What AtmoDist puts on the features of two times to say how far apart they are (arXiv:2109.09076, 2202.01897)."""

import torch
from torch import Tensor, nn

from toolkit.backbones.resnet import BATCH_NORM_EPSILON, he_normal

SIDE = 3
"""Rows and columns of the map that is laid out flat: those that a window of 160 x 160 pixels comes to."""


class PairTail(nn.Module):
    """Two feature maps (b, dim, rows, columns), the earlier first, to a logit for each class (b, classes).

    Joined as 2 dim channels; two convolutions 3 x 3 to dim channels, the first of stride 2, each with a batch norm and
    a ReLU; a linear layer without bias on the map laid out flat. Between the convolutions the map is averaged to 3 x 3,
    which leaves that of 5 x 5 features as it is.
    """

    def __init__(self, dim: int, classes: int) -> None:
        """Build the layers with He's initialisation."""
        super().__init__()
        self.join = _convolution(2 * dim, dim, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(SIDE)
        self.mix = _convolution(dim, dim, stride=1)
        self.out = nn.Linear(dim * SIDE**2, classes, bias=False)
        self.apply(he_normal)

    def forward(self, earlier: Tensor, later: Tensor) -> Tensor:
        """Return the logits (b, classes)."""
        joined = self.pool(self.join(torch.cat([earlier, later], 1)))
        return self.out(self.mix(joined).flatten(1))


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1),
        nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON),
        nn.ReLU(inplace=True),
    )
