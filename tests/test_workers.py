import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from toolkit import workers
from toolkit.errors import UserError
from toolkit.fan_out import KILLED, run_cells
from toolkit.told import CellsSeen, Told
from toolkit.workers import Cluster, OneMachine, workers_named

DRAW = """
import time, torch
torch.manual_seed(seed)
time.sleep(0.05)  # were another cell at work in this process, it would draw now
path.write_text(f"{torch.get_num_threads()} {torch.randn(1000).double().sum().item()!r}")
"""


@contextmanager
def _dask(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of dask, and end it with all that it started."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "dask", *words, "--no-dashboard", "--host", "127.0.0.1"]
    with subprocess.Popen(command, start_new_session=True, **silent) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _scheduler(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a scheduler; yield its address and its process."""
    with _dask("scheduler", "--port", "0", "--scheduler-file", str(folder / "scheduler.json")) as process:
        while not (folder / "scheduler.json").exists():
            time.sleep(0.05)
        yield json.loads((folder / "scheduler.json").read_text())["address"], process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler with two workers, one of which would run two cells at a time."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    with (
        _scheduler(tmp_path_factory.mktemp("cluster")) as (address, _),
        _dask("worker", address, "--nthreads", "1"),
        _dask("worker", address, "--nthreads", "2"),
    ):
        yield Cluster(address)


@pytest.mark.slow
def test_a_cluster_does_what_one_machine_does(cluster: Cluster, tmp_path: Path) -> None:
    """The same files come of a scheduler and two workers as of two processes, all computed on one thread."""
    written = []
    for name, place in (("loky", OneMachine(2)), ("dask", cluster)):
        paths = [tmp_path / f"{name}-{k}" for k in range(8)]
        cells = {path.name: partial(exec, DRAW, {"seed": k, "path": path}) for k, path in enumerate(paths)}
        assert run_cells(cells, place, Told()) == {}
        written.append([path.read_text() for path in paths])
    assert written[0] == written[1]
    assert all(text.startswith("1 ") for text in written[1])


@pytest.mark.slow
def test_a_cell_of_a_cluster_that_fails_stops_no_other(cluster: Cluster, tmp_path: Path) -> None:
    """Neither does one that cannot be sent, nor one that kills its worker wherever it runs."""
    cells = {"bad": partial(int, "x"), "unsent": partial(print, (k for k in range(3)))}
    cells |= {"dead": partial(signal.raise_signal, signal.SIGKILL), "good": partial((tmp_path / "good").touch)}
    failed = run_cells(cells, cluster, Told())
    assert set(failed) == {"bad", "unsent", "dead"}
    assert failed["dead"] == KILLED
    assert (tmp_path / "good").exists()


@pytest.mark.slow
def test_a_scheduler_without_workers_and_one_that_is_lost_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are one error that says what to start."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    monkeypatch.setattr(workers, "PATIENCE", 3.0)
    cells = {str(k): partial(time.sleep, 0.1) for k in range(9)}
    with _scheduler(tmp_path) as (address, process):
        with pytest.raises(UserError, match=f"has no workers. Start some: dask worker {address} "):
            run_cells(cells, Cluster(address), Told())

        def lose(seen: CellsSeen) -> None:
            if seen.done:
                process.kill()

        monkeypatch.undo()
        with _dask("worker", address, "--nthreads", "1"), pytest.raises(UserError, match=f"{address} was lost"):
            run_cells(cells, Cluster(address), Told(cells=lose))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere"])
def test_a_scheduler_that_is_not_there_is_told(address: str) -> None:
    """An address where nobody answers and one that is none are errors with the remedy."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    with pytest.raises(UserError, match=f"No dask scheduler answers at {address} .* `dask scheduler`"):
        run_cells({"a": print}, Cluster(address), Told())


def test_a_cluster_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where distributed is not installed, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"pip install 'earth-toolkit\[cluster\]'"):
        run_cells({"a": print}, Cluster("tcp://127.0.0.1:9"), Told())


def test_workers_are_named_by_their_backend() -> None:
    """One machine has jobs and a cluster has a scheduler; every other choice is an error."""
    assert workers_named("loky", "", 3) == OneMachine(3)
    assert workers_named("dask", "tcp://here:1", 3) == Cluster("tcp://here:1")
    for backend, scheduler, said in (
        ("dusk", "", "Did you mean 'dask'?"),
        ("dask", "", "--scheduler"),
        ("loky", "tcp://here:1", "add --backend dask"),
    ):
        with pytest.raises(UserError, match=said.replace("?", r"\?")):
            workers_named(backend, scheduler, 1)
