import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from toolkit.fan_out import KILLED, run_cells
from toolkit.told import CellsSeen, Told
from toolkit.workers import OneMachine

DRAW = """
import torch
torch.manual_seed(seed)
numbers = torch.randn(1000, 1000) @ torch.randn(1000)
path.write_text(f"{torch.get_num_threads()} {numbers.double().sum().item()!r}")
"""
STOPPED = """
import sys, time
from functools import partial
from toolkit.fan_out import run_cells
from toolkit.told import Told
from toolkit.workers import OneMachine
cells = {str(k): partial(time.sleep, 60) for k in range(4)}
try:
    run_cells(cells, OneMachine(2), Told(cells=lambda seen: print(len(seen.running), flush=True)))
except KeyboardInterrupt:
    sys.exit(130)
"""


def _draws(folder: Path) -> dict[str, Callable[[], object]]:
    folder.mkdir()
    return {str(k): partial(exec, DRAW, {"seed": k, "path": folder / str(k)}) for k in range(4)}


def _written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_cell_that_fails_stops_no_other(tmp_path: Path) -> None:
    """All others are done, and what went wrong is returned, be it an error, an exit, or what cannot be sent."""
    bad = {"bad": partial(int, "x"), "out": partial(sys.exit, 3)}
    good = {"good": partial((tmp_path / "good").touch)}
    for jobs, unsent in ((1, {}), (2, {"unsent": partial(print, (k for k in range(3)))})):
        failed = run_cells(bad | unsent | good, OneMachine(jobs), Told())
        assert list(failed) == [*bad, *unsent]
        assert failed["bad"] == "ValueError: invalid literal for int() with base 10: 'x'"
        assert failed["out"] == "it left with 3"
        (tmp_path / "good").unlink()


@pytest.mark.slow
def test_processes_do_what_this_one_does(tmp_path: Path) -> None:
    """The same files come of two processes as of none, computed on one thread, and this process has its own again."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    for jobs in (1, 2):
        assert run_cells(_draws(tmp_path / str(jobs)), OneMachine(jobs), Told()) == {}
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    here = _written(tmp_path / "1")
    assert here == _written(tmp_path / "2")
    assert all(text.startswith("1 ") for text in here.values())


@pytest.mark.slow
def test_a_cell_whose_process_is_killed_is_named(tmp_path: Path) -> None:
    """What ran beside it is run again, and the rest goes on; where it is killed once only, nothing has failed."""
    kill = partial(signal.raise_signal, signal.SIGKILL)
    touch = {str(k): partial((tmp_path / str(k)).touch) for k in range(4)}
    beside = {"beside": partial(exec, "time.sleep(0.3); path.touch()", {"time": time, "path": tmp_path / "beside"})}
    assert run_cells(beside | {"dead": kill} | touch, OneMachine(2), Told()) == {"dead": KILLED}
    assert {path.name for path in tmp_path.iterdir()} == {"beside", *touch}
    once = "path.exists() or path.touch() or os.kill(os.getpid(), 9)"
    cells = {"once": partial(exec, once, {"os": os, "path": tmp_path / "once"})}
    assert run_cells(cells | touch, OneMachine(2), Told()) == {}


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_every_cell_is_heard_of_in_its_order(jobs: int) -> None:
    """Cells begin in the order given, so many at a time, and all end; those kept are there from the beginning."""
    heard: list[CellsSeen] = []
    cells = {name: partial(time.sleep, 0.02) for name in "dbca"} | {"bad": partial(int, "x")}
    words: dict[str, Any] = {"kind": str.upper, "expected": {"d": 5.0}.get, "kept": ("k",)}
    run_cells(cells, OneMachine(jobs), Told(cells=heard.append), **words)
    first, last = heard[0], heard[-1]
    assert [first.state(name) for name in first.kinds] == ["kept"] + 5 * ["waiting"]
    assert (first.kinds["d"], dict(first.expected), first.jobs) == ("D", {"d": 5.0}, jobs)
    begun = [name for seen in heard for name in seen.running]
    assert list(dict.fromkeys(begun)) == list(cells)
    assert max(len(seen.running) for seen in heard) == jobs
    assert [last.state(name) for name in last.kinds] == ["kept", *4 * ["done"], "failed"]
    assert all(seconds >= 0.02 for seconds in last.done.values())


def test_without_a_cell_nothing_is_started() -> None:
    """What is kept is told of all the same."""
    heard: list[CellsSeen] = []
    assert run_cells({}, OneMachine(2), Told(cells=heard.append), kept=("a",)) == {}
    assert [seen.state("a") for seen in heard] == ["kept"]


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.1, 0.5])
def test_ctrl_c_ends_all_processes(after: float) -> None:
    """The signal, which a terminal sends to all, ends them without a word of the cells', even while they begin."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", STOPPED], start_new_session=True, **pipes) as process:
        while process.stdout and process.stdout.readline() != "2\n":
            pass
        time.sleep(after)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)  # ends when no process has its standard error any more
    assert (process.returncode, said) == (130, "")
