"""What it saves to keep what training does not change: for a probe, and for LoRA on the last blocks.

Run: python benchmarks/cached_features.py. Windows, backbone and the loop by hand are those of `benchmarks/made.py`, on
one thread. A probe is fitted three times: computing readouts and tokens in every step; after computing them once, into
files; and from files that are there. LoRA on the last k blocks, with what those before them put out kept in memory,
takes turns in one process with two loops by hand on the same windows, which update the last two blocks and all six:
whatever else the machine does hits all alike.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from made import BATCH, DEPTH, DIM, RATE, SEED, UNCOUNTED, Bare, Turns, made

from tasks.hurricane.task import TASK
from toolkit.adapt import Lora
from toolkit.backbones.weights import Backbone
from toolkit.examples import Examples
from toolkit.fit import Seen, batch_index, fit, seen
from toolkit.frozen import Frozen, stored
from toolkit.parts import assemble, input_planes
from toolkit.train import Run, Schedule

STEPS, TURNS, READ = 200, 40, 40
UPDATED = (1, 2, DEPTH)
TARGET_FEATURES, TARGET_LORA = 20, 2.5


def main() -> None:
    """Print the seconds of a probe each way, then windows per second of LoRA and their ratio to those by hand."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        examples, backbone = made(folder)
        print(f"batch {BATCH}, {len(examples)} windows, transformer {DIM} x {DEPTH}, one thread")
        print_probe(examples, backbone, folder)
        print_lora(examples, backbone, folder)


def print_probe(examples: Examples, backbone: Backbone, folder: Path) -> None:
    """Print what a probe's fit takes with and without files, and its features alone in a step."""

    def kept() -> Frozen:
        return stored(probe(backbone), examples, "cpu", backbone.card, folder / "cache")

    anew = fitted(examples, backbone, folder / "anew", lambda: None)
    first, again = (fitted(examples, backbone, folder / name, kept) for name in ("first", "again"))
    computed, read = feature_seconds(examples, backbone, kept())
    print(f"probe, {STEPS} steps   seconds   faster")
    print(f"computed each step {anew:8.1f}")
    print(f"computed once      {first:8.1f} {anew / first:8.1f}")
    print(f"from files         {again:8.1f} {anew / again:8.1f}")
    print(f"of that the features, {READ} steps")
    print(f"computed each step {computed:8.3f}")
    print(f"from files         {read:8.3f} {computed / read:8.1f}    (at least {TARGET_FEATURES})")


def fitted(examples: Examples, backbone: Backbone, folder: Path, frozen: Callable[[], Frozen | None]) -> float:
    """Return the seconds of a probe's fit, with getting at its features."""
    began = time.perf_counter()
    windows = Seen(examples, frozen())
    fit(TASK, probe(backbone), windows, windows, schedule(STEPS), Run(folder))
    return time.perf_counter() - began


@torch.no_grad()
def feature_seconds(examples: Examples, backbone: Backbone, frozen: Frozen) -> tuple[float, float]:
    """Return the seconds in which the features of some batches are computed, and in which they are read."""
    parts = probe(backbone)
    computed = read = 0.0
    for step in range(READ):
        index = batch_index(len(examples), BATCH, SEED, step)
        x = input_planes(parts, examples, index)
        began = time.perf_counter()
        parts.readouts(x)
        parts.model.frozen_state(x)
        between = time.perf_counter()
        frozen.values(index, "cpu")
        computed, read = computed + between - began, read + time.perf_counter() - between
    return computed, read


def print_lora(examples: Examples, backbone: Backbone, folder: Path) -> None:
    """Print windows per second of LoRA on the last blocks, and how many times those by hand that is."""
    print(f"LoRA, {TURNS} steps    windows/s   by hand: last 2, ratio   by hand: all {DEPTH}, ratio")
    for blocks in UPDATED:
        parts = assemble(TASK, backbone.card, backbone, "lora", Lora(blocks=blocks), SEED)
        windows = seen(parts, examples, "cpu")
        by_hand = {f"last {k}": Bare(examples, parts, backbone, k) for k in (2, DEPTH)}
        turns = Turns(by_hand, len(examples))
        fit(TASK, parts, windows, windows, schedule(TURNS), Run(folder / f"lora-{blocks}", report=turns))
        ours, theirs = turns.seconds()
        columns = [f"{BATCH / theirs[name]:12.1f} {1 / turns.ratio(name):8.2f}" for name in by_hand]
        print(f"last {blocks}           {BATCH / ours:12.1f} {'   '.join(columns)}")
    print(f"(at least {TARGET_LORA} times all {DEPTH} by hand; {TURNS - UNCOUNTED} steps count)")


def probe(backbone: Backbone):
    """Return the model of a probe."""
    return assemble(TASK, backbone.card, backbone, "probe", Lora(), SEED)


def schedule(steps: int) -> Schedule:
    """Return the schedule of every fit."""
    return Schedule(steps, BATCH, {"head": RATE, "backbone": RATE}, checkpoint_every=100, seed=SEED)


if __name__ == "__main__":
    main()
