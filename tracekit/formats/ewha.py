"""The oslab-ewha memory traces: ``readi 0x04000BE0 2``, where readi is a fetch, readd a load, write a store."""

from collections.abc import Iterator

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import every_line

_PATTERNS = Patterns({"fetch": "readi 0x{address:hex} {size:dec}", "load": "readd 0x{address:hex} {size:dec}",
                      "store": ("write 0x{address:hex} {size:dec}", "writed 0x{address:hex} {size:dec}")})  # fmt: skip


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            yield {"address": parsed["address"], "size": parsed["size"], "write": parsed.which == 2, "fetch": parsed.which == 0}


FORMAT = Format(
    "ewha",
    ("access",),
    "loads, stores and fetches of one program, in order",
    every_line(rb"(readi|readd|writed?) 0x[0-9A-Fa-f]+ \d+\s*$"),
    read,
    virtual=True,
    most_bytes=1 << 20,
    blind=("one process, its own addresses; no time",),
)
