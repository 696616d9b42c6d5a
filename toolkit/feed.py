"""Batches, drawn ahead of the model by processes of their own, in the order of their numbers."""

import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from toolkit.errors import UserError

AHEAD = 4
"""Batches that are ready, at least; of several processes each has two."""
ENDED = "DataLoader worker (pid"
"""What torch's words begin with where a process was ended from outside."""


@dataclass(frozen=True)
class Refused:
    """What a `UserError` said in another process: torch would wrap the error itself into a traceback."""

    said: str


@dataclass(frozen=True)
class Numbered(Dataset[Any]):
    """The batches of a run by their number."""

    batch: Callable[[int], Any]

    def __getitem__(self, number: int) -> Any:
        try:
            return self.batch(number)
        except UserError as error:
            return Refused(str(error))


@contextmanager
def batches(
    batch: Callable[[int], Any], numbers: Sequence[int], workers: int, pinned: bool = False
) -> Iterator[Iterator[Any]]:
    """Give the iterator over `batch(number)` for every number, in order; of `workers` processes each draws in turn.

    The processes are forked, so that they share the memory of the stores, and end with the block; what they draw must
    lie in main memory, `pinned` where a GPU is to fetch it. Raises the `UserError` that `batch` raises, and one where
    the system ends such a process.
    """
    drawn = _ahead(batch, numbers, workers, pinned) if workers else (batch(number) for number in numbers)
    try:
        yield drawn
    except RuntimeError as error:  # torch raises it whatever the training is doing then
        if not str(error).startswith(ENDED):
            raise
        raise UserError(
            f"A process that draws batches was ended, as the system does where memory is short ({error}). Give the run "
            "more memory, or draw without such processes: workers=0."
        ) from error
    finally:
        drawn.close()


def _ahead(
    batch: Callable[[int], Any], numbers: Sequence[int], workers: int, pinned: bool
) -> Generator[Any, None, None]:
    loader = DataLoader(
        Numbered(batch),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=pinned,
        prefetch_factor=max(2, AHEAD // workers),
        multiprocessing_context="fork",
        generator=torch.Generator(),  # or the loader would take a number from the model's
    )
    with warnings.catch_warnings():
        # Newer Pythons warn of forking beside other threads; the new processes use nothing that those hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        started = iter(loader)
    for drawn in started:
        if isinstance(drawn, Refused):
            raise UserError(drawn.said)
        yield drawn


def _as_it_is(drawn: Any) -> Any:
    return drawn
