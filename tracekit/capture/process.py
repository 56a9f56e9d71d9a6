"""A process as a guest: its pages that are in memory or swapped out, as the kernel's pagemap tells.

Its pages are numbered in the order in which they first appear, for addresses of a process are far apart. See proc(5) and the
Linux documentation, "pagemap, from the userspace perspective".
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from tracekit.capture.guardian import Guardian
from tracekit.capture.guest import Stop
from tracekit.capture.memory import PIECE, Buffer
from tracekit.capture.reading import of_process
from tracekit.errors import CaptureError
from tracekit.formats.numbering import Numbering
from tracekit.units import PAGE_BYTES

_PRESENT, _SWAPPED = np.uint64(1 << 63), np.uint64(1 << 62)
#: Flags of mappings that are a device's memory.
_DEVICE = {"io", "pf"}
#: Entries of the pagemap read at a time: those of 1 GiB.
_ENTRIES = 1 << 18


class ProcessGuest:
    """A running process, stopped by SIGSTOP and continued by SIGCONT."""

    method = "the process's memory, pages that its pagemap says are there"
    blind: tuple[str, ...] = (
        "pages of a process that it never touched, cannot read, or maps from a device have no rows",
        "a page that the process has given back keeps its last content",
        "pages of a process are numbered in the order in which they first appear",
    )

    def __init__(self, pid: int, name: str | None = None):
        if pid == os.getpid():
            raise CaptureError(f"process {pid} is tracekit itself, which cannot look at itself while it stands still")
        self._pid, self._folder = pid, Path(f"/proc/{pid}")
        try:
            self.name = name or f"{(self._folder / 'comm').read_text().strip()}-{pid}"
        except FileNotFoundError:
            raise _gone(pid) from None
        if not mappings(pid):
            raise CaptureError(f"process {pid} has no memory of its own: it has ended, or is the kernel's")
        self._fill = of_process(pid)
        self._numbers = Numbering(1)
        self._numbers.number(np.zeros(0, np.uint64), np.zeros(0, np.int32))  # compiled before the process waits for it
        self._room = bytearray(PIECE)
        self._guardian = Guardian(["kill", "-CONT", str(pid)])

    @property
    def pages(self) -> int:
        """Pages that have appeared so far."""
        return int(self._numbers.counts[0])

    @contextmanager
    def stopped(self) -> Iterator[Stop]:
        """Stopped and continued by signals; a process that was stopped already stays so."""
        ran = self._state() not in "Tt"
        before = time.monotonic_ns()
        try:
            if ran:
                self._guardian.stopped()
                os.kill(self._pid, signal.SIGSTOP)
                self._wait_until_stopped()
            stop = Stop(time.monotonic_ns())
            yield stop
        except ProcessLookupError:
            raise _gone(self._pid) from None
        finally:
            if ran:
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGCONT)
                self._guardian.going()
        stop.pause_ns = time.monotonic_ns() - before if ran else 0

    def pieces(self) -> Iterator[tuple[np.ndarray, Buffer]]:
        for start, end in mappings(self._pid):
            for addresses in self._present(start, end):
                piece = memoryview(self._room)[: len(addresses) * PAGE_BYTES]
                try:
                    self._fill(piece, int(addresses[0]))
                except CaptureError:
                    self._state()  # raises if it has ended; else the pages went away, as those of a file cut short do
                    continue
                numbers = self._numbers.number(addresses // np.uint64(PAGE_BYTES), np.zeros(len(addresses), np.int32))
                yield numbers, piece

    def close(self) -> None:
        self._guardian.close()

    def _state(self) -> str:
        try:
            state = (self._folder / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            raise _gone(self._pid) from None
        if state in "ZX":
            raise _gone(self._pid)
        return state

    def _wait_until_stopped(self) -> None:
        end = time.monotonic() + 5
        while self._state() not in "Tt":
            if time.monotonic() > end:
                raise CaptureError(f"process {self._pid} does not stop; does it wait for a device?")
            time.sleep(0.0002)

    def _present(self, start: int, end: int) -> Iterator[np.ndarray]:
        """Addresses of pages that are there, in runs without a gap that fit into the room."""
        with open(self._folder / "pagemap", "rb", buffering=0) as file:
            for begin in range(start, end, _ENTRIES * PAGE_BYTES):
                count = min(_ENTRIES, (end - begin) // PAGE_BYTES)
                raw = os.pread(file.fileno(), 8 * count, begin // PAGE_BYTES * 8)
                entries = np.frombuffer(raw, np.uint64)
                there = np.flatnonzero(entries & (_PRESENT | _SWAPPED))
                runs = np.split(there, np.flatnonzero(np.diff(there) != 1) + 1) if len(there) else []
                for run in runs:
                    for i in range(0, len(run), PIECE // PAGE_BYTES):
                        yield np.uint64(begin) + run[i : i + PIECE // PAGE_BYTES].astype(np.uint64) * np.uint64(PAGE_BYTES)


def mappings(pid: int) -> list[tuple[int, int]]:
    """(start, end) of a process's mappings that can be read and are no device's. Raises CaptureError if it is not to be seen."""
    try:
        lines = Path(f"/proc/{pid}/smaps").read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        raise _gone(pid) from None
    except PermissionError:
        raise CaptureError(f"process {pid} may not be looked at; are you root?") from None
    found, readable = list[tuple[int, int]](), False
    for line in lines:
        first = line.split(None, 2)
        if "-" in first[0] and not first[0].endswith(":"):
            start, end = (int(bound, 16) for bound in first[0].split("-"))
            readable = first[1].startswith("r") and not line.endswith("[vvar]") and start < 1 << 63
            if readable:
                found.append((start, end))
        elif first[0] == "VmFlags:" and readable and _DEVICE & set(line.split()[1:]):
            found.pop()
    return found


def _gone(pid: int) -> CaptureError:
    return CaptureError(f"process {pid} is not there; did it end?")
