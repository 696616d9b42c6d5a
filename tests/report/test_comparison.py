from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from toolkit.comparison.plan import NO_WORK, Work
from toolkit.comparison.table import COLUMNS, Against, MetricTable, Row, Spent, Table, TaskTable
from toolkit.report import theme
from toolkit.report.comparison import figure, markdown, write_pages


@pytest.fixture
def table() -> Table:
    """Two pretexts and random weights: one better than those for certain, the other perhaps."""
    sure, unsure = Against(-60.0, -80.0, -40.0, 0.002), Against(-5.0, -20.0, 10.0, 0.4)
    rows = (
        Row("fate", 3, 210.0, 190.0, 230.0, sure, None),
        Row("order", 3, 265.0, 240.0, 290.0, unsure, Against(55.0, 30.0, 75.0, 0.001)),
        Row("none", 3, 270.0, 245.0, 295.0, None, Against(60.0, 40.0, 80.0, 0.002)),
        Row("broken", 1, None, None, None, Against(None, None, None, None), None),
    )
    metric = MetricTable("position_error_24h", "km", "lower", "mean distance", rows)
    task = TaskTable("hurricane", "position_error_24h", "storms", 64, 40, {"position_error_24h": metric})
    about = {"command": "toolkit compare", "reference": "masked", "steps": 2000, "seeds": 3, "backbone": "vit"}
    about |= {"worlds": ["large"], "task_world": "small", "own": {"dino": {"lr": 0.0003}}}
    spent = {"none": Spent(NO_WORK, 0.0), "fate": Spent(Work(2_000_000_000, 1500), 65.0)}
    return Table(spent, {"hurricane": task}, pd.DataFrame(columns=list(COLUMNS)), {"dino, seed 1": "NaN\nloss"}, about)


def test_the_markdown_says_what_is_certain(table: Table) -> None:
    """The best is bold, a difference that is more than chance has a star, and what failed is listed on one line."""
    text = markdown(table)
    assert "| **fate** | 3 | 210 [190,\N{NO-BREAK SPACE}230] | \N{MINUS SIGN}60 [" in text
    (order,) = (line for line in text.splitlines() if line.startswith("| order "))
    assert order.count("*") == 1
    assert "+55" in order
    assert "| – | +60" in text
    assert "| broken | 1 | undefined | undefined | – |" in text
    assert "- dino, seed 1: NaN loss" in text
    assert "| fate | 2.00 | 1,500 | 3.00 |" in text
    assert "2,000 steps of `masked`" in text
    assert "by the same settings (but `dino` by lr 0.0003), for" in text


def test_every_table_is_rectangular(table: Table) -> None:
    """The rows of a table have as many cells as its head."""
    for part in markdown(table).split("\n\n"):
        if part.startswith("|"):
            assert len({line.count(" | ") for line in part.splitlines()}) == 1


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_the_picture_has_the_best_on_top_and_fills_what_is_certain(table: Table, width: theme.Width) -> None:
    """Rows without a value are left out; markers of what could be chance are hollow."""
    with theme.style(width):
        (axes,) = figure(table).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["none", "order", "fate"]
    markers = [line for line in axes.lines if line.get_marker() in ("o", "s")]
    assert [line.get_markerfacecolor() != theme.SURFACE for line in markers] == [True, False, True]


def test_both_are_written_the_same_each_time(table: Table, tmp_path: Path) -> None:
    """The same comparison gives the same bytes."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_pages(tmp_path / name, table)
    for file in ("comparison.md", "comparison.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_small_differences_are_not_shown_as_nothing(table: Table) -> None:
    """Where all of a column would be zero, rounded as the scores are, it has digits of its own."""
    metric = table.tasks["hurricane"].metrics["position_error_24h"]
    small = Against(-0.0123, -0.02, -0.01, 0.002)
    rows = tuple(replace(row, against_none=row.against_none and small) for row in metric.rows)
    task = replace(table.tasks["hurricane"], metrics={metric.metric: replace(metric, rows=rows)})
    text = markdown(replace(table, tasks={"hurricane": task}))
    assert "| \N{MINUS SIGN}0.012 [" in text
    assert "| +55 [" in text
