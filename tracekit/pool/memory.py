"""How much memory there is to work in."""

import ctypes
import gc
import os
from contextlib import suppress
from pathlib import Path


def available() -> int:
    """Bytes that could be used now: what the kernel says is available, or less if a control group allows less."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) << 10
    return min([free, *_allowed()])


def _allowed() -> list[int]:
    """What this process's control groups (version 2) allow beyond what they hold."""
    found = []
    try:
        group = Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text().rpartition("::/")[2].strip()
        for folder in (group, *group.parents):
            limit = folder / "memory.max"
            if limit.is_file() and (text := limit.read_text().strip()) != "max":
                found.append(max(0, int(text) - int((folder / "memory.current").read_text())))
    except (OSError, ValueError):
        pass
    return found


def give_back() -> None:
    """Give the system what a task has left: cycles of objects, and free memory that the C library keeps."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def cores() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0))
