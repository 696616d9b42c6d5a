"""Four ways to adapt a backbone: train the head alone, LoRA beside it, everything, everything from random weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import peft
import torch
from torch import Tensor, nn

from toolkit.backbones.vit import ViT
from toolkit.errors import unknown
from toolkit.heads import Features

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
    """A backbone and a head: windows (b, planes, h, w) and the base model's readouts in, the head's output out."""

    def __init__(self, backbone: nn.Module, head: nn.Module, patch: int) -> None:
        """Keep both; `patch` is the side of a token in pixels."""
        super().__init__()
        self.backbone, self.head, self.patch = backbone, head, patch

    def forward(self, x: Tensor, readouts: Mapping[str, Tensor]) -> Tensor:
        """Return the head's output."""
        grid = (x.shape[-2] // self.patch, x.shape[-1] // self.patch)
        return self.head(Features(self.backbone(x), grid, x, readouts))


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
    return Adapted(body, head, backbone.spec.patch)


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
