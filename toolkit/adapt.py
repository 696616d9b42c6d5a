"""Four ways to adapt a backbone: train the head alone, LoRA beside it, everything, everything from random weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import peft
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from toolkit.backbones.contract import Network
from toolkit.backbones.features import FeatureSpec
from toolkit.errors import UserError, unknown
from toolkit.heads.features import Features

Method = Literal["probe", "lora", "full", "scratch"]


@dataclass(frozen=True)
class Lora:
    """Rank and scale of the low-rank updates W + (alpha / rank) B A (Hu et al. 2022, arXiv:2106.09685).

    `blocks`: how many of the backbone's last blocks are updated, in all their linear layers and convolutions. Those
    before them need no backward pass.
    """

    rank: int = 8
    alpha: int = 16
    blocks: int = 2


class Adapted(nn.Module):
    """A backbone and a head: windows, the base model's readouts and columns in, the head's output out.

    Without a backbone, for a task that looks at no fields, there are no tokens (b, 0, 0). A batch norm of the backbone
    whose weights are not trained keeps its statistics too, and uses them in training.
    """

    def __init__(self, backbone: nn.Module | None, head: nn.Module, spec: FeatureSpec) -> None:
        """Keep both; `spec` says how many planes are the backbone's, and how large a token is."""
        super().__init__()
        self.backbone, self.head, self.patch, self.planes = backbone, head, spec.patch, spec.planes

    def forward(self, x: Tensor, readouts: Mapping[str, Tensor], columns: Tensor) -> Tensor:
        """Return the head's output.

        x (b, planes, h, w): the backbone's planes, then the label maps that are known beforehand; readouts
        {name: (b, c, h, w)}; columns (b, k).
        """
        grid = (x.shape[-2] // self.patch, x.shape[-1] // self.patch)
        own, known = x[:, : self.planes], x[:, self.planes :]
        tokens = x.new_zeros(len(x), 0, 0) if self.backbone is None else self.backbone(own)
        return self.head(Features(tokens, grid, own, readouts, columns, known))

    def train(self, mode: bool = True) -> "Adapted":
        """Set the mode of training, in which frozen batch norms of the backbone stay as they are in inference."""
        super().train(mode)
        for module in self.backbone.modules() if self.backbone is not None else ():
            if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters()):
                module.eval()
        return self


def adapted(method: str, backbone: Network, head: nn.Module, lora: Lora, seed: int) -> Adapted:
    """Return the model to train; what the method does not train has requires_grad False.

    For "scratch" the backbone must come with random weights. LoRA's updates are drawn from `seed`. `UserError` for an
    unknown method, and where LoRA finds nothing to update.
    """
    if method not in get_args(Method):
        raise unknown("method", method, get_args(Method))
    body: nn.Module = backbone
    if method == "probe":
        backbone.requires_grad_(False)
    if method == "lora":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            body = peft.get_peft_model(backbone, lora_config(lora, backbone))
    return Adapted(body, head, backbone.spec).train()


def lora_config(lora: Lora, backbone: Network) -> peft.LoraConfig:
    """Return peft's own configuration for the last blocks of a backbone.

    Updated are the linear layers and convolutions in them, but for grouped and dilated ones, which peft cannot update.
    `UserError` where there are none.
    """
    inside = {id(module) for block in list(backbone.blocks)[-lora.blocks :] for module in block.modules()}
    targets = [name for name, module in backbone.named_modules() if id(module) in inside and _updatable(module)]
    if not targets:
        raise UserError(
            f"LoRA finds no layer to update in the last {lora.blocks} blocks of this backbone. Raise lora_blocks, or "
            "take another method."
        )
    pattern = "|".join(map(re.escape, targets))  # peft would take a list of names for the ends of names
    return peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=pattern)


def _updatable(module: nn.Module) -> bool:
    """Whether peft can update a layer; subclasses compute something else of their weights than their base."""
    if type(module) is nn.Conv2d:
        return module.groups == 1 and module.dilation == (1, 1)
    return type(module) is nn.Linear


def trainable_share(model: nn.Module) -> tuple[int, int]:
    """Return the numbers of trainable and of all parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes)
