"""What the cache keeps, how much room it takes, and how to have it back: all of it can be made again."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolkit.data.prepare import cache_folder
from toolkit.errors import unknown

KINDS = {
    "worlds": "simulated worlds, for commands that are given none",
    "stores": "fields as training reads them, and what pretexts made of them",
    "features": "what frozen backbones make of windows, for the studies to come",
}


@dataclass(frozen=True)
class Kept:
    """What is kept of a kind: so many `entries`, and the `bytes` they take together, unfinished ones too."""

    kind: str
    entries: int
    bytes: int


def kept() -> list[Kept]:
    """Return what the cache keeps of each kind."""
    return [_kept(kind) for kind in KINDS]


def remove_kept(kind: str) -> Kept:
    """Remove all that is kept of a kind, and return what that was; nothing that uses it may be running.

    Raises `UserError` for a kind that there is not.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    was = _kept(kind)
    if (folder := cache_folder() / kind).is_dir():
        shutil.rmtree(folder)
    return was


def _kept(kind: str) -> Kept:
    folder = cache_folder() / kind
    entries = sum(not path.name.startswith(".") for path in folder.iterdir()) if folder.is_dir() else 0
    return Kept(kind, entries, sum(_sizes(folder)))


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            state = path.lstat()
        except FileNotFoundError:  # it was being written, and has its own name by now
            continue
        yield state.st_blocks * 512
