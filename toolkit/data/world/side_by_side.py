"""Simulations in processes of their own, side by side, which are heard of while they run and end with this one."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from toolkit.workers import ctrl_c_held

Done = TypeVar("Done")


def side_by_side(
    work: Callable[..., Done], jobs: Iterable[tuple[Any, ...]], expected: int, progress: Callable[[float], None]
) -> list[Done]:
    """Return work(*job, passed) of every job; each `passed.put(n)` counts for n of those `expected`.

    `progress` gets the share done. Where this process is stopped, so are the others, at once.
    """
    context, jobs, count = multiprocessing.get_context("spawn"), list(jobs), 0
    with ctrl_c_held():
        manager = context.Manager()
    # Those that begin ask the manager for what was passed: where all is stopped, it is the last to go.
    with manager, ProcessPoolExecutor(min(len(jobs), os.cpu_count() or 1), context) as pool, _ending_children():
        with ctrl_c_held():
            passed = manager.Queue()
            running: list[Future[Done]] = [pool.submit(work, *job, passed) for job in jobs]
        while not all(job.done() for job in running):
            time.sleep(0.2)
            while not passed.empty():
                count += passed.get()
            progress(min(count / expected, 1.0))
        return [job.result() for job in running]


@contextmanager
def _ending_children() -> Iterator[None]:
    """End the processes that were started within, where it is left by an exception: a pool would wait for them."""
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
