from dataclasses import replace

import pytest

from toolkit.told import CellsSeen

KINDS = {"a1": "A", "a2": "A", "a3": "A", "b1": "B", "b2": "B"}


def test_a_cell_goes_through_its_states() -> None:
    """It waits, runs, may go back to wait, and is done or has failed; what was kept stays so."""
    seen = CellsSeen(KINDS, kept=frozenset({"b2"}))
    running = seen.with_begun("a1", 1.0).with_begun("a2", 2.0).with_begun("a3", 3.0)
    after = running.with_stopped("a1").with_ended("a2", "", 7.0).with_ended("a3", "no", 1.0)
    assert [seen.state(name) for name in KINDS] == [*4 * ["waiting"], "kept"]
    assert [running.state(name) for name in KINDS] == [*3 * ["running"], "waiting", "kept"]
    assert [after.state(name) for name in KINDS] == ["waiting", "done", "failed", "waiting", "kept"]
    assert (after.done, after.failed, after.ended) == ({"a2": 7.0}, {"a3": "no"}, 2)


def test_the_time_left_is_that_of_the_kind() -> None:
    """Worked by hand: A takes 10 s by a1 and a2, of which a3 has done 4; B takes 20 s by what is expected, twice."""
    seen = CellsSeen(KINDS, expected={"a3": 99.0, "b1": 20.0, "b2": 20.0}, jobs=2)
    seen = replace(seen, done={"a1": 8.0, "a2": 12.0}, running={"a3": 100.0})
    assert seen.seconds_left(104.0) == (6 + 20 + 20) / 2
    assert replace(seen, jobs=1).seconds_left(104.0) == 46
    assert replace(seen, jobs=9).seconds_left(104.0) == 20  # the longest
    assert replace(seen, kept=frozenset({"b1", "b2"})).seconds_left(104.0) == 6
    assert replace(seen, kept=frozenset({"b1", "b2"})).seconds_left(190.0) == 0
    assert seen.mean_seconds() == {"A": 10}


def test_of_what_nothing_is_known_the_mean_of_all_is_expected() -> None:
    """Before anything is done, and expected, the time left is unknown; a cell that failed tells nothing of it."""
    seen = CellsSeen(KINDS, expected=dict.fromkeys(("a1", "a2", "a3"), 1.0))
    assert seen.seconds_left(0.0) is None
    assert seen.with_ended("a1", "no", 50.0).seconds_left(0.0) is None
    assert seen.with_ended("a1", "", 5.0).seconds_left(0.0) == pytest.approx(4 * 5)
    assert replace(seen, kept=frozenset(KINDS)).seconds_left(0.0) == 0
