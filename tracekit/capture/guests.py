"""The guests that a command line names."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tracekit.capture.guest import Guest, QemuGuest
from tracekit.capture.images import ImageGuest
from tracekit.capture.libvirt import Domain
from tracekit.capture.process import ProcessGuest
from tracekit.capture.qmp import Qmp
from tracekit.errors import CaptureError
from tracekit.units import parse_duration


@contextmanager
def open_guests(qmp: Iterable[str] = (), domains: Iterable[str] = (), pids: Iterable[str] = ()) -> Iterator[list[Guest]]:
    """The guests named ``[NAME=]SOCKET``, ``[NAME=]DOMAIN`` and ``[NAME=]PID``; let go when the block ends. Raises CaptureError."""
    with ExitStack() as stack:
        guests = list[Guest]()

        def add(guest: Guest) -> None:
            stack.callback(guest.close)
            guests.append(guest)

        for way, named in ((Qmp, qmp), (Domain, domains)):
            for text in named:
                name, where = split_name(text)
                monitor = way(where)
                stack.callback(monitor.close)
                add(QemuGuest(monitor, name))
        for text in pids:
            name, pid = split_name(text)
            add(ProcessGuest(process_id(pid), name))
        yield guests


def open_images(texts: Iterable[str], every_ns: int) -> list[ImageGuest]:
    """The guests whose images are named ``[NAME=]FILE[@TIME]``: files of one NAME are one VM, else each file is.

    TIME (such as 30s) counts from the capture's beginning; without it an image comes ``every_ns`` after the VM's last.
    """
    images = dict[str, list[tuple[Path, int]]]()
    for text in texts:
        name, where = split_name(text)
        path, at, moment = where.rpartition("@")
        try:
            t = parse_duration(moment) if at else None
        except ValueError:
            path, t = where, None  # an @ of the file's own name
        path = Path(path if t is not None else where)
        mine = images.setdefault(name or path.name.partition(".")[0], [])
        mine.append((path, t if t is not None else mine[-1][1] + every_ns if mine else 0))
    for name, mine in images.items():
        times = [t for _, t in mine]
        if times != sorted(set(times)):
            raise CaptureError(f"images of {name!r} are not in order of time; give each a later one than the last: FILE@30s")
    return [ImageGuest(mine, name) for name, mine in images.items()]


def split_name(text: str) -> tuple[str | None, str]:
    """``NAME=WHAT`` as (NAME, WHAT), and WHAT alone without a name."""
    name, equals, what = text.partition("=")
    return (name, what) if equals and name and os.sep not in name else (None, text)


def process_id(text: str) -> int:
    """The number of a process. Raises CaptureError if it is none."""
    if not text.isdigit():
        raise CaptureError(f"{text!r} is no process id; expected a number")
    return int(text)
