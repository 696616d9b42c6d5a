"""`toolkit data check PATH`: tells a best track, a training store, a world and a field file apart, and checks it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xarray import Dataset

from toolkit.data.available import gathered
from toolkit.data.best_track import looks_like_best_track, summarise_best_track
from toolkit.data.check import Finding, check_fields, check_store
from toolkit.data.prepare import field_file
from toolkit.data.sources import DERIVED, WINDS
from toolkit.data.store import open_store
from toolkit.errors import UserError

BEST_TRACK = "hurdat2.txt"


@dataclass(frozen=True)
class Checked:
    """What was found, as plain values and as lines for people, and whether training must not go on with it."""

    content: dict[str, Any]
    lines: tuple[str, ...]
    stops: bool


def check_path(path: Path) -> Checked:
    """Check whatever lies at `path`; raises `UserError` where it cannot be read, which stops training as well."""
    if not path.exists():
        raise UserError(f"There is nothing at {path} to check.")
    if path.is_file() and (path.suffix == ".txt" or looks_like_best_track(path)):
        tracks = summarise_best_track(path)
        return Checked(tracks, _track_lines(tracks), False)
    if (path / "store.json").exists():
        return _checked(check_store(open_store(path)), {})
    findings, content = _fields(field_file(path))
    if (path / BEST_TRACK).exists():
        content["best_track"] = summarise_best_track(path / BEST_TRACK)
    return _checked(findings, content)


def _checked(findings: list[Finding], content: dict[str, Any]) -> Checked:
    tracks = _track_lines(content["best_track"]) if "best_track" in content else ()
    said = [str(finding) for finding in findings] or ["Nothing wrong in the fields."]
    content = content | {"findings": [asdict(finding) for finding in findings]}
    lines = (*content.get("assumptions", ()), *tracks, *said)
    return Checked(content, lines, any(finding.stops for finding in findings))


def _track_lines(tracks: dict[str, Any]) -> tuple[str, ...]:
    return f"{tracks['storms']} storms, {tracks['fixes']} fixes, {tracks['left_out']} left out", *tracks["findings"]


def _fields(path: Path) -> tuple[list[Finding], dict[str, Any]]:
    fields = gathered(path, stand_ins={})
    findings: list[Finding] = []
    for label, part in _flat(fields, str(path)):
        of_time = any(finding.variable == "time" for finding in findings)
        findings += [f for f in check_fields(part, label) if not (of_time and f.variable == "time")]
    return findings + _refused(fields, str(path)), {"assumptions": list(fields.attrs.get("assumptions", ()))}


def _refused(fields: Dataset, file: str) -> list[Finding]:
    """Find what cannot be read of vorticity, divergence and the winds where the rest does not give both of the two."""
    if {*DERIVED} <= {*fields} or {*WINDS} <= {*fields}:
        return []
    why = fields.attrs["refused"]
    return [Finding(file, name, None, 1, "cannot be read", why[name]) for name in (*DERIVED, *WINDS) if name in why]


def _flat(fields: Dataset, label: str) -> Iterator[tuple[str, Dataset]]:
    """Yield the fields without a level, then those of each level that they are given at."""
    surface = [name for name in fields.data_vars if "level" not in fields[name].dims]
    if surface:
        yield label, fields[surface]
    for level in fields["level"].values if "level" in fields.dims else ():
        there = [name for name in fields.data_vars if level in fields[name].attrs.get("levels_hpa", ())]
        if there:
            yield f"{label} at {level:g} hPa", fields[there].sel(level=level, drop=True)
