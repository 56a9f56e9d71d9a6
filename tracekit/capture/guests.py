"""The guests that a command line names."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from tracekit.capture.guest import Guest, QemuGuest
from tracekit.capture.process import ProcessGuest
from tracekit.capture.qmp import Qmp
from tracekit.errors import CaptureError


@contextmanager
def open_guests(qmp: Iterable[str], pids: Iterable[str] = ()) -> Iterator[list[Guest]]:
    """The guests named ``[NAME=]SOCKET`` and ``[NAME=]PID``; they are let go when the block ends. Raises CaptureError."""
    with ExitStack() as stack:
        guests = list[Guest]()
        for text in qmp:
            name, socket = split_name(text)
            monitor = Qmp(socket)
            stack.callback(monitor.close)
            guest = QemuGuest(monitor, name)
            stack.callback(guest.close)
            guests.append(guest)
        for text in pids:
            name, pid = split_name(text)
            guest = ProcessGuest(process_id(pid), name)
            stack.callback(guest.close)
            guests.append(guest)
        yield guests


def split_name(text: str) -> tuple[str | None, str]:
    """``NAME=WHAT`` as (NAME, WHAT), and WHAT alone without a name."""
    name, equals, what = text.partition("=")
    return (name, what) if equals and name and os.sep not in name else (None, text)


def process_id(text: str) -> int:
    """The number of a process. Raises CaptureError if it is none."""
    if not text.isdigit():
        raise CaptureError(f"{text!r} is no process id; expected a number")
    return int(text)
