"""How a VM's RAM is read from outside, best first: from its file, from its process's memory, or saved by QEMU itself."""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tracekit.capture.layout import Range
from tracekit.capture.qmp import Monitor, ask_person
from tracekit.capture.reading import Fill, of_file, of_process
from tracekit.errors import CaptureError

#: Bytes handed out at a time: few enough to be still in the processor's cache when they are digested, which takes a third
#: of the time that larger pieces take.
PIECE = 1 << 20
#: Bytes that QEMU saves to a file at a time.
SAVED_PIECE = 64 << 20

Buffer = bytes | bytearray | memoryview


class Memory(Protocol):
    """Reads one VM's RAM while it is stopped. ``method`` says how, for the trace's provenance."""

    method: str

    def pieces(self) -> Iterator[tuple[int, Buffer]]:
        """(guest-physical address, bytes) of all RAM, in pieces by address; a piece is valid until the next."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def open_memory(monitor: Monitor, ranges: Sequence[Range]) -> Memory:
    """The best way that works for this VM. Raises CaptureError with the reasons if none does."""
    reasons = []
    for way in (open_file, open_process, Saved):
        memory = None
        try:
            memory = way(monitor, ranges)
            next(memory.pieces())
            return memory
        except (CaptureError, OSError) as error:
            if memory:
                memory.close()
            reasons.append(str(error))
    raise CaptureError(f"{monitor.where}: its RAM cannot be read ({'; '.join(reasons)}); are you root?")


class ReadMemory:
    """RAM read piece by piece; each range lies at a place of its own.

    A file is read, not mapped: to look at a mapped page of a memfd that holds nothing takes host memory for it, which
    would undo what a balloon has given back.
    """

    def __init__(self, method: str, places: Sequence[tuple[Range, Fill, int]], files: Sequence[int] = ()):
        self.method = method
        self._places, self._files = places, files  # of each range: what reads it, and where it begins there
        self._room = bytearray(PIECE)

    def pieces(self) -> Iterator[tuple[int, Buffer]]:
        for each, fill, place in self._places:
            for begin in range(0, each.size, PIECE):
                piece = memoryview(self._room)[: min(PIECE, each.size - begin)]
                fill(piece, place + begin)
                yield each.start + begin, piece

    def close(self) -> None:
        for file in self._files:
            os.close(file)


def open_file(monitor: Monitor, ranges: Sequence[Range]) -> ReadMemory:
    """RAM that lies in a shared file or memfd (``memory-backend-memfd`` or ``-file``, ``share=on``)."""
    pid, files, places = _pid_of(monitor), dict[tuple[int, int], int](), []
    try:
        for each in ranges:
            area = _area(monitor, pid, each)
            if not area.shared or not area.inode:
                raise CaptureError(f"{each.block} is no shared file")
            key = (area.device, area.inode)
            if key not in files:
                files[key] = _open(pid, area)
            places.append((each, of_file(files[key]), area.offset + area.into))
    except BaseException:
        for file in files.values():
            os.close(file)
        raise
    return ReadMemory("the file of its RAM", places, list(files.values()))


def open_process(monitor: Monitor, ranges: Sequence[Range]) -> ReadMemory:
    """RAM of any kind, in the memory of QEMU's process at the addresses that ``gpa2hva`` tells."""
    fill = of_process(_pid_of(monitor))
    return ReadMemory("the memory of QEMU's process", [(each, fill, host_address(monitor, each.start)) for each in ranges])


class Saved:
    """RAM of any kind, written to a file by QEMU's ``pmemsave``: slowest, and needs no rights over its process."""

    method = "QEMU's pmemsave"

    def __init__(self, monitor: Monitor, ranges: Sequence[Range]):
        self._monitor, self._ranges = monitor, ranges
        self._folder = tempfile.TemporaryDirectory(prefix="tracekit-")
        os.chmod(self._folder.name, 0o733)  # QEMU may run as somebody else

    def pieces(self) -> Iterator[tuple[int, Buffer]]:
        path = os.path.join(self._folder.name, "ram")
        for each in self._ranges:
            for begin in range(0, each.size, SAVED_PIECE):
                size = min(SAVED_PIECE, each.size - begin)
                self._monitor.execute("pmemsave", val=each.start + begin, size=size, filename=path)
                piece = Path(path).read_bytes()
                os.unlink(path)
                if len(piece) != size:
                    raise CaptureError(f"{self._monitor.where}: QEMU saved {len(piece)} of {size} bytes of RAM; is the disk full?")
                yield each.start + begin, piece

    def close(self) -> None:
        self._folder.cleanup()


class _Area:
    """A mapping of a process, and how far into it an address lies."""

    def __init__(self, line: str, address: int):
        place, perms, offset, device, inode, *path = line.split(None, 5)
        self.start, self.end = (int(bound, 16) for bound in place.split("-"))
        self.shared = perms.endswith("s")
        self.offset, self.into = int(offset, 16), address - self.start
        major, minor = (int(number, 16) for number in device.split(":"))
        self.device, self.inode = os.makedev(major, minor), int(inode)
        self.path = path[0].strip() if path else ""


def _pid_of(monitor: Monitor) -> int:
    if monitor.pid is None:
        raise CaptureError("QEMU's process is not known")
    return monitor.pid


def host_address(monitor: Monitor, address: int) -> int:
    """Where QEMU's process has what the guest has at a physical address. Raises CaptureError if it is no RAM."""
    said = ask_person(monitor, f"gpa2hva {address:#x}")
    match = re.search(r" is (0x[0-9a-f]+)", said)
    if not match:
        raise CaptureError(f"QEMU does not say where {address:#x} lies ({said.strip()})")
    return int(match[1], 16)


def _area(monitor: Monitor, pid: int, each: Range) -> _Area:
    address = host_address(monitor, each.start)
    with open(f"/proc/{pid}/maps") as lines:
        for line in lines:
            area = _Area(line, address)
            if area.start <= address < area.end:
                if address + each.size > area.end:
                    raise CaptureError(f"{each.block} is spread over several mappings")
                return area
    raise CaptureError(f"{each.block} is mapped nowhere")


def _open(pid: int, area: _Area) -> int:
    """Open the file that an area shows, by its name or by a descriptor that its process holds."""
    folder = f"/proc/{pid}/fd"
    for path in (area.path, *(f"{folder}/{number}" for number in os.listdir(folder))):
        try:
            found = os.stat(path)
            if found.st_ino == area.inode and os.major(found.st_dev) == os.major(area.device):
                return os.open(path, os.O_RDONLY)
        except OSError:
            continue
    raise CaptureError(f"its file {area.path or '(unnamed)'} is not to be found")
