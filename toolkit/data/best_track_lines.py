"""One line of HURDAT2 at a time: storm headers, and fix lines that stray from the regular layout."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from toolkit.data.best_track_format import FIRST_YEAR, LAST_YEAR, NUMBERS, RECORDS, STATUSES, line_length

STORM = re.compile(r"[A-Z]{2}[0-9]{6}")
NAME = re.compile(r"[!-+\--~]([ -+\--~]*[!-+\--~])?")  # printable, no comma, no blank at either end
_HEADER = re.compile(
    rf"(?P<storm>{STORM.pattern})[ \t]*,[ \t]*(?P<name>{NAME.pattern})[ \t]*,[ \t]*(?P<fixes>[0-9]+)[ \t]*,?"
)
HEADER_EXAMPLE = "AL092021,                IDA,     40,"
_FIX_EXAMPLE = "20210829, 1655, L, HU, 29.1N,  90.2W, 130,  931, ..."

OUT_OF_PLACE = "blanks or commas stand out of place"
BEYOND_DATE_LINE = "a longitude at or beyond the date line, read the short way round"
OTHER_MISSING = "-99 or -999 where the format has the other of the two for a missing value"


class MalformedLineError(Exception):
    """A line cannot be read; the text says what was expected instead."""


@dataclass(frozen=True)
class Header:
    """What a storm's header line says."""

    storm: str
    name: str
    fixes: int
    regular: bool


@dataclass(frozen=True)
class RegularFix:
    """A fix line as the format would have it, without a comma at the end, and what was irregular in it."""

    text: str
    fields: Literal[20, 21]
    trailing_comma: bool
    irregular: tuple[str, ...]


def header_line(storm: str, name: str, fixes: int) -> str:
    """Return a storm's header line without its newline."""
    return f"{storm},{name:>19},{fixes:>7},"


def read_header(line: str) -> Header:
    """Read a header line whose blanks may stand out of place; raise MalformedLineError for any other flaw."""
    text = line.strip(" \t")
    match = _HEADER.fullmatch(text)
    length = len(HEADER_EXAMPLE) - (not text.endswith(","))
    if match is None or len(text) != length:
        raise MalformedLineError(f"a storm header such as '{HEADER_EXAMPLE}', {len(HEADER_EXAMPLE)} characters")
    storm, name, fixes = match["storm"], match["name"], int(match["fixes"])
    return Header(storm, name, fixes, line == header_line(storm, name, fixes))


def regular_fix(line: str) -> RegularFix:
    """Bring a fix line into the regular layout; raise MalformedLineError where that would be a guess.

    Blanks and commas may have changed places as long as the line keeps the length of a regular one: a character
    too many or too few is refused, since nothing tells which field has gained or lost it.
    """
    text = line.strip(" \t")
    parts = re.split(r"[ \t,]+", text.strip(" \t,"))
    if len(parts) > 2 and len(parts[2]) != 1:
        parts.insert(2, "")
    if len(parts) not in (20, 21):
        raise MalformedLineError(f"a fix of 20 or 21 fields such as '{_FIX_EXAMPLE}', not of {len(parts)}")
    _check(parts)
    trailing_comma = text.endswith(",")
    length = line_length(len(parts), trailing_comma)
    if len(text) != length:
        raise MalformedLineError(f"{length} characters in a line of {len(parts)} fields, not {len(text)}")
    meant = _meant(parts)
    irregular = {
        OUT_OF_PLACE: line != _spaced(parts) + "," * trailing_comma,
        BEYOND_DATE_LINE: meant[5] != parts[5],
        OTHER_MISSING: meant[6:] != parts[6:],
    }
    reasons = tuple(reason for reason, holds in irregular.items() if holds)
    return RegularFix(_spaced(meant), 20 if len(parts) == 20 else 21, trailing_comma, reasons)


def _check(parts: list[str]) -> None:
    """Raise MalformedLineError for the first field that does not hold what belongs there."""
    date, clock, record, status, latitude, longitude, *numbers = parts
    _check_time(date, clock)
    if record not in RECORDS:
        raise MalformedLineError(f"a record identifier among {' '.join(RECORDS).strip()} or a blank, not '{record}'")
    if status not in STATUSES:
        raise MalformedLineError(f"a status among {' '.join(STATUSES)}, not '{status}'")
    if not re.fullmatch(r"[1-8]?[0-9]\.[0-9][NS]|90\.0[NS]", latitude):
        raise MalformedLineError(f"a latitude such as 29.1N, not '{latitude}'")
    if not re.fullmatch(r"[1-9]?[0-9]\.[0-9][EW]|([12][0-9]|3[0-5])[0-9]\.[0-9][EW]|360\.0[EW]", longitude):
        raise MalformedLineError(f"a longitude such as 90.2W, not '{longitude}'")
    for name, number in zip(NUMBERS, numbers, strict=False):
        digits = 3 if name == "wind_kt" else 4
        if not re.fullmatch(rf"0|[1-9][0-9]{{0,{digits - 1}}}|-99|-999", number):
            raise MalformedLineError(f"{name} as a whole number or {_missing(name)}, not '{number}'")


def _check_time(date: str, clock: str) -> None:
    try:
        digits = re.fullmatch(r"[0-9]{8}", date) and re.fullmatch(r"[0-9]{4}", clock)
        time = datetime.strptime(date + clock, "%Y%m%d%H%M") if digits else None
    except ValueError:
        time = None
    if time is None:
        raise MalformedLineError(f"a date and a time such as 20210829, 1655, not '{date}, {clock}'")
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise MalformedLineError(f"a year from {FIRST_YEAR} to {LAST_YEAR}, not {time.year}")


def _meant(parts: list[str]) -> list[str]:
    """The fields as the format writes them: longitude within 180 degrees, one code for each missing number."""
    longitude, letter = parts[5][:-1], parts[5][-1]
    tenths = round(float(longitude) * 10)
    if tenths > 1800 or (tenths == 1800 and letter == "E"):
        letter = "E" if letter == "W" else "W"
        longitude = f"{(3600 - tenths) / 10:.1f}"
    numbers = [
        _missing(name) if number in ("-99", "-999") else number
        for name, number in zip(NUMBERS, parts[6:], strict=False)
    ]
    return [*parts[:5], longitude + letter, *numbers]


def _missing(name: str) -> str:
    return "-99" if name == "wind_kt" else "-999"


def _spaced(parts: list[str]) -> str:
    date, clock, record, status, latitude, longitude, wind, *others = parts
    start = f"{date}, {clock}, {record:1}, {status}, {latitude:>5}, {longitude:>6}, {wind:>3}"
    return start + "".join(f", {number:>4}" for number in others)
