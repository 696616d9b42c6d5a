import sys

import pytest

from toolkit.cli.tables import aligned, metric_table, score_table
from toolkit.cli.terminal import alone, told
from toolkit.errors import UserError
from toolkit.told import CellsSeen

METRIC = {"value": 12.34, "low": 10.0, "high": 15.0, "unit": "km", "better": "lower"}


def test_lines_are_printed_a_tenth_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal each stage is a line on stderr, and so is every tenth of its steps; stdout stays free."""
    with told(quiet=False, verbose=False) as listener:
        for _ in range(2):
            listener.stage("training")
            for step in range(200):
                listener.step({"step": step, "loss": 1.0}, 200)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("training") == 2
    assert printed.err.count("loss 1.0000") == 20
    assert "step 20/200" in printed.err


def test_shares_are_printed_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Small advances add up to one line for every tenth."""
    with told(quiet=False, verbose=False) as listener:
        listener.stage("simulating")
        for k in range(1001):
            listener.share(k / 1000)
    assert capsys.readouterr().err.count("%") == 10


def test_cells_are_told_of_in_some_thirty_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """However many there are, each line counts them; of those that fail every one is named, once."""
    cells = CellsSeen({f"cell {k}": "" for k in range(300)})
    for _ in range(2):
        with told(quiet=False, verbose=False) as listener:
            listener.stage("fitting")
            listener.cells(seen := cells)
            for k in range(300):
                listener.cells(seen := seen.with_ended(f"cell {k}", "no" if k % 100 == 0 else "", 1.0))
        lines = capsys.readouterr().err.splitlines()
        assert sum("of 300 cells" in line for line in lines) == 31
        assert [line.split("]  ")[1].strip() for line in lines if "Failed" in line] == [
            f"Failed: cell {k}: no" for k in (0, 100, 200)
        ]
        assert lines[-1].endswith("297 of 300 cells, 3 failed")


def test_only_the_first_of_several_processes_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a launcher started beside the first process trains in silence."""
    for rank, lines in (("1", 0), ("0", 1)):
        monkeypatch.setenv("RANK", rank)
        with told(quiet=False, verbose=False) as listener:
            listener.stage("training")
        assert capsys.readouterr().err.count("training") == lines


def test_what_one_process_does_is_refused_to_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is not shared out says so instead of writing one file from two processes."""
    alone("evaluate")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="`toolkit evaluate` is done by one process, not by 2"):
        alone("evaluate")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet nothing but results and errors is printed."""
    with told(quiet=True, verbose=False) as listener:
        listener.stage("training")
        listener.step({"step": 0, "loss": 1.0}, 1)
        listener.share(1.0)
        listener.cells(CellsSeen({"a": "A"}, failed={"a": "no"}))
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the stage and its share are drawn on stderr."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with told(quiet=False, verbose=False) as listener:
        listener.stage("training")
        listener.step({"step": 0, "loss": 1.5}, 2)
    assert "training" in capsys.readouterr().err


def test_a_terminal_gets_a_table_of_cells(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the place of the bar until the next stage; a cell that fails is named above it."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with told(quiet=False, verbose=False) as listener:
        listener.stage("fitting")
        listener.cells(CellsSeen({"a": "probe, 8", "b": "probe, 8"}, failed={"a": "no"}))
        listener.stage("comparing")
    drawn = capsys.readouterr().err
    assert drawn.index("Failed: a: no") < drawn.index("probe, 8") < drawn.index("comparing")


def test_columns_are_aligned() -> None:
    """Every column is as wide as its widest cell, and lines have no blanks at their end."""
    assert aligned([["a", "b"], ["long", ""], ["c", "d"]]) == "a     b\nlong\nc     d"


def test_the_best_baseline_is_chosen_by_the_metric_s_direction() -> None:
    """Lower is better for an error and higher for a rate; a metric that no baseline has is left blank."""
    rate = METRIC | {"value": 0.5, "low": 0.4, "high": 0.6, "unit": "1", "better": "higher"}
    results = {
        "method": "lora",
        "metrics": {"error": METRIC, "rate": rate, "other": METRIC | {"value": None, "low": None, "high": None}},
        "baselines": {"one": {"error": 5.0, "rate": 0.2, "other": None}, "two": {"error": 7.0, "rate": 0.3}},
        "comparison": {"metrics": {"error": METRIC, "rate": rate, "other": METRIC}},
    }
    lines = [line.split("  ") for line in score_table(results).splitlines()]
    cells = {line[0]: [cell.strip() for cell in line if cell.strip()] for line in lines}
    assert cells["error"] == ["error", "12.3", "[10.0, 15.0]", "km", "lower", "12.3", "5.000 (one)"]
    assert cells["rate"][-1] == "0.300 (two)"
    assert cells["other"] == ["other", "undefined", "-", "km", "lower", "12.3", "-"]
    tiny = METRIC | {"value": 1.234e-6, "low": 0.0, "high": 0.02}
    assert metric_table({"error": tiny}).splitlines()[1].split() == ["error", "1.23e-06", "[0.000,", "0.020]", "km"]
    assert "scratch" not in score_table(results | {"comparison": None})
    assert metric_table({"error": METRIC}).splitlines()[1].split() == ["error", "12.3", "[10.0,", "15.0]", "km"]
