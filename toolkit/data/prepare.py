"""From a world folder to the training store it is read from, made once and kept in the cache."""

import hashlib
import os
from pathlib import Path

from toolkit.data.sources import open_source, select_fields
from toolkit.data.store import Store, open_store, write_store
from toolkit.errors import UserError
from toolkit.files import made_once

FIELD_FILES = ("fields.zarr", "fields.nc", "fields.grib")
LEVEL_HPA = 850.0


def cache_folder() -> Path:
    """Return where the toolkit keeps what can be made again: $TOOLKIT_CACHE, or `toolkit` in the user's cache."""
    if "TOOLKIT_CACHE" in os.environ:
        return Path(os.environ["TOOLKIT_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "toolkit"


def field_file(world: Path) -> Path:
    """Return the fields of a world folder; `UserError` names what was looked for."""
    if not world.is_dir():
        raise UserError(f"There is no world folder {world}. Make one with `toolkit data world {world}`.")
    for name in FIELD_FILES:
        if (world / name).exists():
            return world / name
    raise UserError(f"{world} is not a world folder: it holds none of {', '.join(FIELD_FILES)}.")


def prepared(world: Path, variables: tuple[str, ...]) -> Store:
    """Return the store of a world's fields at 850 hPa, written into the cache where it is not there yet."""
    source = field_file(world)
    folder = cache_folder() / "stores" / _key(source, variables)

    def write() -> None:
        fields = select_fields(open_source(source), variables, LEVEL_HPA)
        write_store(fields, folder, variables, sorted({int(year) for year in fields["time"].dt.year.values}))

    made_once(folder, write)
    return open_store(folder)


def _key(source: Path, variables: tuple[str, ...]) -> str:
    """Return a name that changes with the source's place, content listing (sizes and times of change) and variables."""
    listing = [source, *sorted(source.rglob("*"))] if source.is_dir() else [source]
    digest = hashlib.sha256(f"{source.resolve()} {variables} {LEVEL_HPA}".encode())
    for path in listing:
        state = path.stat()
        digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
