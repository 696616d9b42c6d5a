"""The AtmoDist distance as a loss: how far apart two fields are in the features of a pretrained backbone.

A downscaled or filled field that is compared with the truth in features of a network that knows the dynamics is
rewarded for being the right kind of weather, where a squared error of its values rewards the blurred mean of all that
are possible. Hoffmann and Lessig, arXiv:2202.01897; the idea of a content loss: Johnson et al., arXiv:1603.08155.
"""

from copy import deepcopy

from torch import Tensor, nn

from toolkit.backbones.contract import Network
from toolkit.pretexts.lag_curves import feature_distance


class ContentDistance(nn.Module):
    """d(x, y) = scale * mean over places and channels of (F(x) - F(y))^2, F being a layer of a frozen backbone.

    Differentiable with respect to x and y, windows (b, planes, h, w) in standard deviations of each variable as
    `FeatureSpec` has them; returns (b,). Its weights are a copy and never change; it stays in inference whatever mode
    it is put in, so that batch norms use what they learned and not the batch.
    """

    def __init__(self, backbone: Network, layer: str, scale: float) -> None:
        """Copy the backbone; see `distance`."""
        super().__init__()
        self.backbone = deepcopy(backbone).requires_grad_(False)
        self.layer, self.scale = layer, scale
        self.eval()

    def train(self, mode: bool = True) -> "ContentDistance":  # noqa: ARG002
        """Stay in inference."""
        return super().train(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance (b,) of each pair of windows (b, planes, h, w)."""
        return self.scale * feature_distance(*(self.backbone.features(window, self.layer) for window in (x, y)))


def distance(backbone: Network, layer: str, scale: float = 1.0) -> ContentDistance:
    """Return the frozen distance at a layer of a backbone, such as "layer4" of a ResNet or "norm" of a ViT.

    scale: alpha, which makes it comparable with the mean squared difference of the fields: that in scale.json of the
    run for the last layer, `toolkit.pretexts.atmodist_examine.measured_scale` for any. Raises `UserError` when it is
    first asked, for an unknown layer or for windows that do not fit.
    """
    return ContentDistance(backbone, layer, scale)
