"""Tiny traces to sweep, and what a results folder holds, for tests that start and kill processes."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import polars as pl
from make_trace import write

from tracekit.pool.task import Outcome

#: What says how a replay went, not what it found.
CIRCUMSTANCES = ["elapsed", "peak_rss", "created"]


def write_traces(folder: Path, count: int, rows: int = 2000) -> list[Path]:
    """Captures ``t0`` … of one VM with accesses."""
    rng = np.random.default_rng(3)
    return [
        write(folder / f"t{i}.access.parquet", "access", rows, {"a": 64}, f"t{i}", t=np.arange(rows) * 10**6, ppn=rng.integers(0, 64, rows))
        for i in range(count)
    ]


def kept(folder: Path) -> dict[str, object]:
    """All that a results folder holds: files as bytes, but for the table ``runs`` as rows without what its making took."""
    found: dict[str, object] = {}
    for path in sorted(folder.glob("[!.]*/*.parquet")):
        name = f"{path.parent.name}/{path.name}"
        found[name] = pl.read_parquet(path).drop(CIRCUMSTANCES).to_dicts() if path.name == "runs.parquet" else path.read_bytes()
    return found


def children(pid: int) -> list[int]:
    """Processes that a process has started and that are still there."""
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill_one(process: subprocess.Popen, rng: random.Random) -> bool:
    """Kill a process or one of its children, by SIGKILL; whether it was the process itself."""
    chosen = rng.choice([process.pid, *children(process.pid)])
    try:
        os.kill(chosen, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return chosen == process.pid


def gone(pids: list[int], seconds: float = 10) -> bool:
    """Whether processes end within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


class Here:
    """A pool of this process: tasks named in ``deaths`` lose their worker so many times, those in ``fails`` fail."""

    def __init__(self, deaths=(), fails=(), workers=2, largest=1 << 30):
        self.workers, self.largest, self.deaths, self.fails = workers, largest, dict(deaths), set(fails)
        self.waiting, self.begun = [], []

    def submit(self, task):
        self.waiting.append(task)

    def outcomes(self, report):
        while self.waiting:
            task = self.waiting.pop(0)
            self.begun.append(task.name)
            if self.deaths.get(task.name, 0) > 0:
                self.deaths[task.name] -= 1
                yield Outcome(task, failure="its process was killed", died=True)
            elif task.name in self.fails:
                yield Outcome(task, failure="ValueError: no")
            else:
                yield Outcome(task, task.work(lambda units: report(units), *task.arguments))

    def close(self):
        pass
