import io

import pytest
from rich.console import Console

from toolkit.cli.cells_shown import Row, cells_line, cells_table, fitted, rough_duration, rows_of
from toolkit.told import CellsSeen

SEEN = CellsSeen(
    {f"{kind}, seed {seed}": kind for kind in ("probe, 8", "lora, 8") for seed in range(3)},
    kept=frozenset({"probe, 8, seed 0"}),
    jobs=2,
    began=100.0,
    running={"lora, 8, seed 0": 110.0, "lora, 8, seed 1": 120.0},
    done={"probe, 8, seed 1": 40.0},
    failed={"probe, 8, seed 2": "no"},
)


def test_there_is_a_row_for_every_kind() -> None:
    """It counts the cells by their state; what was kept is finished, and its time is not known."""
    assert rows_of(SEEN) == [Row("probe, 8", 3, 2, 0, 1, 40.0), Row("lora, 8", 3, 0, 2, 0)]
    assert [row.waiting for row in rows_of(SEEN)] == [0, 1]


def test_the_table_has_a_foot() -> None:
    """Below the kinds it says how long it has taken and will take, and sums them."""
    text = io.StringIO()
    Console(file=text, width=60).print(cells_table(SEEN, 120.0, 5))
    lines = [" ".join(line.split()) for line in text.getvalue().splitlines() if line.strip()]
    assert lines == [
        "cells done running failed each",
        "probe, 8 2/3 - 1 40 s",
        "lora, 8 0/3 2 - -",
        "after 20 s, about 55 s left 2/6 2 1 -",  # ((40 - 10) + 40 + 40) / 2
    ]


def test_a_line_says_the_same() -> None:
    """What is finished, failed and left, and the kinds that run."""
    assert cells_line(SEEN, 120.0) == "2 of 6 cells, 1 failed, about 55 s left (lora, 8)"
    assert cells_line(CellsSeen({"a": "A"}, done={"a": 1.0}), 0.0) == "1 of 1 cells"


@pytest.mark.parametrize("at", range(12))
def test_what_does_not_fit_is_summed(at: int) -> None:
    """The kinds at work are in view, no cell is lost, and there are no more rows than there is room for."""
    rows = [Row(str(k), 5, 5 if k < at else 0, k == at, 0) for k in range(12)]
    shown = fitted(rows, 5)
    assert len(shown) <= 5
    assert rows[at] in shown
    assert sum(row.total for row in shown) == 60
    assert sum(row.finished for row in shown) == 5 * at
    assert fitted(rows, 12) == rows


def test_times_are_said_roughly() -> None:
    """In the unit one would use."""
    assert [rough_duration(s) for s in (0.24, 12.4, 299, 301, 7199, 11100)] == [
        "0.2 s", "12 s", "299 s", "5 min", "2 h 0 min", "3 h 5 min",
    ]  # fmt: skip
