"""From a world folder to the training stores it is read from, made once and kept in the cache."""

import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.data.store import FORMAT, Store, open_store
from toolkit.data.store_write import write_store
from toolkit.errors import UserError
from toolkit.files import made_once

if TYPE_CHECKING:
    from xarray import Dataset

FIELD_FILES = ("fields.zarr", "fields.nc", "fields.grib")
LEVEL_HPA = 850.0


def cache_folder() -> Path:
    """Return where the toolkit keeps what can be made again: $TOOLKIT_CACHE, or `toolkit` in the user's cache."""
    if "TOOLKIT_CACHE" in os.environ:
        return Path(os.environ["TOOLKIT_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "toolkit"


def field_file(world: Path) -> Path:
    """Return the fields of a world: a file or a Zarr itself, that of its folder, or the folder where it is of files.

    `UserError` names what was looked for, and what is there.
    """
    if not world.exists():
        raise UserError(f"There is no world folder {world}. Make one with `toolkit data world {world}`.")
    for name in FIELD_FILES:
        if (world / name).exists():
            return world / name
    from toolkit.data.available import field_files
    from toolkit.data.opening import is_zarr

    if world.is_file() or is_zarr(world):
        return world
    held = sorted(world.iterdir())
    if len(zarrs := [path for path in held if path.suffix == ".zarr"]) == 1:
        return zarrs[0]
    if field_files(str(world)) != [str(world)]:
        return world
    raise UserError(
        f"{world} is not a world folder: it holds none of {', '.join(FIELD_FILES)}, nor another Zarr, NetCDF or GRIB. "
        f"It holds: {', '.join(path.name for path in held[:8]) or 'nothing'}."
    )


def prepared(world: Path, variables: tuple[str, ...], grid_degrees: float | None = None) -> Store:
    """Return the store of a world's fields at 850 hPa, written into the cache where it is not there yet.

    Fields on another grid than one of `grid_degrees` are brought to it; None leaves them on their own.
    """
    source = field_file(world)

    def fields() -> "Dataset":
        from toolkit.data.available import gathered
        from toolkit.data.on_grid import fields_on_grid
        from toolkit.data.sources import select_fields

        selected = select_fields(gathered(source, stand_ins={}), variables, LEVEL_HPA)
        return selected if grid_degrees is None else fields_on_grid(selected, grid_degrees)

    key = _key(source, f"{variables} {LEVEL_HPA} {grid_degrees}")
    return _stored(key, fields, variables, may_be_constant=False)


def prepared_maps(path: Path, variables: tuple[str, ...], read: Callable[[Path], "Dataset"], like: Store) -> Store:
    """Return the store of label maps read from `path`, on the grid of the store `like`, written into the cache.

    It is made anew where the module that defines `read`, or what is bound to it, has changed.
    """
    from toolkit.data.on_grid import maps_on_grid

    how = getattr(read, "func", read), getattr(read, "args", ()), getattr(read, "keywords", {})
    code = inspect.getsource(inspect.getmodule(how[0]) or how[0])
    about = f"{code} {how[1:]} {variables} {like.latitude.tolist()} {like.longitude.tolist()}"
    key = _key(path, f"maps {about}")
    return _stored(key, lambda: maps_on_grid(read(path), like), variables, may_be_constant=True)


def _stored(key: str, fields: Callable[[], "Dataset"], variables: tuple[str, ...], may_be_constant: bool) -> Store:
    folder = cache_folder() / "stores" / key

    def write() -> None:
        write_store(fields(), folder, variables, may_be_constant)

    made_once(folder, write)
    return open_store(folder)


def _key(source: Path, about: str) -> str:
    """Return a name that changes with the source's place, its listing (sizes, times of change), `about` and format."""
    listing = [source, *sorted(source.rglob("*"))] if source.is_dir() else [source]
    digest = hashlib.sha256(f"{FORMAT} {source.resolve()} {about}".encode())
    for path in listing:
        state = path.stat()
        digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
