"""What training does not change, computed once: readouts, and what the frozen part of a backbone makes of windows.

A head on frozen features then needs no backbone at all, and LoRA only the blocks that it updates. Values are kept as
float16, in memory or, for several trainings on the same windows, in files.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from toolkit.backbones.card import Card
from toolkit.examples import Examples
from toolkit.files import made_once, whole_folder
from toolkit.parts import Batch, Parts, inputs

CHUNK = 256
"""Windows that are computed at a time."""
STATE = "state"
FORM = 1
"""Counts up when the same key would stand for other values."""

Arrays = dict[str, NDArray[np.float16]]
Reads = Callable[[Tensor], dict[str, Tensor]]
"""Windows (b, planes, h, w) -> values by name (b, ...)."""


@dataclass(frozen=True, eq=False)
class Frozen:
    """What was computed of n windows.

    `arrays`: "state" (m, ...), what the first trained block is given, or the tokens where none is trained, missing
    where everything is; and the readouts {name: (m, c, h, w)}. `rows` (n,): where each window's values stand in them.
    """

    arrays: Arrays
    rows: NDArray[np.integer]

    def subset(self, index: NDArray[np.integer]) -> "Frozen":
        """Return that of the windows at `index`, in their order."""
        return Frozen(self.arrays, self.rows[index])

    def values(self, index: NDArray[np.integer], device: str) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return the readouts {name: (b, c, h, w)} and the state (b, ...), None for none, of the windows at `index`."""
        rows = self.rows[index]
        found = {name: torch.from_numpy(array[rows]).float().to(device) for name, array in self.arrays.items()}
        state = found.pop(STATE, None)
        return found, state


def computed(parts: Parts, examples: Examples, device: str) -> Frozen:
    """Compute it in memory."""
    found: Arrays = {}
    for reads in _reads(parts, device).values():
        chunks = [values for _, values in _chunks(parts, examples, device, reads)]
        found |= {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
    return Frozen(found, np.arange(len(examples)))


def stored(parts: Parts, examples: Examples, device: str, card: Card, cache: Path) -> Frozen:
    """Return it from files in `cache`, which are mapped, not read; what is not there is computed first.

    The files' folder is named after a hash of all that the values come from. Of several processes one computes, others
    wait.
    """
    found: Arrays = {}
    for folder, reads in zip(_folders(parts, examples, card, cache), _reads(parts, device).values(), strict=True):
        made_once(folder, partial(_write, folder, parts, examples, device, reads))
        found |= {file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))}
    return Frozen(found, np.arange(len(examples)))


def is_stored(parts: Parts, examples: Examples, card: Card, cache: Path) -> bool:
    """Whether `stored` has nothing to compute."""
    return all(folder.is_dir() for folder in _folders(parts, examples, card, cache))


def feed(
    parts: Parts, examples: Examples, device: str, frozen: Frozen | None = None
) -> Callable[[NDArray[np.integer]], Batch]:
    """Return the function from the numbers of examples to what a model is called with.

    Without `frozen`, readouts are computed each time, and the model goes all the way itself.
    """

    def batch(index: NDArray[np.integer]) -> Batch:
        x, columns = (t.to(device) for t in inputs(parts, examples, index))
        if frozen is None:
            return x, parts.readouts(x), columns, None
        readouts, state = frozen.values(index, device)
        return x, readouts, columns, state

    return batch


def _reads(parts: Parts, device: str) -> dict[str, Reads]:
    """Return what there is to compute, by name; the model is left evaluating."""
    model, reads = parts.model.to(device).eval(), dict[str, Reads]()
    if parts.handed:
        reads["-".join(sorted(parts.handed))] = parts.readouts
    if model.entry is not None:
        reads[f"{STATE}{model.entry}"] = lambda x: {STATE: model.frozen_state(x)}
    return reads


def _folders(parts: Parts, examples: Examples, card: Card, cache: Path) -> list[Path]:
    """Return the folders of the files of each of `_reads`."""
    key, device = _key(parts, examples, card), str(next(parts.model.parameters()).device)
    return [cache / f"{key}-{name}" for name in _reads(parts, device)]


@torch.no_grad()
def _chunks(
    parts: Parts, examples: Examples, device: str, reads: Reads
) -> Iterator[tuple[NDArray[np.integer], Arrays]]:
    """Yield the numbers of some examples and what is read of them, until there is no more."""
    for first in range(0, len(examples), CHUNK):
        index = np.arange(first, min(first + CHUNK, len(examples)))
        x = inputs(parts, examples, index)[0].to(device)
        yield index, {name: value.half().cpu().numpy() for name, value in reads(x).items()}


def _write(folder: Path, parts: Parts, examples: Examples, device: str, reads: Reads) -> None:
    with whole_folder(folder) as temporary:
        arrays: dict[str, np.memmap] = {}
        for index, values in _chunks(parts, examples, device, reads):
            for name, value in values.items():
                if name not in arrays:
                    shape = (len(examples), *value.shape[1:])
                    arrays[name] = open_memmap(temporary / f"{name}.npy", "w+", np.float16, shape)
                arrays[name][index] = value
        for array in arrays.values():
            array.flush()


def _key(parts: Parts, examples: Examples, card: Card) -> str:
    """Return a hash of the backbone, of its inputs, and of the windows."""
    windows, normalisation = examples.windows, parts.normalisation
    about = [
        FORM, card.weights_sha256, card.architecture, card.options, examples.store.sha256, normalisation.names,
        normalisation.mean, normalisation.standard_deviation, windows.size,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for values in (windows.time, windows.row, windows.column, windows.mirrored):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:24]
