"""The daily ozone maximum on days worked by hand, and against an implementation that goes hour by hour."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ozone.mda8 import DEFINITIONS, EPA, EU, Definition, definition_named, mda8
from toolkit.errors import UserError

BOTH = pytest.mark.parametrize("definition", [EU, EPA], ids=lambda d: d.name)


def at_greenwich(hours: list[float], definition: Definition) -> list[float]:
    """The maxima of the days whose hours are given, of a station at longitude 0."""
    return mda8(np.array([hours], float), np.zeros(1), definition)[0, 1:-1].tolist()


def slow(hours: list[float], offset: int, definition: Definition) -> list[float]:
    """The maxima of one station's own days, from the one before the first to the one after the last, hour by hour."""
    first_start, last_start, fewest = {"eu": (-7, 16, 18), "epa": (7, 23, 13)}[definition.name]
    by_clock = {hour + offset: value for hour, value in enumerate(hours) if not math.isnan(value)}
    maxima = []
    for day in range(-1, len(hours) // 24 + 1):
        means = []
        for start in range(first_start, last_start + 1):
            inside = [by_clock[h] for h in range(24 * day + start, 24 * day + start + 8) if h in by_clock]
            if len(inside) >= 6:
                means.append(sum(inside) / len(inside))
        maxima.append(max(means) if len(means) >= fewest else math.nan)
    return maxima


@BOTH
def test_an_afternoon_peak_is_its_eight_hours(definition: Definition) -> None:
    """Eight hours of 80 ppb from 09:00 to 17:00 on days of 20 ppb make a maximum of 80 in both definitions."""
    quiet, peak = [20.0] * 24, [20.0] * 9 + [80.0] * 8 + [20.0] * 7
    assert at_greenwich([*quiet, *peak, *quiet, *quiet], definition)[:3] == [20.0, 80.0, 20.0]


def test_an_evening_counts_for_the_next_day_of_the_eu() -> None:
    """One hour later, from 10:00 to 18:00, the window 17:00 to 01:00 has (80 + 7 x 20) / 8 = 27.5 ppb."""
    quiet, peak = [20.0] * 24, [20.0] * 10 + [80.0] * 8 + [20.0] * 6
    assert at_greenwich([*quiet, *peak, *quiet], EU) == [20.0, 80.0, 27.5]


def test_a_peak_at_midnight_falls_on_another_day_in_each_definition() -> None:
    """80 ppb from 20:00 to 04:00: the EU counts the window on the day it ends, the EPA on the day it begins.

    On the day before, the EU's best window is 16:00 to 24:00: (4 x 20 + 4 x 80) / 8 = 50 ppb.
    """
    hours = [20.0] * 24 + [20.0] * 20 + [80.0] * 8 + [20.0] * 20 + [20.0] * 24
    assert at_greenwich(hours, EU) == [20.0, 50.0, 80.0, 20.0]
    assert at_greenwich(hours, EPA)[:3] == [20.0, 80.0, 20.0]


def test_a_night_peak_before_seven_is_no_day_of_the_epa() -> None:
    """80 ppb from 00:00 to 06:00: the EU's window 22:00 to 06:00 has (2 x 20 + 6 x 80) / 8 = 65 ppb.

    The EPA's windows of that day begin at 07:00, after the peak; of the day before, the one from 22:00 on has 65.
    """
    hours = [20.0] * 24 + [80.0] * 6 + [20.0] * 18 + [20.0] * 24
    assert at_greenwich(hours, EU) == [20.0, 65.0, 20.0]
    assert at_greenwich(hours, EPA)[:2] == [65.0, 20.0]


@BOTH
def test_a_mean_is_over_the_hours_that_are_there(definition: Definition) -> None:
    """Of a peak of 80 ppb with two hours missing the mean is still 80, not 60."""
    quiet, peak = [20.0] * 24, [20.0] * 10 + [80.0] * 8 + [20.0] * 6
    peak[12] = peak[13] = np.nan
    assert at_greenwich([*quiet, *peak, *quiet], definition)[1] == 80.0


@pytest.mark.parametrize(("missing", "known"), [(3, True), (4, False)])
def test_the_eu_needs_18_of_24_windows(missing: int, known: bool) -> None:
    """Three missing hours at noon spoil the six windows that hold all of them; four spoil seven of 24: one too many."""
    hours = [30.0] * 72
    hours[36 : 36 + missing] = [np.nan] * missing
    assert at_greenwich(hours, EU)[1:] == pytest.approx([30.0 if known else np.nan, 30.0], nan_ok=True)


@pytest.mark.parametrize(("first", "known"), [(10, True), (11, False)])
def test_the_epa_needs_13_of_17_windows(first: int, known: bool) -> None:
    """Three hours missing from 10:00 spoil the windows from 07 to 10, from 11:00 those from 07 to 11: one too many."""
    hours = [30.0] * 72
    hours[24 + first : 27 + first] = [np.nan] * 3
    assert at_greenwich(hours, EPA)[:2] == pytest.approx([30.0, 30.0 if known else np.nan], nan_ok=True)


def test_the_epa_day_ends_in_the_next_morning() -> None:
    """With all hours until midnight only the windows that begin at 07 to 18 are known, 12; one hour more makes 13."""
    assert at_greenwich([30.0] * 24 + [np.nan] * 24, EPA) == pytest.approx([np.nan, np.nan], nan_ok=True)
    assert at_greenwich([30.0] * 25 + [np.nan] * 23, EPA) == pytest.approx([30.0, np.nan], nan_ok=True)


def test_the_first_day_of_the_eu_is_known_without_the_evening_before() -> None:
    """The windows that end at 01 to 05 have too few hours, the 19 others are enough."""
    assert at_greenwich([30.0] * 24, EU) == [30.0]


@BOTH
@given(seed=st.integers(0, 10**6), days=st.integers(2, 5), missing=st.floats(0, 0.3), offset=st.integers(-12, 11))
def test_it_is_what_going_hour_by_hour_finds(
    definition: Definition, seed: int, days: int, missing: float, offset: int
) -> None:
    """Any series with any gaps at any clock gives what a slow implementation gives."""
    rng = np.random.default_rng(seed)
    hours = np.where(rng.random(24 * days) < missing, np.nan, rng.uniform(0, 200, 24 * days))
    found = mda8(hours[None], np.array([15.0 * offset]), definition)[0]
    np.testing.assert_allclose(found, slow(hours.tolist(), offset, definition), atol=1e-9)


@BOTH
def test_stations_do_not_touch_each_other(definition: Definition) -> None:
    """Each station's maxima are the same alone and among others, and grow with a constant that is added."""
    rng = np.random.default_rng(0)
    hourly = np.where(rng.random((5, 120)) < 0.05, np.nan, rng.uniform(0, 100, (5, 120)))
    longitude = np.array([-170.0, -75.0, 0.0, 10.0, 140.0])
    together = mda8(hourly, longitude, definition)
    assert np.isfinite(together).mean() > 0.4
    for k in range(5):
        np.testing.assert_array_equal(mda8(hourly[k : k + 1], longitude[k : k + 1], definition)[0], together[k])
    np.testing.assert_allclose(mda8(hourly + 7, longitude, definition), together + 7)


def test_definitions_are_named() -> None:
    """There are two, each known by its name; another name is an error that lists them."""
    assert [definition_named(name) for name in DEFINITIONS] == [EU, EPA]
    with pytest.raises(UserError, match=r"No definition of the daily ozone maximum 'eea'\. (Known: epa, eu|Did you)"):
        definition_named("eea")
