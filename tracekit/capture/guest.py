"""What contents are captured of: something with pages that can be stopped for a moment and read."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tracekit.capture.layout import pages_of, ram_ranges
from tracekit.capture.memory import Buffer, Memory, open_memory
from tracekit.capture.qmp import Monitor
from tracekit.errors import CaptureError
from tracekit.units import PAGE_BYTES


@dataclass
class Stop:
    """A moment at which a guest stands still: since when (ns of CLOCK_MONOTONIC), and for how long it did in the end."""

    since: int
    pause_ns: int = 0


class Guest(Protocol):
    """A VM, or what stands for one."""

    name: str
    method: str  # how its memory is read, for the trace's provenance
    blind: tuple[str, ...]  # what goes unseen besides

    @property
    def pages(self) -> int:
        """Its size in pages of 4 KiB, so far."""
        ...

    def stopped(self) -> AbstractContextManager[Stop]:
        """Stands still within the block, and goes on after it whatever happens."""
        ...

    def pieces(self) -> Iterator[tuple[np.ndarray, Buffer]]:
        """(page numbers, uint32 ascending; their bytes) of all memory; a piece is valid until the next."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class QemuGuest:
    """A live VM under QEMU: stopped by its monitor, read however it can be."""

    blind: tuple[str, ...] = ()

    def __init__(self, monitor: Monitor, name: str | None = None):
        self._monitor = monitor
        ranges = ram_ranges(monitor)
        self.name = name or vm_name(monitor)
        self._pages = pages_of(ranges)
        self._memory: Memory = open_memory(monitor, ranges)
        self.method = self._memory.method
        self._guardian = monitor.guardian()

    @contextmanager
    def stopped(self) -> Iterator[Stop]:
        """Stopped and continued by QEMU; a VM that was paused already stays so."""
        ran = self._monitor.execute("query-status")["running"]
        before = time.monotonic_ns()
        try:
            if ran:
                self._guardian.stopped()
                self._monitor.execute("stop")
            stop = Stop(time.monotonic_ns())
            yield stop
        finally:
            if ran:
                self._monitor.execute("cont")
                self._guardian.going()
        stop.pause_ns = time.monotonic_ns() - before if ran else 0

    @property
    def pages(self) -> int:
        """Pages of the guest's address space, holes included."""
        return self._pages

    def pieces(self) -> Iterator[tuple[np.ndarray, Buffer]]:
        for start, piece in self._memory.pieces():
            first = start // PAGE_BYTES
            yield np.arange(first, first + len(piece) // PAGE_BYTES, dtype=np.uint32), piece

    def close(self) -> None:
        self._guardian.close()
        self._memory.close()
        self._monitor.close()


def vm_name(monitor: Monitor) -> str:
    """The name of a VM that nobody has named otherwise: as QEMU's ``-name`` says, else as its socket is called."""
    return monitor.execute("query-name").get("name") or Path(monitor.where).stem


def refuse_same_names(names: list[str]) -> None:
    """Raise CaptureError if two guests have one name."""
    for name in names:
        if names.count(name) > 1:
            raise CaptureError(f"two guests are named {name!r}; name them apart: NAME=SOCKET, NAME=PID")
