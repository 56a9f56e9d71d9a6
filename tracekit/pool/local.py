"""A pool of processes on this machine, which survives the death of any of them.

(``concurrent.futures.ProcessPoolExecutor`` does not: one worker that the kernel kills for its memory breaks the pool.)
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from tracekit.pool.memory import available, cores
from tracekit.pool.task import IDLE_BYTES, ONE_THREAD, Outcome, Task

#: Part of the memory available that workers may take if nobody says how much.
_PART = 0.8
_SECONDS = 0.5


class _Worker:
    """A process, the pipe to it, and the task that it is at."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tracekit.pool.worker", str(theirs.fileno())]
            # In a process group of its own, so that an interrupt from the terminal is the parent's to deal with.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | ONE_THREAD,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self.pipe = Connection(ours.detach())
        self.task: Task | None = None
        self.units = 0

    def give(self, task: Task) -> None:
        self.task, self.units = task, 0
        with suppress(OSError):  # it has died: the next wait says so
            self.pipe.send_bytes(pickle.dumps((task.work, task.arguments)))

    def end(self) -> int:
        self.pipe.close()
        self.process.kill()
        return self.process.wait()


class LocalPool:
    """See ``tracekit.pool.task.Pool``."""

    def __init__(self, workers: int | None = None, memory: int | None = None):
        """As many processes as there are cores, taking 80 % of the memory available together, unless told otherwise."""
        memory = memory or int(available() * _PART)
        self.workers = max(1, min(workers or cores(), memory // IDLE_BYTES))
        self.largest = max(0, memory - IDLE_BYTES)
        self._memory = memory
        self._waiting: list[Task] = []
        self._workers: list[_Worker] = []

    def submit(self, task: Task) -> None:
        """See ``Pool``."""
        self._waiting.append(task)

    def outcomes(self, report: Callable[[int], None]) -> Iterator[Outcome]:
        """See ``Pool``."""
        while True:
            self._start()
            busy = [worker for worker in self._workers if worker.task]
            if not busy:
                return
            ready = wait([worker.pipe for worker in busy], _SECONDS)
            for worker in busy:
                if worker.pipe in ready and (outcome := self._hear(worker)):
                    yield outcome
            report(sum(worker.units for worker in self._workers if worker.task))

    def _start(self) -> None:
        """Give work to idle workers, in the order of the tasks, as far as memory allows."""
        for task in list(self._waiting):
            idle = next((worker for worker in self._workers if not worker.task), None)
            if idle is None and len(self._workers) == self.workers:
                return
            if not self._make_room(task.memory + (0 if idle else IDLE_BYTES), idle):
                continue
            if idle is None:
                idle = _Worker()
                self._workers.append(idle)
            self._waiting.remove(task)
            idle.give(task)

    def _make_room(self, wanted: int, kept: _Worker | None) -> bool:
        """Whether so many bytes may be taken, if need be by ending idle workers but for one that is kept."""
        spare = [worker for worker in self._workers if not worker.task and worker is not kept]
        while sum(IDLE_BYTES + (worker.task.memory if worker.task else 0) for worker in self._workers) + wanted > self._memory:
            if not spare:
                return not any(worker.task for worker in self._workers)
            self._workers.remove(spare[-1])
            spare.pop().end()
        return True

    def _hear(self, worker: _Worker) -> Outcome | None:
        task = worker.task
        assert task is not None
        said, value = _receive(worker.pipe)
        if said == "units":
            worker.units = value
            return None
        worker.task = None
        if said == "gone":
            self._workers.remove(worker)
            return Outcome(task, failure=_cause(worker.end()), died=True)
        return Outcome(task, value) if said == "done" else Outcome(task, failure=value, died=said == "died")

    def close(self) -> None:
        """See ``Pool``."""
        while self._workers:
            self._workers.pop().end()


def _receive(pipe: Connection) -> tuple[str, Any]:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return "gone", None


def _cause(code: int) -> str:
    """Why a process ended, by its exit code (negative: a signal's number)."""
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL), as the kernel does when memory runs out"
    return f"its process ended by {signal.Signals(-code).name}" if code < 0 else f"its process ended with exit code {code}"
