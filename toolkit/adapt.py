"""Four ways to adapt a backbone: train the head alone, LoRA beside it, everything, everything from random weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import peft
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.vit import ViT
from toolkit.errors import unknown
from toolkit.heads.features import Features

Method = Literal["probe", "lora", "full", "scratch"]
LORA_TARGETS = ("qkv", "proj", "fc1", "fc2")


@dataclass(frozen=True)
class Lora:
    """Rank and scale of the low-rank updates W + (alpha / rank) B A (Hu et al. 2022, arXiv:2106.09685).

    `blocks`: how many of the last blocks are updated. Those before them need no backward pass.
    """

    rank: int = 8
    alpha: int = 16
    blocks: int = 2


class Adapted(nn.Module):
    """A backbone and a head: windows, the base model's readouts and columns in, the head's output out.

    Without a backbone, for a task that looks at no fields, there are no tokens (b, 0, 0).
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


def adapted(method: str, backbone: ViT, head: nn.Module, lora: Lora, seed: int) -> Adapted:
    """Return the model to train; what the method does not train has requires_grad False.

    For "scratch" the backbone must come with random weights. LoRA's updates are drawn from `seed`.
    """
    if method not in get_args(Method):
        raise unknown("method", method, get_args(Method))
    body: nn.Module = backbone
    if method == "probe":
        backbone.requires_grad_(False)
    if method == "lora":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            body = peft.get_peft_model(backbone, lora_config(lora, depth=len(backbone.blocks)))
    return Adapted(body, head, backbone.spec)


def lora_config(lora: Lora, depth: int) -> peft.LoraConfig:
    """Return peft's own configuration for a backbone of so many blocks."""
    return peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(LORA_TARGETS),
        layers_pattern="blocks",
        layers_to_transform=list(range(max(0, depth - lora.blocks), depth)),
    )


def trainable_share(model: nn.Module) -> tuple[int, int]:
    """Return the numbers of trainable and of all parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes)
