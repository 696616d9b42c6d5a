import os
from functools import partial
from pathlib import Path

import pytest

from toolkit.comparison.cells import run_cells
from toolkit.errors import UserError


def test_a_cell_that_fails_stops_no_other(tmp_path: Path) -> None:
    """All others are done, and what went wrong is returned and told."""
    said: list[str] = []
    cells = {"bad": partial(int, "x"), "good": partial((tmp_path / "good").touch)}
    failed = run_cells(cells, 1, said.append)
    assert list(failed) == ["bad"]
    assert "invalid literal" in failed["bad"]
    assert (tmp_path / "good").exists()
    assert said[1] == "2 of 2: good"


@pytest.mark.slow
def test_cells_run_in_processes_of_their_own(tmp_path: Path) -> None:
    """Two at a time do the same; where one is killed the comparison stops, and says how to go on."""
    cells = {"bad": partial(int, "x"), "good": partial((tmp_path / "good").touch)}
    assert list(run_cells(cells, 2, lambda _: None)) == ["bad"]
    assert (tmp_path / "good").exists()
    with pytest.raises(UserError, match=r"was killed.*--resume"):
        run_cells({"dead": partial(os._exit, 1), "good": partial(int, "1")}, 2, lambda _: None)
