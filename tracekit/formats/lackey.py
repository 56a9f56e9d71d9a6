"""Valgrind's lackey (``--tool=lackey --trace-mem=yes``): every instruction, load, store and modify of a program."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import any_line

_PATTERNS = Patterns({"access": "{op:char} {address:hex},{size:dec}"}, {"# what valgrind itself says": "=={*}"})
_STORES, _FETCHES, _KNOWN = (np.isin(np.arange(256), list(letters)) for letters in (b"SM", b"I", b"ILSM"))


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            op = parsed["op"].astype(np.uint8)
            known = _KNOWN[op]
            tally.drop("access of an unknown sort", np.count_nonzero(~known))
            op, rows = op[known], parsed.where(known)
            yield {"address": rows["address"], "size": rows["size"], "write": _STORES[op], "fetch": _FETCHES[op]}


FORMAT = Format(
    "lackey",
    ("access",),
    "every load, store and fetch of one program, in order; M (modify) is a store",
    any_line(rb"[ISLM ][ISLM ] [0-9a-f]{4,16},\d{1,4}$"),
    read,
    virtual=True,
    most_bytes=1 << 20,
    blind=("one process, its own addresses; no time; a modify loads as well as stores",),
)
