"""Pin's example tool pinatrace: ``0x7f1b5c113093: W 0x7ffec3424278``."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import any_line

_PATTERNS = Patterns({"access": "0x{pc:hex}: {op:char} 0x{address:hex}"}, {"# the end": "#eof"})


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            op = parsed["op"]
            known = np.isin(op, (ord("R"), ord("W")))
            tally.drop("access of an unknown sort", np.count_nonzero(~known))
            rows = parsed.where(known)
            yield {"page": rows["address"] >> np.uint64(12), "write": op[known] == ord("W")}


FORMAT = Format(
    "pinatrace",
    ("access",),
    "loads and stores of one program, in order",
    any_line(rb"0x[0-9a-f]+: [RW] 0x[0-9a-f]+$"),
    read,
    virtual=True,
    blind=("one process, its own addresses; no time, no fetches, no sizes: an access across two pages is one of the first",),
)
