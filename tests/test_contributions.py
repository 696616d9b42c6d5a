from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit import contributions as module
from toolkit.contributions import contributions
from toolkit.data.windows import Windows
from toolkit.examples import Examples
from toolkit.scores.numbers import Stated, root_mean_square_error
from toolkit.task import Inputs, Task

N = 400


def examples() -> Examples:
    """Examples whose value is three times their column and four times the row of their window."""
    rng = np.random.default_rng(0)
    row, column = rng.integers(0, 2, N), rng.normal(size=N)
    none = np.zeros(N, np.int64)
    windows = Windows(none[:, None], row.astype(np.int64), none, none.astype(bool), (1, 1))
    table = pd.DataFrame({"group": [f"g{k % 20}" for k in range(N)], "known": column}).rename_axis("example")
    truth = pd.DataFrame({"example": np.arange(N), "value": 3 * column + 4 * row})
    return Examples(None, windows, table, truth, {})  # type: ignore[arg-type]


def task(variables: tuple[str, ...], columns: tuple[str, ...]) -> Task:
    """A task that states what `outputs` gives."""
    rmse = root_mean_square_error("rmse", Stated(("value",), "m", "value"))
    made: Any = SimpleNamespace()
    inputs = Inputs(variables, (0,), (1, 1), columns=columns)
    bare = Task("t", "t", inputs, made, made, made, made, lambda out, _: out, (rmse,), "rmse")
    return replace(bare, decode=lambda out, _: pd.DataFrame({"example": np.arange(len(out)), "value": out}))


@pytest.fixture(autouse=True)
def perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is right of what it is shown."""
    monkeypatch.setattr(module, "outputs", lambda _, shown: 3 * shown.table["known"].to_numpy() + 4 * shown.windows.row)


def test_what_is_taken_away_costs_what_it_was_worth() -> None:
    """With the fields, or the columns, of others the error is that of two independent draws of their part."""
    scores = contributions(task(("vorticity",), ("known",)), None, {}, examples())  # type: ignore[arg-type]
    assert scores["own"] == 0
    assert scores["fields"] == pytest.approx(4 * np.sqrt(0.5), rel=0.1)
    assert scores["columns"] == pytest.approx(3 * np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(("variables", "columns"), [((), ("known",)), (("vorticity",), ())])
def test_one_source_alone_is_not_taken_away(variables: tuple[str, ...], columns: tuple[str, ...]) -> None:
    """A task that looks at fields alone, or at columns alone, has nothing to compare."""
    assert contributions(task(variables, columns), None, {}, examples()) == {}  # type: ignore[arg-type]
