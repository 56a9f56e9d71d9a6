"""A pool of the workers of a Dask scheduler, which others have started: on this machine, or on many.

    dask scheduler                                                     # on one machine
    POLARS_MAX_THREADS=1 dask worker tcp://HOST:8786 --nthreads 1      # a process a core, on each

The scheduler only hands tasks out. What they make they keep in files, or hand back (``tracekit.sweep.cell``), so that a lost
worker costs what it was at, and a lost scheduler or client what nobody has kept. Workers may come and go.
"""

import os
import queue
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tracekit import __version__
from tracekit.errors import TracekitError, first_line
from tracekit.pool.memory import give_back
from tracekit.pool.task import IDLE_BYTES, ONE_THREAD, TRIES, Outcome, Task, attempt, sentence

#: Seconds to wait for the scheduler, and for a first worker.
_TIMEOUT = 20
_SECONDS = 1.0
#: Workers that may die of a task, or with it in their queue, before it is given up (Dask's own limit is 3).
_DEATHS = 10


def work(version: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """Do a task on a worker of the client's ``version``; see ``attempt``."""
    if version != __version__:
        return "failed", f"a worker has tracekit {__version__}, the client {version}; install the same on both"
    try:
        return attempt(lambda: function(lambda units: None, *arguments))
    finally:
        give_back()


def _one_thread() -> None:
    """On each worker that there is or that joins, before Polars and numba are imported there."""
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)


def _allow_deaths(dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = max(dask_scheduler.allowed_failures, _DEATHS)


class DaskPool:
    """See ``tracekit.pool.task.Pool``."""

    def __init__(self, address: str):
        """Connect to a scheduler. Raises TracekitError if there is none, or it has no worker."""
        try:
            import distributed
        except ImportError:
            raise TracekitError("--scheduler needs Dask: pip install 'tracekit[dask]'") from None
        self._address = address
        try:
            self._client = distributed.Client(address, timeout=_TIMEOUT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise TracekitError(f"{address}: no Dask scheduler answers there ({first_line(error)}); start one: dask scheduler") from None
        try:
            self._client.wait_for_workers(1, timeout=_TIMEOUT)
        except TimeoutError:
            self.close()
            raise TracekitError(f"{address}: the scheduler has no workers; start some: dask worker {address} --nthreads 1") from None
        self._client.run_on_scheduler(_allow_deaths)
        self._client.register_worker_callbacks(_one_thread)
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        self.workers = sum(worker["nthreads"] for worker in workers)
        limits = [worker["memory_limit"] // worker["nthreads"] for worker in workers if worker["memory_limit"]]
        self.largest = max(0, min(limits, default=1 << 62) - IDLE_BYTES)
        self._running: dict[str, tuple[Any, Task]] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()

    def submit(self, task: Task) -> None:
        """See ``Pool``."""
        key = f"tracekit-{uuid.uuid4()}"
        future = self._client.submit(work, __version__, task.work, task.arguments, key=key, pure=False, priority=round(1000 * task.seconds))
        self._running[key] = future, task
        future.add_done_callback(lambda future: self._ended.put(future.key))

    def outcomes(self, report: Callable[[int], None]) -> Iterator[Outcome]:
        """See ``Pool``."""
        silent = 0.0
        while self._running:
            try:
                key = self._ended.get(timeout=_SECONDS)
            except queue.Empty:
                silent = 0.0 if self._client.status == "running" else silent + _SECONDS
                if silent > _TIMEOUT:
                    raise self._lost() from None
                report(0)
                continue
            future, task = self._running.pop(key)
            yield self._outcome(future, task)

    def _outcome(self, future: Any, task: Task) -> Outcome:
        if future.status == "finished":
            said, value = future.result()
            return Outcome(task, value) if said == "done" else Outcome(task, failure=value, died=said == "died")
        if future.status == "error":
            error = future.exception()
            died = type(error).__name__ == "KilledWorker"
            # It has been tried often enough; only the parts of a bundle get another chance.
            said = f"{_DEATHS + 1} workers died of it" if died else sentence(error)
            return Outcome(replace(task, tries=TRIES), failure=said, died=died)
        raise self._lost()

    def _lost(self) -> TracekitError:
        return TracekitError(f"{self._address}: the scheduler is gone; what was finished is kept: start another and run this again")

    def close(self) -> None:
        """See ``Pool``: tasks are cancelled, workers stay."""
        running = [future for future, _ in self.__dict__.get("_running", {}).values()]
        with suppress(Exception):
            self._client.cancel(running, force=True)
        with suppress(Exception):
            self._client.close(timeout=_SECONDS)
