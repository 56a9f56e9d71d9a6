"""SPC-1 and UMass storage traces: CSV ``ASU,LBA,Size,Opcode,Timestamp``, blocks of 512 bytes, seconds."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats import disk
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import every_line

_REQUEST = "{unit:dec},{block:dec},{size:dec},{sort:char},{t:seconds}"
_PATTERNS = Patterns({"request": (_REQUEST, _REQUEST + ",{*}", _REQUEST.replace(",", ", "))})
_SECTOR, _LAST = 512, (1 << 52)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            sort = parsed["sort"] | np.uint64(32)
            known = np.isin(sort, (ord("r"), ord("w"))) & (parsed["block"] < _LAST)
            tally.drop("request that is no read or write, or of an impossible block", np.count_nonzero(~known))
            rows = parsed.where(known)
            units, code = np.unique(rows["unit"], return_inverse=True)
            names = [f"unit-{int(unit)}" for unit in units]
            offset = rows["block"] * np.uint64(_SECTOR)
            yield disk.requests(rows["t"], offset, rows["size"], sort[known] == ord("w"), (code.astype(np.int32), names))


FORMAT = Format(
    "spc",
    ("access",),
    "blocks of 4 KiB that requests touch, with time and direction; a VM an application's storage unit (ASU)",
    every_line(rb"\s*\d+, ?\d+, ?\d+, ?[rRwW], ?\d+(\.\d+)?\s*(,.*)?$"),
    read,
    virtual=True,
    blind=disk.BLIND,
)
