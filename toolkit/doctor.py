"""`toolkit doctor`: tells whether all that the toolkit needs is there, and whole."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version

from toolkit.backbones.card import read_card, shipped
from toolkit.data.prepare import cache_folder
from toolkit.errors import UserError
from toolkit.installed import loaded_all, required
from toolkit.plugins import found_tasks
from toolkit.pretexts.known import KIND, pretext_named

LEAST_FREE_GB = 2
CROWDED = f"Free {LEAST_FREE_GB} GB (`toolkit data cache --remove features`), or set TOOLKIT_CACHE elsewhere."


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: `good` is None for what is only told; `remedy` is empty where nothing is to do."""

    name: str
    good: bool | None
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Return all checks, the machine first."""
    return [_python(), *_packages(), _device(), _memory(), _cache(), *_backbones(), *_pretexts(), *_tasks()]


def _python() -> Check:
    return Check("Python", True, sys.version.split()[0])


def _packages() -> Iterator[Check]:
    for needed, extra in required(distribution("earth-toolkit")):
        if extra == "dev":
            continue
        command = f"pip install 'earth-toolkit[{extra}]'" if extra else f"pip install '{needed.name}{needed.specifier}'"
        try:
            there = version(needed.name)
        except PackageNotFoundError:
            yield Check(
                needed.name, None if extra else False, f"not installed (extra {extra})" if extra else "missing", command
            )
            continue
        good = needed.specifier.contains(there, prereleases=True)
        yield Check(needed.name, good, there, "" if good else command)


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("device", None, f"cuda: {torch.cuda.get_device_name(0)}")
    return Check("device", None, f"cpu, {torch.get_num_threads()} threads")


def _memory() -> Check:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return Check("memory", None, f"{pages / 2**30:.0f} GiB" if pages else "unknown")


def _cache() -> Check:
    folder = cache_folder()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    found = f"{folder}, {free:.0f} GB free"
    if not os.access(there, os.W_OK):
        return Check("cache", False, found, f"{there} cannot be written: set TOOLKIT_CACHE to a folder of yours.")
    enough = free > LEAST_FREE_GB
    return Check("cache", enough, found, "" if enough else CROWDED)


def _backbones() -> Iterator[Check]:
    folders = shipped()
    if not folders:
        yield Check("backbones", False, "none", "Install the toolkit again: its pretrained weights are missing.")
    for name, folder in folders.items():
        try:
            yield Check(f"backbone {name}", True, f"{read_card(folder).parameters:,} parameters, hash as on the card")
        except UserError as error:
            yield Check(f"backbone {name}", False, "damaged", str(error))


def _pretexts() -> Iterator[Check]:
    pretexts, broken = loaded_all(KIND, pretext_named)
    yield Check("pretexts", bool(pretexts), ", ".join(pretexts) or "none")
    for problem in broken:
        yield Check("pretext", False, "does not load", problem)


def _tasks() -> Iterator[Check]:
    found = found_tasks()
    yield Check("tasks", bool(found.tasks), ", ".join(found.tasks) or "none")
    for problem in found.broken:
        yield Check("task", False, "does not load", problem)
