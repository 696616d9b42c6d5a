"""Numbers as a reader wants them: three digits that matter, a unit, and a word where there is no number."""

import math
import re
from collections.abc import Iterable

UNDEFINED = "undefined"
_DIGITS = 3
_LOG_FROM_RATIO = 8.0
_NO_BREAK = "\N{NO-BREAK SPACE}"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:h|km|kt|hPa|m|s|%)(?!\w))")


def or_nan(value: float | None) -> float:
    """Return NaN for what is undefined."""
    return math.nan if value is None else value


def spans_decades(values: Iterable[float]) -> bool:
    """Whether the largest of positive values is so many times the smallest that an axis should be logarithmic."""
    known = [value for value in values if math.isfinite(value)]
    return bool(known) and min(known) > 0 and max(known) / min(known) > _LOG_FROM_RATIO


def decimals(values: Iterable[float]) -> int:
    """Return how many decimals show three digits of the largest of `values`, so that a row shares them."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return max(0, _DIGITS - 1 - math.floor(math.log10(largest))) if largest > 0 else 0


def number(value: float, places: int) -> str:
    """Return `value` with `places` decimals, a true minus sign and commas between thousands."""
    if not math.isfinite(value):
        return UNDEFINED
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "\N{MINUS SIGN}")


def quantity(value: float, places: int, unit: str) -> str:
    """Return `value` with its unit; the unit "1" is that of a ratio and is not written."""
    text = number(value, places)
    return text if text == UNDEFINED or unit == "1" else f"{text}{_NO_BREAK}{unit}"


def in_unit(title: str, unit: str) -> str:
    """Return "Intensity error, kt"; the unit "1" is that of a ratio and is not written."""
    return title if unit == "1" else f"{title}, {unit}"


def interval(low: float, high: float, places: int) -> str:
    """Return "[low, high]", or nothing where there is no interval."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{number(low, places)},{_NO_BREAK}{number(high, places)}]"


def duration(seconds: float) -> str:
    """Return a time span in the two largest of hours, minutes and seconds that it has."""
    if not math.isfinite(seconds):
        return UNDEFINED
    if seconds < 60:
        return f"{number(seconds, decimals([seconds]))}{_NO_BREAK}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{count}{_NO_BREAK}{unit}" for count, unit in parts if count)


def share(part: int, whole: int) -> str:
    """Return part / whole in per cent."""
    percent = 100 * part / whole if whole else math.nan
    return quantity(percent, decimals([percent]), "%")


def unbroken(text: str) -> str:
    """Return `text` with numbers tied to their units, so that no line ends between them."""
    return _BEFORE_UNIT.sub(_NO_BREAK, text)


def counted(count: int, plural: str) -> str:
    """Return "1 storm" or "64 storms" from "storms"."""
    return f"{count:,} {plural.removesuffix('s') if count == 1 else plural}"
