"""Simulations in processes of their own, side by side, which are heard of while they run and end with this one."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

from toolkit.workers import ctrl_c_held

Done = TypeVar("Done")


def side_by_side(
    work: Callable[..., Done], jobs: Iterable[tuple[Any, ...]], expected: int, progress: Callable[[float], None]
) -> list[Done]:
    """Return work(*job, passed) of every job; each `passed.put(n)` counts for n of those `expected`.

    `progress` gets the share done. Where this process is stopped, so are the others, at once.
    """
    context, before = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    jobs, count = list(jobs), 0
    with ctrl_c_held():
        manager = context.Manager()
        pool = ProcessPoolExecutor(min(len(jobs), os.cpu_count() or 1), context)
        passed = manager.Queue()
        running: list[Future[Done]] = [pool.submit(work, *job, passed) for job in jobs]
    with manager, pool:
        try:
            while not all(job.done() for job in running):
                time.sleep(0.2)
                while not passed.empty():
                    count += passed.get()
                progress(min(count / expected, 1.0))
        except BaseException:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise
        return [job.result() for job in running]
