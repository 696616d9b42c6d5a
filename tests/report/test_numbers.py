"""Numbers as text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.report.numbers import counted, decimals, duration, interval, number, quantity, share, unbroken


@pytest.mark.parametrize(("values", "places"), [([183.2, 9.1], 0), ([18.3], 1), ([1.83], 2), ([0.62], 3), ([3e-5], 7)])
def test_three_digits_of_the_largest_value_are_shown(values: list[float], places: int) -> None:
    """The number of decimals follows the largest value."""
    assert decimals(values) == places


def test_values_without_a_size_need_no_decimals() -> None:
    """Zero and undefined values alone give no decimals."""
    assert decimals([0.0, math.nan]) == 0


@given(st.floats(-1e9, 1e9), st.integers(0, 6))
def test_a_number_reads_back_to_its_rounding(value: float, places: int) -> None:
    """What is written is the value to half of its last place, and never minus zero."""
    text = number(value, places)
    assert float(text.replace(",", "").replace("−", "-")) == pytest.approx(
        value, abs=0.5 * 10**-places + math.ulp(value)
    )
    assert not text.startswith("−0.0") or any(digit in text for digit in "123456789")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_called_undefined(value: float) -> None:
    """NaN and infinity become a word, without a unit."""
    assert quantity(value, 1, "km") == "undefined"


def test_a_quantity_has_its_unit_unless_it_is_a_ratio() -> None:
    """The unit follows after a space that does not break; the unit 1 is not written."""
    assert quantity(-1234.5, 1, "km") == "−1,234.5\u00a0km"
    assert quantity(0.62, 2, "1") == "0.62"


def test_an_interval_without_both_ends_is_left_out() -> None:
    """Brackets only where there is something to put into them."""
    assert interval(1.0, 2.0, 1) == "[1.0,\u00a02.0]"
    assert interval(math.nan, 2.0, 1) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.25, "4.25 s"), (60, "1 min"), (231.4, "3 min 51 s"), (7260, "2 h 1 min"), (math.nan, "undefined")],
)
def test_durations_are_told_in_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    """Whole units only from a minute on."""
    assert duration(seconds).replace("\u00a0", " ") == text


def test_a_share_of_nothing_is_undefined() -> None:
    """Per cent with three digits; a network without weights has no share."""
    assert share(98_816, 5_312_448) == "1.86\u00a0%"
    assert share(0, 0) == "undefined"


def test_one_thing_is_not_called_by_its_plural() -> None:
    """The plural loses its s for a single thing."""
    assert (counted(1, "labelled storms"), counted(1200, "storms")) == ("1 labelled storm", "1,200 storms")


def test_numbers_and_units_stay_on_one_line() -> None:
    """Only a space between a number and a unit is tied."""
    assert unbroken("in 24 h, 300 km or 3 kinds") == "in 24\u00a0h, 300\u00a0km or 3 kinds"
