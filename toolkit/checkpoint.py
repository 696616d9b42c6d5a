"""What of a run outlives a kill: the weights, the optimiser's state, and the numbers of every step up to them."""

import json
import math
import pickle
import time
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from toolkit.errors import UserError
from toolkit.files import whole_file


@dataclass
class Progress:
    """Steps done, and the lowest validation score so far, with the step and the weights that reached it."""

    step: int = 0
    best: float = math.inf
    best_step: int = 0
    best_weights: dict[str, Tensor] | None = None


def checkpoint_path(folder: Path) -> Path:
    """Return where a run in `folder` keeps its checkpoint."""
    return folder / "checkpoints" / "last.pt"


def changing_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of what training changes: the parameters that are trained, and every buffer."""
    frozen = {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {name: value.detach().clone() for name, value in model.state_dict().items() if name not in frozen}


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
    return progress


class MetricsLog:
    """The file metrics.jsonl of a run: one line of numbers per step."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open the log to go on at `step`: what was written from there on, after the checkpoint, is dropped."""
        self.path = folder / "metrics.jsonl"
        written = self.path.read_text().splitlines() if self.path.exists() else []
        kept = [line for line in written if _numbers(line).get("step", math.inf) < step]
        self._began = time.perf_counter()
        self._before = _numbers(kept[-1]).get("seconds", 0.0) if kept else 0.0
        with whole_file(self.path) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept))

    def append(self, numbers: dict[str, float], waited: float) -> dict[str, float]:
        """Write and return a step's numbers, with the seconds so far and the share of them `waited` for data."""
        seconds = time.perf_counter() - self._began
        numbers = numbers | {"seconds": self._before + seconds, "waiting_share": waited / seconds}
        line = json.dumps({name: round(value, 7) for name, value in numbers.items()}, allow_nan=False)
        with self.path.open("a") as stream:
            stream.write(line + "\n")
        return numbers


def _numbers(line: str) -> dict[str, float]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):  # the kill may have cut the last line
        return {}
