"""What guest_io.sh adds to its kernel's record of DMA: marks of the guest's clock, the drivers of its devices, what was lost."""

import os
import re
from dataclasses import dataclass, field

from tracekit.errors import CaptureError

_MARK = re.compile(rb"\] \S+ +(\d+)\.(\d+): tracing_mark_write: tracekit clock (\d+)")
_DEVICE = re.compile(rb"# tracekit device (\S+) bits=(\d+) driver=(\S*)")
_LOST = re.compile(rb"# tracekit cpu\d+ overrun: (\d+) dropped events: (\d+)")


@dataclass
class GuestRecord:
    """``clocks`` are the guest's times (ns) of numbered marks; ``masks`` and ``drivers`` are by device; ``lost`` counts events.

    ``size`` is how many bytes the text has: on a disk of its own zeros come after it.
    """

    clocks: dict[int, int] = field(default_factory=dict)
    masks: dict[str, int] = field(default_factory=dict)
    drivers: dict[str, str] = field(default_factory=dict)
    lost: int = 0
    size: int = 0


def read_record(path: str | os.PathLike[str]) -> GuestRecord:
    """Read what the script says. Raises CaptureError if the file cannot be read."""
    record = GuestRecord()
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.startswith(b"\0"):
                    break
                record.size += len(line)
                if b"tracekit" in line:
                    _take_in(record, line)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror})") from None
    return record


def _take_in(record: GuestRecord, line: bytes) -> None:
    if mark := _MARK.search(line):
        record.clocks[int(mark[3])] = int(mark[1]) * 10**9 + int(mark[2].ljust(9, b"0"))
    elif device := _DEVICE.match(line):
        name = device[1].decode(errors="replace")
        record.masks[name], record.drivers[name] = (1 << int(device[2])) - 1, device[3].decode(errors="replace")
    elif lost := _LOST.match(line):
        record.lost += int(lost[1]) + int(lost[2])
