"""Which world and which labels a run looked at, in a few plain values that go into its configuration."""

import hashlib
from pathlib import Path
from typing import Any

from toolkit.data.prepare import field_file
from toolkit.data.store import Store
from toolkit.files import sha256

LABELS = (".txt", ".csv", ".nc")
SIMULATED = "simulated"
MADE_BY = ("source", "size", "seed", "runs", "days", "rotation")
"""What simulated fields say of how they were made: equal, and they are the same weather."""


def world_identity(world: Path, store: Store) -> dict[str, Any]:
    """Return {"path": str, "simulated": bool, "sha256": str}; the hash covers the values and the label files."""
    digest = hashlib.sha256(store.sha256.encode())
    for table in sorted(path for path in _files(world) if path.suffix in LABELS):
        digest.update(f"{table.name} {sha256(table)}".encode())
    simulated = SIMULATED in str(field_attributes(world).get("source", ""))
    return {"path": str(world.resolve()), "simulated": simulated, "sha256": digest.hexdigest()}


def data_identity(data: Path) -> dict[str, Any]:
    """Return {"path": str, "sha256": str} of a file of labels, or of a folder with all its files."""
    digest = hashlib.sha256()
    for path in [data] if data.is_file() else sorted(path for path in data.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(data) if path != data else path.name} {sha256(path)}".encode())
    return {"path": str(data.resolve()), "sha256": digest.hexdigest()}


def field_attributes(world: Path) -> dict[str, Any]:
    """Return what the field file of a world says of itself: its global attributes; none for GRIB and several files."""
    from toolkit.data.available import field_files
    from toolkit.data.opening import is_grib, opened

    source = field_file(world)
    if field_files(str(source)) != [str(source)] or is_grib(source):
        return {}
    with opened(str(source))[0] as fields:
        return dict(fields.attrs)


def made_by(world: Path) -> dict[str, Any]:
    """Return what the fields of a world say of how they were made."""
    return {key: value for key, value in field_attributes(world).items() if key in MADE_BY}


def _files(world: Path) -> list[Path]:
    """Return the files beside the fields of a world folder; none where the world is the fields alone."""
    from toolkit.data.available import field_files

    fields = set(map(Path, field_files(str(field_file(world)))))
    return [] if world in fields else [path for path in world.iterdir() if path not in fields]
