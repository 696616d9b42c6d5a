"""The training loop: every run of the toolkit, pretraining or fine-tuning, goes through it.

Whatever a step draws at random comes from (seed, step) alone, so a run killed at any moment and resumed from its last
checkpoint goes through the same steps with the same numbers and ends, on one CPU, in the same weights.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from toolkit.checkpoint import (
    MetricsLog,
    Progress,
    changing_weights,
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from toolkit.errors import UserError

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: AdamW, linear warm-up, then half a cosine down to nothing.

    `learning_rates` by the first part of a parameter's name ("head", "backbone"), with "" for all others; biases,
    norms and scalars have no weight decay. `checkpoint_every` and `validate_every` count steps; the last always counts.
    """

    steps: int
    batch_size: int
    learning_rates: dict[str, float]
    warmup_share: float = 0.05
    weight_decay: float = 0.05
    gradient_norm: float = 1.0
    checkpoint_every: int = 200
    validate_every: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """Where a run keeps its state, and who is told: `report` gets each step's line of numbers."""

    folder: Path
    resume: bool = False
    report: Callable[[dict[str, float]], None] = lambda _: None
    device: str = "cpu"
    precision: str = "no"


def train(
    model: nn.Module,
    batch: Callable[[int], Any],
    losses: Callable[[nn.Module, Any], Losses],
    schedule: Schedule,
    run: Run,
    validate: Callable[[nn.Module], float] | None = None,
) -> Progress:
    """Train `model` in place, which ends with the best validated weights, or the last where nothing validates.

    `batch(number)` must depend on nothing but the number: the step, or, of several processes, one of the step's own.
    `losses(model, batch)` names the parts of the loss, which are added; `validate(model)` is lower for better. Raises
    `UserError` when the loss, its gradient or the validation is not finite.
    """
    accelerator = Accelerator(cpu=run.device == "cpu", mixed_precision=run.precision)
    optimizer = torch.optim.AdamW(_groups(model, schedule))
    model, optimizer = accelerator.prepare(model, optimizer)
    bare = accelerator.unwrap_model(model).train()
    progress = load_checkpoint(run.folder, bare, optimizer) if run.resume else Progress()
    log = MetricsLog(run.folder, progress.step) if accelerator.is_main_process else None
    waited = 0.0
    while (step := progress.step) < schedule.steps:
        torch.manual_seed((schedule.seed << 24) + step)
        asked = time.perf_counter()
        examples = batch(step * accelerator.num_processes + accelerator.process_index)
        waited += time.perf_counter() - asked
        rate = _set_rate(optimizer, schedule, step)
        numbers = _update(accelerator, bare, optimizer, losses(model, examples), schedule.gradient_norm)
        _check_finite(numbers, step, run.folder)
        progress.step += 1
        if validate and _due(progress.step, schedule.validate_every, schedule.steps):
            numbers["validation"] = _validated(bare, validate, progress)
            _check_finite(numbers, step, run.folder)
        if log:
            run.report(log.append({"step": step} | numbers | {"learning_rate": rate}, waited))
            if _due(progress.step, schedule.checkpoint_every, schedule.steps):
                save_checkpoint(run.folder, bare, optimizer, progress)
    bare.load_state_dict(progress.best_weights or {}, strict=False)
    bare.eval()
    return progress


def _groups(model: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    """Return the optimiser's groups: by learning rate, and without weight decay for biases, norms and scalars."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    rates = schedule.learning_rates
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = name.split(".")[0]
            rate = rates[part] if part in rates else rates[""]
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "peak_rate": rate, "weight_decay": schedule.weight_decay if decays else 0.0}
        for (rate, decays), parameters in groups.items()
    ]


def _set_rate(optimizer: torch.optim.Optimizer, schedule: Schedule, step: int) -> float:
    """Set every group's rate for this step and return the highest."""
    warmup = max(1, round(schedule.warmup_share * schedule.steps))
    done = (step - warmup) / max(1, schedule.steps - warmup)
    share = (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = group["peak_rate"] * share
    return max(group["lr"] for group in optimizer.param_groups)


def _update(
    accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer, parts: Losses, limit: float
) -> dict[str, float]:
    """Return the loss, its parts where it has several, and the gradient's norm; where all are finite, take the step."""
    loss = torch.stack(list(parts.values())).sum()
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], limit)
    named = {"loss": loss, "gradient_norm": norm} | (parts if len(parts) > 1 else {})
    values = torch.stack([value.detach().float() for value in named.values()])  # one transfer from a GPU, not many
    numbers = dict(zip(named, values.tolist(), strict=True))
    if accelerator.scaler and not math.isfinite(numbers["gradient_norm"]):
        del numbers["gradient_norm"]  # fp16 overflows now and then; its scaler leaves the step out and goes on smaller
    if all(map(math.isfinite, numbers.values())):
        optimizer.step()
    optimizer.zero_grad()
    return numbers


def _due(done: int, every: int, steps: int) -> bool:
    return done == steps or (every > 0 and done % every == 0)


def _validated(model: nn.Module, validate: Callable[[nn.Module], float], progress: Progress) -> float:
    """Return the validation score of the weights as they are, and keep them where it is the best so far."""
    model.eval()
    with torch.no_grad():
        score = validate(model)
    model.train()
    if score < progress.best:
        progress.best, progress.best_step, progress.best_weights = score, progress.step, changing_weights(model)
    return score


def _check_finite(numbers: dict[str, float], step: int, folder: Path) -> None:
    if bad := ", ".join(f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)):
        path = checkpoint_path(folder)
        kept = f"The last good checkpoint is kept in {path}. " if path.exists() else ""
        raise UserError(
            f"At step {step} {bad}. {kept}Lower the learning rate, or look for extreme values in the data with "
            "`toolkit data check`."
        )
