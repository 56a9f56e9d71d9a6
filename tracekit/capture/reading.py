"""Reading bytes at a place: of a file, or of another process's memory."""

import ctypes
import os
from collections.abc import Callable

from tracekit.errors import CaptureError

#: Fills a buffer from a place on. Raises CaptureError if some of it cannot be read.
Fill = Callable[[bytearray | memoryview, int], None]


class _Piece(ctypes.Structure):
    _fields_ = (("address", ctypes.c_void_p), ("size", ctypes.c_size_t))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.process_vm_readv.restype = ctypes.c_ssize_t


def of_file(file: int) -> Fill:
    """Reads a file descriptor."""

    def fill(room: bytearray | memoryview, place: int) -> None:
        view, done = memoryview(room), 0
        while done < len(view):
            try:
                count = os.preadv(file, [view[done:]], place + done)
            except OSError as error:
                raise CaptureError(f"its file cannot be read at {place + done:#x} ({error.strerror})") from None
            if not count:
                raise CaptureError(f"its file ends at {place + done:#x}, expected {len(view) - done} more bytes")
            done += count

    return fill


def of_process(pid: int) -> Fill:
    """Reads a process's memory (process_vm_readv(2)), which is twice as fast as /proc/PID/mem. Needs the right to trace it."""

    def fill(room: bytearray | memoryview, place: int) -> None:
        size, done = len(room), 0
        address = ctypes.addressof(ctypes.c_char.from_buffer(room))
        while done < size:
            here, there = _Piece(address + done, size - done), _Piece(place + done, size - done)
            count = _libc.process_vm_readv(ctypes.c_int(pid), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
            if count <= 0:
                said = os.strerror(ctypes.get_errno())
                raise CaptureError(f"the memory of process {pid} cannot be read at {place + done:#x} ({said}); has it ended, are you root?")
            done += count

    return fill
