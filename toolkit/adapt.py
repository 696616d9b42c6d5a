"""Four ways to adapt a backbone: train the head alone, LoRA beside it, everything, everything from random weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

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
    whose weights are not trained keeps its statistics too, and uses them in training. `entry` is the number of blocks
    in front that are not trained, all of them where nothing is; None where training begins at the windows.
    """

    def __init__(self, backbone: nn.Module | None, head: nn.Module, spec: FeatureSpec) -> None:
        """Keep both; `spec` says how many planes are the backbone's, and how large a token is."""
        super().__init__()
        self.backbone, self.head, self.patch, self.planes = backbone, head, spec.patch, spec.planes
        self.entry = None if backbone is None else _entry(self._network())

    def forward(
        self, x: Tensor, readouts: Mapping[str, Tensor], columns: Tensor, state: Tensor | None = None
    ) -> Tensor:
        """Return the head's output.

        x (b, planes, h, w): the backbone's planes, then the label maps that are known beforehand; readouts
        {name: (b, c, h, w)}; columns (b, k); state: what `frozen_state` gives for x, where it is known already.
        """
        grid = (x.shape[-2] // self.patch, x.shape[-1] // self.patch)
        own, known = x[:, : self.planes], x[:, self.planes :]
        return self.head(Features(self._tokens(own, state), grid, own, readouts, columns, known))

    def frozen_state(self, x: Tensor) -> Tensor:
        """Return what the first trained block is given of x (b, planes, h, w), or the tokens where none is trained."""
        network, own = self._network(), x[:, : self.planes]
        assert self.entry is not None
        return network.forward_features(own) if self._is_whole(network) else network.until(own, self.entry)

    def _tokens(self, own: Tensor, state: Tensor | None) -> Tensor:
        if self.backbone is None:
            return own.new_zeros(len(own), 0, 0)
        if state is None:
            return self.backbone(own)
        network = self._network()
        assert self.entry is not None
        return state if self._is_whole(network) else network.onward(state, self.entry)

    def _network(self) -> Network:
        """Return the network itself, with LoRA's updates inside its layers."""
        inner: Any = self.backbone.get_base_model() if isinstance(self.backbone, peft.PeftModel) else self.backbone
        return inner

    def _is_whole(self, network: Network) -> bool:
        return self.entry == len(list(network.blocks))

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


def _entry(network: Network) -> int | None:
    """Return how many blocks in front are not trained; None where training begins before them, or may."""
    trained = [any(p.requires_grad for p in block.parameters()) for block in network.blocks]
    if not any(p.requires_grad for p in network.parameters()):
        return len(trained)
    inside = {id(p) for block in network.blocks for p in block.parameters()}
    outside = any(p.requires_grad and id(p) not in inside for p in network.parameters())
    return None if outside or not network.in_steps or trained[0] else trained.index(True)


def trainable_share(model: nn.Module) -> tuple[int, int]:
    """Return the numbers of trainable and of all parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes)
