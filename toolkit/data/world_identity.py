"""Which world a run looked at, in a few plain values that go into its configuration."""

import hashlib
from pathlib import Path
from typing import Any

from toolkit.data.prepare import field_file
from toolkit.data.store import Store
from toolkit.files import sha256

TABLES = (".txt", ".csv")
SIMULATED = "simulated"


def world_identity(world: Path, store: Store) -> dict[str, Any]:
    """Return {"path": str, "simulated": bool, "sha256": str}; the hash covers the store's values and the tables."""
    digest = hashlib.sha256(store.sha256.encode())
    for table in sorted(path for path in world.iterdir() if path.suffix in TABLES):
        digest.update(f"{table.name} {sha256(table)}".encode())
    simulated = SIMULATED in str(field_attributes(world).get("source", ""))
    return {"path": str(world.resolve()), "simulated": simulated, "sha256": digest.hexdigest()}


def field_attributes(world: Path) -> dict[str, Any]:
    """Return what the field file of a world says of itself: its global attributes, none for GRIB."""
    import xarray

    source = field_file(world)
    if source.suffix == ".grib":
        return {}
    options: dict[str, Any] = {"engine": "zarr", "consolidated": False} if source.suffix == ".zarr" else {}
    with xarray.open_dataset(source, chunks=None, **options) as fields:
        return dict(fields.attrs)
