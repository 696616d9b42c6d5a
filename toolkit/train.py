"""The training loop: every run of the toolkit, pretraining or fine-tuning, goes through it.

Whatever a step draws at random comes from (seed, step) alone, so a run killed at any moment and resumed from its last
checkpoint goes through the same steps with the same numbers and ends, on one CPU, in the same weights.
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, send_to_device
from torch import Tensor, nn

from toolkit.checkpoint import (
    MetricsLog,
    Progress,
    changing_weights,
    checkpoint_path,
    follow_weights,
    load_checkpoint,
    save_checkpoint,
)
from toolkit.errors import UserError
from toolkit.feed import batches
from toolkit.rates import Decay, Rates, optimizer_of
from toolkit.seeds import torch_seed

Losses = dict[str, Tensor]
FIRST_STEPS = 20
"""The loss at the start is the mean over so many steps; the loss of late is a mean over about as many."""
DIVERGED, COUNTED = 2.0, 4.0
"""A loss that has risen to so many times what it was at the start will not come back. A single step counts as at most
so many times that, so that one strange batch is no divergence."""
OWN_BUFFERS = DistributedDataParallelKwargs(broadcast_buffers=False)
"""A teacher is buffers as large as the model: every process computes them, and none is sent with every batch."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    A step is one update of the weights, from `accumulate` batches of `batch_size` windows in each process.
    `learning_rates` by the first part of a parameter's name ("head", "backbone"), with "" for all others; see
    `toolkit.rates` for how they run, with `plateau_steps` and `plateau_from`.
    `average`: momentum of the exponential mean of the weights that is validated and kept in their place; 0 keeps the
    weights. `checkpoint_every` and `validate_every` count steps; the last always counts.
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
    accumulate: int = 1
    average: float = 0.0
    decay: Decay = "cosine"
    optimizer: str = "adamw"
    plateau_steps: int = 1000
    plateau_from: int = 0


@dataclass(frozen=True)
class Run:
    """Where a run keeps its state, and who is told: `report` gets each step's line of numbers.

    `workers`: processes that draw batches ahead; none draws them between steps. `compiled`: whether the model goes
    through torch.compile. `tensorboard`: whether numbers are written for TensorBoard too.
    """

    folder: Path
    resume: bool = False
    report: Callable[[dict[str, float]], None] = lambda _: None
    device: str = "cpu"
    precision: str = "no"
    workers: int = 0
    compiled: bool = False
    tensorboard: bool = False


def train(
    model: nn.Module,
    batch: Callable[[int], Any],
    losses: Callable[[nn.Module, Any], Losses],
    schedule: Schedule,
    run: Run,
    validate: Callable[[nn.Module], float] | None = None,
    stepped: Callable[[float], None] = lambda _: None,
) -> Progress:
    """Train `model` in place, which ends with the best validated weights, or the last where nothing validates.

    Where there is an `average`, these are means of the weights.
    `batch(number)` must depend on nothing but the number: steps, processes and the batches that a step accumulates
    have numbers of their own. `losses(model, batch)` names the parts of the loss, which are added; `validate(model)` is
    lower for better; `stepped(share of the run)` is told of every step. Raises `UserError` when the loss, its gradient
    or the validation is not finite, and when the loss has grown far beyond what it was at the start.
    """
    AcceleratorState._reset_state()  # or the precision of an earlier run in this process would stay
    accelerator = Accelerator(cpu=run.device == "cpu", mixed_precision=run.precision, kwargs_handlers=[OWN_BUFFERS])
    optimizer = optimizer_of(model, schedule.optimizer, schedule.learning_rates, schedule.weight_decay)
    prepared, optimizer = accelerator.prepare(torch.compile(model) if run.compiled else model, optimizer)
    bare = accelerator.unwrap_model(prepared, keep_torch_compile=False).train()
    processes, own = accelerator.num_processes, accelerator.process_index
    progress = _begun(accelerator, bare, optimizer, schedule.accumulate * processes, run)
    rates = Rates(
        schedule.decay, schedule.steps, schedule.warmup_share, schedule.plateau_steps, schedule.plateau_from,
        progress.plateau,
    )  # fmt: skip
    numbered = range(progress.step * progress.batches + own, schedule.steps * progress.batches, processes)
    here, waited = accelerator.device, 0.0
    with (
        batches(batch, numbered, run.workers, pinned=here.type == "cuda") as drawn,
        MetricsLog(run.folder, progress.step, run.tensorboard) if accelerator.is_main_process else nullcontext() as log,
    ):
        while (step := progress.step) < schedule.steps:
            rate = rates.set(optimizer, step)
            asked = time.perf_counter()
            examples = [send_to_device(next(drawn), here, non_blocking=True) for _ in range(schedule.accumulate)]
            waited += time.perf_counter() - asked
            torch.manual_seed(torch_seed(schedule.seed, step, own))
            numbers = _update(accelerator, prepared, optimizer, examples, losses, schedule.gradient_norm, run.folder)
            _check_finite(numbers, step, run.folder)
            stepped((step + 1) / schedule.steps)
            _follow_loss(progress, rates, numbers["loss"], run.folder)
            if schedule.average:
                progress.mean_weights = follow_weights(progress.mean_weights, bare, schedule.average)
            progress.step += 1
            if validate and _due(progress.step, schedule.validate_every, schedule.steps):
                numbers["validation"] = _validated(bare, validate, progress)
                _check_finite(numbers, step, run.folder)
            if log:
                windows = schedule.batch_size * progress.batches
                run.report(log.append({"step": step} | numbers | {"learning_rate": rate}, waited, windows))
                if _due(progress.step, schedule.checkpoint_every, schedule.steps):
                    progress.scaler = accelerator.scaler.state_dict() if accelerator.scaler else None
                    save_checkpoint(run.folder, bare, optimizer, progress)
    bare = accelerator.unwrap_model(prepared, keep_fp32_wrapper=False, keep_torch_compile=False)
    bare.load_state_dict(progress.best_weights or progress.mean_weights or {}, strict=False)
    bare.eval()
    return progress


def _begun(
    accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer, batches_per_step: int, run: Run
) -> Progress:
    """Return how far the run has come, with model and optimiser as they were then.

    Raises `UserError` where the processes do not see the same, and where they draw other batches than before.
    """
    progress = load_checkpoint(run.folder, model, optimizer) if run.resume else Progress()
    seen = accelerator.gather(torch.tensor([progress.step], device=accelerator.device)).tolist()
    if len(set(seen)) > 1:
        raise UserError(
            f"The processes do not find the same checkpoint in {run.folder}: the steps done are {seen}. Put the run's "
            "folder where all hosts see it."
        )
    if progress.step and progress.batches != batches_per_step:
        raise UserError(
            f"{run.folder} began with {progress.batches} batches in each step, those of all processes together; now "
            f"there are {batches_per_step}. Launch as many processes as before."
        )
    if accelerator.scaler and progress.scaler:
        accelerator.scaler.load_state_dict(progress.scaler)
    progress.batches = batches_per_step
    return progress


def _update(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    examples: list[Any],
    losses: Callable[[nn.Module, Any], Losses],
    limit: float,
    folder: Path,
) -> dict[str, float]:
    """Return the loss, its parts, and the gradient's norm; where all are finite, take the step.

    The numbers are means over the processes, so that all of them decide the same by them.
    """
    total: Losses = {}
    for number, batch in enumerate(examples):
        with nullcontext() if number == len(examples) - 1 else accelerator.no_sync(model):
            parts = {name: part / len(examples) for name, part in _losses_of(losses, model, batch, folder).items()}
            accelerator.backward(torch.stack(list(parts.values())).sum())
        total = {name: total.get(name, 0.0) + part.detach() for name, part in parts.items()}
    norm = accelerator.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], limit)
    named = {"loss": torch.stack(list(total.values())).sum(), "gradient_norm": norm}
    named |= {name: part for name, part in total.items() if name not in named}
    values = torch.stack([value.detach().float() for value in named.values()])  # one transfer from a GPU, not many
    numbers = dict(zip(named, accelerator.reduce(values, "mean").tolist(), strict=True))
    if accelerator.scaler and not math.isfinite(numbers["gradient_norm"]) and accelerator.scaler.get_scale() > 1:
        del numbers["gradient_norm"]  # fp16 overflows now and then; its scaler leaves the step out and goes on smaller
    if all(map(math.isfinite, numbers.values())):
        optimizer.step()
    optimizer.zero_grad()
    return numbers


def _losses_of(losses: Callable[[nn.Module, Any], Losses], model: nn.Module, batch: Any, folder: Path) -> Losses:
    """Return the losses; where one gives up, say also where the last good checkpoint is."""
    try:
        return losses(model, batch)
    except UserError as error:
        raise UserError(f"{error} {_kept(folder)}".rstrip()) from error


def _follow_loss(progress: Progress, rates: Rates, loss: float, folder: Path) -> None:
    """Keep what the loss was at the start and is of late, tell the rates, and stop where it diverges."""
    done, start = progress.step + 1, progress.first_loss
    rates.note(loss, progress.step)
    progress.plateau = rates.state()
    counted = min(loss, COUNTED * start) if start > 0 else loss
    progress.loss += (counted - progress.loss) / min(done, FIRST_STEPS)
    if done == FIRST_STEPS:
        progress.first_loss = progress.loss
    elif progress.loss > DIVERGED * start > 0:
        raise UserError(
            f"At step {progress.step} the loss diverges: it is {loss:.3g}, and of late more than {DIVERGED:g} times "
            f"the {start:.3g} of the start. {_kept(folder)}Lower the learning rate, or warm up for longer."
        )


def _due(done: int, every: int, steps: int) -> bool:
    return done == steps or (every > 0 and done % every == 0)


def _validated(model: nn.Module, validate: Callable[[nn.Module], float], progress: Progress) -> float:
    """Return the validation score of the weights as they are, and keep them where it is the best so far."""
    last = changing_weights(model) if progress.mean_weights else None
    model.load_state_dict(progress.mean_weights or {}, strict=False)
    model.eval()
    with torch.no_grad():
        score = validate(model)
    model.train()
    if score < progress.best:
        progress.best, progress.best_step, progress.best_weights = score, progress.step, changing_weights(model)
    model.load_state_dict(last or {}, strict=False)
    return score


def _check_finite(numbers: dict[str, float], step: int, folder: Path) -> None:
    if bad := ", ".join(f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)):
        raise UserError(
            f"At step {step} {bad}. {_kept(folder)}Lower the learning rate, or look for extreme values in the data "
            "with `toolkit data check`."
        )


def _kept(folder: Path) -> str:
    path = checkpoint_path(folder)
    return f"The last good checkpoint is kept in {path}. " if path.exists() else ""
