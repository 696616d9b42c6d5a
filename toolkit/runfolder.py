"""The run folder: refused where it holds something, resumed only with the settings it began with, written whole."""

import hashlib
import json
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from accelerate import PartialState

from toolkit.config import named_path
from toolkit.errors import UserError
from toolkit.examples import Examples
from toolkit.files import write_json, write_text
from toolkit.split import Apart

MARK = "# The settings of a run of earth-toolkit, which has this folder to itself.\n"
"""Begins a run's config.yaml: no other folder is ever emptied."""
OPTIONS = {"world": "--world", "worlds": "--world", "data": "--data", "pretext": "--pretext"}
"""How settings are named in a difference, where it is not by KEY=VALUE that they are mostly given."""
RECORDED = ("torch", "timm", "peft", "accelerate", "numpy", "xarray", "scikit-learn", "earth-toolkit")


@dataclass(frozen=True)
class RunFolder:
    """Where a run writes, what it may do with what is there, and the command line it was started with."""

    path: Path
    resume: bool
    overwrite: bool
    command: Sequence[str]


def check_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Raise `UserError` where a run must not write: the folder holds what is neither to resume nor to replace."""
    if resume and overwrite:
        raise UserError("--resume goes on with a run and --overwrite begins it again: give one of them.")
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"{there} is a file: name a folder with --out.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    written = (folder / "config.yaml").exists()
    if resume and not written:
        raise UserError(f"{folder} holds no run to resume: config.yaml is missing.")
    if not resume and not overwrite:
        raise UserError(
            f"{folder} is not empty. Add --overwrite to begin again, --resume to go on with a run that was stopped, or "
            "name another folder."
        )
    if overwrite and not (written and (folder / "config.yaml").read_text().startswith(MARK)):
        raise UserError(
            f"{folder} is not a run folder (it has no config.yaml of a run), so it is not overwritten. Name another."
        )


def open_run(folder: Path, config: Mapping[str, Any], resume: bool, overwrite: bool) -> bool:
    """Make `folder` ready for a run with `config`; return whether it resumes one.

    Raises `UserError` as `check_folder` does, and for a resumed run whose settings differ from those it began with.
    """
    check_folder(folder, resume, overwrite)
    written = folder / "config.yaml"
    if resume and written.exists():
        check_settings(folder, config)
        return True
    for held in folder.iterdir() if folder.exists() else ():  # the folder itself may be a mount, or where the user is
        if held.is_dir() and not held.is_symlink():
            shutil.rmtree(held)
        else:
            held.unlink()
    write_text(written, MARK + yaml.safe_dump(dict(config), sort_keys=False))
    return False


def open_together(folder: RunFolder, config: Mapping[str, Any]) -> bool:
    """Open the run as `open_run` does, in the first of the processes launched together; the others wait for it."""
    state = PartialState()
    with state.main_process_first():
        if state.is_main_process:
            return open_run(folder.path, config, folder.resume, folder.overwrite)
    return folder.resume


def check_settings(
    folder: Path, config: Mapping[str, Any], said: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
) -> None:
    """Raise `UserError` where the run in a folder, if there is one, has begun with other settings.

    `said` makes of settings what a user says of them. What follows from that, such as the hash of a world's store from
    the variables in it, is told of only where what is said is the same.
    """
    if not (written := folder / "config.yaml").exists():
        return
    before = yaml.safe_load(written.read_text())
    was, now = ({key: named_path(value) for key, value in said(of).items()} for of in (before, config))
    if changed := [*_differences(was, now)] or [*_differences(before, config)]:
        head = f"{folder} began with other settings. Resume with the same ones (then -> now):"
        raise UserError("\n".join([head, *changed]))


def _differences(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Yield a line for each setting that is another, within several by its own name; of a world, where it lies."""
    if before == now:
        return
    sides = [{} if side is None else side for side in (before, now)]
    if all(isinstance(side, Mapping) and "path" not in side for side in sides):
        for name in sorted({*sides[0], *sides[1]}):
            within = f"{key}.{name}" if key else OPTIONS.get(name, name)
            yield from _differences(sides[0].get(name), sides[1].get(name), within)
        return
    was, is_now = (_shown(named_path(side)) for side in (before, now))
    yield f"{key}: {was} -> {is_now}" if was != is_now else f"{key}: {was} holds other data than it did"


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, str) and Path(value).is_relative_to(Path.cwd()):
        return str(Path(value).relative_to(Path.cwd()))
    return "none" if value is None else str(value)


def how_to_resume(folder: Path) -> str:
    """Return the command line that goes on with the run in a folder, as it was begun where that is known."""
    try:
        command = json.loads((folder / "env.json").read_text())["command"]
    except (OSError, ValueError, KeyError):
        command = ["toolkit", "finetune", "TASK", "--out", str(folder)]
    return f"{as_begun(command)} --resume"


def as_begun(command: Sequence[str]) -> str:
    """Return a command line without what it says of an earlier run in its folder."""
    return shlex.join(word for word in command if word not in ("--overwrite", "--resume"))


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


def write_split(
    folder: Path, apart: Apart, parts: Mapping[str, Examples], rows: Mapping[str, pd.DataFrame], seed: int
) -> str:
    """Write split.json: what holds between the parts, which groups and times are in each, a hash; return the hash.

    rows: the labelled rows of each part, of which `parts` are the windows. A row is in a part if its group is listed
    there and its time lies in one of the part's spans (first and last time of each year), where it has a time.
    """
    content: dict[str, Any] = {"seed": seed, "apart": asdict(apart), "parts": {}}
    for name, table in rows.items():
        content["parts"][name] = {
            "groups": sorted(set(table["group"])),
            "spans": _spans(table),
            "rows": len(table),
            "windows": len(parts[name]),
        }
    content["sha256"] = split_hash(content)
    write_json(folder / "split.json", content)
    return str(content["sha256"])


def split_hash(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 over everything in split.json but the hash itself."""
    told = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _spans(table: pd.DataFrame) -> list[list[str]]:
    """Return the first and the last time of each year that has rows."""
    if "time" not in table:
        return []
    of_year = table["time"].groupby(table["time"].dt.year).agg(["min", "max"])
    return [[time.isoformat() for time in span] for span in of_year.itertuples(index=False)]
