"""A training in a process of its own, so that a test can kill it: `python killable.py pretrain|finetune FILES FOLDER`.

FILES holds the paths of a store, a table of labels and a backbone, a line each. Tests also run these functions in their
own process, undisturbed or resuming what was killed.
"""

import sys
import time
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

STEPS, EVERY = 40, 5
GROUPS = ("AL002020", "AL032020", "AL072020")


def pretrain(files: list[Path], folder: Path, resume: bool, pause: float) -> dict[str, Tensor]:
    """Pretrain a tiny backbone on all pretexts; return its weights."""
    from toolkit.backbones.weights import load_backbone
    from toolkit.data.store import open_store
    from toolkit.pretexts.draw import Recipe, unlabelled
    from toolkit.pretexts.known import pretext_named, pretext_names
    from toolkit.pretrain import pretrain

    card = load_backbone(files[2]).card
    every = tuple((pretext_named(name), 1.0) for name in pretext_names())
    recipe = Recipe(card.spec, card.architecture, every, (16, 16))
    source = unlabelled(open_store(files[0]), recipe, lambda _name, target, store: target.make(store))
    return pretrain(
        recipe, [source], card.normalisation, _schedule({"": 1e-3}), _run(folder, resume, pause)
    ).state_dict()


def finetune(files: list[Path], folder: Path, resume: bool, pause: float) -> dict[str, Tensor]:
    """Fine-tune the last block by LoRA with validation on the way; return the weights of backbone, updates and head."""
    from dataclasses import replace

    from tasks.hurricane.task import TASK
    from toolkit.adapt import Lora
    from toolkit.backbones.weights import load_backbone
    from toolkit.data.store import open_store
    from toolkit.examples import cut_examples
    from toolkit.fit import fit, seen
    from toolkit.parts import assemble

    task = replace(TASK, inputs=replace(TASK.inputs, window=(16, 16)), placement=replace(TASK.placement, margin=3))
    labels = pd.read_csv(files[1], parse_dates=["time"])
    examples = cut_examples(task, open_store(files[0]), labels, labels["group"].isin(GROUPS).to_numpy(), seed=0)
    backbone = load_backbone(files[2])
    parts = assemble(task, backbone.card, backbone, "lora", Lora(rank=2, alpha=4, blocks=1), seed=0)
    schedule = _schedule({"head": 1e-3, "backbone": 1e-3})
    windows = seen(parts, examples, "cpu")
    fit(task, parts, windows, windows, schedule, _run(folder, resume, pause))
    return parts.model.state_dict()


def _schedule(rates: dict[str, float]):
    from toolkit.train import Schedule

    return Schedule(STEPS, 4, rates, checkpoint_every=EVERY, validate_every=7 if "head" in rates else 0, seed=3)


def _run(folder: Path, resume: bool, pause: float):
    from toolkit.train import Run

    return Run(folder, resume, lambda _: time.sleep(pause))


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, listed, folder = sys.argv[1:]
    {"pretrain": pretrain, "finetune": finetune}[what](
        [Path(p) for p in Path(listed).read_text().split()], Path(folder), False, 0.1
    )
