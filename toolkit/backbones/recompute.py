"""Gradient checkpointing: what a backbone's blocks compute is computed again for the gradient rather than kept."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from toolkit.backbones.contract import Network


def recompute_blocks(network: Network) -> None:
    """Let a network keep only what goes into each of its blocks, and compute the rest again in the backward pass.

    Losses and gradients stay what they are: the same is drawn at random, and what a block counts in its buffers, such
    as the running statistics of a batch norm, it counts once. Chen et al. 2016, arXiv:1604.06174.
    """
    for block in network.blocks:
        block.forward = partial(_twice, block, block.forward)


def _twice(block: nn.Module, forward: Any, *given: Any, **named: Any) -> Any:
    if torch.compiler.is_compiling():  # a compiled graph changes buffers once of itself, and takes no context
        return checkpoint(forward, *given, use_reentrant=False, **named)
    return checkpoint(forward, *given, use_reentrant=False, context_fn=partial(_contexts, block), **named)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _buffers_spared(block)


@contextmanager
def _buffers_spared(block: nn.Module) -> Iterator[None]:
    """Let a block work on copies of its buffers."""
    kept = [(module, dict(module.named_buffers(recurse=False))) for module in block.modules()]
    try:
        for module, buffers in kept:
            for name, value in buffers.items():
                setattr(module, name, value.clone())
        yield
    finally:
        for module, buffers in kept:
            for name, value in buffers.items():
                setattr(module, name, value)
