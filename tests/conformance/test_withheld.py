"""What is left of examples whose truth is taken away."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from toolkit.conformance.withheld import as_compared, as_predicted
from toolkit.data.store import NO_FIELDS, Store
from toolkit.data.windows import Windows
from toolkit.examples import Examples
from toolkit.task import Inputs, Maps, Placement, Task

TIMES = np.datetime64("2020-08-01", "s") + np.arange(4) * np.timedelta64(24, "h")


@pytest.fixture
def examples() -> Examples:
    """Two examples of the first day and one of the second, with a number, a word, and maps of four days."""
    table = pd.DataFrame({"time": TIMES[[0, 1, 0]], "group": ["a", "b", "c"]}).rename_axis("example")
    truth = pd.DataFrame({"example": [0, 1, 2], "latitude": 5.0, "rain_mm": [1, 0, 3], "kind": ["dry", "dry", "wet"]})
    maps = replace(NO_FIELDS, time=TIMES, values=np.ones((4, 1, 2, 2), np.float16))
    none = np.zeros(3, int)
    return Examples(NO_FIELDS, Windows(none[:, None], none, none, none.astype(bool), (2, 2)), table, truth, {}, maps)


def _frames(task: Task, hours: tuple[int, ...], known: tuple[int, ...]) -> Task:
    return replace(task, maps=Maps(("rain",), hours, lambda _path: None, known))


def _known(maps: Store) -> list[bool]:
    """Whether each day's map is known."""
    return np.isfinite(maps.values).all((1, 2, 3)).tolist()


def test_over_whole_fields_there_is_no_row_and_no_map(sound: Task, examples: Examples) -> None:
    """A task that sees no columns is shown what `toolkit predict --fields` shows: numbers of examples, nothing more."""
    shown = as_predicted(sound, examples)
    assert list(shown.truth.columns) == ["example"]
    assert shown.truth.empty
    assert shown.label_maps is NO_FIELDS
    pd.testing.assert_frame_equal(shown.table, examples.table)


def test_at_rows_the_targets_are_not_known(sound: Task, examples: Examples) -> None:
    """A task that sees columns keeps its rows, their places and those columns; numbers become NaN, words None."""
    shown = as_predicted(replace(sound, inputs=Inputs(columns=("kind",))), examples).truth
    pd.testing.assert_frame_equal(
        shown[["example", "latitude", "kind"]], examples.truth[["example", "latitude", "kind"]]
    )
    assert shown["rain_mm"].isna().all()
    assert as_predicted(replace(sound, inputs=Inputs(columns=("rain_mm",))), examples).truth["kind"].isna().all()


def test_a_baseline_is_shown_no_object(sound: Task, examples: Examples) -> None:
    """Where rows are objects none is left, since how many there are is the truth."""
    (shown,) = as_compared(replace(sound, placement=Placement(objects=True)), examples)
    assert shown.truth.empty
    assert list(shown.truth.columns) == list(examples.truth.columns)


@pytest.mark.parametrize(
    ("hours", "known", "days"), [((24,), (0,), [1, 2]), ((0, 24), (-24,), [0, 1]), ((0,), (), [0, 0])]
)
def test_a_baseline_is_shown_the_maps_that_are_known_beforehand(
    sound: Task, examples: Examples, hours: tuple[int, ...], known: tuple[int, ...], days: list[int]
) -> None:
    """Examples come by their time, with the maps up to the last that is known then; where none is, without any."""
    shown = list(as_compared(_frames(sound, hours, known), examples))
    assert [list(part.table["group"]) for part in shown] == [["a", "c"], ["b"]]
    assert [_known(part.label_maps) for part in shown] == [[day < count for day in range(4)] for count in days]
    assert _known(examples.label_maps) == [True] * 4
