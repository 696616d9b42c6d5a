"""A fine-tuning step of the toolkit against one of a bare loop on timm and peft, written by hand.

Run: python benchmarks/finetune_step.py. Both train LoRA on the last two of six blocks, on one thread, as
`benchmarks/made.py` says. They take turns in one process: after each step of `toolkit.fit` the bare loop does one on
the same windows. The bare loop has everything in memory as tensors and computes all blocks; the toolkit reads,
normalises and encodes each batch, logs every step and checkpoints, and keeps what the first four blocks put out.
"""

import tempfile
from pathlib import Path

import torch
from made import BATCH, DEPTH, DIM, RATE, SEED, UNCOUNTED, Bare, Turns, made

from tasks.hurricane.task import TASK
from toolkit.adapt import Lora
from toolkit.fit import fit, seen
from toolkit.parts import assemble
from toolkit.train import Run, Schedule

STEPS, BLOCKS = 60, 2
TARGET = 1.05


def main() -> None:
    """Print the median seconds of a step both ways, and the median of the ratio of neighbouring steps."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        examples, backbone = made(folder)
        parts = assemble(TASK, backbone.card, backbone, "lora", Lora(blocks=BLOCKS), SEED)
        training = seen(parts, examples, "cpu")
        turns = Turns({"bare": Bare(examples, parts, backbone, BLOCKS)}, len(examples))
        schedule = Schedule(STEPS, BATCH, {"head": RATE, "backbone": RATE}, checkpoint_every=25, seed=SEED)
        fit(TASK, parts, training, training, schedule, Run(folder / "run", report=turns))
    ours, theirs = turns.seconds()
    steps = STEPS - UNCOUNTED
    print(f"LoRA step, batch {BATCH}, {len(examples)} windows, transformer {DIM} x {DEPTH}, one thread, {steps} steps")
    print(f"toolkit    {ours * 1e3:8.1f} ms")
    print(f"by hand    {theirs['bare'] * 1e3:8.1f} ms")
    print(f"ratio      {turns.ratio('bare'):8.3f}    (at most {TARGET})")


if __name__ == "__main__":
    main()
