"""Tasks for the tests of pools: they must stand in a module that workers can import."""

import os
import signal
import time
from pathlib import Path

from tracekit.errors import TraceError


def double(report, number):
    return 2 * number


def count(report, seconds):
    """Say how far it is for a while."""
    end, done = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        done += 1
        report(done)
        time.sleep(0.02)
    return done


def die(report, folder, times):
    """Be killed the first so many times."""
    tries = Path(folder) / f"{len(list(Path(folder).iterdir()))}"
    tries.touch()
    if int(tries.name) < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return int(tries.name)


def fail(report, kind):
    if kind == "memory":
        raise MemoryError
    if kind == "exit":
        os._exit(7)
    raise TraceError("x: is no trace") if kind == "trace" else ValueError("what is\nthis")


def stay(report, name, seconds):
    """Be there for a while: (begun, ended) by the system's clock."""
    began = time.time()
    time.sleep(seconds)
    return name, began, time.time()


def threads(report):
    return os.environ["POLARS_MAX_THREADS"], os.environ["NUMBA_NUM_THREADS"]
