"""The run folder: refused where it holds something, resumed only with the settings it began with, written whole."""

import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import UserError
from toolkit.examples import Examples, Years
from toolkit.files import write_json, write_text

RECORDED = ("torch", "timm", "peft", "accelerate", "numpy", "xarray", "scikit-learn", "earth-toolkit")


def open_run(folder: Path, config: Mapping[str, Any], resume: bool, overwrite: bool) -> bool:
    """Make `folder` ready for a run with `config`; return whether it resumes one.

    Raises `UserError` for a folder that holds something without `resume` or `overwrite`, and for a resumed run whose
    settings differ from those it began with.
    """
    written = folder / "config.yaml"
    if not folder.exists() or not any(folder.iterdir()):
        write_text(written, yaml.safe_dump(dict(config), sort_keys=False))
        return False
    if resume:
        if not written.exists():
            raise UserError(f"{folder} holds no run to resume: config.yaml is missing.")
        _same_settings(written, config)
        return True
    if not overwrite:
        raise UserError(f"{folder} is not empty. Add --resume to go on with it, --overwrite to begin again, or name another.")
    if not written.exists():
        raise UserError(f"{folder} is not a run folder (it has no config.yaml), so it is not overwritten.")
    shutil.rmtree(folder)
    write_text(written, yaml.safe_dump(dict(config), sort_keys=False))
    return False


def _same_settings(written: Path, config: Mapping[str, Any]) -> None:
    before = yaml.safe_load(written.read_text())
    keys = sorted({*before, *config})
    changed = [f"{key}: {before.get(key)} -> {config.get(key)}" for key in keys if before.get(key) != config.get(key)]
    if changed:
        raise UserError(f"{written.parent} began with other settings ({'; '.join(changed)}). Resume with the same ones.")


def write_environment(folder: Path, command: Sequence[str]) -> None:
    """Write env.json: versions, platform, date and command line."""
    versions = {}
    for name in RECORDED:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    content = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "versions": versions,
    }
    write_json(folder / "env.json", content)


def write_split(folder: Path, years: Years, parts: Mapping[str, Examples], seed: int) -> str:
    """Write split.json: which groups are in which part, and a hash over it; return the hash."""
    content: dict[str, Any] = {"seed": seed, "parts": {}}
    for name, examples in parts.items():
        groups = sorted(set(examples.truth["group"]))
        content["parts"][name] = {"years": list(getattr(years, name)), "groups": groups, "windows": len(examples)}
    content["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    write_json(folder / "split.json", content)
    return str(content["sha256"])
