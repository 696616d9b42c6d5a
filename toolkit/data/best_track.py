"""NHC's best track, HURDAT2: the file as a table of fixes, and the table as a file.

A line is taken by position and believed only if its values, written again, give the same characters; every other
line is read with care or refused. So what is in the table is what the file says.
"""

import codecs
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from toolkit.data.best_track_format import (
    COLUMNS,
    FIRST_YEAR,
    LARGEST_WIND,
    LAST_YEAR,
    NUMBERS,
    RADII,
    RECORDS,
    STATUSES,
    WIDTH,
    Block,
    Bytes,
    Layout,
    line_length,
    parsed,
    rendered,
    widened,
)
from toolkit.data.best_track_lines import HEADER_EXAMPLE, Header, MalformedLineError, read_header, regular_fix
from toolkit.data.best_track_write import write_best_track
from toolkit.errors import UserError

__all__ = [
    "COLUMNS",
    "BestTrack",
    "Finding",
    "Layout",
    "looks_like_best_track",
    "read_best_track",
    "summarise_best_track",
    "write_best_track",
]

_FIRST_LINE = re.compile(rb"[A-Z]{2}[0-9]{6},[ -+\--~]+,[ \t]*[0-9]+[ \t]*,?[ \t]*\r?\n?")
_Notes = dict[str, list[int]]  # reason -> numbers of the lines it holds for


@dataclass(frozen=True)
class Finding:
    """Something out of the ordinary in a file, and the lines (the first is 1) that show it."""

    reason: str
    lines: tuple[int, ...]

    def __str__(self) -> str:
        if len(self.lines) == 1:
            return f"line {self.lines[0]}: {self.reason}"
        return f"{len(self.lines)} lines, the first {self.lines[0]}: {self.reason}"


@dataclass(frozen=True)
class BestTrack:
    """The fixes of a file in its order, how the file was laid out, and what was out of the ordinary in it.

    `fixes` has one row a fix and the columns of `COLUMNS`:
    storm (ATCF identifier such as AL092021), name, time (datetime64[ns], UTC),
    record (one letter: C closest approach to a coast, G genesis, I peak intensity, L landfall, P lowest pressure,
    R rapid change, S change of status, T detail of the track, W peak wind; "" for a routine fix),
    status (TD, TS, HU, EX, SD, SS, LO, WV, DB; ET, PT, TY, ST and others in older files),
    latitude (degrees north), longitude (degrees east in [-180, 180)),
    wind_kt (one-minute sustained), pressure_hpa (at the centre),
    radius_{34,50,64}kt_{ne,se,sw,nw}_nmi (how far winds of that speed reach in a quadrant) and
    radius_of_maximum_wind_nmi (nautical miles, like the radii). Numbers are float64; NaN is missing.
    """

    fixes: pd.DataFrame
    layout: Layout
    findings: tuple[Finding, ...]
    left_out: tuple[Finding, ...]


@dataclass(frozen=True)
class _Lines:
    """Where the lines of a file are: line k is buffer[start[k]:end[k]], its newline apart."""

    buffer: Bytes
    start: NDArray[np.intp]
    end: NDArray[np.intp]
    newline: Literal["\n", "\r\n"]
    last_newline: bool

    def text(self, line: int) -> str:
        return self.buffer[self.start[line] : self.end[line]].tobytes().decode("latin-1")


@dataclass(frozen=True)
class _FixLines:
    """The fixes of a file, the line of each and how it was laid out."""

    line: NDArray[np.intp]
    fields: NDArray[np.int64]
    trailing_comma: NDArray[np.bool_]
    block: Block


def read_best_track(path: Path) -> BestTrack:
    """Read a HURDAT2 file of either layout, with LF or CRLF, whatever NHC has put into it.

    Left out, with reason and line: a second fix of one storm at one time (the first stands). Lines that are irregular
    but clear are read and are findings; `write_best_track(path, track.fixes, track.layout)` gives all others back
    to the byte. Raises UserError for a file that cannot be opened or has no fix, and for the first malformed line.
    """
    findings: _Notes = defaultdict(list)
    left_out: _Notes = defaultdict(list)
    lines = _split(path, findings)
    header_at, fix_at = _sorted_by_kind(lines, findings)
    headers = _headers(path, lines, header_at, findings)
    owner = np.searchsorted(header_at, fix_at) - 1
    if len(fix_at) == 0:
        raise UserError(f"{path} has storm headers and no fix.")
    if owner[0] < 0:
        raise _malformed(path, lines, fix_at[0], f"a storm header such as '{HEADER_EXAMPLE}'", is_first_header=True)
    _compare_counts(headers, header_at, owner, findings)
    fixes = _fix_lines(path, lines, fix_at, findings)
    layout = _layout(lines, fixes, findings)
    table = _table(headers, owner, fixes.block)
    again = table.duplicated(["storm", "time"]).to_numpy()
    left_out["a second fix of the same storm at the same time"].extend(fixes.line[again])
    _look_over(table[~again], fixes.line[~again], findings)
    return BestTrack(table[~again].reset_index(drop=True), layout, _listed(findings), _listed(left_out))


def summarise_best_track(path: Path) -> dict[str, Any]:
    """Return what a file holds: {"storms": int, "fixes": int, "left_out": int, "findings": [str, ...]}.

    A row that is left out is counted and has its reason among the findings. Raises what `read_best_track` raises.
    """
    track = read_best_track(path)
    return {
        "storms": int(track.fixes["storm"].nunique()),
        "fixes": len(track.fixes),
        "left_out": sum(len(finding.lines) for finding in track.left_out),
        "findings": [f"left out: {finding}" for finding in track.left_out] + [str(f) for f in track.findings],
    }


def looks_like_best_track(path: Path) -> bool:
    """Tell from its first line alone whether a file is a HURDAT2 file; False for what cannot be opened."""
    try:
        with path.open("rb") as stream:
            return _FIRST_LINE.fullmatch(stream.readline(200).removeprefix(codecs.BOM_UTF8)) is not None
    except OSError:
        return False


def _malformed(path: Path, lines: _Lines, line: int, expected: str, is_first_header: bool = False) -> UserError:
    text = lines.text(line).encode("unicode_escape").decode()
    remedy = "Correct or delete the line."
    if is_first_header and not looks_like_best_track(path):
        remedy = "Unless that is mistyped, this is no HURDAT2 file: decks of the ATCF and IBTrACS are not read."
    return UserError(f"{path}, line {line + 1}: '{text[:160]}': expected {expected}. {remedy}")


def _split(path: Path, findings: _Notes) -> _Lines:
    """Find the lines of a file; its newline is the first line's, and others are findings."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read the best track {path}: {error.strerror}.") from error
    if data.startswith(codecs.BOM_UTF8):
        findings["begins with a byte order mark, which is left out"].append(0)
        data = data.removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise UserError(f"{path} is empty: expected NHC's best track (HURDAT2).")
    last_newline = data.endswith(b"\n")
    buffer = np.frombuffer(data + b"\n" * (WIDTH + 2), np.uint8)  # so that a window of any line length fits
    end = np.flatnonzero(buffer[: len(data) + (not last_newline)] == ord("\n"))
    start = np.concatenate([[0], end[:-1] + 1])
    carriage = (end > start) & (buffer[end - 1] == ord("\r"))
    expected = np.full(len(end), carriage[0])
    expected[-1] &= last_newline
    findings["ends unlike the first line: LF and CRLF are mixed"].extend(np.flatnonzero(carriage != expected))
    return _Lines(buffer, start, end - carriage, "\r\n" if carriage[0] else "\n", last_newline)


def _sorted_by_kind(lines: _Lines, findings: _Notes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The numbers of the lines that begin as a storm header does, and of all others that are not blank."""
    first = lines.buffer[lines.start]
    header = (first >= ord("A")) & (first <= ord("Z"))
    blank = np.zeros(len(first), bool)
    for line in np.flatnonzero(first <= ord(" ")).tolist():
        text = lines.text(line).strip(" \t")
        header[line], blank[line] = "A" <= text[:1] <= "Z", not text
    findings["a blank line"].extend(np.flatnonzero(blank))
    return np.flatnonzero(header), np.flatnonzero(~header & ~blank)


def _headers(path: Path, lines: _Lines, at: NDArray[np.intp], findings: _Notes) -> list[Header]:
    """Read the header lines; a storm that begins again keeps its first name."""
    headers: dict[int, Header] = {}
    names: dict[str, str] = {}
    for line in at.tolist():
        try:
            header = read_header(lines.text(line))
        except MalformedLineError as error:
            raise _malformed(path, lines, line, str(error), is_first_header=not headers) from None
        if not header.regular:
            findings["a header with blanks out of place"].append(line)
        if header.storm in names:
            findings["the header of a storm that has had one"].append(line)
        name = names.setdefault(header.storm, header.name)
        if name != header.name:
            findings[f"{header.storm} was {name} before: that name stands"].append(line)
            header = replace(header, name=name)
        headers[line] = header
    return list(headers.values())


def _compare_counts(headers: Sequence[Header], at: NDArray[np.intp], owner: NDArray[np.intp], findings: _Notes) -> None:
    for header, line, fixes in zip(headers, at, np.bincount(owner, minlength=len(headers)), strict=True):
        if header.fixes != fixes:
            findings[f"the header of {header.storm} promises {header.fixes} fixes and {fixes} follow"].append(line)
        if fixes == 0:
            findings["a header without fixes, which is not written back"].append(line)


def _fix_lines(path: Path, lines: _Lines, at: NDArray[np.intp], findings: _Notes) -> _FixLines:
    """Read the fix lines; `UserError` for the first that cannot be read."""
    regular = np.zeros((len(at), WIDTH), np.uint8)
    fields = np.zeros(len(at), np.int64)
    length, comma = lines.end[at] - lines.start[at], lines.buffer[lines.end[at] - 1] == ord(",")
    for count, trailing in product((20, 21), (False, True)):
        width = line_length(count, trailing)
        rows = np.flatnonzero((length == width) & (comma == trailing))
        regular[rows] = widened(sliding_window_view(lines.buffer, width)[lines.start[at[rows]]])
        fields[rows] = count
    block = parsed(regular)
    doubtful = np.flatnonzero(~_believed(regular, block))
    for row in doubtful:
        try:
            fix = regular_fix(lines.text(at[row]))
        except MalformedLineError as error:
            raise _malformed(path, lines, at[row], str(error)) from None
        regular[row] = widened(np.frombuffer(fix.text.encode(), np.uint8)[None])
        fields[row], comma[row] = fix.fields, fix.trailing_comma
        for reason in fix.irregular:
            findings[reason].append(at[row])
    return _FixLines(at, fields, comma, parsed(regular) if len(doubtful) else block)


def _believed(regular: Bytes, block: Block) -> NDArray[np.bool_]:
    """Tell which lines mean what was read from them: those that the values give back, within their fields."""
    first, end = np.datetime64(str(FIRST_YEAR)), np.datetime64(str(LAST_YEAR + 1))
    believed = (block.time >= first) & (block.time < end) & ~(block.numbers[:, 0] > LARGEST_WIND)
    believed[np.flatnonzero(rendered(block) != regular) // WIDTH] = False  # all(axis=1) takes five times as long
    return np.asarray(believed)


def _layout(lines: _Lines, fixes: _FixLines, findings: _Notes) -> Layout:
    """The layout to write the file in: 21 fields if any line has them, a comma at the end if most such lines do."""
    fields: Literal[20, 21] = 21 if (fixes.fields == 21).any() else 20
    same = fixes.fields == fields
    trailing_comma = bool(fixes.trailing_comma[same].mean() > 0.5)
    findings[f"20 fields where other lines have {fields}"].extend(fixes.line[~same])
    findings["a comma at the end, or none, unlike other lines"].extend(
        fixes.line[same & (fixes.trailing_comma != trailing_comma)]
    )
    return Layout(fields, trailing_comma, lines.newline, lines.last_newline)


def _table(headers: Sequence[Header], owner: NDArray[np.intp], block: Block) -> pd.DataFrame:
    def repeated(texts: Sequence[str], places: NDArray[np.integer]) -> Any:
        return pd.array(list(texts), dtype="str").take(places)

    columns = {
        "storm": repeated([header.storm for header in headers], owner),
        "name": repeated([header.name for header in headers], owner),
        "time": block.time.astype("M8[ns]"),
        "record": repeated(list(RECORDS), block.record),
        "status": repeated(list(STATUSES), block.status),
        "latitude": block.latitude,
        "longitude": block.longitude,
    }
    return pd.DataFrame(columns | dict(zip(NUMBERS, block.numbers.T, strict=True)))


def _look_over(table: pd.DataFrame, line: NDArray[np.intp], findings: _Notes) -> None:
    """Note what was read well and is hard to believe."""
    storm, time = table["storm"].to_numpy(), table["time"].to_numpy()
    back = np.flatnonzero((storm[1:] == storm[:-1]) & (time[1:] <= time[:-1])) + 1
    findings["a fix earlier than the one before it"].extend(line[back])
    pressure, radii = table["pressure_hpa"].to_numpy(), table[list(RADII)].to_numpy()
    findings["wind above 200 kt"].extend(line[table["wind_kt"].to_numpy() > 200])
    findings["pressure outside 850 to 1100 hPa"].extend(line[(pressure < 850) | (pressure > 1100)])
    findings["wind radius above 1000 nmi"].extend(line[(radii > 1000).any(axis=1)])


def _listed(notes: _Notes) -> tuple[Finding, ...]:
    findings = (Finding(reason, tuple(int(line) + 1 for line in lines)) for reason, lines in notes.items() if lines)
    return tuple(sorted(findings, key=lambda finding: finding.lines))
