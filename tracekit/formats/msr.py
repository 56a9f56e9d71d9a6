"""The MSR Cambridge block traces: CSV without a header, times in ticks of 100 ns since 1601.

``128166372003061629,hm,1,Read,383496192,32768,113736``: time, host, disk, type, offset, size, response time.
"""

from collections.abc import Iterator

import numpy as np

from tracekit.formats import disk
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import any_line

_PATTERNS = Patterns(
    {"request": "{t:dec},{host:word},{disk:dec},{sort:word},{offset:dec},{size:dec},{response:dec}"}, {"# a header": "Timestamp,{*}"}
)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            sort, sorts = parsed.texts("sort")
            is_write = np.array([*(name.lower() == "write" for name in sorts), False])[sort]
            known = is_write | np.array([*(name.lower() == "read" for name in sorts), False])[sort]
            tally.drop("request that is no read or write", np.count_nonzero(~known))
            rows = parsed.where(known)
            yield disk.requests(rows["t"], rows["offset"], rows["size"], is_write[known], disk.pairs(rows.texts("host"), rows["disk"]))


FORMAT = Format(
    "msr",
    ("access",),
    "blocks of 4 KiB that requests touch, with time and direction; a VM a disk of a host",
    any_line(rb"\d{17,19},[^,]+,\d+,(Read|Write),\d+,\d+,\d+\s*$"),
    read,
    tick_ns=100,
    virtual=True,
    blind=disk.BLIND,
)
