"""`toolkit pretrain --dry-run`: what a pretraining would take, from a few steps of the real loop on the real data."""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import PartialState
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from toolkit.backbones.recompute import recompute_blocks
from toolkit.config import PretrainSettings
from toolkit.engine import engine
from toolkit.errors import UserError
from toolkit.pretexts.contract import Views
from toolkit.pretexts.draw import draw
from toolkit.pretrain import Pretraining, pretrain
from toolkit.pretrain_run import Ready, made_ready, schedule_of
from toolkit.told import Told
from toolkit.train import Run

FEW, MORE = 2, 4
"""Windows of the two batches that show how activations grow with the batch."""
TIMED_STEPS, UNCOUNTED = 5, 2
TIMED_WINDOWS = 4
"""Windows of a timed step on a processor, where time goes with their number; on a GPU they are those of the run."""
STATES = {"adamw": 2, "sgd": 1}
"""Numbers that an optimiser keeps of each parameter."""
TYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class PretrainEstimate:
    """What a pretraining would take.

    encoder, modules: numbers of parameters, the modules' by pretext. memory: bytes in each process, by what takes them;
    memory_bytes: their sum. windows_per_step: those of all processes. times: of each world, when windows may be drawn.
    seconds: without the scoring of held-out worlds.
    """

    encoder: int
    modules: dict[str, int]
    memory: dict[str, int]
    memory_bytes: int
    steps: int
    processes: int
    windows_per_step: int
    times: dict[str, int]
    held_out: int
    seconds_per_step: float
    seconds: float
    windows_per_second: float
    device: str


def estimate_pretraining(settings: PretrainSettings, told: Told) -> PretrainEstimate | None:
    """Prepare the worlds, measure a small batch and time a few steps; nothing is written but the cache.

    Several processes launched together do it as they would the run; all but the first return None. Raises `UserError`
    as the run itself would, and where a GPU has too little memory.
    """
    device, state = engine(settings), PartialState()
    ready = made_ready(settings, told)
    told.stage(f"measuring {MORE} windows")
    model = Pretraining(ready.recipe, settings.seed).to(device)
    memory = _memory(model, ready, settings, device, state.num_processes)
    sizes = {name: _count(module) for name, module in model.pretexts.items()}
    encoder = _count(model.backbone)
    del model
    told.stage(f"timing {TIMED_STEPS} steps")
    windows = settings.batch_size * settings.accumulate
    per_step = windows * _seconds_per_window(settings, ready, device, memory)
    if not state.is_main_process:
        return None
    return PretrainEstimate(
        encoder=encoder,
        modules=sizes,
        memory=memory,
        memory_bytes=sum(memory.values()),
        steps=settings.max_steps,
        processes=state.num_processes,
        windows_per_step=windows * state.num_processes,
        times={str(s.world): len(part.times) for s, part in zip(ready.sources, ready.windows, strict=True)},
        held_out=len(ready.held_out),
        seconds_per_step=per_step,
        seconds=per_step * settings.max_steps,
        windows_per_second=windows * state.num_processes / per_step,
        device=device,
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _bytes(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _memory(
    model: Pretraining, ready: Ready, settings: PretrainSettings, device: str, processes: int
) -> dict[str, int]:
    """Return the bytes that a process needs, by what takes them."""
    weights = _bytes(*model.parameters())
    held = weights + _bytes(*model.buffers())
    few, more = (_views(ready, windows, device) for windows in (FEW, MORE))
    own = {
        "weights": held,
        "gradients": weights * (2 if processes > 1 else 1),  # torch exchanges copies of them
        "optimizer": weights * STATES[settings.optimizer],
        "activations": _activations(model, few, more, settings, device),
        "batch": round(_bytes(*_tensors(more)) / MORE * settings.batch_size),
    }
    return own | ({"mean weights": held} if settings.average else {})


def _activations(model: Pretraining, few: Views, more: Views, settings: PretrainSettings, device: str) -> int:
    """Return the bytes that are kept for the gradient of a batch, carried on from two smaller ones."""

    def kept() -> tuple[int, int]:
        return kept_bytes(model, few, settings.precision, device), kept_bytes(model, more, settings.precision, device)

    whole = _carried_on(kept(), settings.batch_size)
    if not settings.checkpointing:
        return whole
    recompute_blocks(model.backbone)
    rest = _carried_on(kept(), settings.batch_size)
    return rest + (whole - rest) // max(1, len(list(model.backbone.blocks)))  # of one block at a time


def _carried_on(kept: tuple[int, int], windows: int) -> int:
    few, more = kept
    each = max(0.0, (more - few) / (MORE - FEW))
    return round(more + each * max(0, windows - MORE))


def kept_bytes(model: Pretraining, views: Views, precision: str, device: str) -> int:
    """Return the bytes of what a forward pass keeps for the backward pass beside weights, buffers and the windows."""
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    known |= {tensor.untyped_storage().data_ptr() for tensor in _tensors(views)}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    dtype = TYPES[precision]
    with (
        saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None),
    ):
        losses = model.train()(views)  # kept while it is counted, so that no place in memory is taken twice
    del losses
    return sum(found.values())


def _views(ready: Ready, windows: int, device: str) -> Views:
    return draw(ready.windows, ready.recipe, ready.normalisation, windows, 0).to(device)


def _tensors(views: Views) -> list[Tensor]:
    drawn = [tensor for own in views.drawn.values() for tensor in own.values()]
    return [views.clean, views.seen, views.hidden, *drawn]


def _seconds_per_window(settings: PretrainSettings, ready: Ready, device: str, memory: dict[str, int]) -> float:
    """Time steps of the real loop in a folder that is removed, and the drawing of their windows."""
    timed = settings.batch_size if device == "cuda" else min(settings.batch_size, TIMED_WINDOWS)
    schedule = replace(schedule_of(settings), steps=TIMED_STEPS, batch_size=timed, accumulate=1)
    ended: list[float] = []
    began = time.perf_counter()
    draw(ready.windows, ready.recipe, ready.normalisation, timed, 0)
    drawing = (time.perf_counter() - began) / max(1, settings.workers)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(
            Path(folder),
            report=lambda numbers: ended.append(numbers["seconds"]),
            device=device,
            precision=settings.precision,
            workers=settings.workers,
            compiled=settings.compiled,
        )
        given = (ready.recipe, ready.windows, ready.normalisation, schedule, run, None, settings.checkpointing)
        try:
            pretrain(*given)
        except torch.OutOfMemoryError as error:
            needed = sum(memory.values()) / 2**30
            raise UserError(
                f"The GPU has too little memory for steps of {timed} windows, which need about {needed:.1f} GiB. Give "
                "a smaller batch_size and a larger accumulate, or checkpointing=true."
            ) from error
    counted = ended[UNCOUNTED - 1 :]
    step = (counted[-1] - counted[0]) / (len(counted) - 1)
    return max(step, drawing) / timed
