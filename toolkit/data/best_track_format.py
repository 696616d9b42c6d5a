"""The fixed-width lines of HURDAT2: where each field stands, whole blocks of lines to numbers and back."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RADII = tuple(f"radius_{wind}kt_{quadrant}_nmi" for wind in (34, 50, 64) for quadrant in ("ne", "se", "sw", "nw"))
NUMBERS = ("wind_kt", "pressure_hpa", *RADII, "radius_of_maximum_wind_nmi")
COLUMNS = ("storm", "name", "time", "record", "status", "latitude", "longitude", *NUMBERS)

RECORDS = {
    "": "routine fix",
    "C": "closest approach to a coast",
    "G": "genesis",
    "I": "peak intensity in wind and pressure",
    "L": "landfall",
    "P": "lowest pressure",
    "R": "detail of a rapid change of intensity",
    "S": "change of status",
    "T": "detail of the track",
    "W": "peak wind",
}
STATUSES = {
    "TD": "tropical depression",
    "TS": "tropical storm",
    "HU": "hurricane",
    "EX": "extratropical cyclone",
    "SD": "subtropical depression",
    "SS": "subtropical storm",
    "LO": "low of no other kind",
    "WV": "tropical wave",
    "DB": "disturbance",
    "ET": "extratropical cyclone, in older files",
    "PT": "post-tropical cyclone",
    "TY": "typhoon",
    "ST": "super typhoon",
    "TC": "tropical cyclone",
    "MD": "monsoon depression",
    "IN": "inland",
    "DS": "dissipating",
    "XX": "unknown",
}
FIRST_YEAR, LAST_YEAR = 1700, 2199  # within what datetime64[ns] holds
LARGEST_WIND, LARGEST_NUMBER = 999, 9999  # three characters and four

Bytes = NDArray[np.uint8]

_PATTERN = b"00000000, 0000,  ,   ,   . N,    . W,    " + 14 * b",     "
WIDTH = len(_PATTERN)  # 21 fields, no comma at the end
_NUMBER_WIDTH = 6  # a comma, a blank, four characters
_CLOCK_AT = [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13]
_RECORD_AT, _STATUS_AT = 16, slice(19, 21)
_LATITUDE_AT, _LONGITUDE_AT = slice(23, 27), slice(30, 35)
_NORTH_AT, _EAST_AT = 27, 35
_NUMBERS_AT = slice(WIDTH - _NUMBER_WIDTH * len(NUMBERS), WIDTH)
_NO_VALUE, _NO_WIND = 10_000, 10_001  # places in the table of number texts, after 0 to 9999


@dataclass(frozen=True)
class Layout:
    """How a file lays out its lines: 20 fields, or 21 where the radius of maximum wind is among them."""

    fields: Literal[20, 21] = 21
    trailing_comma: bool = False
    newline: Literal["\n", "\r\n"] = "\n"
    last_newline: bool = True


@dataclass(frozen=True)
class Block:
    """The values of n fixes as the lines give them; the numbers are (n, 15) in the order of `NUMBERS`, NaN missing."""

    time: NDArray[np.datetime64]  # UTC
    record: NDArray[np.integer]  # place in RECORDS
    status: NDArray[np.integer]  # place in STATUSES
    latitude: NDArray[np.float64]  # degrees north
    longitude: NDArray[np.float64]  # degrees east in [-180, 180)
    numbers: NDArray[np.float64]


def line_length(fields: int, trailing_comma: bool) -> int:
    """Return the length of a regular fix line in characters, its newline apart."""
    return WIDTH - (_NUMBER_WIDTH if fields == 20 else 0) + trailing_comma


def widened(lines: Bytes) -> Bytes:
    """Return regular fix lines (n, any length) as (n, WIDTH): no comma at the end, a missing 21st field."""
    width = line_length(21 if lines.shape[1] >= WIDTH else 20, False)
    regular = _empty_lines(len(lines))
    regular[:, -4:] = _number_texts()[_NO_VALUE]
    regular[:, :width] = lines[:, :width]
    return regular


def laid_out(lines: Bytes, layout: Layout) -> bytes:
    """Return fix lines (n, WIDTH) as the bytes that the layout gives them, each with its newline."""
    width = line_length(layout.fields, False)
    end = np.frombuffer(b"," * layout.trailing_comma + layout.newline.encode(), np.uint8)
    return np.hstack([lines[:, :width], np.broadcast_to(end, (len(lines), len(end)))]).tobytes()


def parsed(lines: Bytes) -> Block:
    """Read fix lines (n, WIDTH) by position alone: they mean these values only where `rendered` gives them back."""
    latitude = _tenths(lines[:, _LATITUDE_AT])
    longitude = _tenths(lines[:, _LONGITUDE_AT])
    longitude = np.where(lines[:, _EAST_AT] == ord("W"), -longitude, longitude)
    beyond = (longitude < -1800) | (longitude >= 1800)
    fields = lines[:, _NUMBERS_AT].reshape(len(lines), len(NUMBERS), _NUMBER_WIDTH)[:, :, 2:]
    numbers = (_digits(fields) @ np.array([1000, 100, 10, 1], np.float32)).astype(np.float64)
    missing = (fields[:, :, 0] == ord("-")) | (fields[:, :, 1] == ord("-"))
    status = lines[:, _STATUS_AT].astype(np.uint16)
    return Block(
        time=_time(lines[:, _CLOCK_AT]),
        record=_places(tuple(RECORDS))[lines[:, _RECORD_AT].astype(np.uint16) << 8 | ord(" ")],
        status=_places(tuple(STATUSES))[status[:, 0] << 8 | status[:, 1]],
        latitude=np.where(lines[:, _NORTH_AT] == ord("S"), -latitude, latitude) / 10,
        longitude=np.where(beyond, longitude - np.copysign(3600, longitude), longitude) / 10,
        numbers=np.where(missing, np.nan, numbers),
    )


def rendered(block: Block) -> Bytes:
    """Write fixes as lines (n, WIDTH); the values must lie within what their fields can hold.

    The sign of a zero coordinate keeps its letter: -0.0 is 0.0S or 0.0W.
    """
    lines = _empty_lines(len(block.time))
    month = block.time.astype("M8[M]")
    minute = (block.time - block.time.astype("M8[D]")) // np.timedelta64(1, "m")
    year, month_of_year = np.divmod(month.astype(np.int64) + 1970 * 12, 12)
    day = (block.time.astype("M8[D]") - month.astype("M8[D]")).astype(np.int64) + 1
    for start, value in ((0, year // 100), (2, year % 100), (4, month_of_year + 1), (6, day)):
        lines[:, start : start + 2] = _taken(_texts("%02d", 100), value)
    for start, value in ((10, minute // 60), (12, minute % 60)):
        lines[:, start : start + 2] = _taken(_texts("%02d", 100), value)
    lines[:, _RECORD_AT] = _names(tuple(RECORDS))[block.record, 0]
    lines[:, _STATUS_AT] = _names(tuple(STATUSES))[block.status]
    lines[:, _LATITUDE_AT] = _taken(_texts("%4.1f", 901, 10), _count(np.abs(block.latitude) * 10))
    lines[:, _NORTH_AT] = np.where(np.signbit(block.latitude), ord("S"), ord("N"))
    lines[:, _LONGITUDE_AT] = _taken(_texts("%5.1f", 1801, 10), _count(np.abs(block.longitude) * 10))
    lines[:, _EAST_AT] = np.where(np.signbit(block.longitude), ord("W"), ord("E"))
    values = _count(np.where(np.isnan(block.numbers), _NO_VALUE, block.numbers))
    values[:, 0] = np.where(np.isnan(block.numbers[:, 0]), _NO_WIND, values[:, 0])
    fields = lines[:, _NUMBERS_AT].reshape(len(lines), len(NUMBERS), _NUMBER_WIDTH)
    fields[:, :, 2:] = _taken(_number_texts(), values)
    return lines


def _empty_lines(count: int) -> Bytes:
    return np.tile(np.frombuffer(_PATTERN, np.uint8), (count, 1))


def _digits(text: Bytes) -> NDArray[np.float32]:
    """Digits as numbers, whatever stands before them in the character table as 0; float32 multiplies fastest."""
    return (np.maximum(text, ord("0")) - ord("0")).astype(np.float32)


def _tenths(text: Bytes) -> NDArray[np.float64]:
    """Right-aligned texts such as ' 20.2' (n, w) as whole tenths."""
    digits = _digits(text).astype(np.float64)
    whole = digits[:, :-2] @ 10.0 ** np.arange(text.shape[1] - 2, 0, -1)
    return np.asarray(whole + digits[:, -1])


def _time(text: Bytes) -> NDArray[np.datetime64]:
    digits = _digits(text).astype(np.int64)
    year = digits[:, :4] @ [1000, 100, 10, 1]
    month, day, hour, minute = (digits[:, k] * 10 + digits[:, k + 1] for k in (4, 6, 8, 10))
    months = (year - 1970) * 12 + month - 1
    return months.astype("M8[M]").astype("M8[m]") + ((day - 1) * 1440 + hour * 60 + minute).astype("m8[m]")


def _count(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(values).astype(np.int64)


def _taken(table: Bytes, places: NDArray[np.integer]) -> Bytes:
    """Rows of a table of texts; a place beyond it takes the last row, which such a line then fails to match."""
    return table.take(places, axis=0, mode="clip")


@cache
def _places(names: tuple[str, ...]) -> NDArray[np.int8]:
    """For every pair of characters the place of that name, 0 where there is none."""
    places = np.zeros(1 << 16, np.int8)
    for place, (first, second) in enumerate(_names(names)):
        places[int(first) << 8 | int(second)] = place
    return places


@cache
def _names(names: tuple[str, ...]) -> Bytes:
    return _stacked(f"{name:2}" for name in names)


@cache
def _texts(form: str, count: int, divisor: int = 1) -> Bytes:
    return _stacked(form % (value / divisor) for value in range(count))


@cache
def _number_texts() -> Bytes:
    return _stacked([*(f"{value:4d}" for value in range(_NO_VALUE)), "-999", " -99"])


def _stacked(texts: Iterable[str]) -> Bytes:
    rows = [text.encode() for text in texts]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
