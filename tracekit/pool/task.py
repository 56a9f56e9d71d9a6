"""What a pool does: tasks, how they end, and what becomes of those that do not."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tracekit.errors import TracekitError
from tracekit.units import format_bytes

#: A task whose worker dies is begun so many times in all: whatever killed it may have been meant for another.
TRIES = 3
#: Bytes of a worker that does nothing: Python, numba, Polars, and what decoding holds (measured: 250 to 300 MiB).
IDLE_BYTES = 320 << 20
#: Threads of their own would have the workers of a machine fight for its cores: Polars', numba's and NumPy's are one each.
ONE_THREAD = {"POLARS_MAX_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

#: What a task calls as it goes on: (units done so far).
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Task:
    """``work(advance, *arguments)`` in another process; ``work`` is a function of a module, its arguments can be pickled."""

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    #: Expected seconds: the longest task is begun first.
    seconds: float
    #: Bytes that it takes beside what an idle worker does.
    memory: int
    #: Units of progress (rows) that it counts up to.
    units: int = 0
    tries: int = 1

    def apart(self) -> list["Task"]:
        """What to do in place of this task if it fails; itself if it cannot be taken apart."""
        return [self]


@dataclass(frozen=True)
class Outcome:
    """How a task ended: with a value, or else with a sentence; ``died`` if it was not the task that said it."""

    task: Task
    value: Any = None
    failure: str = ""
    died: bool = False

    @property
    def said(self) -> str:
        """The failure with the task's name before it, unless it begins with that itself."""
        name = self.task.name.partition(" ")[0]
        return self.failure if self.failure.startswith(name) else f"{self.task.name}: {self.failure}"


class Pool(Protocol):
    """Processes that tasks are done by."""

    #: How many tasks may run at a time.
    workers: int
    #: Bytes that one task may take beside what an idle worker does.
    largest: int

    def submit(self, task: Task) -> None:
        """Have a task done; while outcomes are waited for, too."""
        ...

    def outcomes(self, report: Callable[[int], None]) -> Iterator[Outcome]:
        """How tasks ended, as they do, until all have. ``report`` is called with the units that running tasks have done."""
        ...

    def close(self) -> None:
        """End all processes that this pool started, whatever they are at."""
        ...


def perform(pool: Pool, tasks: Iterable[Task], report: Callable[[int], None] = lambda units: None) -> Iterator[Outcome]:
    """Have tasks done, longest first. One that fails is taken apart and its parts are tried alone; one that cannot be taken
    apart is tried again only if its worker died, ``TRIES`` times in all. A task too large for any worker fails at once."""
    for task in sorted(tasks, key=lambda task: (-task.seconds, task.name)):
        if task.memory > pool.largest:
            yield Outcome(
                task, failure=f"takes about {format_bytes(task.memory)}, more than the {format_bytes(pool.largest)} that a worker has"
            )
        else:
            pool.submit(task)
    for outcome in pool.outcomes(report):
        task = outcome.task
        parts = task.apart() if outcome.failure else [task]
        if len(parts) > 1:
            for part in parts:
                pool.submit(replace(part, tries=1 + outcome.died))
        elif outcome.died and task.tries < TRIES:
            pool.submit(replace(task, tries=task.tries + 1))
        else:
            yield outcome


def attempt(action: Callable[[], Any]) -> tuple[str, Any]:
    """Do what a task is, on a worker: ``done`` and its value, ``failed`` and a sentence, or ``died`` and why."""
    try:
        return "done", action()
    except MemoryError:
        return "died", "not enough memory"
    except Exception as error:  # whatever a task raises is its failure, not the worker's
        return "failed", sentence(error)


def sentence(error: BaseException) -> str:
    """An exception as one sentence."""
    said = " ".join(str(error).split())
    return said if isinstance(error, TracekitError) else f"{type(error).__name__}: {said}" if said else type(error).__name__
