"""Cells, calls that need nothing of each other: run side by side, told of one by one; one that fails stops no other."""

import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace
from threading import RLock

from joblib.externals.loky.process_executor import BrokenProcessPool
from threadpoolctl import threadpool_limits

from toolkit.errors import UserError
from toolkit.installed import said
from toolkit.told import CellsSeen, Told
from toolkit.workers import Pool, Workers, pool_for

Call = Callable[[], object]

KILLED = "its process was killed each time, most likely for want of memory"
LOOK_AGAIN = 5.0
"""After so long it is asked anew how many cells can run where none has ended: workers come and go, s."""
_one_cell = RLock()


def run_cells(
    cells: Mapping[str, Call],
    workers: Workers,
    told: Told,
    kind: Callable[[str], str] = str,
    expected: Callable[[str], float | None] = lambda _: None,
    kept: Collection[str] = (),
) -> dict[str, str]:
    """Run the cells in their order, each on one thread, and return what went wrong, {cell: error}.

    Where a process is killed, what ran then is run once more, each cell alone, and one whose process is killed again
    has failed; so a cell may be run twice, and is to find out for itself what it has done. `told.cells` hears of every
    cell that begins or ends, with its kind and the seconds expected of it, and of those `kept` from an earlier run.

    Raises `UserError` where a cluster is not there, or is lost.
    """
    known = {name: seconds for name in cells if (seconds := expected(name)) is not None}
    seen = CellsSeen({name: kind(name) for name in (*kept, *cells)}, frozenset(kept), known, began=time.monotonic())
    if not cells:
        told.cells(seen)
        return {}
    with pool_for(workers, len(cells)) as pool:
        for now in _run(cells, pool, replace(seen, jobs=pool.slots())):
            told.cells(seen := now)
    return {name: seen.failed[name] for name in cells if name in seen.failed}


def attempted(cell: Call) -> str:
    """Do something and return what went wrong, "" for nothing."""
    try:
        cell()
    except UserError as error:
        return str(error)
    except SystemExit as error:
        return f"it left with {error}"
    except Exception as error:  # a pretext, a backbone or a task is somebody else's code
        return said(error)
    return ""


def _run(cells: Mapping[str, Call], pool: Pool, seen: CellsSeen) -> Iterator[CellsSeen]:
    """Yield what is to be seen at first and whenever it changes, until every cell has ended."""
    yield seen
    waiting = deque(cells)
    while waiting:
        seen, broken = yield from _until_broken(waiting, cells, pool, pool.slots, seen)
        for name in (cell for cell in cells if cell in broken):
            seen, again = yield from _until_broken(deque([name]), cells, pool, lambda: 1, seen)
            if again:
                seen = seen.with_ended(name, _why(again[name], pool), 0.0)
                yield seen


def _until_broken(
    waiting: deque[str], cells: Mapping[str, Call], pool: Pool, slots: Callable[[], int], seen: CellsSeen
) -> Generator[CellsSeen, None, tuple[CellsSeen, dict[str, BaseException]]]:
    """Run what is waiting until all of it has ended, or the executor breaks: then return the cells that ran."""
    executor = pool.executor()
    running: dict[Future[tuple[str, float]], str] = {}
    broken: dict[str, BaseException] = {}
    while running or (waiting and not broken):
        seen = replace(seen, jobs=slots())
        while waiting and not broken and len(running) < seen.jobs:
            seen = seen.with_begun(name := waiting.popleft(), time.monotonic())
            yield seen
            running[_submitted(executor, cells[name])] = name
        for future in wait(running, timeout=LOOK_AGAIN, return_when=FIRST_COMPLETED).done:
            name, failure = running.pop(future), future.exception()
            if isinstance(failure, BrokenProcessPool):
                broken[name] = failure
                seen = seen.with_stopped(name)
            else:
                error, seconds = (_why(failure, pool), 0.0) if failure else future.result()
                seen = seen.with_ended(name, error, seconds)
            yield seen
    return seen, broken


def _submitted(executor: Executor, cell: Call) -> "Future[tuple[str, float]]":
    try:
        return executor.submit(_alone, cell)
    except Exception as error:  # a process was killed while it had nothing to do, or the cell cannot be sent
        future: Future[tuple[str, float]] = Future()
        future.set_exception(error)
        return future


def _why(failure: BaseException, pool: Pool) -> str:
    """Say why a cell brought nothing back, not even an error of its own."""
    if isinstance(failure, pool.killed):
        return KILLED
    return said(failure) if isinstance(failure, Exception) else repr(failure)


def _alone(cell: Call) -> tuple[str, float]:
    """Run a cell, the only one of this process, on one thread; return what went wrong and how long it took, s."""
    torch = sys.modules.get("torch")  # there, if the cell needs it: who unpickled the cell imported its module
    with _one_cell, threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # every process would say the same
        threads = torch.get_num_threads() if torch else 0
        began = time.perf_counter()
        try:
            if torch:
                torch.set_num_threads(1)
            return attempted(cell), time.perf_counter() - began
        finally:
            if torch:
                torch.set_num_threads(threads)
