"""Heads that tasks share: from tokens to fields at every pixel."""

from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.pretexts.contract import unpatched


class PixelHead(nn.Module):
    """Tokens (b, n, d) to a field (b, channels, h, w): a few channels per pixel, then two 3 x 3 convolutions.

    The convolutions let neighbouring tokens agree at their common edge. The last layer begins at zero but for `bias`,
    so that an untrained head says the same everywhere.
    """

    def __init__(self, spec: FeatureSpec, channels: int, hidden: int = 24, bias: tuple[float, ...] | None = None) -> None:
        """Build the layers; `bias` is each channel's initial value."""
        super().__init__()
        self.patch, self.hidden = spec.patch, hidden
        self.expand = nn.Linear(spec.dim, hidden * spec.patch**2)
        self.mix = nn.Sequential(nn.GELU(), nn.Conv2d(hidden, hidden, 3, padding=1), nn.GELU())
        self.out = nn.Conv2d(hidden, channels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        if bias is not None:
            self.out.bias.data = self.out.bias.new_tensor(bias)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the field (b, channels, h, w) of tokens laid out on `grid` (rows, columns)."""
        cells = self.expand(tokens).reshape(*tokens.shape[:2], self.hidden, self.patch**2)
        return self.out(self.mix(unpatched(cells, self.patch, grid)))
