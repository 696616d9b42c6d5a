"""A slowly following copy of what is trained: the teacher that a student learns from (Tarvainen & Valpola 2017)."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Teacher(nn.Module):
    """The exponential mean of a model's parameters, theta' <- m theta' + (1 - m) theta, with which it can be asked.

    The means are buffers: they are kept in checkpoints, and no optimiser sees them. arXiv:1703.01780.
    """

    def __init__(self, model: nn.Module, momentum: float) -> None:
        """Begin with the parameters as they are; `momentum` is that of the first step."""
        super().__init__()
        self.momentum = momentum
        for name, value in model.named_parameters():
            self.register_buffer(_key(name), value.detach().clone())

    @torch.no_grad()
    def follow(self, model: nn.Module, share: float) -> None:
        """Take a step towards the model; the momentum rises to one as half a cosine, `share` of the run being done."""
        momentum = 1 - (1 - self.momentum) * (1 + math.cos(math.pi * share)) / 2
        for name, value in model.named_parameters():
            self.get_buffer(_key(name)).lerp_(value, 1 - momentum)

    @torch.no_grad()
    def says(self, model: nn.Module, *given: Tensor) -> Tensor:
        """Return what the model, of which this is the mean, says with the mean parameters, without gradient.

        It has the model's buffers, such as the running moments of batch norms, and leaves them as they are.
        """
        means = {name: self.get_buffer(_key(name)) for name, _ in model.named_parameters()}
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        return functional_call(model, means | buffers, given)


def _key(name: str) -> str:
    return name.replace(".", "/")
