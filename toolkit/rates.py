"""Optimisers and how fast they go: which rate each parameter has, and how the rates rise and fall over a run."""

import math
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

Decay = Literal["cosine", "plateau"]
MOMENTUM = 0.9
"""Of stochastic gradient descent."""
PATIENCE, LEAST_FALL, REDUCTION, LOWEST = 8, 0.04, 0.1, 1e-4
"""AtmoDist's (arXiv:2109.09076): after so many stretches in a row whose loss is not lower than the best by so much,
the rate is cut to this share, down to that share of its peak."""


def optimizer_of(
    model: nn.Module, name: str, learning_rates: dict[str, float], weight_decay: float
) -> torch.optim.Optimizer:
    """Return AdamW ("adamw") or gradient descent with momentum ("sgd") on what is to be trained.

    A parameter has the rate of the first part of its name, or else that of ""; biases, norms and scalars have no
    weight decay.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = parameter_name.split(".")[0]
            rate = learning_rates[part] if part in learning_rates else learning_rates[""]
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    listed = [
        {"params": parameters, "lr": rate, "peak_rate": rate, "weight_decay": weight_decay if decays else 0.0}
        for (rate, decays), parameters in groups.items()
    ]
    if name == "sgd":
        return torch.optim.SGD(listed, momentum=MOMENTUM)
    return torch.optim.AdamW(listed)


class Rates:
    """The share of their peak that all rates have at a step: linear warm-up, then one of two ways down.

    "cosine": half a cosine down to nothing at the last step. "plateau": torch's ReduceLROnPlateau on the mean loss of
    every stretch of `plateau_steps`, the first of which begins at the step `plateau_from`.
    """

    def __init__(
        self,
        decay: Decay,
        steps: int,
        warmup_share: float,
        plateau_steps: int,
        plateau_from: int,
        state: dict[str, Any] | None,
    ) -> None:
        """Go on from `state`, or begin."""
        self._decay, self._steps, self._stretch, self._from = decay, steps, plateau_steps, plateau_from
        self._warmup = max(1, round(warmup_share * steps))
        unit = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        self._plateau = ReduceLROnPlateau(
            unit,
            factor=REDUCTION,
            patience=PATIENCE - 1,  # torch cuts after one more
            threshold=LEAST_FALL,
            threshold_mode="abs",
            min_lr=LOWEST,
        )
        self._unit, self._losses = unit, list((state or {}).get("losses", []))
        if state:
            self._plateau.load_state_dict(state["plateau"])
            unit.param_groups[0]["lr"] = state["share"]

    def set(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        """Set every group's rate for this step and return the highest."""
        share = (step + 1) / self._warmup if step < self._warmup else self._share(step)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_rate"] * share
        return max(group["lr"] for group in optimizer.param_groups)

    def note(self, loss: float, step: int) -> None:
        """Take note of a step's loss."""
        if self._decay == "plateau" and step >= self._from:
            self._losses.append(loss)
            if len(self._losses) == self._stretch:
                self._plateau.step(math.fsum(self._losses) / self._stretch)
                self._losses.clear()

    def state(self) -> dict[str, Any] | None:
        """Return what a resumed run needs to go on; None where the step alone says it."""
        if self._decay == "cosine":
            return None
        share = self._unit.param_groups[0]["lr"]
        return {"plateau": self._plateau.state_dict(), "share": share, "losses": list(self._losses)}

    def _share(self, step: int) -> float:
        if self._decay == "plateau":
            return float(self._unit.param_groups[0]["lr"])
        done = (step - self._warmup) / max(1, self._steps - self._warmup)
        return 0.5 * (1 + math.cos(math.pi * done))
