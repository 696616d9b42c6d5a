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
from toolkit.columns import encode_columns
from toolkit.examples import Examples
from toolkit.files import made_once, whole_folder
from toolkit.parts import Batch, Parts, input_planes

CHUNK = 256
"""Windows that are computed at a time."""
FORM = 1
"""Counts up when the same key would stand for other values."""
READOUTS, STATE = "readouts", "state"

Arrays = dict[str, NDArray[np.float16]]
Reads = Callable[[Tensor], dict[str, Tensor]]
"""Windows (b, planes, h, w) -> values by name (b, ...)."""


@dataclass(frozen=True, eq=False)
class Frozen:
    """What was computed of n windows: the readouts {name: (n, c, h, w)}, and the state of the backbone (n, ...).

    The state is what the first trained block is given, or the tokens where none is trained; None where all are.
    """

    readouts: Arrays
    state: NDArray[np.float16] | None

    def values(self, index: NDArray[np.integer], device: str) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return the readouts {name: (b, c, h, w)} and the state (b, ...) of the windows at `index`."""
        found = {name: _widened(array[index], device) for name, array in self.readouts.items()}
        return found, None if self.state is None else _widened(self.state[index], device)


def computed(parts: Parts, examples: Examples, device: str) -> Frozen:
    """Compute it in memory."""
    found: dict[str, Arrays] = {}
    for what, reads in _reads(parts).items():
        values = list(_values(parts, examples, device, reads))
        found[what] = {name: np.concatenate([chunk[name] for chunk in values]) for name in values[0]}
    return _frozen(found)


def stored(parts: Parts, examples: Examples, device: str, card: Card, cache: Path) -> Frozen:
    """Return it from files in `cache`, which are mapped, not read; what is not there is computed first.

    The files' folder is named after a hash of all that the values come from. Of several processes one computes, others
    wait.
    """
    found: dict[str, Arrays] = {}
    reads = _reads(parts)
    for what, folder in _folders(parts, examples, card, cache).items():
        made_once(folder, partial(_write, folder, parts, examples, device, reads[what]))
        found[what] = {file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))}
    return _frozen(found)


def is_stored(parts: Parts, examples: Examples, card: Card, cache: Path) -> bool:
    """Whether `stored` has nothing to compute."""
    return all(folder.is_dir() for folder in _folders(parts, examples, card, cache).values())


def chunks(count: int) -> list[NDArray[np.integer]]:
    """Return the numbers of so many windows, `CHUNK` at a time."""
    return [np.arange(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]


def feed(
    parts: Parts, examples: Examples, device: str, frozen: Frozen | None = None
) -> Callable[[NDArray[np.integer]], Batch]:
    """Return the function from the numbers of examples to what a model is called with.

    Without `frozen`, readouts are computed each time, and the model goes all the way itself. Columns are encoded here,
    once: `UserError` where they cannot be.
    """
    encoded = encode_columns(parts.columns, examples.table)

    def batch(index: NDArray[np.integer]) -> Batch:
        x, columns = input_planes(parts, examples, index).to(device), torch.from_numpy(encoded[index]).to(device)
        if frozen is None:
            return x, parts.readouts(x), columns, None
        readouts, state = frozen.values(index, device)
        return x, readouts, columns, state

    return batch


def _reads(parts: Parts) -> dict[str, Reads]:
    """Return what there is to compute."""
    model, reads = parts.model, dict[str, Reads]()
    if parts.handed:
        reads[READOUTS] = parts.readouts
    if model.entry is not None:
        reads[STATE] = lambda x: {STATE: model.frozen_state(x)}
    return reads


def _frozen(found: dict[str, Arrays]) -> Frozen:
    return Frozen(found.get(READOUTS, {}), found.get(STATE, {}).get(STATE))


def _folders(parts: Parts, examples: Examples, card: Card, cache: Path) -> dict[str, Path]:
    """Return where the files are of each of `_reads`: which readouts, and the state before which block."""
    key = _key(parts, examples, card)
    named = {READOUTS: "-".join(sorted(parts.handed)), STATE: f"{STATE}{parts.model.entry}"}
    return {what: cache / f"{key}-{named[what]}" for what in _reads(parts)}


def _widened(values: NDArray[np.float16], device: str) -> Tensor:
    return torch.from_numpy(values).float().to(device)


@torch.no_grad()
def _values(parts: Parts, examples: Examples, device: str, reads: Reads) -> Iterator[Arrays]:
    """Yield what is read of the windows, chunk by chunk; the model is left evaluating."""
    parts.model.to(device).eval()
    for index in chunks(len(examples)):
        x = input_planes(parts, examples, index).to(device)
        yield {name: value.half().cpu().numpy() for name, value in reads(x).items()}


def _write(folder: Path, parts: Parts, examples: Examples, device: str, reads: Reads) -> None:
    with whole_folder(folder) as temporary:
        arrays: dict[str, np.memmap] = {}
        pieces = zip(chunks(len(examples)), _values(parts, examples, device, reads), strict=True)
        for index, values in pieces:
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
