"""What a run computes on: the device, the processes that share it, and the number of processor threads."""

from datetime import timedelta

import torch
from accelerate import PartialState

from toolkit.config import Settings
from toolkit.errors import UserError

PATIENCE = timedelta(hours=6)
"""How long processes wait for the first one, which prepares what they share."""


def engine(settings: Settings) -> str:
    """Join the processes that were launched together, set the number of threads, and return the device.

    It is "cpu" or "cuda", of several the process's own; `UserError` where it is not there.
    """
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise UserError("There is no CUDA device. Use --device cpu, or see `toolkit doctor`.")
    device = "cuda" if there and settings.device != "cpu" else "cpu"
    if settings.precision == "fp16" and device == "cpu":
        raise UserError("fp16 needs a CUDA device. Use --precision bf16 or no.")
    PartialState(cpu=device == "cpu", timeout=PATIENCE)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return device
