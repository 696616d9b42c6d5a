"""The training loop: every run of the toolkit, pretraining or fine-tuning, goes through it.

Whatever a step draws at random comes from (seed, step) alone, so a run killed at any moment and resumed from its last
checkpoint goes through the same steps with the same numbers and ends, on one CPU, in the same weights.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from toolkit.errors import UserError
from toolkit.files import whole_file

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: AdamW, linear warm-up, then half a cosine down to nothing.

    `learning_rates` by the first part of a parameter's name ("head", "backbone"), with "" for all others;
    `checkpoint_every` and `validate_every` count steps.
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
) -> nn.Module:
    """Train `model` in place and return it with the best validated weights, or the last where nothing validates.

    `batch(step)` must depend on nothing but the step; `losses(model, batch)` names the parts of the loss, which are
    added; `validate(model)` is lower for better. Raises `UserError` when the loss is not finite.
    """
    accelerator = Accelerator(cpu=run.device == "cpu", mixed_precision=run.precision)
    optimizer = torch.optim.AdamW(_groups(model, schedule), weight_decay=schedule.weight_decay)
    model, optimizer = accelerator.prepare(model, optimizer)
    bare = accelerator.unwrap_model(model)
    state = _resumed(run, bare, optimizer) if run.resume else {"step": 0, "best": math.inf, "best_weights": None}
    log = _log(run, state["step"])
    began, waited = time.perf_counter(), 0.0
    for step in range(state["step"], schedule.steps):
        torch.manual_seed((schedule.seed << 24) + step)
        moment = time.perf_counter()
        examples = batch(step)
        waited += time.perf_counter() - moment
        _set_rate(optimizer, schedule, step)
        bare.train()
        parts = losses(model, examples)
        loss = torch.stack(list(parts.values())).sum()
        if not torch.isfinite(loss):
            raise _diverged(run, step, parts)
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(_trainable(bare), schedule.gradient_norm)
        optimizer.step()
        optimizer.zero_grad()
        numbers = {"step": step, "loss": loss.item(), "gradient_norm": float(norm)}
        numbers |= {name: value.item() for name, value in parts.items()} if len(parts) > 1 else {}
        numbers |= {"learning_rate": optimizer.param_groups[0]["lr"], "seconds": time.perf_counter() - began}
        numbers |= {"waiting_share": waited / max(time.perf_counter() - began, 1e-9)}
        state["step"] = step + 1
        if validate and _due(step, schedule.validate_every, schedule.steps):
            numbers["validation"] = _validated(bare, validate, state)
        log(numbers)
        run.report(numbers)
        if _due(step, schedule.checkpoint_every, schedule.steps):
            _save(run, bare, optimizer, state)
    if state["best_weights"] is not None:
        bare.load_state_dict(state["best_weights"], strict=False)
    return bare.eval()


def _groups(model: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    """Return the optimiser's groups: by learning rate, and without weight decay for biases, norms and scalars."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = schedule.learning_rates.get(name.split(".")[0], schedule.learning_rates.get("", 0.0))
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "peak_rate": rate, "weight_decay": schedule.weight_decay if decays else 0.0}
        for (rate, decays), parameters in groups.items()
    ]


def _set_rate(optimizer: torch.optim.Optimizer, schedule: Schedule, step: int) -> None:
    warmup = max(1, round(schedule.warmup_share * schedule.steps))
    done = (step - warmup) / max(1, schedule.steps - warmup)
    share = (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = group["peak_rate"] * share


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of what training changes."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def _due(step: int, every: int, steps: int) -> bool:
    return step + 1 == steps or (every > 0 and (step + 1) % every == 0)


def _validated(model: nn.Module, validate: Callable[[nn.Module], float], state: dict[str, Any]) -> float:
    model.eval()
    with torch.no_grad():
        score = validate(model)
    if score < state["best"]:
        state |= {"best": score, "best_weights": _weights(model)}
    return score


def _diverged(run: Run, step: int, parts: Losses) -> UserError:
    named = ", ".join(f"{name} = {value.item():g}" for name, value in parts.items())
    return UserError(
        f"The loss became {named} at step {step}. The last good checkpoint is kept in {run.folder / 'checkpoints'}; "
        "lower the learning rate, or look for extreme values in the data with `toolkit data check`."
    )


def _log(run: Run, step: int) -> Callable[[dict[str, float]], None]:
    """Return a writer of metrics.jsonl; what was written after the checkpoint at `step` is dropped first."""
    path = run.folder / "metrics.jsonl"
    kept = [line for line in path.read_text().splitlines() if _step_of(line) < step] if path.exists() else []
    with whole_file(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in kept))

    def write(numbers: dict[str, float]) -> None:
        with path.open("a") as stream:
            stream.write(json.dumps({name: round(value, 7) for name, value in numbers.items()}) + "\n")

    return write


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError):  # the kill may have cut the last line
        return math.inf


def _save(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    content = {"weights": _weights(model), "optimizer": optimizer.state_dict(), **state}
    with whole_file(run.folder / "checkpoints" / "last.pt") as temporary:
        torch.save(content, temporary)


def _resumed(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    path = run.folder / "checkpoints" / "last.pt"
    if not path.exists():
        return {"step": 0, "best": math.inf, "best_weights": None}
    content = torch.load(path, weights_only=True)
    if content["weights"].keys() != _weights(model).keys():
        raise UserError(f"{path} belongs to another model or method; resume with the settings the run began with.")
    model.load_state_dict(content["weights"], strict=False)
    optimizer.load_state_dict(content["optimizer"])
    return {name: content[name] for name in ("step", "best", "best_weights")}


def schedule_as_dict(schedule: Schedule) -> dict[str, Any]:
    """Return the schedule as plain values, for a recipe or a run's configuration."""
    return asdict(schedule)
