"""Dumps of ``/sys/kernel/mm/page_idle/bitmap``, a file a moment: bit PFN mod 64 of word PFN div 64 is 1 if the page stayed idle."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.records import records
from tracekit.formats.source import Source

_WORD = np.dtype("<u8")


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    first = 0
    for words in records(source, _WORD, tally):
        idle = np.unpackbits(words.view(np.uint8), bitorder="little")
        used = np.flatnonzero(idle == 0)
        tally.drop("page that stayed idle", len(idle) - len(used))
        if len(used):
            yield {"page": (used + first).astype(np.uint64)}
        first += len(idle)


FORMAT = Format(
    "page-idle",
    ("access",),
    "pages that were used since they were marked idle, a dump a moment (--interval apart)",
    lambda source: "idle" in source.name.lower() and source.name.endswith((".bin", ".bitmap")),
    read,
    series=True,
    lacks=frozenset({"exact"}),
    blind=(
        "pages that the kernel cannot mark (free, slab, page tables, reserved) always count as used; neither reads nor writes are told",
    ),
)
