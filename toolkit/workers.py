"""Where cells are run: in this process, in several of this machine, or by the workers of a cluster."""

import signal
import socket
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from toolkit.errors import UserError, unknown
from toolkit.installed import said

PATIENCE = 10.0
"""How long a scheduler has to answer, and a worker to be there, s."""
IDLE = 300.0
"""A process without a cell ends after so long, s; until then it serves the next cells, with all it has imported."""
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


@dataclass(frozen=True)
class OneMachine:
    """So many `jobs` at a time, each in a process of joblib's loky; one alone runs in this process."""

    jobs: int


@dataclass(frozen=True)
class Cluster:
    """As many cells at a time as the dask `scheduler`, such as tcp://10.0.0.1:8786, has workers.

    Every worker needs the packages of this process, and must see all files that a cell names under the same path:
    paths are to be absolute, on a disk that all share. A worker runs one cell at a time, however many threads it has,
    since the cells of a process share its random numbers: start them with
    `dask worker ADDRESS --nthreads 1 --nworkers N`. What runs when this process is stopped is run to its end by its
    worker.
    """

    scheduler: str


Workers = OneMachine | Cluster


@dataclass(frozen=True)
class Pool:
    """Open workers: an `executor`, a new one where the last is broken, how many cells it has `slots` for, and the
    error by which it says that a process was `killed`.
    """

    executor: Callable[[], Executor]
    slots: Callable[[], int]
    killed: type[Exception] = TerminatedWorkerError


def workers_named(backend: str, scheduler: str, jobs: int) -> Workers:
    """Return the workers of a backend, "loky" or "dask"; the one has `jobs`, the other a scheduler's address.

    Raises `UserError` for another backend and for an address that is missing or of no use.
    """
    if backend not in ("loky", "dask"):
        raise unknown("backend", backend, ("loky", "dask"))
    if backend == "dask" and not scheduler:
        raise UserError("The backend dask needs the address of its scheduler: --scheduler tcp://HOST:8786.")
    if backend == "loky" and scheduler:
        raise UserError(f"Only the backend dask has a scheduler ({scheduler}): add --backend dask.")
    return Cluster(scheduler) if backend == "dask" else OneMachine(jobs)


def pool_for(workers: Workers, cells: int) -> AbstractContextManager[Pool]:
    """Return the context in which so many cells can be run; left by an exception, it ends the processes it started.

    Raises `UserError` where a cluster is not there, or is lost.
    """
    if isinstance(workers, Cluster):
        return _cluster(workers.scheduler)
    return _here() if workers.jobs == 1 else _processes(min(workers.jobs, max(cells, 2)))


@contextmanager
def ctrl_c_held() -> Iterator[None]:
    """Start processes that a Ctrl-C does not reach, so that it is left to this one to end them; here it waits."""
    resource_tracker.ensure_running()  # with the first process Python would start it too, and lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _ThisProcess(Executor):
    """Runs what is submitted before it goes on."""

    def submit(self, call: Callable[..., Any], /, *words: Any, **named: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(call(*words, **named))
        return future


@contextmanager
def _here() -> Iterator[Pool]:
    yield Pool(_ThisProcess, lambda: 1)


@dataclass(frozen=True)
class _Processes(Executor):
    """Loky's processes, which a Ctrl-C does not reach even while they import what they need to begin."""

    loky: ProcessPoolExecutor

    def submit(self, call: Callable[..., Any], /, *words: Any, **named: Any) -> "Future[Any]":
        # Submitting starts what processes are missing; loky's thread that replaces them keeps the mask.
        with ctrl_c_held():
            return self.loky.submit(call, *words, **named)


@contextmanager
def _processes(jobs: int) -> Iterator[Pool]:
    def executor() -> ProcessPoolExecutor:
        return get_reusable_executor(jobs, timeout=IDLE, initializer=_ignore_ctrl_c, env=ONE_THREAD)

    try:
        with warnings.catch_warnings():  # loky replaces a process that has grown, which is as it should be
            warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
            yield Pool(lambda: _Processes(executor()), lambda: jobs)
    except BaseException:
        executor().shutdown(kill_workers=True)
        raise


def _ignore_ctrl_c() -> None:
    """Leave it to the process that started this one, which ends it; what a cell imports may lift the mask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Pool]:
    """Connect to a scheduler.

    Cells are handed to dask itself: joblib's backend of that name waits for ever for one whose worker was killed.
    """
    try:
        from distributed import Client, KilledWorker
        from distributed.comm import get_address_host_port
    except ImportError as error:
        raise UserError("The backend dask comes with an extra: pip install 'earth-toolkit[cluster]'.") from error
    try:
        # A client that does not connect takes long to go away: see first whether anybody is there.
        socket.create_connection(get_address_host_port(scheduler), timeout=PATIENCE).close()
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"No dask scheduler answers at {scheduler} ({said(error)}). Start one with `dask scheduler`, or correct "
            "--scheduler."
        ) from error

    def slots() -> int:
        try:
            return max(1, len(client.nthreads()))  # while all are being restarted, dask keeps what is submitted
        except OSError as error:
            raise CancelledError from error

    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise UserError(
                f"The dask scheduler at {scheduler} has no workers. Start some: dask worker {scheduler} --nthreads 1 "
                "--nworkers 4."
            ) from error
        try:
            yield Pool(lambda: client.get_executor(pure=False), slots, KilledWorker)
        except CancelledError as error:
            raise UserError(
                f"The dask scheduler at {scheduler} was lost. Start it again, and go on with what is not finished."
            ) from error
