"""What guests say at a serial port while a capture runs: phases of a workload, and marks of their clocks.

A guest's line is stamped when it arrives (CLOCK_MONOTONIC), so it says a little too late what the guest said, never too early.
"""

import os
import select
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from time import monotonic_ns

from tracekit.capture.ending import Ending
from tracekit.errors import CaptureError

HEAD = "monotonic_ns\tvm\tmark\n"


class Marks:
    """Listens to the serial ports of VMs, by name (``-chardev socket,path=SOCKET,server=on,wait=off``), and writes lines to ``out``.

    Each line is there as soon as it has been said.
    """

    def __init__(self, sockets: Mapping[str, str | os.PathLike[str]], out: Path):
        self._sockets = {_connect(path): name for name, path in sockets.items()}
        self._halves = dict.fromkeys(self._sockets, b"")
        out.parent.mkdir(parents=True, exist_ok=True)
        self._out = open(out, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 closed by close
        self._out.write(HEAD)

    def listen(self, ending: Ending, until: int | None = None) -> None:
        """Take in lines until ``until`` (ns of CLOCK_MONOTONIC), a signal, or the end of all guests."""
        while self._sockets and not ending.by and (until is None or monotonic_ns() < until):
            for ready in select.select(list(self._sockets), [], [], 0.05)[0]:
                self._take_in(ready)

    def close(self) -> None:
        """Let go of the ports."""
        for connection in self._sockets:
            connection.close()
        self._out.close()

    def _take_in(self, connection: socket.socket) -> None:
        try:
            said = connection.recv(1 << 16)
        except OSError:
            said = b""
        now = monotonic_ns()
        if not said:
            connection.close()
            del self._sockets[connection]
            return
        *lines, self._halves[connection] = (self._halves[connection] + said).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip().replace("\t", " ")
            if text:
                self._out.write(f"{now}\t{self._sockets[connection]}\t{text}\n")


class MarksThread:
    """``Marks`` taken in beside something else; a context manager."""

    def __init__(self, sockets: Mapping[str, str | os.PathLike[str]], out: Path):
        self._marks, self._ending = Marks(sockets, out), Ending()
        self._thread = threading.Thread(target=self._marks.listen, args=(self._ending,), daemon=True)

    def __enter__(self) -> "MarksThread":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.by = -1
        self._thread.join()
        self._marks.close()


def read_marks(path: str | os.PathLike[str]) -> list[tuple[int, str, str]]:
    """(ns of CLOCK_MONOTONIC, VM, words) of a file that ``Marks`` wrote. Raises CaptureError if it is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            if next(lines, "") != HEAD:
                raise CaptureError(f"{path}: is no file of marks; expected one that tracekit capture marks wrote")
            found = []
            for line in lines:
                t, _, rest = line.rstrip("\n").partition("\t")
                vm, _, words = rest.partition("\t")
                if t.isdigit() and line.endswith("\n"):
                    found.append((int(t), vm, words))
            return found
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror})") from None


def _connect(path: str | os.PathLike[str]) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.fspath(path))
    except OSError as error:
        connection.close()
        said = f"{path}: no serial port answers there ({error.strerror})"
        raise CaptureError(f"{said}; start QEMU with -chardev socket,id=c,path={path},server=on,wait=off -serial chardev:c") from None
    return connection
