"""What of a run outlives a kill: the weights, the optimiser's state, and the numbers of every step up to them."""

import json
import math
import pickle
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.errors import UserError
from toolkit.files import whole_file

DIGITS = 7
"""Significant digits that the log keeps of a number."""


@dataclass
class Progress:
    """How far a run has come.

    `step`: steps done. `batches`: how many make up a step, those of all processes. `best`: the lowest validation score
    so far, with the step and the weights that reached it. `mean_weights`: the exponential mean of the weights.
    `first_loss`, `loss`: at the start, and of late. `plateau`: what the learning rates remember. `scaler`: what the
    gradient scaler of fp16 does.
    """

    step: int = 0
    batches: int = 1
    best: float = math.inf
    best_step: int = 0
    best_weights: dict[str, Tensor] | None = None
    mean_weights: dict[str, Tensor] | None = None
    first_loss: float = 0.0
    loss: float = 0.0
    plateau: dict[str, Any] | None = None
    scaler: dict[str, Any] | None = None


def checkpoint_path(folder: Path) -> Path:
    """Return where a run in `folder` keeps its checkpoint."""
    return folder / "checkpoints" / "last.pt"


def changing_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of what training changes: the parameters that are trained, and every buffer."""
    return {name: value.clone() for name, value in _changing(model).items()}


def follow_weights(means: dict[str, Tensor] | None, model: nn.Module, momentum: float) -> dict[str, Tensor]:
    """Return the means theta' <- m theta' + (1 - m) theta of what training changes; they begin as it is.

    `means` are changed in place. What is no float, such as a counter, is taken over.
    """
    if means is None:
        return changing_weights(model)
    for name, value in _changing(model).items():
        if value.is_floating_point():
            means[name].lerp_(value, 1 - momentum)
        else:
            means[name].copy_(value)
    return means


def save_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Replace the run's checkpoint, whole or not at all."""
    content = {"weights": changing_weights(model), "optimizer": optimizer.state_dict(), **vars(progress)}
    with whole_file(checkpoint_path(folder)) as temporary:
        torch.save(content, temporary)


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put model and optimiser in the state of the checkpoint, if there is one yet, and return how far it had come.

    Raises `UserError` for a damaged file, and for one of another model or method.
    """
    path = checkpoint_path(folder)
    if not path.exists():
        return Progress()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        weights, progress = content["weights"], Progress(**{part.name: content[part.name] for part in fields(Progress)})
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise UserError(
            f"The checkpoint {path} cannot be read ({error}). Start the run again with --overwrite."
        ) from error
    shapes = {name: value.shape for name, value in changing_weights(model).items()}
    if {name: value.shape for name, value in weights.items()} != shapes:
        raise UserError(f"{path} belongs to another model or method. Resume with the settings the run began with.")
    model.load_state_dict(weights, strict=False)
    optimizer.load_state_dict(content["optimizer"])
    if progress.mean_weights is not None:
        places = {name: value.device for name, value in model.state_dict().items()}
        progress.mean_weights = {name: mean.to(places[name]) for name, mean in progress.mean_weights.items()}
    return progress


class MetricsLog:
    """The file metrics.jsonl of a run: one line of numbers per step. `with` closes TensorBoard's files at the end."""

    def __init__(self, folder: Path, step: int, tensorboard: bool = False) -> None:
        """Open the log to go on at `step`: what was written from there on, after the checkpoint, is dropped."""
        self.path = folder / "metrics.jsonl"
        written = self.path.read_text().splitlines() if self.path.exists() else []
        kept = [line for line in written if _numbers(line).get("step", math.inf) < step]
        self._began = self._last = time.perf_counter()
        self._before = _numbers(kept[-1]).get("seconds", 0.0) if kept else 0.0
        self._board = _board(folder, step) if tensorboard else None
        with whole_file(self.path) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept))

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        if self._board:
            self._board.close()

    def append(self, numbers: dict[str, float], waited: float, windows: int) -> dict[str, float]:
        """Write and return a step's numbers, with what time tells.

        seconds: so far; waiting_share: that of them `waited` for data; windows_per_second: of this step's `windows`.
        """
        now = time.perf_counter()
        seconds, last = now - self._began, now - self._last
        self._last = now
        told = {"seconds": self._before + seconds, "waiting_share": waited / seconds}
        numbers = numbers | told | {"windows_per_second": windows / max(last, 1e-9)}
        line = json.dumps({name: _short(value) for name, value in numbers.items()}, allow_nan=False)
        with self.path.open("a") as stream:
            stream.write(line + "\n")
        if self._board:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, int(numbers["step"]))
        return numbers


def check_tensorboard() -> None:
    """Raise `UserError` where TensorBoard's files cannot be written."""
    _summary_writer()


def _board(folder: Path, step: int) -> Any:
    return _summary_writer()(str(folder / "tensorboard"), purge_step=step)


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("TensorBoard is not installed: pip install 'earth-toolkit[tensorboard]'.") from error
    return SummaryWriter


def _changing(model: nn.Module) -> dict[str, Tensor]:
    frozen = {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {name: value.detach() for name, value in model.state_dict().items() if name not in frozen}


def _short(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")


def _numbers(line: str) -> dict[str, float]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):  # the kill may have cut the last line
        return {}
