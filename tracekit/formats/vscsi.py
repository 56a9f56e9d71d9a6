"""VMware's vscsi traces (CloudPhysics): binary records of 32 bytes (version 1) or 40 (version 2), times in µs."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats import disk
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.records import records
from tracekit.formats.source import Source

_V1 = np.dtype(
    [("number", "<u4"), ("length", "<u4"), ("segments", "<u4"), ("command", "<u2"), ("version", "<u2"), ("block", "<u8"), ("t", "<u8")]
)
_V2 = np.dtype(
    [
        ("command", "<u2"),
        ("version", "<u2"),
        ("number", "<u4"),
        ("length", "<u4"),
        ("segments", "<u4"),
        ("block", "<u8"),
        ("t", "<u8"),
        ("response", "<u8"),
    ]
)
_READS, _WRITES = (0x08, 0x28, 0xA8, 0x88), (0x0A, 0x2A, 0xAA, 0x8A)  # SCSI READ and WRITE of 6, 10, 12 and 16 bytes
_SECTOR, _LAST = 512, np.uint64(1 << 52)


def _layout(head: bytes) -> np.dtype | None:
    """The layout for which the first two records name its version; none if neither does."""
    for number, layout in ((1, _V1), (2, _V2)):
        count = min(len(head) // layout.itemsize, 2)
        found = np.frombuffer(head, layout, count)
        if count and (found["version"] >> 8 == number).all() and np.isin(found["command"], [*_READS, *_WRITES]).any():
            return layout
    return None


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    layout = _layout(source.head)
    if layout is None:
        tally.drop("file of neither version of the format")
        return
    for found in records(source, layout, tally):
        is_write = np.isin(found["command"], _WRITES)
        known = (is_write | np.isin(found["command"], _READS)) & (found["block"] < _LAST)
        tally.drop("command that is no read or write", np.count_nonzero(~known))
        found, is_write = found[known], is_write[known]
        one = np.zeros(len(found), np.int32), [source.name.partition(".")[0] or "disk"]
        size = found["length"].astype(np.uint64)
        yield disk.requests(found["t"], found["block"] * np.uint64(_SECTOR), size, is_write, one)


FORMAT = Format(
    "vscsi",
    ("access",),
    "blocks of 4 KiB that requests touch, with time and direction",
    lambda source: _layout(source.head) is not None,
    read,
    tick_ns=1000,
    virtual=True,
    blind=disk.BLIND,
)
