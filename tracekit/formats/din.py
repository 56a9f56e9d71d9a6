"""Dinero's din format: ``2 4096af``, where 0 is a load, 1 a store and 2 a fetch, then the address, then anything."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import every_line

_PATTERNS = Patterns(
    {"access": ("{op:dec} {address:hex}", "{op:dec} 0x{address:hex}", "{op:dec} {address:hex} {*}", "{op:dec} 0x{address:hex} {*}")}
)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            op = parsed["op"]
            known = op <= 2
            tally.drop("label above 2 (escape, flush)", np.count_nonzero(~known))
            op, rows = op[known], parsed.where(known)
            yield {"page": rows["address"] >> np.uint64(12), "write": op == 1, "fetch": op == 2}


FORMAT = Format(
    "din",
    ("access",),
    "loads, stores and fetches of one program, in order",
    every_line(rb"\s*[0-4] (0x)?[0-9a-fA-F]{1,16}(\s.*)?$"),
    read,
    virtual=True,
    blind=("one process, its own addresses; no time, no sizes: an access across two pages is one of the first",),
)
