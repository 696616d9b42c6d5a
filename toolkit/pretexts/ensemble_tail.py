"""An ensemble of heads on the tokens, whose mean is the prediction and whose spread says how far to trust it.

After AtmoRep (Lessig et al. 2023, arXiv:2308.13280), which has sixteen.
"""

import torch
from torch import Tensor, nn

from toolkit.pretexts.contract import finite_mean

SMALLEST_SPREAD = 1e-3
"""Added to the variance as its square: where all members agree the spread still has a gradient."""


class EnsembleTail(nn.Module):
    """Independent heads, each a layer norm and a linear layer: tokens (b, n, dim) to (members, b, n, values).

    Computed in single precision, since in half of it members that nearly agree could not be told apart.
    """

    def __init__(self, dim: int, values: int, members: int) -> None:
        """Build the heads, each with random weights of its own."""
        super().__init__()
        self.heads = nn.ModuleList(nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, values)) for _ in range(members))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what every member says."""
        with torch.autocast(tokens.device.type, enabled=False):
            return torch.stack([head(tokens.float()) for head in self.heads])


def ensemble_loss(members: Tensor, truth: Tensor, counts: Tensor) -> Tensor:
    """Return AtmoRep's loss of members (k, ...) against the truth (...), where it counts; elsewhere it may be NaN.

    mean_k (member_k - y)^2 + (G - 1)^2 + sqrt(sigma), averaged, with G = exp(-((y - mu) / sigma)^2 / 2), a bell of
    height one: mu and sigma are the members' mean and standard deviation (with k - 1).
    """
    truth = torch.where(counts, truth, 0.0)
    sigma, error = _spread(members), truth - members.mean(0)
    bell = torch.exp(-0.5 * (error / sigma) ** 2)
    return finite_mean(((members - truth) ** 2).mean(0) + (bell - 1) ** 2 + sigma.sqrt(), counts)


def ensemble_measures(members: Tensor, truth: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """Return the RMSE of the members' mean, their spread sqrt(mean sigma^2), and how well the two fit.

    The ratio is sqrt((k + 1) / k) spread / RMSE: one where the truth is like one more member, below one where the
    ensemble is too sure (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1).
    """
    k, truth = len(members), torch.where(counts, truth, 0.0)
    skill = finite_mean((truth - members.mean(0)) ** 2, counts).sqrt()
    spread = finite_mean(members.var(0), counts).sqrt()
    ratio = (1 + 1 / k) ** 0.5 * spread / skill.clamp(min=SMALLEST_SPREAD)
    return {"RMSE": skill, "spread": spread, "spread-skill ratio": ratio}


def _spread(members: Tensor) -> Tensor:
    return (members.var(0) + SMALLEST_SPREAD**2).sqrt()
