"""What a run computes on: the device, and the number of processor threads."""

import torch

from toolkit.config import Settings
from toolkit.errors import UserError


def engine(settings: Settings) -> str:
    """Set the number of threads and return the device, "cpu" or "cuda"; `UserError` where it is not there."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise UserError("There is no CUDA device. Use --device cpu, or see `toolkit doctor`.")
    device = "cuda" if there and settings.device != "cpu" else "cpu"
    if settings.precision == "fp16" and device == "cpu":
        raise UserError("fp16 needs a CUDA device. Use --precision bf16 or no.")
    return device
