"""The simulated worlds that a command uses when it is given none: made once, kept in the cache."""

import hashlib
from pathlib import Path

from toolkit.data.prepare import cache_folder
from toolkit.data.world.write import size_named, write_world
from toolkit.files import made_once
from toolkit.told import Told

SIZE, SEED = "small", 0


def embedded_folder(size: str = SIZE) -> Path:
    """Return where the embedded world of a size lies once it is made."""
    return cache_folder() / "worlds" / f"{size}-{SEED}-{generator_version()}"


def embedded_world(told: Told, size: str = SIZE) -> Path:
    """Return the folder of the embedded world, simulated first where this version's world is not in the cache yet.

    `UserError` for a size that there is not.
    """
    folder, plan = embedded_folder(size), size_named(size)
    if not folder.exists():
        told.stage(f"simulating the {size} world (once; it is kept in the cache)")
    made_once(folder, lambda: write_world(folder, plan, SEED, told.share))
    return folder


def generator_version() -> str:
    """Return a name that changes with the code that makes a world."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
