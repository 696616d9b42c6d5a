"""Settings of whole pretrainings that come with the toolkit: a YAML file each, given to `toolkit pretrain` by name."""

from importlib import resources
from pathlib import Path

from toolkit.errors import unknown


def recipe_files() -> dict[str, Path]:
    """Return the file of every recipe by its name."""
    return {path.stem: path for path in sorted(Path(str(resources.files(__name__))).glob("*.yaml"))}


def settings_file(given: Path | None) -> Path | None:
    """Return the file that is given, or that of the recipe of that name.

    Raises `UserError`, with the near miss, for what looks like a name and is none. A file goes first.
    """
    if given is None or given.exists() or given.suffix or len(given.parts) > 1:
        return given
    known = recipe_files()
    if given.name not in known:
        raise unknown("file or recipe", given.name, known)
    return known[given.name]
